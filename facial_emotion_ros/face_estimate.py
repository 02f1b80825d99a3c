"""What is known of one face: a reading of one image alone, and the estimate that is published."""

from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np


@dataclass(frozen=True)
class Reading:
    """What the network says of one face in one image.

    :param emotion: the class with the highest score, one of EMOTIONS; UNKNOWN where this image gives reason to doubt.
    :param scores: class -> score, in the order of EMOTIONS; they sum to 1.
    :param valence: in [-1, 1], from negative to positive.
    :param arousal: in [-1, 1], from calm to excited.
    :param confidence: the highest score, calibrated as the model bundle says.
    :param agreement: how far the branches concur, in [0, 1]: the share of probability that two of them have in common,
        mean of all pairs; 1 where all say the same, be they sure or not.
    """

    emotion: str
    scores: Dict[str, float]
    valence: float
    arousal: float
    confidence: float
    agreement: float


@dataclass(frozen=True)
class FaceEstimate:
    """What is told of one face. Without smoothing, and for a picture on its own, it tells what `raw` holds.

    :param face_id: five lower-case letters, the same from frame to frame; '' where no stamp was given.
    :param box: x0, y0, x1, y1 in pixels, inside the image.
    :param box_score: how sure the detector is, in [0, 1].
    :param landmarks: (5, 2) float32 pixels: the eye on the viewer's left, the other eye, nose, the mouth's corners.
    :param emotion: one of EMOTIONS, with hysteresis over time; UNKNOWN where there are doubts.
    :param scores: class -> score, in the order of EMOTIONS, smoothed over time; they sum to 1.
    :param valence: in [-1, 1], from negative to positive, smoothed.
    :param arousal: in [-1, 1], from calm to excited, smoothed.
    :param confidence: the smoothed score of the best class (of `emotion`, where that is a class).
    :param agreement: how far the branches concur, in [0, 1], smoothed; see Reading.
    :param doubts: why the emotion is unknown: some of 'small', 'blurred', 'cut', 'dark', 'low_contrast', 'overexposed',
        'occluded', 'disagreement', 'unsure'; () while it is known.
    :param raw: the Reading of this image alone.
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
    doubts: Tuple[str, ...]
    raw: Reading
