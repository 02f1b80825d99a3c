"""What reads foreign bytes, fuzzed: each input is read or refused, whatever it holds."""

import os
import sys

import pytest
from programs import ended

from graph_peer import REPOSITORY

FUZZ = os.path.join(REPOSITORY, 'fuzz', 'fuzz.py')
#: What each needs besides the robot's packages.
TARGETS = {'bag': 'rosbags', 'bundle': 'onnx', 'ferplus': 'numpy', 'picture': 'cv2', 'truth': 'rosbags'}
#: In the short form they have some seconds together, in the long one an hour.
SHORT_S, LONG_S = 1, 720


@pytest.mark.timeout(LONG_S + 300)
@pytest.mark.parametrize('target', sorted(TARGETS))
def test_each_input_is_read_or_refused_when_a_reader_is_fuzzed(target, tmp_path, long_form):
    for name in ('atheris', TARGETS[target]):
        pytest.importorskip(name, reason='%s is not installed: scripts/setup --tests does that' % name)
    seconds = LONG_S if long_form else SHORT_S
    command = [sys.executable, FUZZ, target, '--seconds', seconds, '--findings', tmp_path]
    ran = ended(*command, errors='replace')
    inputs = ran.stdout.partition('stat::number_of_executed_units: ')[2].split('\n')[0]
    print('%s: %s inputs in %d s' % (target, inputs, seconds))
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert int(inputs) > 0 and not list(tmp_path.iterdir())
