"""The command that shows what each branch looks at, with the real detector and pictures in the public domain."""

import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from places import ASTRONAUT
from test_export import DESCRIPTION
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.cli import explain
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.model.explanation import Explainer, FaceReading
from facial_emotion_ros.training.model.explanation_image import draw_explanation
from facial_emotion_ros.training.model.export import write_esr_bundle
from facial_emotion_ros.training.model.network import ESR


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return the folder of a bundle with random weights, for crops of 64 px with level eyes."""
    torch.manual_seed(0)
    network = ESR(2, diversified=True)
    folder = tmp_path_factory.mktemp('bundles') / 'esr_2_random'
    geometry = CropGeometry(size_px=64, level_eyes=True)
    return write_esr_bundle(folder, network, geometry, DESCRIPTION, temperature=0.5).folder


def reading_of(branches, size_px=64):
    """Return a reading of a gray face whose branches look at the lower right, and are of different opinions."""
    heat = np.zeros((branches, 8, size_px, size_px), np.float32)
    heat[:, :, size_px // 2 :, size_px // 2 :] = 1.0
    scores = np.full((branches, 8), 0.05, np.float32)
    scores[np.arange(branches), np.arange(branches) % 8] = 0.65
    return FaceReading(np.full((128, 128, 3), 128, np.uint8), heat, scores, scores.mean(0))


def decoded(png):
    """Return a PNG's picture."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(int)


def test_a_reading_is_what_the_robot_publishes_and_what_torch_looks_at(bundle):
    image = cv2.imread(ASTRONAUT)
    (reading,) = Explainer(bundle).read(image)
    (estimate,) = EmotionPipeline(bundle).estimate(image)
    np.testing.assert_allclose(reading.scores, list(estimate.scores.values()), atol=1e-6)
    # Temperature and network are the bundle's: the branches' scores have the ensemble's as their mean.
    np.testing.assert_allclose(reading.branch_scores.mean(0), reading.scores, atol=1e-3)
    assert reading.heat.shape == (2, 8, 64, 64) and reading.heat.min() >= 0 and reading.heat.max() > 0
    assert reading.face.dtype == np.uint8 and reading.face.shape[0] == reading.face.shape[1] > 200
    # In colour: her suit and hair are not gray.
    assert np.ptp(reading.face.astype(int), axis=2).mean() > 10


def test_there_is_nothing_to_explain_when_there_is_no_face(bundle):
    assert Explainer(bundle).read(np.full((120, 160, 3), 90, np.uint8)) == []


def test_a_bundle_in_eight_bits_cannot_be_explained():
    with pytest.raises(BadModel, match='is it an fp32 bundle'):
        Explainer('esr_9_ferplus_int8')


@pytest.mark.parametrize('branches', [1, 15])
def test_every_branch_has_its_tile_with_heat_in_the_corner_where_the_map_has_it(branches):
    warm = reading_of(branches)
    one, other = (
        decoded(draw_explanation(each, 'name')) for each in (warm._replace(heat=np.zeros_like(warm.heat)), warm)
    )
    assert one.shape == other.shape
    changed = (np.abs(one - other).max(2) > 20).astype(np.uint8)
    # The heat of each branch, and of the ensemble, is a square of its own.
    count, _, stats, _ = cv2.connectedComponentsWithStats(changed)
    sides = [stat[cv2.CC_STAT_WIDTH] for stat in stats[1:] if stat[cv2.CC_STAT_AREA] > 1000]
    assert len(sides) == branches + 1
    assert max(sides) > 1.5 * sorted(sides)[0]  # the ensemble's is the large one
    if branches == 1:
        rows, columns = np.nonzero(changed)
        tile = columns > one.shape[1] - 240  # the branch's own, at the right
        assert rows[tile].min() > 90 + 34 + 80 and columns[tile].min() > one.shape[1] - 40 - 110


def test_another_picture_comes_when_one_emotion_is_asked_for_and_any_name_may_stand_above():
    reading = reading_of(1)
    drawn = {
        draw_explanation(reading, 'a $ b $ c.jpg'),
        draw_explanation(reading, 'x' * 500, 'fear'),
        draw_explanation(reading, '', 'happy'),
    }
    assert len(drawn) == 3


