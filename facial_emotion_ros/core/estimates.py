"""The estimate of one face: the prediction from one image, and the smoothed estimate that is published."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np


@dataclass(frozen=True)
class EmotionPrediction:
    """The network's prediction for one face in one image.

    :param emotion: the class with the highest score, one of EMOTIONS; UNKNOWN where the quality gate rejects the face.
    :param scores: class -> score, in the order of EMOTIONS; they sum to 1.
    :param valence: in [-1, 1], from negative to positive.
    :param arousal: in [-1, 1], from calm to excited.
    :param confidence: the highest score, calibrated as the model bundle says.
    :param agreement: of the branches, in [0, 1]: mean overlap of the distributions of all pairs of branches; 1 where
        all are the same, confident or not.
    """

    emotion: str
    scores: Dict[str, float]
    valence: float
    arousal: float
    confidence: float
    agreement: float


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class FaceEstimate:
    """The published estimate of one face. Without smoothing, and for a single picture, it equals `raw`.

    :param face_id: five lower-case letters, the same from frame to frame; '' without a stamp.
    :param box: x0, y0, x1, y1 in pixels, inside the image.
    :param box_score: the detector's score, in [0, 1].
    :param landmarks: (5, 2) float32 pixels: the eye on the viewer's left, the other eye, nose, the mouth's corners.
        The viewer sees the image as it was rotated for reading (`rotate_deg`).
    :param emotion: one of EMOTIONS, with hysteresis over time; UNKNOWN where there are rejection reasons.
    :param scores: class -> score, in the order of EMOTIONS, smoothed over time; they sum to 1.
    :param valence: in [-1, 1], from negative to positive, smoothed.
    :param arousal: in [-1, 1], from calm to excited, smoothed.
    :param confidence: the smoothed score of the best class (of `emotion`, where that is a class).
    :param agreement: of the branches, in [0, 1], smoothed; see EmotionPrediction.
    :param rejection_reasons: why the emotion is unknown: some of 'small', 'blurred', 'cut', 'dark', 'low_contrast',
        'overexposed', 'occluded', 'disagreement', 'unsure'; () while it is known.
    :param raw: the EmotionPrediction of this image alone.
    """

    face_id: str
    box: Tuple[float, float, float, float]
    box_score: float
    landmarks: np.ndarray
    emotion: str
    scores: Dict[str, float]
    valence: float
    arousal: float
    confidence: float
    agreement: float
    rejection_reasons: Tuple[str, ...]
    raw: EmotionPrediction
