"""How well a network that is being trained reads the held-out faces."""

import numpy as np
import torch

from facial_emotion_ros import metrics
from facial_emotion_ros.ensemble import combine
from facial_emotion_ros.learning.augmentation import plain
from facial_emotion_ros.learning.distributed import Processes

#: Faces that go through the network at once.
_BATCH = 128


def crops_of(faces, rows, geometry, device):
    """Read faces as the robot sees them.

    :param faces: FaceSet.
    :param rows: (M,) int64, in the order wanted.
    :param geometry: CropGeometry.
    :param device: torch.device.
    :returns: iterator of (up to 128, 3, S, S) float32.
    """
    for begin in range(0, len(rows), _BATCH):
        yield torch.from_numpy(plain(faces.faces(rows[begin:begin + _BATCH]), geometry)).to(device)


@torch.no_grad()
def outputs_of(network, faces, geometry, precision=torch.float32, processes=None):
    """Run a network over all faces of a set, shared out to all processes.

    :param network: ESR in evaluation mode.
    :param faces: FaceSet.
    :param geometry: CropGeometry.
    :param precision: torch.dtype that convolutions are computed in.
    :param processes: Processes, each of which gets all outputs; None where this is the only one.
    :returns: logits (N, B, 8) and affect (N, B, 2), float32; N = 0 gives empty arrays.
    """
    processes = processes or Processes()
    device = next(network.parameters()).device
    mine = np.zeros((0, network.branches, 10), np.float32)
    for crops in crops_of(faces, processes.rows_of_mine(len(faces)), geometry, device):
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            logits, affect = network(crops.contiguous(memory_format=torch.channels_last))
        mine = np.concatenate([mine, torch.cat([logits, affect], -1).float().cpu().numpy()])
    outputs = processes.gather_rows(mine, len(faces))
    return outputs[..., :8], outputs[..., 8:]


def judge(faces, logits, affect):
    """Compare outputs with what is known of the faces.

    :param faces: FaceSet of N faces.
    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :returns: dict of float. Where the set has categories: loss (against its distributions), accuracy and macro_recall
        (against its labels), branch_accuracy (mean of the branches alone); where it has affect: ccc_ and rmse_ of
        valence and arousal. What cannot be told is left out.
    """
    estimates = combine(logits, affect)
    figures = {}
    known = faces.where_category()
    if len(known):
        shares = np.log(np.maximum(estimates.scores[known], 1e-7))
        figures['loss'] = float(-(faces.distributions[known] * shares).sum(1).mean())
    labelled = np.flatnonzero(faces.labels >= 0)
    if len(labelled):
        labels, predictions = faces.labels[labelled], estimates.scores[labelled].argmax(1)
        figures['accuracy'] = metrics.accuracy(labels, predictions)
        figures['macro_recall'] = metrics.macro_recall(metrics.confusion(labels, predictions))
        figures['branch_accuracy'] = float((logits[labelled].argmax(2) == labels[:, None]).mean())
    rated = faces.where_affect()
    for place, name in enumerate(('valence', 'arousal') if len(rated) else ()):
        truth, estimate = faces.affect[rated, place], getattr(estimates, name)[rated]
        figures['ccc_' + name] = metrics.ccc(truth, estimate)
        figures['rmse_' + name] = metrics.rmse(truth, estimate)
    return figures


def merit(figures, trains):
    """Order judgements: what is better has the larger merit.

    :param figures: dict of :func:`judge`.
    :param trains: what the phase trains: affect is compared by CCC, all else by accuracy, then loss.
    :returns: list of two floats, to be compared in turn.
    """
    if trains == 'affect':
        merits = [figures.get('ccc_valence', 0.0) + figures.get('ccc_arousal', 0.0),
                  -figures.get('rmse_valence', 0.0) - figures.get('rmse_arousal', 0.0)]
    else:
        merits = [figures.get('accuracy', 0.0), -figures.get('loss', 0.0)]
    return [value if np.isfinite(value) else -1e9 for value in merits]


def teacher_labels(teachers, faces, precision, processes, report=lambda line: None):
    """Ask teachers what the faces show.

    :param teachers: list of (ESR in evaluation mode, CropGeometry).
    :param faces: FaceSet.
    :param precision: torch.dtype that convolutions are computed in.
    :param processes: Processes that share the work.
    :param report: called with a line of text before each teacher.
    :returns: (N, 8) float32, mean of the teachers' scores.
    """
    total = np.zeros((len(faces), 8), np.float32)
    for place, (network, geometry) in enumerate(teachers, 1):
        report(f'teacher {place} of {len(teachers)} reads {len(faces)} faces')
        total += combine(*outputs_of(network, faces, geometry, precision, processes)).scores
    return total / len(teachers)
