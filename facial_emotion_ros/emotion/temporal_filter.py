"""Smooth each face's predictions over time (time constants in seconds), with hysteresis of the category."""

import math
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import EmotionPrediction
from facial_emotion_ros.emotion.quality_gate import IMAGE_REASONS, REJECTION_REASONS
from facial_emotion_ros.perception.image_times import not_before

#: Weight of a prediction from a rejected image.
_REJECTED_WEIGHT = 0.2
#: Hysteresis of rejection: a face is rejected from the first share of rejected images on, and accepted from the second.
_REJECT_FROM, _ACCEPT_FROM = 0.6, 0.4
#: A reason is given if it applied to at least this share of the recent images.
_REASON_SHARE = 0.25
_NEUTRAL = EMOTIONS.index('neutral')
#: Correction of a face's resting bias, in log scores: a face is at rest if no class has more than 4 times neutral's
#: score; neutral should then have 3 times the score of each class; a class loses at most half of its score.
_CALM, _LEAD, _MOST_BIAS = math.log(4.0), math.log(3.0), math.log(2.0)
#: Maximum time at rest that one image counts for.
_LONGEST_S = 1.0


class _Mean:
    """Exponentially weighted mean of a vector."""

    def __init__(self) -> None:
        self._sum: Any = 0.0
        self._weight = 0.0

    def add(self, values: Any, weight: float, elapsed_s: float, time_s: float) -> np.ndarray:
        """Add values, `elapsed_s` after the last ones, and return the mean."""
        # A value's weight depends on its age, not on the frame rate.
        decay = math.exp(-elapsed_s / time_s) if time_s > 0 else 0.0
        self._sum = self._sum * decay + weight * np.asarray(values, np.float64)
        self._weight = self._weight * decay + weight
        return self._sum / self._weight


class _FilteredFace:
    """State of one face."""

    def __init__(self, stamp_s: float) -> None:
        self.stamp_s = stamp_s
        self.scores, self.affect, self.rejection_reasons = _Mean(), _Mean(), _Mean()
        self.leading: Optional[int] = None
        self.is_rejected: Optional[bool] = None
        self.bias = np.zeros(len(EMOTIONS))


