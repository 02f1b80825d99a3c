"""Two real processes train one network, as torchrun starts them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from distributed_training import digest_of
from tiny_training import quick_trainings, tiny_recipe, two_kinds_of_faces  # noqa: F401

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training import FacialEmotionLearner
from facial_emotion_ros.training.loop.checkpoint import load_weights
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.loop.fit import Fit
from facial_emotion_ros.training.model.network import ESR

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Return the folder that two processes trained in, and what each of them found."""
    folder = tmp_path_factory.mktemp('together')
    environment = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    ran = subprocess.run(
        [
            sys.executable,
            '-m',
            'torch.distributed.run',
            '--standalone',
            '--nproc-per-node',
            '2',
            os.path.join(HERE, 'distributed_training.py'),
            str(folder),
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=250,
    )
    assert ran.returncode == 0 and 'Warning' not in ran.stderr, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{')]
    return folder, sorted(lines, key=lambda line: line['rank'])


def test_all_processes_have_the_same_weights_when_they_train_together(found):
    first, second = found[1]
    assert first['joint'] == second['joint'] and first['joint']['steps'] == 3
    assert first['affect'] == second['affect']
    assert first['best'] == second['best']
    assert first['few'] == second['few'] and first['few']['weights'] != first['joint']['weights']


def test_only_the_first_process_writes_when_they_train_together(found):
    assert sorted(os.listdir(found[0])) == ['learner', 'machine 0']


def test_all_processes_go_on_from_the_state_of_the_first_when_they_resume(found):
    first, second = found[1]
    assert first['resumed'] == second['resumed'] and first['resumed']['steps'] == 5
    assert first['resumed']['weights'] != first['joint']['weights']


def test_all_processes_have_the_saved_weights_when_a_learner_trains_in_them(found):
    folder, (first, second) = found
    learner = FacialEmotionLearner(device='cpu')
    learner.load(1, folder / 'learner' / 'esr_9' / 'trained_models')
    assert first['learner'] == second['learner'] == digest_of(learner.model.state_dict())


def test_all_processes_train_in_the_precision_of_the_first_when_they_measure_differently(found):
    for line in found[1]:
        assert line['precisions'] == ['torch.float32'] * 3, 'of the command, and of two trainings of a learner'


def test_two_processes_learn_what_one_would_when_batch_norm_is_fixed(found, tmp_path):
    torch.manual_seed(0)
    start = ESR(2).state_dict()
    faces = two_kinds_of_faces(24).rows(range(16))
    alone = Fit(tiny_recipe({'trains': 'affect', 'steps': 3}, branches=2), faces, str(tmp_path), start=start).run()
    together = load_weights(str(found[0] / 'machine 0' / 'affect' / 'weights.safetensors'))
    name = 'convolutional_branches.1.fc_dimensional.weight'
    assert not torch.equal(alone[name], start[name])
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, atol=1e-6, rtol=1e-4)


def test_what_processes_exchange_arrives_when_there_are_two(found):
    for line in found[1]:
        assert line['rows'] == [0, 2, 4, 6, 8] and line['mean'] == 1.5 and line['state'] == 5 and line['nothing']


def test_every_exchange_does_the_obvious_when_a_process_is_alone():
    processes = Processes.begin(torch.device('cpu'))
    assert processes.is_first and processes.count == 1
    assert processes.broadcast_result(lambda: {'a': 1}) == {'a': 1}
    assert processes.mean(torch.ones(1)).item() == 1
    np.testing.assert_array_equal(processes.gather_rows(np.arange(3.0), 3), np.arange(3.0))
    module = torch.nn.Linear(1, 1)
    assert processes.average_gradients(module) is module
    processes.end()


def test_a_process_is_refused_when_its_machine_has_no_gpu_for_it(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '128')
    monkeypatch.setenv('RANK', '99')
    monkeypatch.setenv('LOCAL_RANK', '99')
    with pytest.raises(BadParameter, match='one GPU per process'):
        Processes.begin(torch.device('cuda'))
