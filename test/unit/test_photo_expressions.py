"""Expressions on photographs, tried on heads of known pose and on rendered portraits."""

import os

import cv2
import numpy as np
import pytest
from rendered_faces import needs_anny, table_of

from facial_emotion_ros.cli import render_faces
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.data.datasets import FerPlus, write_ferplus
from facial_emotion_ros.training.data.labelled_folder import read_labelled_folder
from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
from facial_emotion_ros.training.synthetic.head_model import read_head_model
from facial_emotion_ros.training.synthetic.photo_expressions import PHOTO_PX, HeadFit, PhotoExpressions
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

pytestmark = needs_anny

#: Seeds of portraits that face the camera.
SEEDS = (20, 26, 28, 31, 34, 37)
#: Of a person, as a foreign data set may name one.
PERSON = '=p, "q"\nr'


@pytest.fixture(scope='module')
def tool():
    return PhotoExpressions(read_head_model())


@pytest.fixture(scope='module')
def portraits(tool):
    """Neutral portraits (PHOTO_PX, PHOTO_PX, 3) and their landmarks."""
    renderer, finder = FaceRenderer(tool.model), EmotionPipeline(threads=1).finder
    found = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        image, _, _ = renderer.draw(draw_person(tool.model, generator), {}, generator)
        image = cv2.resize(image, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_AREA)
        found.append((image, finder.find_alone(image).landmarks[0]))
    return found


def landmarks_at(tool, *turn, scale=110.0):
    vertices = tool.model.vertices
    places = tool.landmarks(vertices)
    fit = HeadFit(vertices, places.mean(0), np.array(turn, float), scale, np.array([95.0, 100.0]))
    return fit.seen(places)[1]


def show(tool, photograph, landmarks, **actions):
    return tool.draw(photograph, tool.fit(landmarks), actions, np.random.default_rng(3))


@pytest.mark.parametrize('turn', [(0, 0, 0), (35, 0, 0), (-20, 5, 0), (0, 15, 0), (0, -15, 0), (0, 0, 30)])
def test_the_pose_is_found_when_a_head_is_turned(tool, turn):
    fit = tool.fit(landmarks_at(tool, *turn))
    np.testing.assert_allclose(fit.turn, turn, atol=5)
    assert fit.scale == pytest.approx(110, rel=0.08)


def test_nothing_is_fitted_when_a_face_is_small_a_profile_upside_down_or_none(tool):
    assert tool.fit(landmarks_at(tool, 0, 0, 0, scale=30.0)) is None
    assert tool.fit(landmarks_at(tool, 60, 0, 0)) is None
    assert tool.fit(190 - landmarks_at(tool, 0, 0, 0)) is None
    assert tool.fit(np.array([[60, 80], [120, 80], [90, 60], [70, 30], [110, 30]], float)) is None


def test_the_photograph_stays_when_nothing_moves(tool, portraits):
    for photograph, landmarks in portraits:
        assert np.abs(show(tool, photograph, landmarks).astype(int) - photograph).max() <= 1


def test_the_mouth_opens_dark_when_the_jaw_drops(tool, portraits):
    for photograph, landmarks in portraits:
        x, y = np.rint(landmarks[3:].mean(0)).astype(int)
        below = np.s_[y + 4 : y + 12, x - 3 : x + 4]
        assert show(tool, photograph, landmarks, jawOpen=1.0)[below].mean() < 0.8 * photograph[below].mean()


def test_the_corners_of_the_mouth_move_when_the_face_smiles_or_frowns(tool, portraits):
    finder = EmotionPipeline(threads=1).finder
    rises = []
    for unit in ('mouthSmile', 'mouthFrown'):
        drawn = [show(tool, *each, **{unit + side: 1.2 for side in ('Left', 'Right')}) for each in portraits]
        after = [finder.find_alone(each).landmarks[0] for each in drawn]
        rises.append(np.median([b[3:, 1].mean() - a[3:, 1].mean() for a, (_, b) in zip(after, portraits)]))
    assert rises[0] > 1 > rises[1]


def test_the_side_of_the_picture_that_changes_is_the_right_one_when_the_left_corner_smiles(tool):
    flat = np.full((PHOTO_PX, PHOTO_PX), 150, np.uint8)
    change = np.abs(show(tool, flat, landmarks_at(tool, 0, 0, 0), mouthSmileLeft=1.2).astype(int) - flat)
    assert change[:, 95:].sum() > 3 * change[:, :95].sum()


def test_a_flat_picture_gets_creases_when_brows_fall(tool):
    flat, landmarks = np.full((PHOTO_PX, PHOTO_PX), 120, np.uint8), landmarks_at(tool, 0, 0, 0)
    x, y = np.rint(landmarks[:2].mean(0)).astype(int)
    frown = show(tool, flat, landmarks, browDownLeft=1.2, browDownRight=1.2)
    assert frown[y - 18 : y - 4, x - 8 : x + 9].min() < 105


def test_the_white_of_the_eyes_grows_when_lids_rise(tool):
    eyes, landmarks = np.full((PHOTO_PX, PHOTO_PX), 120, np.uint8), landmarks_at(tool, 0, 0, 0)
    for x, y in np.rint(landmarks[:2]).astype(int).tolist():
        cv2.ellipse(eyes, (x, y), (13, 5), 0, 0, 360, 220, -1)
    wide = show(tool, eyes, landmarks, eyeWideLeft=1.5, eyeWideRight=1.5)
    assert (wide > 180).sum() > 1.2 * (eyes > 180).sum()


