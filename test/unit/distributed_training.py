"""What each process of test_distributed.py runs, started by torchrun; says in one line of JSON what it found."""

import hashlib
import json
import os
import sys


def main():
    """Train together, the first process alone with the folder; print what came out."""
    import numpy as np
    import torch
    from tiny_training import tiny_recipe, two_kinds_of_faces

    from facial_emotion_ros.learning.distributed import Processes
    from facial_emotion_ros.learning.fit import Fit
    from facial_emotion_ros.learning.network import ESR

    torch.set_num_threads(1)
    processes = Processes.begin(torch.device('cpu'))
    # As on two machines: the second one knows nothing of the first one's folder.
    folder = os.path.join(sys.argv[1], f'machine {processes.rank}')
    faces = two_kinds_of_faces(24)
    learned, held_out = faces.rows(range(16)), faces.rows(range(16, 23))
    torch.manual_seed(0)
    start = ESR(2).state_dict()

    def train(name, *phases):
        fit = Fit(tiny_recipe(*phases, branches=2), learned, os.path.join(folder, name), held_out, start,
                  processes=processes)
        weights = fit.run()
        digest = hashlib.sha256()
        for tensor in weights.values():
            digest.update(tensor.contiguous().numpy().tobytes())
        return {'steps': fit.total, 'weights': digest.hexdigest()}

    joint = {'steps': 3, 'bootstrap': 0.7}
    count = 5
    rows = processes.rows_of_mine(count)
    found = json.dumps({
        'rank': processes.rank,
        'affect': train('affect', {'trains': 'affect', 'steps': 3}),
        'joint': train('joint', joint),
        'best': train('best', {'steps': 4, 'keeps': 'best', 'learning_rate': 0.15, 'check_epochs': 0.01}),
        'few': train('few', dict(joint, branches_a_step=1)),
        'resumed': train('joint', joint, {'steps': 2}),
        'rows': processes.gather_rows(np.float32(rows)[:, None] * 2, count)[:, 0].tolist(),
        'mean': processes.mean(torch.tensor([1.0 + processes.rank])).item(),
        'bytes': len(processes.bytes_of_first(b'12345' if processes.is_first else None)),
        'nothing': processes.bytes_of_first(None) is None,
    })
    # In one piece: both processes write to the same pipe, and print may write the end of the line by itself.
    os.write(1, found.encode() + b'\n')
    processes.end()


if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main()