class TemporalFilter:
    """Smooth the predictions of every face.

    Source: exponential weights for irregular stamps: Eckner, "Algorithms for Unevenly Spaced Time Series: Moving
    Averages and Other Rolling Operators", 2017 (here by each value's age).
    """

    def __init__(
        self,
        enabled: bool = True,
        scores_s: float = 0.25,
        affect_s: float = 0.3,
        margin: float = 0.2,
        personal_neutral_s: float = 0.0,
    ) -> None:
        """Start without faces.

        :param enabled: False returns every prediction unchanged.
        :param scores_s: time constant of the scores and of the rejection reasons, in seconds; 0 for none.
        :param affect_s: time constant of valence, arousal and agreement, about their delay; 0 for none.
        :param margin: the category changes when another one's smoothed score leads by this much, in [0, 1].
        :param personal_neutral_s: time constant of the correction of a face's resting bias, in seconds at rest; 0 for
            none. See :meth:`_without_bias`.
        :raises BadParameter: for a value outside its range.
        """
        self.adjust(enabled, scores_s, affect_s, margin, personal_neutral_s)
        self._faces: Dict[str, _FilteredFace] = {}

    def __len__(self) -> int:
        """Return the number of known faces."""
        return len(self._faces)

    def adjust(
        self, enabled: bool, scores_s: float, affect_s: float, margin: float, personal_neutral_s: float = 0.0
    ) -> None:
        """Change the settings; the faces stay. See __init__."""
        for name, value in (('scores', scores_s), ('affect', affect_s), ('personal neutral', personal_neutral_s)):
            if not (math.isfinite(value) and value >= 0):
                raise BadParameter('expected a time constant of %s of 0 s or more, got %r' % (name, value))
        if not 0 <= margin <= 1:
            raise BadParameter('expected a margin in [0, 1], got %r' % (margin,))
        self.enabled = enabled
        self._scores_s, self._affect_s, self._margin = scores_s, affect_s, margin
        self._personal_neutral_s = personal_neutral_s

    def for_another_stream(self) -> 'TemporalFilter':
        """Return a TemporalFilter with the same settings, and no faces."""
        return TemporalFilter(self.enabled, self._scores_s, self._affect_s, self._margin, self._personal_neutral_s)

    def smooth(
        self, face_id: str, raw: EmotionPrediction, rejection_reasons: Sequence[str], stamp_s: float
    ) -> Tuple[EmotionPrediction, Tuple[str, ...]]:
        """Add the prediction of a face in the next image.

        :param face_id: its id.
        :param raw: the prediction.
        :param rejection_reasons: of this image; () for none.
        :param stamp_s: acquisition time in seconds; if more than BACK_S before the latest, the face starts again.
        :returns: the smoothed prediction and rejection reasons; the arguments if smoothing is off.
        :raises BadParameter: for a prediction that is not finite; the face keeps its state.
        """
        if not self.enabled:
            self._faces.clear()
            return raw, tuple(rejection_reasons)
        scores = np.array([raw.scores[emotion] for emotion in EMOTIONS], np.float64)
        affect = np.array([raw.valence, raw.arousal, raw.agreement], np.float64)
        if not (np.isfinite(scores).all() and np.isfinite(affect).all()):
            raise BadParameter('expected finite scores and affect for face %s, got NaN or infinity' % face_id)
        face = self._faces.get(face_id)
        if face is not None:
            stamp_s = not_before(stamp_s, face.stamp_s)
        if face is None or stamp_s < face.stamp_s:
            face = self._faces[face_id] = _FilteredFace(stamp_s)
        elapsed_s, face.stamp_s = stamp_s - face.stamp_s, stamp_s
        weight = _REJECTED_WEIGHT if set(rejection_reasons) & set(IMAGE_REASONS) else 1.0
        if self._personal_neutral_s > 0:
            scores = self._without_bias(face, scores, weight < 1.0, elapsed_s)
        scores = face.scores.add(scores, weight, elapsed_s, self._scores_s)
        affect = face.affect.add(affect, weight, elapsed_s, self._affect_s)
        reasons = self._reasons(face, rejection_reasons, elapsed_s)
        best = int(scores.argmax())
        if face.leading is None or scores[best] - scores[face.leading] >= self._margin:
            face.leading = best
        confidence = scores[best] if reasons else scores[face.leading]
        smooth = EmotionPrediction(
            emotion=UNKNOWN if reasons else EMOTIONS[face.leading],
            scores={emotion: float(score) for emotion, score in zip(EMOTIONS, scores)},
            valence=float(affect[0]),
            arousal=float(affect[1]),
            confidence=float(confidence),
            agreement=float(affect[2]),
        )
        return smooth, reasons

    def keep(self, live_ids: Sequence[str]) -> None:
        """Forget all other faces."""
        for lost in set(self._faces) - set(live_ids):
            del self._faces[lost]

    def _without_bias(self, face: _FilteredFace, scores: np.ndarray, is_rejected: bool, elapsed_s: float) -> np.ndarray:
        """Remove a face's resting bias from the scores.

        The bias of a class is by how much less than _LEAD its log score is below neutral's, averaged over the time at
        rest. It starts at 0, so a face seen briefly is hardly corrected. A faint lasting expression counts as rest,
        too: it finally becomes neutral if its score is less than twice neutral's.
        """
        lead = np.log(np.maximum(scores, 1e-6))
        lead -= lead[_NEUTRAL]
        if not is_rejected and lead.max() <= _CALM:
            share = 1.0 - math.exp(-min(elapsed_s, _LONGEST_S) / self._personal_neutral_s)
            face.bias += share * (lead + _LEAD - face.bias)
            face.bias[_NEUTRAL] = 0.0
        corrected = scores * np.exp(-np.clip(face.bias, 0.0, _MOST_BIAS))
        return corrected / corrected.sum()

    def _reasons(self, face: _FilteredFace, rejection_reasons: Sequence[str], elapsed_s: float) -> Tuple[str, ...]:
        """Return the smoothed rejection reasons."""
        held = [bool(rejection_reasons)] + [kind in rejection_reasons for kind in REJECTION_REASONS]
        shares = face.rejection_reasons.add(held, 1.0, elapsed_s, self._scores_s)
        if face.is_rejected is None:
            face.is_rejected = bool(rejection_reasons)
        elif shares[0] >= _REJECT_FROM:
            face.is_rejected = True
        elif shares[0] <= _ACCEPT_FROM:
            face.is_rejected = False
        if not face.is_rejected:
            return ()
        least = min(_REASON_SHARE, shares[1:].max())
        return tuple(kind for kind, share in zip(REJECTION_REASONS, shares[1:]) if share >= least)
