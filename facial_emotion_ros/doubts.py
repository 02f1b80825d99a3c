"""Reasons not to believe what the network says of a face: "don't know" beats a wrong word."""

import math
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.occlusion import mouth_occlusion, shrunk_face

#: Every reason, in the order in which they are told; the first ones are of the image, the last two of the network.
DOUBTS = ('small', 'blurred', 'cut', 'dark', 'low_contrast', 'overexposed', 'occluded', 'disagreement', 'unsure')
IMAGE_DOUBTS = DOUBTS[:-2]

#: Faces are brought to this side before sharpness and exposure are measured, so that neither the camera's resolution
#: nor its noise, which averaging takes away, decides.
_SIDE_PX = 32
#: Where contrast is missing and even the brightest parts of a face stay below this, of 255, light is missing.
_DARK = 64
#: From here on a pixel counts as clipped at the upper end of the range, and up to there at the lower end.
_WHITE, _BLACK = 250, 5
#: Where five landmarks say that the whole face is: its middle lies so far above the middle of eyes and mouth, it is so
#: wide and so high, in units of the distance between the eyes or 0.9 of that from eyes to mouth, whichever is more.
#: Source: medians of 382 held-out faces of FER+ train in scenes, found by CenterFace.
_UP, _WIDE, _HIGH = 0.17, 2.18, 2.68


class DoubtRules:
    """When an emotion is unknown. Measured defaults: docs/faces_over_time.md; 0 (1 of a maximum) turns a rule off."""

    def __init__(self, enabled=True, min_face_px=24.0, min_sharpness=0.09, max_cut=0.25, min_confidence=0.45,
                 min_agreement=0.73, min_contrast=24.0, max_clipped=0.35, max_occlusion=0.5):
        """Set the rules.

        :param enabled: False doubts nothing.
        :param min_face_px: a face whose box has a smaller side (root of width times height) is 'small'.
        :param min_sharpness: a face of lower :func:`sharpness` is 'blurred'.
        :param max_cut: a face of which a larger share lies beyond the image's edge is 'cut'.
        :param min_confidence: a lower score of the best class is 'unsure'; in [0, 1].
        :param min_agreement: a lower agreement of the branches is 'disagreement'; in [0, 1].
        :param min_contrast: a face of lower contrast (see :func:`exposure`) is 'dark' or 'low_contrast'; of 255.
        :param max_clipped: a face of which a larger share is white is 'overexposed', one that is black is 'dark'.
        :param max_occlusion: a face whose :func:`.occlusion.mouth_occlusion` is higher is 'occluded'; in [0, 1].
        :raises BadParameter: for a value outside its range.
        """
        for name, value, most in (('side of a face', min_face_px, math.inf), ('sharpness', min_sharpness, math.inf),
                                  ('cut', max_cut, 1), ('confidence', min_confidence, 1),
                                  ('agreement', min_agreement, 1), ('contrast', min_contrast, 255),
                                  ('clipping', max_clipped, 1), ('occlusion', max_occlusion, 1)):
            if not (math.isfinite(value) and 0 <= value <= most):
                raise BadParameter('expected a bound of %s from 0 up to %s, got %r' % (name, most, value))
        self._enabled = enabled
        self._min_face_px, self._min_sharpness, self._max_cut = min_face_px, min_sharpness, max_cut
        self._min_confidence, self._min_agreement = min_confidence, min_agreement
        self._min_contrast, self._max_clipped, self._max_occlusion = min_contrast, max_clipped, max_occlusion

    def of_face(self, image: np.ndarray, box, landmarks, confidence: float, agreement: float,
                is_detected: bool = True) -> Tuple[str, ...]:
        """Say what speaks against believing a reading.

        :param image: (H, W, 3) uint8 BGR.
        :param box: x0, y0, x1, y1 of the face in pixels.
        :param landmarks: (5, 2) pixels, as Faces has them.
        :param confidence: the best class's score.
        :param agreement: of the branches.
        :param is_detected: whether a detector has placed the landmarks; of assumed ones nothing is 'occluded'.
        :returns: some of DOUBTS; () if nothing does.
        """
        if not self._enabled:
            return ()
        side = math.sqrt(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0))
        gray = _shrunk(image, box)
        light = _exposure(gray)
        is_flat = light.contrast < self._min_contrast
        is_dim = is_flat and light.brightest < _DARK
        holds = {
            'small': side < self._min_face_px,
            'blurred': self._min_sharpness > 0 and _sharpness(gray) < self._min_sharpness,
            'cut': cut_share(landmarks, image.shape[1], image.shape[0]) > self._max_cut,
            'dark': is_dim or light.black > self._max_clipped,
            'low_contrast': is_flat and not is_dim,
            'overexposed': light.white > self._max_clipped,
            'disagreement': agreement < self._min_agreement,
            'unsure': confidence < self._min_confidence,
        }
        # Of a face that is too small, blurred, cut or dark to be read, it cannot be said either.
        is_bad = any(holds.get(doubt) for doubt in IMAGE_DOUBTS)
        holds['occluded'] = (is_detected and self._max_occlusion < 1 and not is_bad
                             and mouth_occlusion(image, box, landmarks) > self._max_occlusion)
        return tuple(doubt for doubt in DOUBTS if holds[doubt])


