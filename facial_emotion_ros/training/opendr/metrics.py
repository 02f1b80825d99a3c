"""The metrics of FacialEmotionLearner.eval(): OpenDR's dictionary, and readable ones."""

from typing import Any

import numpy as np
import torch

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.emotion.ensemble import branch_scores, combine, reweighted
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop.saved_network import InputSpec
from facial_emotion_ros.training.loop.validation import compute_metrics

KINDS = ('categorical', 'dimensional')


def figures_of(
    kind: str, faces: FaceSet, logits: np.ndarray, affect: np.ndarray, reading: InputSpec, last_branch: int
) -> dict[str, Any]:
    """Compute the metrics.

    :param kind: 'categorical' or 'dimensional'.
    :param faces: FaceSet of N labelled faces.
    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :param reading: InputSpec.
    :param last_branch: OpenDR's metrics cover the branches 0 to this one.
    :returns: dict. OpenDR's keys: running_emotion_loss (cross entropy of each branch), running_emotion_corrects (of
        each branch and, last, of the ensemble) and valence_arousal_losses (RMSE of each branch and, last, of the
        ensemble: a list for valence and one for arousal, tensors without dimensions; both empty for the categorical
        kind); 0 for later branches and the other kind. Of the ensemble of all branches: n, those of
        :func:`compute_metrics`, and accuracy_of_branches and accuracy_vote or affect_source.
    :raises BadParameter: if there is no such branch.
    """
    count, branches = logits.shape[:2]
    if not 0 <= last_branch < branches:
        raise BadParameter(f'current_branch_on_training: expected 0 to {branches - 1}, got {last_branch}')
    asked = slice(0, last_branch + 1)
    figures = {
        'valence_arousal_losses': [[], []],
        'running_emotion_loss': [0.0] * branches,
        'running_emotion_corrects': [0] * (branches + 1),
        'n': count,
        **compute_metrics(faces, logits, affect),
    }
    scores = reweighted(branch_scores(logits, reading.point), reading.point)
    if kind == 'categorical':
        labels = faces.labels
        own = np.log(np.maximum(scores[np.arange(count), :, labels], 1e-12))
        is_right = scores.argmax(2) == labels[:, None]
        figures['running_emotion_loss'][asked] = (-own.mean(0))[asked].tolist()
        figures['running_emotion_corrects'][asked] = is_right.sum(0)[asked].tolist()
        right = combine(logits[:, asked], affect[:, asked], reading.point).scores.argmax(1) == labels
        figures['running_emotion_corrects'][-1] = int(right.sum())
        whole = combine(logits, affect, reading.point).scores.argmax(1)
        figures['accuracy'] = metrics.accuracy(labels, whole)
        figures['macro_recall'] = metrics.macro_recall(metrics.confusion(labels, whole))
        figures['accuracy_of_branches'] = is_right.mean(0).tolist()
        figures['accuracy_vote'] = metrics.accuracy(labels, metrics.plurality(scores, scores.mean(1)))
    else:
        figures['affect_source'] = faces.affect_source
        for place, losses in enumerate(figures['valence_arousal_losses']):
            truth, values = faces.affect[:, place], affect[:, asked, place]
            errors = [metrics.rmse(truth, np.clip(values[:, branch], -1, 1)) for branch in range(last_branch + 1)]
            errors += [0.0] * (branches - len(errors)) + [metrics.rmse(truth, np.clip(values.mean(1), -1, 1))]
            losses += [torch.tensor(error) for error in errors]
    return figures
