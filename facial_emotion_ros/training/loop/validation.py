"""Validation of a network in training."""

import numpy as np
import torch

from facial_emotion_ros.core import metrics
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.augmentation import plain
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.model.network import ESR

#: Batch size.
_BATCH = 128


@torch.no_grad()
def outputs_of(
    network: ESR,
    faces: FaceSet,
    geometry: CropGeometry,
    precision: torch.dtype = torch.float32,
    processes: Processes | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run a network over a set, split among all processes.

    :param network: ESR in evaluation mode.
    :param faces: FaceSet.
    :param geometry: CropGeometry.
    :param precision: torch.dtype of the convolutions.
    :param processes: each of them gets all outputs; None for this one alone.
    :returns: logits (N, B, 8) and affect (N, B, 2), float32; N = 0 gives empty arrays.
    """
    processes = processes or Processes()
    device = next(network.parameters()).device
    rows = processes.local_rows(len(faces))
    mine = np.zeros((0, network.branches, 10), np.float32)
    for begin in range(0, len(rows), _BATCH):
        crops = torch.from_numpy(plain(faces.faces(rows[begin : begin + _BATCH]), geometry)).to(device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            logits, affect = network(crops.contiguous(memory_format=torch.channels_last))
        mine = np.concatenate([mine, torch.cat([logits, affect], -1).float().cpu().numpy()])
    outputs = processes.gather_rows(mine, len(faces))
    return outputs[..., :8], outputs[..., 8:]


def compute_metrics(faces: FaceSet, logits: np.ndarray, affect: np.ndarray) -> dict[str, float]:
    """Compare outputs with the labels.

    :param faces: FaceSet of N faces.
    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :returns: with categories: loss (against the distributions), accuracy, macro_recall, branch_accuracy (mean of the
        single branches); with affect: ccc_ and rmse_ of valence and arousal. What lacks labels is omitted.
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


def selection_score(figures: dict[str, float], trains: str) -> list[float]:
    """Rank a validation: larger is better, compared element by element.

    :param figures: from :func:`compute_metrics`.
    :param trains: affect is ranked by CCC, then RMSE, everything else by accuracy, then loss.
    :returns: list of two floats.
    """
    if trains == 'affect':
        scores = [
            figures.get('ccc_valence', 0.0) + figures.get('ccc_arousal', 0.0),
            -figures.get('rmse_valence', 0.0) - figures.get('rmse_arousal', 0.0),
        ]
    else:
        scores = [figures.get('accuracy', 0.0), -figures.get('loss', 0.0)]
    return [value if np.isfinite(value) else -1e9 for value in scores]
