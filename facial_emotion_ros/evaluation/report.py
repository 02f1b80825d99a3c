"""HTML report of a bundle's accuracy and calibration on a set of labelled faces."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import UNCALIBRATED, combine
from facial_emotion_ros.evaluation import charts
from facial_emotion_ros.evaluation.markdown import ends, number, percent
from facial_emotion_ros.evaluation.page import data_uri, render
from facial_emotion_ros.evaluation.prediction_metrics import operating_points_rows
from facial_emotion_ros.training.data.face_set import DERIVED_FROM_VOTES

#: Tiles: (key, label, whether it is shown as a percentage).
_TILES = (
    ('accuracy', 'accuracy', True),
    ('macro_recall', 'mean recall of the classes', True),
    ('ece', 'calibration error (ECE)', False),
    ('confidence_auroc', 'AUROC of the confidence', False),
    ('agreement_auroc', 'AUROC of the agreement', False),
)


def report_html(
    figures: dict[str, Any], reading: Any, point: Any = UNCALIBRATED, pictures: Sequence[tuple[str, Any]] = ()
) -> str:
    """Render the page.

    :param figures: metrics.json of the evaluate command.
    :param reading: the DatasetPredictions that they were computed from.
    :param point: OperatingPoint that they were computed at.
    :param pictures: list of (caption, uint8 picture) to embed; none by default, since pictures of people may not be
        passed on with the page.
    """
    bundle = figures['bundle']
    return render(
        'facial_emotion_ros.evaluation',
        'evaluation.html',
        title=f'{bundle["name"]} {bundle["version"]} on {figures["dataset"]["name"]}',
        found=figures,
        emotions=EMOTIONS,
        percent=percent,
        tiles=[_tile(figures, *tile) for tile in _TILES],
        points=operating_points_rows(figures['operating_points']) if 'operating_points' in figures else None,
        is_derived=figures['affect']['source'] == DERIVED_FROM_VOTES,
        pictures=[(words, data_uri(cv2.imencode('.png', each)[1].tobytes(), 'png')) for words, each in pictures],
        **_charts(figures, reading.labelled(), point),
    )


def most_confident_errors(face_set: Any, reading: Any, point: Any, count: int) -> list[tuple[str, Any]]:
    """Return the most confident errors with their pictures.

    :param face_set: FaceSet of the predictions.
    :param reading: DatasetPredictions.
    :param point: OperatingPoint.
    :param count: maximum number.
    :returns: list of (caption, uint8 picture).
    """
    labelled = reading.labelled()
    scores = combine(labelled.logits, labelled.affect, point).scores
    predictions = scores.argmax(1)
    wrong = np.flatnonzero(predictions != labelled.labels)
    chosen = wrong[np.argsort(-scores[wrong].max(1), kind='stable')][:count]
    places = {name: place for place, name in enumerate(face_set.names)}
    faces = face_set.faces(np.array([places[name] for name in labelled.names[chosen]], np.int64))
    captions = [
        f'{EMOTIONS[predictions[row]]} {percent(scores[row].max())}, labelled {EMOTIONS[labelled.labels[row]]}'
        for row in chosen
    ]
    return list(zip(captions, faces))


def _charts(figures: dict[str, Any], reading: Any, point: Any) -> dict[str, Any]:
    ensemble = combine(reading.logits, reading.affect, point)
    confidences, is_right = ensemble.scores.max(1), ensemble.scores.argmax(1) == reading.labels
    trusts = (('confidence', confidences), ('agreement', ensemble.agreement))
    without = figures['uncalibrated']
    is_derived = figures['affect']['source'] == DERIVED_FROM_VOTES
    return {
        'recall': charts.recall_chart(figures['confusion']),
        'reliability': charts.reliability_chart(
            without['reliability'], figures['reliability'], (without['ece'], figures['ece'])
        ),
        'roc': charts.roc_chart(
            [(name, *metrics.roc_curve(each, is_right), figures[f'{name}_auroc']) for name, each in trusts]
        ),
        'risk': charts.risk_chart([(name, *metrics.risk_coverage(each, is_right)) for name, each in trusts]),
        'affect': charts.affect_chart(ensemble.valence, ensemble.arousal, reading.labels, is_derived),
    }


def _tile(figures: dict[str, Any], key: str, words: str, is_share: bool) -> tuple[str, str, str]:
    def write(value: float | None) -> str:
        return percent(value, 1) if is_share else number(value, '.3f')

    small = []
    if key in figures.get('intervals', {}):
        small.append(f'95%: {ends(figures["intervals"][key], write)}')
    if key == 'ece':
        small.append(f'{write(figures["uncalibrated"]["ece"])} before calibration')
    if 'without_left_out' in figures:
        small.append(f'{write(figures["without_left_out"][key])} without the excluded faces')
    return words, write(figures[key]), '; '.join(small)
