"""The command that measures through the camera, on public-domain faces and on networks of one branch."""

import csv
import json
import os

import cv2
import numpy as np
import pytest
import torch
from places import SAMPLES
from test_export import DESCRIPTION
from test_ferplus import write_npz
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.cli import evaluate_camera, evaluate_over_time
from facial_emotion_ros.evaluation.camera import resting_bias
from facial_emotion_ros.evaluation.camera.scenes import PICTURE_OVER_BOX
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry, crop_squares, cut_square
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.training.model.export import write_esr_bundle
from facial_emotion_ros.training.model.network import ESR

pytest.importorskip('matplotlib', reason='matplotlib is not installed: it is needed for plots only')

EXPRESSIONS = {'astronaut.jpg': 'happy', 'president.jpg': 'neutral', 'vice_president.jpg': 'happy'}


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return the path of a small ESR-1 that was never trained."""
    torch.manual_seed(0)
    folder = str(tmp_path_factory.mktemp('bundles') / 'untrained')
    write_esr_bundle(folder, ESR(1).eval(), CropGeometry(size_px=64), dict(DESCRIPTION, name='untrained'))
    return folder


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Return the path of an npz as FER+ has them: the samples' faces, framed as FER+ frames them, three times each."""
    detector = FaceDetector(ModelBundle.open(embedded_bundle('centerface')))
    pictures, votes = [], []
    for name, expression in EXPRESSIONS.items():
        image = cv2.imread(os.path.join(SAMPLES, name))
        square = crop_squares(detector.detect(image).boxes[:1], CropGeometry(margin=PICTURE_OVER_BOX))[0]
        face = cv2.cvtColor(cut_square(image, *square, 48), cv2.COLOR_BGR2GRAY)
        pictures += [face, np.ascontiguousarray(face[:, ::-1]), face]
        votes += [np.eye(10, dtype=np.uint8)[int(expression == 'happy')] * 10] * 2 + [np.full(10, 1, np.uint8)]
    return write_npz(tmp_path_factory.mktemp('ferplus') / 'split.npz', pictures, votes=np.array(votes))


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """Return a folder of one photograph, small enough to be quick, with a table of labels."""
    folder = tmp_path_factory.mktemp('photographs')
    image = cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))
    cv2.imwrite(str(folder / 'astronaut.jpg'), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    (folder / 'labels.csv').write_text('file,expressions_left_to_right\nastronaut.jpg,happy\n')
    return str(folder)


def test_everything_is_measured_printed_and_written(bundle, dataset, photographs, tmp_path, capsys):
    words = (
        f'--dataset {dataset} --portraits {photographs} --bundle {bundle} --varied 1 --output '
        f'{tmp_path}/out --threads 1'
    )
    assert evaluate_camera.main(words.split()) == 0
    printed = capsys.readouterr().out
    assert 'points lost' in printed and 'astronaut.jpg' in printed and 'mirrored' in printed and 'hold' in printed
    assert sorted(os.listdir(tmp_path / 'out')) == ['camera.json', 'robustness.png']  # no picture of anybody
    figures = json.loads((tmp_path / 'out' / 'camera.json').read_text())
    assert figures['labelled_faces'] == figures['scenes']['n'] == 6
    assert figures['scenes']['found'] >= 5 and figures['portraits']['found'] == 1
    assert figures['geometry']['size_px'] == 64 and figures['bundle'] == 'untrained'
    assert [row['n'] for row in figures['robustness']['scenes']] == [1] * 19
    assert len(figures['robustness']['portraits']) == 19
    assert str(tmp_path) not in json.dumps(figures) and os.path.dirname(dataset) not in json.dumps(figures)


def test_the_embedded_network_reads_pasted_faces_and_photographs_as_they_are_labelled(
    dataset, photographs, capsys, tmp_path
):
    words = f'--dataset {dataset} --portraits {photographs} --varied 0 --output {tmp_path} --threads 1'
    # A sweep of the bundle's own value alone.
    assert evaluate_camera.main([*words.split(), '--sweep', 'margin=1.08']) == 0
    (figures,) = json.loads((tmp_path / 'camera.json').read_text())['sweep']
    assert figures['scenes']['accuracy'] >= 0.6 and figures['portraits']['accuracy'] >= 0.6


def test_a_sweep_writes_a_table_and_a_plot(bundle, dataset, tmp_path, capsys):
    (tmp_path / 'names.txt').write_text('0.png\n3.png\n')
    words = (
        f'--dataset {dataset} --bundle {bundle} --only {tmp_path}/names.txt --sweep margin=1.0,1.3 '
        f'via_px=0,48 --grid --output {tmp_path}/out --save-scenes 1'
    )
    assert evaluate_camera.main(words.split()) == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['camera.json', 'scene_0000.png', 'sweep.csv', 'sweep.png']
    with open(tmp_path / 'out' / 'sweep.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['cut'] for row in rows] == [
        "the bundle's",
        'margin=1.0 via_px=0',
        'margin=1.0 via_px=48',
        'margin=1.3 via_px=0',
        'margin=1.3 via_px=48',
    ]
    figures = json.loads((tmp_path / 'out' / 'camera.json').read_text())
    assert figures['labelled_faces'] == 2 and figures['sweep'][4]['geometry']['via_px'] == 48
    assert figures['sweep'][0]['portraits']['gain'] is None  # JSON has no NaN
    assert "the bundle's" in capsys.readouterr().out


def test_the_spread_of_crops_is_told_for_each_size_of_a_face(dataset, photographs, tmp_path, capsys):
    words = (
        f'--dataset {dataset} --portraits {photographs} --scenes 1 --spread --detector centerface_int8 '
        f'--bundle esr_9_ferplus_int8 --output {tmp_path}'
    )
    assert evaluate_camera.main(words.split()) == 0
    spread = json.loads((tmp_path / 'camera.json').read_text())['spread']
    by_size = {row['size_px']: row for row in spread['portraits']}
    assert by_size[96]['found'] == by_size[96]['n'] == 4 and spread['scenes'][0]['n'] == 4
    assert abs(by_size[96]['log_scale_middle']) < 0.25 and by_size[96]['roll_spread'] < 10
    printed = capsys.readouterr().out
    assert ' 96 px   4 of 4' in printed and 'operating point balanced' in printed.splitlines()[0]


def test_the_operating_point_is_printed_with_the_figures(dataset, capsys, monkeypatch):
    monkeypatch.setattr(resting_bias, 'lines', lambda *arguments, **options: [])
    for words in (['unknown', '--degraded', '0', '--scenes', '1'], ['neutral', '--scenes', '1']):
        words += ['--operating-point', 'ferplus', '--dataset', dataset, '--threads', '1']
        assert evaluate_over_time.main([*words, '--bundle', 'esr_9_ferplus_int8']) == 0
        assert 'operating point ferplus' in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    'arguments',
    [
        ['--dataset', 'absent.npz'],
        ['--dataset', 'SET', '--bundle', 'no_such_bundle'],
        ['--dataset', 'SET', '--portraits', 'absent'],
        ['--dataset', 'SET', '--only', 'absent.txt'],
    ],
)
def test_the_command_ends_with_one_line_when_its_input_is_bad(
    arguments, bundle, dataset, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = [dataset if word == 'SET' else word for word in arguments]
    assert evaluate_camera.main(['--bundle', bundle, *arguments, '--output', 'nowhere']) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and 'expected' in lines[0] and lines[0].startswith('evaluate_camera: ')
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_goes_on_when_the_disk_was_full_before_the_last_file(tmp_path, monkeypatch):
    record = {'detector_sha256': '', 'geometry': {}}
    monkeypatch.setattr(evaluate_camera, 'measure', lambda options: (record, {'sweep.csv': b'', 'sweep.png': b''}))
    write = evaluate_camera.write_atomic

    def write_or_fail(path, content):
        if path.endswith('.png'):
            raise OSError(28, 'No space left on device')
        write(path, content)

    for written, status in ((write_or_fail, 1), (write, 0)):
        monkeypatch.setattr(evaluate_camera, 'write_atomic', written)
        assert evaluate_camera.main(['--dataset', 'x', '--output', str(tmp_path)]) == status


def test_a_set_without_a_clear_label_is_refused(bundle, tmp_path, capsys):
    unclear = write_npz(tmp_path / 'split.npz', np.zeros((2, 48, 48), np.uint8))
    assert evaluate_camera.main(['--bundle', bundle, '--dataset', unclear]) == 1
    assert 'expected faces with a label' in capsys.readouterr().err
