"""Quality gate: reject faces that are too poor or uncertain to estimate; their emotion is published as unknown."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.occlusion import Box, mouth_occlusion, shrunk_face

#: All rejection reasons, in the order of publication; the last two are of the prediction, the others of the image.
REJECTION_REASONS = tuple('small blurred cut dark low_contrast overexposed occluded disagreement unsure'.split())
IMAGE_REASONS = REJECTION_REASONS[:-2]

#: Faces are shrunk to this side before sharpness and exposure are measured, to be independent of resolution and noise.
_SIDE_PX = 32
#: A face without contrast is dark if its 95th percentile of gray is below this, of 255.
_DARK = 64
#: Pixels of at least the first value are clipped white, those up to the second clipped black.
_WHITE, _BLACK = 250, 5
#: Face box relative to the landmarks: distance of its centre above the centre of eyes and mouth, width, height, in
#: units of the distance between the eyes or 0.9 x that from eyes to mouth, whichever is larger. Source: medians of 382
#: held-out faces of FER+ train in scenes, detected by CenterFace.
_UP, _WIDE, _HIGH = 0.17, 2.18, 2.68


#: Maxima of the bounds that may be above 1.
_LARGEST = {'min_face_px': math.inf, 'min_sharpness': math.inf, 'min_contrast': 255.0}


@dataclass(frozen=True)
class QualityGate:
    """Bounds for the image of a face and for its prediction. How the defaults were measured: docs/faces_over_time.md.

    A minimum of 0 or a maximum of 1 turns a check off.

    :param enabled: False rejects nothing.
    :param min_face_px: minimum side of the box (square root of its area); else 'small'.
    :param min_sharpness: minimum :func:`sharpness`; else 'blurred'.
    :param max_cut: maximum share of the face beyond the image's edge; else 'cut'.
    :param min_confidence: minimum score of the best class, in [0, 1]; else 'unsure'.
    :param min_agreement: minimum agreement of the branches, in [0, 1]; else 'disagreement'.
    :param min_contrast: minimum contrast (see :func:`exposure`), of 255; else 'dark' or 'low_contrast'.
    :param max_clipped: maximum share of white pixels, else 'overexposed', and of black ones, else 'dark'.
    :param max_occlusion: maximum :func:`.occlusion.mouth_occlusion`, in [0, 1]; else 'occluded'.
    :raises BadParameter: for a value outside its range.
    """

    enabled: bool = True
    min_face_px: float = 24.0
    min_sharpness: float = 0.09
    max_cut: float = 0.25
    min_confidence: float = 0.45
    min_agreement: float = 0.73
    min_contrast: float = 24.0
    max_clipped: float = 0.35
    max_occlusion: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = _LARGEST.get(name, 1.0)
            if name != 'enabled' and not (math.isfinite(value) and 0 <= value <= most):
                raise BadParameter('expected %s from 0 up to %g, got %r' % (name, most, value))

    def check(
        self,
        image: np.ndarray,
        box: Box,
        landmarks: np.ndarray,
        confidence: float,
        agreement: float,
        is_detected: bool = True,
    ) -> Tuple[str, ...]:
        """Return the reasons to reject a face, some of REJECTION_REASONS; () for none.

        :param image: (H, W, 3) uint8 BGR.
        :param box: x0, y0, x1, y1 of the face in pixels.
        :param landmarks: (5, 2) pixels, see Faces.
        :param confidence: score of the best class.
        :param agreement: of the branches.
        :param is_detected: whether a detector placed the landmarks; if not, 'occluded' is not checked.
        """
        if not self.enabled:
            return ()
        side = math.sqrt(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0))
        gray = shrunk_gray(image, box)
        light = exposure(gray)
        is_flat = light.contrast < self.min_contrast
        is_dim = is_flat and light.brightest < _DARK
        holds = {
            'small': side < self.min_face_px,
            'blurred': self.min_sharpness > 0 and sharpness(gray) < self.min_sharpness,
            'cut': cut_share(landmarks, image.shape[1], image.shape[0]) > self.max_cut,
            'dark': is_dim or light.black > self.max_clipped,
            'low_contrast': is_flat and not is_dim,
            'overexposed': light.white > self.max_clipped,
            'disagreement': agreement < self.min_agreement,
            'unsure': confidence < self.min_confidence,
        }
        # The occlusion classifier is unreliable on faces with another fault.
        is_bad = any(holds.get(reason) for reason in IMAGE_REASONS)
        holds['occluded'] = (
            is_detected
            and self.max_occlusion < 1
            and not is_bad
            and mouth_occlusion(image, box, landmarks) > self.max_occlusion
        )
        return tuple(reason for reason in REJECTION_REASONS if holds[reason])


class Exposure(NamedTuple):
    """Exposure of a face's gray values.

    :param contrast: difference of the 95th and the 5th percentile.
    :param brightest: the 95th percentile.
    :param white: share of pixels clipped at the upper end.
    :param black: share of pixels clipped at the lower end.
    """

    contrast: float
    brightest: float
    white: float
    black: float


def exposure(gray: np.ndarray) -> Exposure:
    """Measure contrast and clipping of a face.

    :param gray: from :func:`shrunk_gray`; an empty one has full contrast and no clipping.
    """
    if not gray.size:
        return Exposure(255.0, 255.0, 0.0, 0.0)
    ordered = np.sort(gray, axis=None)
    last = ordered.size - 1
    brightest = float(ordered[int(round(0.95 * last))])
    return Exposure(
        brightest - float(ordered[int(round(0.05 * last))]),
        brightest,
        1.0 - int(np.searchsorted(ordered, _WHITE)) / float(ordered.size),
        int(np.searchsorted(ordered, _BLACK, 'right')) / float(ordered.size),
    )


def shrunk_gray(image: np.ndarray, box: Box) -> np.ndarray:
    """Shrink a face to a side of 32 px, which reduces noise.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 in pixels.
    :returns: (h, w) uint8; (0, 0) for a box with a side below 4 pixels.
    """
    found = shrunk_face(image, box, _SIDE_PX)
    return np.empty((0, 0), np.uint8) if found is None else found[0]


def sharpness(gray: np.ndarray) -> float:
    """Measure the fine detail of a face, independent of size, brightness and contrast.

    :param gray: from :func:`shrunk_gray`.
    :returns: energy of the Laplacian over the variance of the gray values; 0 for a face without contrast or pixels.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000 (variance of the Laplacian).
    """
    if not gray.size:
        return 0.0
    gray = gray.astype(np.float32)
    detail = cv2.Laplacian(gray, cv2.CV_32F)[1:-1, 1:-1]
    contrast = float(gray.var())
    return float((detail * detail).mean()) / contrast if contrast > 1.0 else 0.0


def cut_share(landmarks: np.ndarray, width: int, height: int) -> float:
    """Estimate the share of a face beyond the image's edge, in [0, 1], from its landmarks, which are not clipped.

    :param landmarks: (5, 2) pixels, see Faces.
    :param width, height: of the image, px.
    """
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    unit = max(float(np.hypot(*(points[1] - points[0]))), 0.9 * float(np.hypot(*(mouth - eyes))), 1e-6)
    middle = 0.5 * (eyes + mouth) - [0.0, _UP * unit]
    half = 0.5 * unit * np.array([_WIDE, _HIGH])
    inside = np.minimum(middle + half, [width, height]) - np.maximum(middle - half, 0.0)
    return min(max(float(1.0 - inside.clip(0).prod() / (2 * half).prod()), 0.0), 1.0)
