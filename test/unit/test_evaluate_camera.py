"""The command that measures through the camera, on public-domain faces and on networks of one branch."""

import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training and evaluation only')
pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')
pytest.importorskip('matplotlib', reason='matplotlib is not installed: it is needed for plots only')

from facial_emotion_ros.commands import evaluate_camera  # noqa: E402
from facial_emotion_ros.evaluation.scenes import PICTURE_OVER_BOX  # noqa: E402
from facial_emotion_ros.face_crop import CropGeometry, crop_squares, cut_square  # noqa: E402
from facial_emotion_ros.face_detector import open_detector  # noqa: E402
from facial_emotion_ros.learning.export import write_esr_bundle  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle  # noqa: E402

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'samples')
EXPRESSIONS = {'astronaut.jpg': 'happy', 'president.jpg': 'neutral', 'vice_president.jpg': 'happy'}


def write_npz(path, pictures, votes):
    """Write gray pictures and votes in FER+'s layout."""
    coded = [cv2.imencode('.png', picture)[1].ravel() for picture in pictures]
    np.savez(path, png=np.concatenate(coded), offsets=np.cumsum([0] + [len(png) for png in coded]), votes=votes,
             names=np.array([f'{place}.png' for place in range(len(pictures))], 'S14'))
    return str(path)


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return the path of a small ESR-1 that was never trained."""
    torch.manual_seed(0)
    description = {'name': 'untrained', 'version': '0.0.0', 'source': {'architecture': 'test'},
                   'licence': {'spdx': 'NOASSERTION', 'note': 'test'}, 'training': {}, 'metrics': {},
                   'affect_derived_from': 'nothing'}
    folder = str(tmp_path_factory.mktemp('bundles') / 'untrained')
    write_esr_bundle(folder, ESR(1).eval(), CropGeometry(size_px=64), description)
    return folder


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Return the path of an npz as FER+ has them: the samples' faces, framed as FER+ frames them, three times each."""
    detector = open_detector(ModelBundle.open(embedded_bundle('centerface')))
    pictures, votes = [], []
    for name, expression in EXPRESSIONS.items():
        image = cv2.imread(os.path.join(SAMPLES, name))
        square = crop_squares(detector.detect(image).boxes[:1], CropGeometry(margin=PICTURE_OVER_BOX))[0]
        face = cv2.cvtColor(cut_square(image, *square, 48), cv2.COLOR_BGR2GRAY)
        pictures += [face, np.ascontiguousarray(face[:, ::-1]), face]
        votes += [np.eye(10, dtype=np.uint8)[int(expression == 'happy')] * 10] * 2 + [np.full(10, 1, np.uint8)]
    return write_npz(tmp_path_factory.mktemp('ferplus') / 'split.npz', pictures, np.array(votes))


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """Return a folder of the samples with a table of labels."""
    folder = tmp_path_factory.mktemp('photographs')
    for name in EXPRESSIONS:
        shutil.copy(os.path.join(SAMPLES, name), folder)
    (folder / 'labels.csv').write_text('file,expressions_left_to_right\n' + ''.join(
        f'{name},{expression}\n' for name, expression in EXPRESSIONS.items()))
    return str(folder)


def test_everything_is_measured_printed_and_written(bundle, dataset, photographs, tmp_path, capsys):
    assert evaluate_camera.main(['--dataset', dataset, '--portraits', photographs, '--bundle', bundle, '--varied', '1',
                                 '--output', str(tmp_path / 'out'), '--threads', '1']) == 0
    printed = capsys.readouterr().out
    assert 'points lost' in printed and 'president.jpg' in printed and 'mirrored' in printed and 'hold' in printed
    assert sorted(os.listdir(tmp_path / 'out')) == ['camera.json', 'robustness.png']  # no picture of anybody
    figures = json.loads((tmp_path / 'out' / 'camera.json').read_text())
    assert figures['labelled_faces'] == figures['scenes']['n'] == 6
    assert figures['scenes']['found'] >= 5 and figures['portraits']['found'] == 3
    assert figures['geometry']['size_px'] == 64 and figures['bundle'] == 'untrained'
    assert [row['n'] for row in figures['robustness']['scenes']] == [1] * 19
    assert len(figures['robustness']['portraits']) == 19
    assert str(tmp_path) not in json.dumps(figures) and os.path.dirname(dataset) not in json.dumps(figures)


def test_the_embedded_network_reads_pasted_faces_and_photographs_as_they_are_labelled(dataset, photographs, capsys,
                                                                                      tmp_path):
    assert evaluate_camera.main(['--dataset', dataset, '--portraits', photographs, '--varied', '0', '--output',
                                 str(tmp_path), '--sweep', 'margin=1.17', '--threads', '1']) == 0
    figures = json.loads((tmp_path / 'camera.json').read_text())['sweep'][0]
    assert figures['scenes']['accuracy'] >= 0.6 and figures['portraits']['accuracy'] >= 0.6


def test_a_sweep_writes_a_table_and_a_plot(bundle, dataset, tmp_path, capsys):
    (tmp_path / 'names.txt').write_text('0.png\n3.png\n')
    assert evaluate_camera.main(['--dataset', dataset, '--bundle', bundle, '--only', str(tmp_path / 'names.txt'),
                                 '--sweep', 'margin=1.0,1.3', 'via_px=0,48', '--grid', '--output',
                                 str(tmp_path / 'out'), '--save-scenes', '1']) == 0
    assert sorted(os.listdir(tmp_path / 'out')) == ['camera.json', 'scene_0000.png', 'sweep.csv', 'sweep.png']
    with open(tmp_path / 'out' / 'sweep.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['cut'] for row in rows] == ["the bundle's", 'margin=1.0 via_px=0', 'margin=1.0 via_px=48',
                                            'margin=1.3 via_px=0', 'margin=1.3 via_px=48']
    figures = json.loads((tmp_path / 'out' / 'camera.json').read_text())
    assert figures['labelled_faces'] == 2 and figures['sweep'][4]['geometry']['via_px'] == 48
    assert figures['sweep'][0]['portraits']['gain'] is None  # JSON has no NaN
    assert "the bundle's" in capsys.readouterr().out


@pytest.mark.parametrize('arguments', [
    ['--dataset', 'absent.npz'], ['--dataset', 'SET', '--bundle', 'no_such_bundle'],
    ['--dataset', 'SET', '--portraits', 'absent'], ['--dataset', 'SET', '--only', 'absent.txt'],
    ['--dataset', 'SET', '--sweep', 'margin=wide'],
])
def test_the_command_ends_with_one_line_when_its_input_is_bad(arguments, dataset, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [dataset if word == 'SET' else word for word in arguments]
    assert evaluate_camera.main([*arguments, '--output', 'nowhere']) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and 'expected' in lines[0] and lines[0].startswith('evaluate_camera: ')
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_a_clear_label_is_refused(tmp_path, capsys):
    unclear = write_npz(tmp_path / 'split.npz', np.zeros((2, 48, 48), np.uint8), np.zeros((2, 10), np.uint8))
    assert evaluate_camera.main(['--dataset', unclear]) == 1
    assert 'clear label' in capsys.readouterr().err
