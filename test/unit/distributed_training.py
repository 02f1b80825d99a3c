"""What each process of test_distributed.py runs, started by torchrun; says in one line of JSON what it found."""

import hashlib
import json
import os
import sys


def digest_of(weights):
    """Hash a state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def main():
    """Train together, the first process alone with the folder; print what came out."""
    import numpy as np
    import pytest
    import torch
    from tiny_training import Labelled, make_trainings_quick, one_hot, tiny_recipe, two_kinds_of_faces

    from facial_emotion_ros.cli import train as command
    from facial_emotion_ros.training import FacialEmotionLearner
    from facial_emotion_ros.training.loop import precision
    from facial_emotion_ros.training.loop.distributed import Processes
    from facial_emotion_ros.training.loop.fit import Fit
    from facial_emotion_ros.training.model.network import ESR
    from facial_emotion_ros.training.opendr import fit as opendr_fit

    torch.set_num_threads(1)
    import torch._dynamo  # which torch's DistributedDataParallel needs

    patch = pytest.MonkeyPatch()
    make_trainings_quick(patch)
    processes = Processes.begin(torch.device('cpu'))
    # As on two machines: the second one knows nothing of the first one's folder.
    folder = os.path.join(sys.argv[1], f'machine {processes.rank}')
    faces = two_kinds_of_faces(24)
    learned, held_out = faces.rows(range(16)), faces.rows(range(16, 23))
    torch.manual_seed(0)
    start = ESR(2).state_dict()

    def train(name, *phases):
        fit = Fit(
            tiny_recipe(*phases, branches=2), learned, os.path.join(folder, name), held_out, start, processes=processes
        )
        return {'weights': digest_of(fit.run()), 'steps': fit.total}

    def learn():
        faces = Labelled(one_hot(*['happy', 'sad'] * 6), np.tile([[0.5, 0.1], [-0.5, -0.1]], (6, 1)))
        settings = {'batch_size': 6, 'lr': 0.02, 'ensemble_size': 1, 'categorical_train': True}
        learner = FacialEmotionLearner(
            device='cpu', base_path_experiment=os.path.join(sys.argv[1], 'learner'), **settings
        )
        learner.size_px = 56
        learner.fit(False, faces, faces)
        return digest_of(learner.model.state_dict())

    def note_precisions():
        """Have only the second process find bfloat16 faster; list what the command and the learner train in."""
        used = []

        def fit(*arguments, **options):
            used.append(str(options['precision']))
            return Fit(*arguments, **options)

        patch.setattr(precision, 'is_faster_in_bfloat16', lambda: processes.rank == 1)
        patch.setattr(opendr_fit, 'Fit', fit)
        patch.setattr(command, '_read_recipe', lambda options: None)
        patch.setattr(command, '_train', lambda *arguments: used.append(str(arguments[3])) or 0)
        return used

    joint = {'steps': 3, 'bootstrap': 0.7}
    count = 5
    rows = processes.local_rows(count)
    found = {
        'rank': processes.rank,
        'affect': train('affect', {'trains': 'affect', 'steps': 3}),
        'joint': train('joint', joint),
        'best': train('best', {'steps': 4, 'keeps': 'best', 'learning_rate': 0.15, 'check_epochs': 0.01}),
        'few': train('few', dict(joint, branches_a_step=1)),
        'resumed': train('joint', joint, {'steps': 2}),
        'rows': processes.gather_rows(np.float32(rows)[:, None] * 2, count)[:, 0].tolist(),
        'mean': processes.mean(torch.tensor([1.0 + processes.rank])).item(),
        'state': processes.broadcast_result(lambda: {'a': torch.tensor([5.0]), 'rank': processes.rank})['a'].item(),
        'nothing': processes.broadcast_result(lambda: None) is None,
    }
    processes.end()
    found['precisions'] = note_precisions()
    command.main(['recipe', '--output', folder, '--device', 'cpu'])
    found['learner'] = learn()
    # In one piece: both processes write to the same pipe, and print may write the end of the line by itself.
    os.write(1, json.dumps(found).encode() + b'\n')


if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main()
