"""FacialEmotionLearner.fit() in two processes, as torchrun starts them."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')
pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

#: What each process runs; it says in one line of JSON what it has in the end.
SCRIPT = '''
import hashlib, json, sys
import numpy as np
from tiny_training import Labelled, one_hot
from facial_emotion_ros.learning import FacialEmotionLearner
faces = Labelled(one_hot(*['happy', 'sad'] * 6), np.tile([[0.5, 0.1], [-0.5, -0.1]], (6, 1)))
learner = FacialEmotionLearner(device='cpu', base_path_experiment=sys.argv[1], batch_size=6, lr=0.02, ensemble_size=1,
                               categorical_train=True)
learner.size_px = 56
learner.fit(False, faces, faces)
print(json.dumps({name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
                  for name, tensor in learner.model.state_dict().items()}))
'''


def test_all_processes_have_the_saved_weights_when_two_train_together(tmp_path):
    here = pathlib.Path(__file__).parent
    (tmp_path / 'script.py').write_text(SCRIPT)
    environment = dict(os.environ, PYTHONPATH=f'{here}:{here.parents[1]}', OMP_NUM_THREADS='1')
    ran = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(tmp_path / 'script.py'), str(tmp_path)],
        env=environment, capture_output=True, text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, other = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{')]
    assert one == other
    saved = torch.load(tmp_path / 'esr_9' / 'trained_models' / 'Net-Branch_1.pt', weights_only=True)
    for name, tensor in saved.items():
        digest = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        assert one[f'convolutional_branches.0.{name}'] == digest, name
