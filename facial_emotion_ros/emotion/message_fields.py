"""Convert estimates to the fields of messages; shared by the node and the recordings."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from facial_emotion_ros.core.emotions import EXPRESSION_WORDS, UNKNOWN
from facial_emotion_ros.core.estimates import EmotionPrediction, FaceEstimate
from facial_emotion_ros.emotion.operating_points import point_words

if TYPE_CHECKING:
    from facial_emotion_ros.emotion.esr import EsrEngine

_NUMBERS = ('valence', 'arousal', 'confidence', 'agreement')


def check_finite(estimates: Sequence[FaceEstimate]) -> None:
    """Reject estimates that contain NaN or infinity.

    :raises ValueError: naming the face and the field only: logs are stored for long, so values stay out of them.
    """
    for estimate in estimates:
        numbers = {'box': estimate.box, 'box_score': estimate.box_score}  # type: Dict[str, Any]
        for place, each in (('', estimate), ('raw.', estimate.raw)):  # type: str, Union[FaceEstimate, EmotionPrediction]
            numbers.update({place + name: getattr(each, name) for name in _NUMBERS})
            numbers[place + 'scores'] = list(each.scores.values())
        for name, value in numbers.items():
            if not np.isfinite(value).all():
                raise ValueError(
                    'expected finite numbers for face %s, got NaN or infinity in %s; the image is dropped'
                    % (estimate.face_id, name)
                )


def emotion_hypotheses(estimate: Union[FaceEstimate, EmotionPrediction]) -> List[Tuple[str, float]]:
    """List (class, score): the published class first, or 'unknown' before all classes; then by descending score."""
    # With hysteresis, the published class may temporarily have a lower score than another.
    falling = sorted(estimate.scores.items(), key=lambda pair: (pair[0] != estimate.emotion, -pair[1]))
    return [(UNKNOWN, 0.0)] + falling if estimate.emotion == UNKNOWN else falling


def affect_hypotheses(estimate: FaceEstimate) -> List[Tuple[str, float]]:
    """List (name, value) of valence and arousal, clipped to [-1, 1], and agreement, clipped to [0, 1]."""
    return [
        ('valence', within(estimate.valence, -1.0, 1.0)),
        ('arousal', within(estimate.arousal, -1.0, 1.0)),
        ('agreement', within(estimate.agreement, 0.0, 1.0)),
    ]


def affect_scores(estimate: FaceEstimate) -> List[Tuple[str, float]]:
    """List the same values scaled to [0, 1], as vision_msgs requires of scores: valence and arousal of 0 become 0.5."""
    values = affect_hypotheses(estimate)
    return [(name, value if name == 'agreement' else (value + 1.0) / 2.0) for name, value in values]


def expression_word(scores: Mapping[str, float], contempt_as: str, emotion: str = '') -> Tuple[str, float]:
    """Choose the word of hri_msgs/Expression.

    :param scores: class -> score, in the order of EMOTIONS.
    :param contempt_as: a word of hri_msgs/Expression, or 'drop'.
    :param emotion: the published class, which may not have the best score; '' for the class of the best score.
    :returns: (word, confidence in [0, 1]); ('', 0.0) if only a dropped class has a score.
    """
    words: Dict[str, float] = OrderedDict()
    for each, score in scores.items():
        word = EXPRESSION_WORDS.get(each, contempt_as)
        if word != 'drop':
            words[word] = words.get(word, 0.0) + within(score, 0.0, 1.0)
    total = sum(words.values())
    if total <= 1e-6:
        return '', 0.0
    word = EXPRESSION_WORDS.get(emotion, contempt_as if emotion else '')
    if word not in words:
        word = max(words, key=lambda each: words[each])
    return word, within(words[word] / total, 0.0, 1.0)


def expression_parts(estimate: Optional[FaceEstimate], contempt_as: str) -> Dict[str, Any]:
    """Return the fields of hri_msgs/Expression.

    :param estimate: None without a face.
    :param contempt_as: the word for contempt, or 'drop', which distributes its score over the other words.
    :returns: expression, confidence, valence and arousal; the expression is empty if unknown; {} without a face.
    """
    if estimate is None:
        return {}
    word, confidence = '', 0.0
    if estimate.emotion != UNKNOWN:
        word, confidence = expression_word(estimate.scores, contempt_as, estimate.emotion)
    affect = {side: within(getattr(estimate, side), -1.0, 1.0) for side in ('valence', 'arousal')}
    return dict(affect, expression=word, confidence=confidence)


def box_parts(estimate: FaceEstimate, height: int, width: int) -> Dict[str, float]:
    """Return the fields of a normalized region of interest, as shares of the image's height and width in px.

    :returns: xmin, ymin, xmax, ymax and c, the score of the box, in [0, 1].
    """
    x0, y0, x1, y1 = estimate.box
    parts = {'xmin': x0 / width, 'ymin': y0 / height, 'xmax': x1 / width, 'ymax': y1 / height, 'c': estimate.box_score}
    return {name: within(value, 0.0, 1.0) for name, value in parts.items()}


def network_words(engine: 'EsrEngine') -> Dict[str, Any]:
    """Return the fields of vision_msgs/VisionInfo.

    :returns: method (name, version, architecture, operating point), database_location (the hash) and database_version
        (the first number of the version).
    """
    bundle, words = engine.bundle, point_words(engine.point)
    major = str(bundle.version).split('.')[0]
    return {
        'method': '%s %s (%s)%s' % (bundle.name, bundle.version, bundle.architecture, words and ', ' + words),
        'database_location': 'sha256:%s' % bundle.sha256,
        'database_version': int(major) if major.isdecimal() else 0,
    }


def within(value: float, low: float, high: float) -> float:
    """Clip a number to [low, high]."""
    return min(max(float(value), low), high)