def test_gray_photographs_stay_gray_when_they_get_an_expression(tool, portraits):
    photograph, landmarks = portraits[1]
    actions = {'jawOpen': 0.8, 'mouthUpperUpLeft': 0.8, 'eyeWideLeft': 1.0}
    gray = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
    in_gray = show(tool, gray, landmarks, **actions)
    assert in_gray.shape == gray.shape and np.abs(in_gray.astype(int) - gray).mean() > 1
    in_three = show(tool, cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), landmarks, **actions)
    assert (in_three == in_gray[..., None]).all()
    in_colour = cv2.cvtColor(show(tool, photograph, landmarks, **actions), cv2.COLOR_BGR2GRAY)
    assert np.abs(in_colour.astype(int) - in_gray).mean() < 1


@pytest.fixture(scope='module')
def photographs(tmp_path_factory, portraits):
    """Write the portraits as a data set: neutral ones, and a happy one."""
    folder = tmp_path_factory.mktemp('photographs')
    rows, person = ['file,emotion,person'], '"%s"' % PERSON.replace('"', '""')
    for number, (image, _) in enumerate(portraits):
        cv2.imwrite(str(folder / f'{number}.png'), cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA))
        rows.append(f'{number}.png,{"neutral" if number else "happy"},{person if number < 3 else ""}')
    (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
    return str(folder)


def test_a_labelled_folder_is_the_same_when_any_number_of_processes_make_it(photographs, tmp_path):
    given = ['--photographs', photographs, '--count', '7', '--seed', '5']
    for name, more in (('one', []), ('two', ['--processes', '2'])):
        assert render_faces.main(['--output', str(tmp_path / name), *given, *more]) == 0
    rows = table_of(tmp_path / 'one')
    assert rows == table_of(tmp_path / 'two')
    for row in rows:
        assert (tmp_path / 'one' / row['file']).read_bytes() == (tmp_path / 'two' / row['file']).read_bytes()
    faces = read_labelled_folder(str(tmp_path / 'one'))
    assert 5 <= len(faces) <= 7 and len(set(faces.labels)) > 2
    assert all(face.shape == (100, 100, 3) for face in faces.faces())
    assert {row['photograph'] for row in rows} <= {f'{number}.png' for number in range(1, 6)}
    assert len({row['photograph'] for row in rows}) >= 4
    assert all(row['person'] == ("'" + PERSON if row['photograph'] < '3' else row['photograph']) for row in rows)
    assert PERSON in faces.persons and "'" + PERSON not in faces.persons
    assert render_faces.main(['--output', str(tmp_path / 'one'), *given]) == 0  # its own result is replaced


def test_gray_faces_of_ferplus_get_expressions_when_seven_votes_in_ten_are_neutral(portraits, tmp_path):
    shrunk = []
    for image, landmarks in portraits:
        x, y = np.rint(landmarks.mean(0) - 55).astype(int).clip(0)
        gray = cv2.cvtColor(image[y : y + 110, x : x + 110], cv2.COLOR_BGR2GRAY)
        shrunk.append(cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA))
    votes = np.zeros((len(SEEDS), 10), np.uint8)
    votes[:, 0] = [6, 7, *[8] * (len(SEEDS) - 2)]
    votes[:, 1] = 10 - votes[:, 0]
    names = [f'fer{number:07d}.png' for number in range(len(SEEDS))]
    write_ferplus(str(tmp_path / 'set.npz'), FerPlus(shrunk, votes, names))
    given = ['--photographs', str(tmp_path / 'set.npz'), '--output', str(tmp_path / 'shown'), '--count', '6']
    assert render_faces.main(given) == 0
    rows = table_of(tmp_path / 'shown')
    used = {row['photograph'] for row in rows}
    assert names[0] not in used and names[1] in used and rows[0]['emotion'] in EMOTIONS
    pictures = [cv2.imread(str(tmp_path / 'shown' / row['file']), cv2.IMREAD_UNCHANGED) for row in rows]
    assert all(picture.shape == (48, 48) for picture in pictures)


def test_a_photograph_is_not_used_when_it_is_left_out(photographs, tmp_path, capsys):
    (tmp_path / 'names.txt').write_text('\n'.join(f'{number}.png' for number in range(1, len(SEEDS))))
    given = ['--photographs', photographs, '--output', str(tmp_path / 'out'), '--count', '2']
    assert render_faces.main([*given, '--leave-out', str(tmp_path / 'names.txt')]) == 1
    assert 'expected faces labelled neutral, got none' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'more, text',
    [
        (['--output', 'out', '--leave-out', 'names.txt'], '--leave-out: expected together with --photographs'),
        (['--output', 'PHOTOGRAPHS', '--photographs', 'PHOTOGRAPHS'], '--output: expected a folder outside'),
        (['--output', 'PHOTOGRAPHS/new', '--photographs', 'PHOTOGRAPHS'], '--output: expected a folder outside'),
    ],
)
def test_options_that_would_harm_photographs_are_refused_when_they_are_given(photographs, capsys, more, text):
    before = sorted(os.listdir(photographs))
    assert render_faces.main([each.replace('PHOTOGRAPHS', photographs) for each in more]) == 2
    assert text in capsys.readouterr().err and sorted(os.listdir(photographs)) == before