def test_a_picture_comes_for_each_face_when_the_command_runs(bundle, tmp_path, capsys):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        shutil.copy(ASTRONAUT, tmp_path / folder / 'face.jpg')
    (tmp_path / 'two' / 'notes.txt').write_text('no picture')
    cv2.imwrite(str(tmp_path / 'two' / 'wall.png'), np.full((120, 160, 3), 90, np.uint8))
    output = tmp_path / 'new' / 'folder'
    arguments = [str(tmp_path / 'one' / 'face.jpg'), str(tmp_path / 'two'), '--bundle', bundle, '--output', str(output)]
    assert explain.main([*arguments, '--emotion', 'surprise']) == 0
    assert sorted(path.name for path in output.iterdir()) == ['face-2_face_1.png', 'face_face_1.png']
    picture = decoded((output / 'face_face_1.png').read_bytes())
    assert picture.shape[1] > 1000 and picture.std() > 20
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and 'wall.png: no face found' in lines[2]
    assert any(emotion in lines[0] for emotion in EMOTIONS) and 'of 2 branches' in lines[0]


def test_the_others_are_drawn_when_one_picture_is_damaged(bundle, tmp_path, capsys):
    (tmp_path / 'damaged.jpg').write_bytes(b'\xff\xd8\xff\xe0 cut off')
    output = tmp_path / 'out'
    arguments = [str(tmp_path / 'damaged.jpg'), ASTRONAUT, '--bundle', bundle, '--output', str(output)]
    assert explain.main(arguments) == 1
    assert [path.name for path in output.iterdir()] == ['astronaut_face_1.png']
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and 'damaged.jpg: expected a complete JPEG file, got one that was cut off' in lines[0]


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['absent.jpg'], 'cannot be read'),
        ([ASTRONAUT, '--bundle', 'no_such_bundle'], 'expected'),
        ([ASTRONAUT, '--bundle', 'centerface'], "'esr'"),
        (['.'], 'found none'),
    ],
)
def test_the_command_ends_with_one_line_when_its_input_is_bad(bundle, arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if '--bundle' not in arguments:
        arguments = [*arguments, '--bundle', bundle]
    assert explain.main([*arguments, '--output', 'out']) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('explain: ') and words in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_so_when_it_cannot_write(bundle, tmp_path, capsys):
    (tmp_path / 'file').write_text('in the way')
    assert explain.main([ASTRONAUT, '--bundle', bundle, '--output', str(tmp_path / 'file')]) == 1
    assert 'cannot be written' in capsys.readouterr().err


def test_a_picture_of_the_user_stays_when_it_has_the_name_of_a_result(bundle, tmp_path, capsys):
    (tmp_path / 'astronaut_face_1.png').write_bytes(b'mine')
    assert explain.main([ASTRONAUT, '--bundle', bundle, '--output', str(tmp_path)])
    assert 'which would be lost' in capsys.readouterr().err
    assert (tmp_path / 'astronaut_face_1.png').read_bytes() == b'mine'


def test_a_film_is_looked_at_every_so_often(bundle, tmp_path, capsys):
    image = cv2.resize(cv2.imread(ASTRONAUT), (256, 256))
    film = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(film, cv2.VideoWriter_fourcc(*'MJPG'), 10, (256, 256))
    for _ in range(30):
        writer.write(image)
    writer.release()
    words = f'--video {film} --bundle {bundle} --output {tmp_path}/out --every 0.5 --seconds 0.7'
    assert explain.main(words.split()) == 0
    assert sorted(os.listdir(tmp_path / 'out')) == [f'film_{time_s}s_face_1.png' for time_s in ('0.5', '0')]
    capsys.readouterr()
    for wrong, words in (([], '--video'), ([ASTRONAUT, '--every', '0'], '--every')):
        with pytest.raises(SystemExit, match='2'):
            explain.main([*wrong, '--output', str(tmp_path / 'out')])
        assert words in capsys.readouterr().err
    assert explain.main(['--camera', '63', '--bundle', bundle, '--output', str(tmp_path / 'out')]) == 1
    assert 'camera 63' in capsys.readouterr().err
