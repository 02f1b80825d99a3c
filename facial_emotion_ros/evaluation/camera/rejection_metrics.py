"""Measures how many clear and degraded faces the quality gate rejects as `unknown`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.quality_gate import REJECTION_REASONS, cut_share, exposure, sharpness, shrunk_gray
from facial_emotion_ros.evaluation.camera.occluders import cover_mouth
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.perception.occlusion import mouth_occlusion
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

#: Fractions of clear faces to reject, for which the bounds are printed.
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05)

#: Standard deviation of camera noise in low light, of 255.
_NOISE = 2.0

#: Degradations by name: functions of (image, box, landmarks, generator) that return a new image.
DEGRADATIONS = {
    'blurred by 2% of the face': lambda image, box, *_: _blurred(image, box, 0.02),
    'blurred by 4%': lambda image, box, *_: _blurred(image, box, 0.04),
    'blurred by 6%': lambda image, box, *_: _blurred(image, box, 0.06),
    'face of 20 px': lambda image, box, *_: _shrunk(image, box, 20),
    'face of 28 px': lambda image, box, *_: _shrunk(image, box, 28),
    'cut by 20% on the left': lambda image, box, *_: image[:, int(box[0] + 0.2 * (box[2] - box[0])) :],
    'cut by 40% on the left': lambda image, box, *_: image[:, int(box[0] + 0.4 * (box[2] - box[0])) :],
    'cut by 40% below': lambda image, box, *_: image[: int(box[3] - 0.4 * (box[3] - box[1]))],
    '20% of the light, noise': lambda image, box, marks, generator: _lit(image, 0.2, _NOISE, generator),
    '10% of the light, noise': lambda image, box, marks, generator: _lit(image, 0.1, _NOISE, generator),
    '5% of the light, noise': lambda image, box, marks, generator: _lit(image, 0.05, _NOISE, generator),
    'noise of 40': lambda image, box, marks, generator: _lit(image, 1.0, 40.0, generator),
    'fog, 10% of the contrast': lambda image, *_: np.rint(180 + 0.1 * image.astype(np.float32)).astype(np.uint8),
    'overexposed 1.5 times': lambda image, box, marks, generator: _lit(image, 1.5, 0.0, generator),
    'overexposed 2 times': lambda image, box, marks, generator: _lit(image, 2.0, 0.0, generator),
    'overexposed 4 times': lambda image, box, marks, generator: _lit(image, 4.0, 0.0, generator),
    'black below 100': lambda image, *_: np.maximum(image, 100) - 100,
    'mask': lambda image, box, marks, generator: cover_mouth(image, marks, generator, 'mask'),
    'scarf': lambda image, box, marks, generator: cover_mouth(image, marks, generator, 'below'),
    'hand': lambda image, box, marks, generator: cover_mouth(image, marks, generator, 'fingers', 'skin'),
    'cup': lambda image, box, marks, generator: cover_mouth(image, marks, generator, 'cup'),
}


class Observation(NamedTuple):
    """One face: whether the best class is correct, the measures of the quality gate, and its rejection reasons."""

    right: bool
    confidence: float
    agreement: float
    sharpness: float
    cut: float
    contrast: float
    clipped: float
    occlusion: float
    rejection_reasons: tuple


def observe(
    pipeline: EmotionPipeline, faces: Iterable[LabelledFace], degraded: int = 100
) -> dict[str, list[Observation]]:
    """Estimate all faces, and the first ones also with each degradation.

    :param pipeline: EmotionPipeline with the quality gate.
    :param faces: faces in their images.
    :param degraded: number of faces to degrade.
    :returns: Observations by name, 'clear' first; faces that are not detected are missing.
    """
    found: dict[str, list[Observation]] = {'clear': [], **{name: [] for name in DEGRADATIONS}}
    for number, face in enumerate(faces):
        seen = _observe_one(pipeline, face, face.image, found['clear'])
        if seen is not None and number < degraded:
            generator = np.random.default_rng(number)
            for name, degrade in DEGRADATIONS.items():
                image = np.ascontiguousarray(degrade(face.image, seen.box, seen.landmarks, generator))
                _observe_one(pipeline, face, image, found[name], anywhere=True)
    return found


def text(found: Mapping[str, Sequence[Observation]]) -> str:
    """Format the table of :func:`observe`, and the bounds that would reject SHARES of the clear faces."""
    lines = [
        '%-26s %5s %8s %8s %8s %8s  %s'
        % ('', 'faces', 'right', 'unknown', 'right of', 'their', '   '.join(REJECTION_REASONS)),
        '%-26s %5s %8s %8s %8s %8s' % ('', '', '', '', 'the known', 'confid.'),
    ]
    for name, rows in found.items():
        if not rows:
            continue
        known = [row for row in rows if not row.rejection_reasons]
        lines.append(
            '%-26s %5d %7.1f%% %7.1f%% %7.1f%% %7.1f%%  %s'
            % (
                name,
                len(rows),
                100 * np.mean([row.right for row in rows]),
                100 - 100.0 * len(known) / len(rows),
                100 * np.mean([row.right for row in known]) if known else float('nan'),
                100 * np.mean([row.confidence for row in known]) if known else float('nan'),
                '   '.join(
                    '%*.1f%%' % (len(reason) - 1, 100 * np.mean([reason in row.rejection_reasons for row in rows]))
                    for reason in REJECTION_REASONS
                ),
            )
        )
    clear = found['clear']
    if not clear:
        return '\n'.join([*lines, 'The detector found no face, so there are no bounds.'])
    for field, words in (
        ('confidence', 'unknown.min_confidence'),
        ('agreement', 'unknown.min_agreement'),
        ('sharpness', 'unknown.min_sharpness'),
        ('contrast', 'unknown.min_contrast'),
        ('clipped', 'unknown.max_clipped'),
        ('occlusion', 'unknown.max_occlusion'),
    ):
        is_right = np.array([row.right for row in clear])
        sign = -1 if '.max_' in words else 1
        values = sign * np.array([getattr(row, field) for row in clear])
        bounds = np.quantile(values, SHARES)
        lines.append(
            '%-23s to reject %s'
            % (
                words,
                ', '.join(
                    '%.1f%%: %.3f (of these %.0f%% right)'
                    % (100 * share, sign * bound, 100 * is_right[values < bound].mean())
                    for share, bound in zip(SHARES, bounds)
                    if (values < bound).any()
                ),
            )
        )
    return '\n'.join(lines)


def _observe_one(pipeline, face, image, into, anywhere=False):
    """Estimate one face; return its FaceEstimate, or None if it is not found."""
    if min(image.shape[:2]) < 8:
        return None
    for estimate in pipeline.estimate(image):
        x0, y0, x1, y1 = estimate.box
        if anywhere or (x0 < face.middle[0] < x1 and y0 < face.middle[1] < y1):
            best = max(estimate.scores, key=estimate.scores.get)
            gray = shrunk_gray(image, estimate.box)
            light = exposure(gray)
            into.append(
                Observation(
                    EMOTIONS.index(best) == face.label,
                    estimate.confidence,
                    estimate.agreement,
                    sharpness(gray),
                    cut_share(estimate.landmarks, image.shape[1], image.shape[0]),
                    light.contrast,
                    max(light.white, light.black),
                    mouth_occlusion(image, estimate.box, estimate.landmarks),
                    estimate.rejection_reasons,
                )
            )
            return estimate
    return None


def _side(box):
    return float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))


def _lit(image, factor, noise, generator):
    varied = factor * image.astype(np.float32) + generator.normal(0, noise, image.shape)
    return np.clip(np.rint(varied), 0, 255).astype(np.uint8)


def _blurred(image, box, share):
    return cv2.GaussianBlur(image, (0, 0), share * _side(box))


def _shrunk(image, box, side_px):
    factor = side_px / _side(box)
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
