"""Readings of labelled faces, and the figures made of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from invented_reading import invented_reading

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.emotion.ensemble import OperatingPoint, combine
from facial_emotion_ros.evaluation.prediction_metrics import compute_metrics
from facial_emotion_ros.evaluation.predictions import DatasetPredictions, read_faces
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.face_set import ANNOTATED, DERIVED_FROM_VOTES, FaceSet


class BrightFaces(FaceSet):
    """Faces of one gray level each, which is their row."""

    def __init__(self, labels, affect, source=ANNOTATED):
        names = [f'{row}.png' for row in range(len(labels))]
        super().__init__('bright faces', names, np.full((len(labels), 8), np.nan), labels, affect)
        self.affect_source = source

    def faces(self, rows=None):
        """Return a list: pictures may have any size."""
        rows = range(len(self)) if rows is None else rows
        return [np.full((20 + row % 3, 20 + row % 3), row, np.uint8) for row in rows]


class LevelEngine:
    """Stands where the network stands: its first logit is the gray level that it sees."""

    geometry = CropGeometry(size_px=32)

    def run(self, crops):
        """Return (N, 2, 8) and (N, 2, 2)."""
        logits = np.zeros((len(crops), 2, 8), np.float32)
        logits[:, :, 0] = 255 * crops.mean((1, 2, 3))[:, None]
        return logits, np.zeros((len(crops), 2, 2), np.float32)


def test_each_row_gets_what_the_network_says_of_its_own_face():
    labels = np.where(np.arange(150) % 3 == 0, -1, np.arange(150) % 8)
    faces = BrightFaces(labels, np.full((150, 2), np.nan))
    done = []
    reading = read_faces(LevelEngine(), faces, lambda *progress: done.append(progress))
    rows = np.flatnonzero(labels >= 0)
    np.testing.assert_allclose(reading.logits[:, 0, 0], rows, atol=0.01)
    assert reading.names.tolist() == [f'{row}.png' for row in rows] and (reading.labels == labels[rows]).all()
    assert done[-1] == (100, 100)


@pytest.mark.parametrize('source, rows', [(ANNOTATED, [0, 1, 3]), (DERIVED_FROM_VOTES, [0, 3])])
def test_rows_without_a_label_are_read_when_people_rated_their_affect(source, rows):
    affect = np.array([[0.1, 0.2], [0.3, 0.4], [np.nan, 0.1], [np.nan, np.nan]])
    faces = BrightFaces([2, -1, -1, 5], affect, source)
    reading = read_faces(LevelEngine(), faces)
    assert reading.names.tolist() == [f'{row}.png' for row in rows] and reading.affect_source == source
    found = compute_metrics(reading, resamples=0)
    assert found['n'] == 2 and found['affect']['n'] == len(rows) - 1 and found['affect']['source'] == source


def test_a_set_without_labels_is_refused():
    with pytest.raises(BadDataset, match='bright faces.*label'):
        read_faces(LevelEngine(), BrightFaces([-1, -1], np.zeros((2, 2))))


def test_figures_agree_with_what_the_robot_would_say():
    reading = invented_reading(count=400, temperature=2.0)
    point = OperatingPoint(temperature=2.0, class_weights=[1, 1, 1, 1, 1, 3, 1, 3])
    found = compute_metrics(reading, point, resamples=50)
    ensemble = combine(reading.logits, reading.affect, point)
    is_right = ensemble.scores.argmax(1) == reading.labels
    assert found['n'] == 400 and found['accuracy'] == is_right.mean()
    assert np.trace(found['confusion']) == is_right.sum() and np.sum(found['confusion']) == 400
    assert found['macro_recall'] == pytest.approx(np.mean(list(found['recall'].values())))
    assert sum(found['count'].values()) == 400
    assert (
        found['uncalibrated']['accuracy']
        == (combine(reading.logits, reading.affect).scores.argmax(1) == reading.labels).mean()
    )
    assert len(found['intervals']) == 8
    for name, (low, high) in found['intervals'].items():
        assert low < found[name] < high, name
    rare = compute_metrics(reading.rows(np.delete(np.arange(400), np.flatnonzero(reading.labels == 7)[4:])), point)
    assert rare['intervals']['macro_recall'] == [None, None] != rare['intervals']['accuracy']
    reliability = found['reliability']
    assert sum(reliability['count']) == 400 and len(reliability['accuracy']) == 15
    gaps = [n * abs(a - c) for n, a, c in zip(*(reliability[key] for key in ('count', 'accuracy', 'confidence'))) if n]
    assert found['ece'] == pytest.approx(sum(gaps) / 400)
    valence = np.sqrt(((ensemble.valence - reading.affect_truth[:, 0]) ** 2).mean())
    assert found['affect']['valence']['rmse'] == pytest.approx(valence, rel=1e-5)
    assert found['affect']['source'] == 'derived from votes'
    json.dumps(found, allow_nan=False)


def test_agreement_and_confidence_tell_errors_when_branches_differ_on_hard_faces():
    found = compute_metrics(invented_reading(), resamples=0)
    assert found['confidence_auroc'] > 0.75 and found['agreement_auroc'] > 0.7
    for name in ('confidence', 'agreement'):
        errors = found['error_at_coverage'][name]
        assert errors['0.5'] < errors['0.9'] < 1 - found['accuracy']


def test_the_vote_may_differ_from_the_mean_and_ties_go_to_the_mean():
    sure, unsure = [0.98, 0.01], [0.45, 0.55]
    scores = np.zeros((2, 3, 8))
    scores[0, :, :2] = [sure, unsure, unsure]
    scores[1, :, :3] = [[0.6, 0.2, 0.2], [0.2, 0.5, 0.3], [0.2, 0.1, 0.7]]
    pooled = scores.mean(1)
    assert pooled.argmax(1).tolist() == [0, 2]
    assert metrics.plurality(scores, pooled).tolist() == [1, 2]


def test_figures_are_none_when_they_are_not_defined():
    reading = invented_reading(count=20).rows(np.arange(4))
    only_happy = replace(
        reading,
        labels=np.full(4, EMOTIONS.index('happy')),
        logits=np.eye(8, dtype=np.float32)[[1] * 4][:, None] * 9,
        affect_truth=np.full((4, 2), np.nan, np.float32),
        affect=np.zeros((4, 1, 2)),
    )
    found = compute_metrics(only_happy, resamples=10)
    assert found['recall']['happy'] == 1 and found['recall']['sad'] is None and found['count']['sad'] == 0
    assert found['confidence_auroc'] is None and found['affect']['valence']['rmse'] is None
    json.dumps(found, allow_nan=False)


def test_faces_are_left_out_by_name_and_a_list_for_another_set_is_refused():
    reading = invented_reading(count=30)
    rest = reading.without(['00003.png', '00010.png', 'of another split.png'])
    assert len(rest) == 28 and '00003.png' not in rest.names
    assert (rest.logits[3] == reading.logits[4]).all() and (rest.labels[3] == reading.labels[4])
    with pytest.raises(BadDataset, match='another set'):
        reading.without(['of another split.png'])
    assert isinstance(rest, DatasetPredictions)