class Exposure(NamedTuple):
    """How the gray values of a face lie in the range from 0 to 255.

    :param contrast: from the 5th to the 95th percentile.
    :param brightest: the 95th percentile.
    :param white: share of the face that is clipped at the upper end.
    :param black: the same of the lower end.
    """

    contrast: float
    brightest: float
    white: float
    black: float


def exposure(image: np.ndarray, box) -> Exposure:
    """Measure contrast and clipping of a face, shrunk to a side of 32 px: noise is no contrast.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 in pixels.
    :returns: Exposure; full contrast and no clipping for a box without pixels.
    """
    return _exposure(_shrunk(image, box))


def _exposure(gray) -> Exposure:
    if not gray.size:
        return Exposure(255.0, 255.0, 0.0, 0.0)
    ordered = np.sort(gray, axis=None)
    last = ordered.size - 1
    brightest = float(ordered[int(round(0.95 * last))])
    return Exposure(brightest - float(ordered[int(round(0.05 * last))]), brightest,
                    1.0 - np.searchsorted(ordered, _WHITE) / float(ordered.size),
                    np.searchsorted(ordered, _BLACK, 'right') / float(ordered.size))


def _shrunk(image, box):
    """Return a face in gray values, shrunk to _SIDE_PX; without pixels where the box has hardly any."""
    found = shrunk_face(image, box, _SIDE_PX)
    return np.empty((0, 0), np.uint8) if found is None else found[0]


def sharpness(image: np.ndarray, box) -> float:
    """Measure how much fine detail a face has, whatever its size, brightness and contrast.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 in pixels.
    :returns: energy of the Laplacian over the variance of the gray values, of the face shrunk to a side of 32 px (a
        smaller one as it is); 0 for a face without contrast or without pixels.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000 (variance of the Laplacian).
    """
    return _sharpness(_shrunk(image, box))


def _sharpness(gray) -> float:
    if not gray.size:
        return 0.0
    gray = gray.astype(np.float32)
    detail = cv2.Laplacian(gray, cv2.CV_32F)[1:-1, 1:-1]
    contrast = float(gray.var())
    return float((detail * detail).mean()) / contrast if contrast > 1.0 else 0.0


def cut_share(landmarks, width: int, height: int) -> float:
    """Estimate how much of a face lies beyond the image's edge: a detector's box ends there, its landmarks do not.

    :param landmarks: (5, 2) pixels, as Faces has them.
    :param width: of the image, px.
    :param height: of the image, px.
    :returns: share of the face's box in [0, 1].
    """
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    unit = max(float(np.hypot(*(points[1] - points[0]))), 0.9 * float(np.hypot(*(mouth - eyes))), 1e-6)
    middle = 0.5 * (eyes + mouth) - [0.0, _UP * unit]
    half = 0.5 * unit * np.array([_WIDE, _HIGH])
    inside = np.minimum(middle + half, [width, height]) - np.maximum(middle - half, 0.0)
    return min(max(float(1.0 - inside.clip(0).prod() / (2 * half).prod()), 0.0), 1.0)
