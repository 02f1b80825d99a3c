"""What FacialEmotionLearner.eval() returns: OpenDR's dictionary, and figures that people can read."""

import numpy as np
import torch

from facial_emotion_ros import metrics
from facial_emotion_ros.ensemble import branch_scores, combine
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.learning.judgement import judge

KINDS = ('categorical', 'dimensional')


def figures_of(kind, faces, logits, affect, reading, last_branch):
    """Compare outputs with labels.

    :param kind: 'categorical' or 'dimensional'.
    :param faces: FaceSet of N faces, all of them labelled.
    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :param reading: Reading.
    :param last_branch: OpenDR's figures are about the branches 0 to this one.
    :returns: dict. OpenDR's keys: running_emotion_loss (cross entropy of each branch), running_emotion_corrects (right
        ones of each branch and, last, of the ensemble) and valence_arousal_losses (RMSE of each branch and, last, of
        the ensemble: a list for valence and one for arousal, tensors without dimensions; both empty for the categorical
        kind); 0 for later branches and for what the other kind would tell. Of the ensemble of all branches: n, those
        of :func:`judge`, and accuracy_of_branches and accuracy_vote or affect_source.
    :raises BadParameter: if there is no such branch.
    """
    count, branches = logits.shape[:2]
    if not 0 <= last_branch < branches:
        raise BadParameter(f'current_branch_on_training: 0 to {branches - 1} expected, got {last_branch}')
    asked = slice(0, last_branch + 1)
    figures = {
        'valence_arousal_losses': [[], []],
        'running_emotion_loss': [0.0] * branches,
        'running_emotion_corrects': [0] * (branches + 1),
        'n': count,
        **judge(faces, logits, affect),
    }
    scores = branch_scores(logits, reading.temperature, reading.offsets)
    if kind == 'categorical':
        labels = faces.labels
        own = np.log(np.maximum(scores[np.arange(count), :, labels], 1e-12))
        is_right = scores.argmax(2) == labels[:, None]
        figures['running_emotion_loss'][asked] = (-own.mean(0))[asked].tolist()
        figures['running_emotion_corrects'][asked] = is_right.sum(0)[asked].tolist()
        right = _ensemble(logits, affect, reading, asked).scores.argmax(1) == labels
        figures['running_emotion_corrects'][-1] = int(right.sum())
        whole = _ensemble(logits, affect, reading, slice(None)).scores.argmax(1)
        figures['accuracy'] = metrics.accuracy(labels, whole)
        figures['macro_recall'] = metrics.macro_recall(metrics.confusion(labels, whole))
        figures['accuracy_of_branches'] = is_right.mean(0).tolist()
        figures['accuracy_vote'] = metrics.accuracy(labels, _plurality(scores))
    else:
        figures['affect_source'] = faces.affect_source
        for place, losses in enumerate(figures['valence_arousal_losses']):
            truth, values = faces.affect[:, place], affect[:, asked, place]
            errors = [metrics.rmse(truth, np.clip(values[:, branch], -1, 1)) for branch in range(last_branch + 1)]
            errors += [0.0] * (branches - len(errors)) + [metrics.rmse(truth, np.clip(values.mean(1), -1, 1))]
            losses += [torch.tensor(error) for error in errors]
    return figures


def _ensemble(logits, affect, reading, chosen):
    return combine(logits[:, chosen], affect[:, chosen], reading.temperature, reading.offsets)


def _plurality(scores):
    """Give the class that most branches have first; of those that tie, the one with the larger mean score."""
    votes = np.eye(scores.shape[2])[scores.argmax(2)].sum(1)
    return (votes + 0.5 * scores.mean(1)).argmax(1)
