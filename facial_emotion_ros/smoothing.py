"""Calm each face's reading over time: means over seconds, not frames, and a category that changes for good reasons."""

import math
from typing import Sequence, Tuple

import numpy as np

from facial_emotion_ros.doubts import DOUBTS, IMAGE_DOUBTS
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.face_estimate import Reading
from facial_emotion_ros.image_stamps import not_before

#: A reading whose image gives reason to doubt counts so much less than a clear one, while there are clear ones.
_DOUBTFUL_WEIGHT = 0.2
#: Doubts are believed when they held in this share of the recent images, and given up at the lower share.
_DOUBT_FROM, _DOUBT_TO = 0.6, 0.4
#: A reason is told when it held in at least this share of the recent images.
_REASON_SHARE = 0.25


class _Mean:
    """Mean of a vector over the past, in which a value's weight falls by e with every `time_s` that passes."""

    def __init__(self):
        self._sum, self._weight = 0.0, 0.0

    def add(self, values, weight, elapsed_s, time_s):
        """Let time pass, take values, and return the mean."""
        # Each value has the weight of its age, however the images are spaced: no frame rate is assumed.
        decay = math.exp(-elapsed_s / time_s) if time_s > 0 else 0.0
        self._sum = self._sum * decay + weight * np.asarray(values, np.float64)
        self._weight = self._weight * decay + weight
        return self._sum / self._weight


class _SmoothFace:
    """What is remembered of one face."""

    def __init__(self, stamp_s):
        self.stamp_s = stamp_s
        self.scores, self.affect, self.doubts = _Mean(), _Mean(), _Mean()
        self.leading, self.in_doubt = None, None


class FaceSmoothing:
    """Smooths the readings of every face; what is remembered of a face goes with its track.

    Source: exponential weights for irregular stamps: Eckner, "Algorithms for Unevenly Spaced Time Series: Moving
    Averages and Other Rolling Operators", 2017 (here every value has the weight of its own age).
    """

    def __init__(self, enabled=True, scores_s=0.25, affect_s=0.3, margin=0.2):
        """Begin without faces.

        :param enabled: False tells every reading as it is.
        :param scores_s: time constant of the scores and of the doubts, in seconds; 0 for none.
        :param affect_s: the same of valence, arousal and agreement; about how late they are.
        :param margin: another category is told when its smoothed score leads by this much, in [0, 1].
        :raises BadParameter: for a value outside its range.
        """
        self.adjust(enabled, scores_s, affect_s, margin)
        self._faces = {}

    def __len__(self):
        """Return the number of faces of which something is remembered."""
        return len(self._faces)

    def adjust(self, enabled, scores_s, affect_s, margin):
        """Go on with other settings; what is remembered stays. See __init__."""
        for name, value in (('scores', scores_s), ('affect', affect_s)):
            if not (math.isfinite(value) and value >= 0):
                raise BadParameter('expected a time constant of %s of 0 s or more, got %r' % (name, value))
        if not 0 <= margin <= 1:
            raise BadParameter('expected a margin in [0, 1], got %r' % (margin,))
        self.enabled = enabled
        self._scores_s, self._affect_s, self._margin = scores_s, affect_s, margin

    def smooth(self, face_id: str, raw: Reading, doubts: Sequence[str], stamp_s: float
               ) -> Tuple[Reading, Tuple[str, ...]]:
        """Take the reading of a face in the next image.

        :param face_id: its id.
        :param raw: what the network says of this image alone.
        :param doubts: why this image's emotion would be unknown; () if it is not.
        :param stamp_s: when the image was taken, in seconds; one of more than BACK_S before the latest begins anew.
        :returns: the smoothed reading and its doubts; what came in if smoothing is off.
        """
        if not self.enabled:
            self._faces.clear()
            return raw, tuple(doubts)
        face = self._faces.get(face_id)
        if face is not None:
            stamp_s = not_before(stamp_s, face.stamp_s)
        if face is None or stamp_s < face.stamp_s:
            face = self._faces[face_id] = _SmoothFace(stamp_s)
        elapsed_s, face.stamp_s = stamp_s - face.stamp_s, stamp_s
        weight = _DOUBTFUL_WEIGHT if set(doubts) & set(IMAGE_DOUBTS) else 1.0
        scores = face.scores.add([raw.scores[emotion] for emotion in EMOTIONS], weight, elapsed_s, self._scores_s)
        affect = face.affect.add([raw.valence, raw.arousal, raw.agreement], weight, elapsed_s, self._affect_s)
        reasons = self._reasons(face, doubts, elapsed_s)
        best = int(scores.argmax())
        if face.leading is None or scores[best] - scores[face.leading] >= self._margin:
            face.leading = best
        confidence = scores[best] if reasons else scores[face.leading]
        reading = Reading(
            emotion=UNKNOWN if reasons else EMOTIONS[face.leading],
            scores=dict((emotion, float(score)) for emotion, score in zip(EMOTIONS, scores)),
            valence=float(affect[0]), arousal=float(affect[1]), confidence=float(confidence),
            agreement=float(affect[2]))
        return reading, reasons

    def keep(self, live_ids: Sequence[str]):
        """Forget all faces but these.

        :param live_ids: ids that the tracker has not given up.
        """
        for lost in set(self._faces) - set(live_ids):
            del self._faces[lost]

    def _reasons(self, face, doubts, elapsed_s):
        """Return the doubts that have held for a while; () while there are none."""
        shares = face.doubts.add([bool(doubts)] + [kind in doubts for kind in DOUBTS], 1.0, elapsed_s, self._scores_s)
        if face.in_doubt is None:
            face.in_doubt = bool(doubts)
        elif shares[0] >= _DOUBT_FROM:
            face.in_doubt = True
        elif shares[0] <= _DOUBT_TO:
            face.in_doubt = False
        if not face.in_doubt:
            return ()
        least = min(_REASON_SHARE, shares[1:].max())
        return tuple(kind for kind, share in zip(DOUBTS, shares[1:]) if share >= least)
