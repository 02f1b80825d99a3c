"""Measures how often a face keeps its category when its image is mirrored, rotated, relit, shrunk or degraded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.camera.end_to_end import mean, read_through_camera
from facial_emotion_ros.evaluation.camera.scenes import HEIGHT_PX, WIDTH_PX, LabelledFace, laid_on_gray
from facial_emotion_ros.evaluation.intervals import wilson_interval
from facial_emotion_ros.perception.face_detector import FaceDetector

#: Returns the face in a varied image.
Vary = Callable[[LabelledFace, np.random.Generator], LabelledFace]


def mirrored(face: LabelledFace, generator: np.random.Generator) -> LabelledFace:
    """Mirror the image horizontally."""
    x, y = face.center
    return replace(face, image=np.ascontiguousarray(face.image[:, ::-1]), middle=(face.image.shape[1] - x, y))


def turned(face: LabelledFace, generator: np.random.Generator, degrees: float) -> LabelledFace:
    """Rotate the image about the face's centre in a random direction, with replicated border."""
    angle = degrees if generator.random() < 0.5 else -degrees
    height, width = face.image.shape[:2]
    x, y = face.center
    matrix = cv2.getRotationMatrix2D((x - 0.5, y - 0.5), angle, 1.0)
    image = cv2.warpAffine(face.image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return replace(face, image=image)


def lit(face: LabelledFace, generator: np.random.Generator, factor: float) -> LabelledFace:
    """Multiply the pixel values by a factor and clip them."""
    table = np.clip(np.round(factor * np.arange(256)), 0, 255).astype(np.uint8)
    return replace(face, image=cv2.LUT(face.image, table))


def shrunk(face: LabelledFace, factor: float) -> LabelledFace:
    """Shrink an image by a factor above 0, up to 1."""
    height, width = face.image.shape[:2]
    columns, rows = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(face.image, (columns, rows), interpolation=cv2.INTER_AREA)
    middle = (face.center[0] * columns / width, face.center[1] * rows / height)
    return replace(face, image=small, middle=middle, box_px=face.box_px * factor)


def smaller(face: LabelledFace, generator: np.random.Generator, box_px: float) -> LabelledFace:
    """Shrink the image until the face's box has this side, and paste it into a gray 640x480 image."""
    face = shrunk(face, min(1.0, box_px / face.box_px))
    small, (x, y) = face.image, face.center
    # An image that is still larger is cropped around the face.
    left, top = (_shift(*each) for each in ((small.shape[1], WIDTH_PX, x), (small.shape[0], HEIGHT_PX, y)))
    return replace(face, image=laid_on_gray(small, left, top), middle=(x + left, y + top))


def _shift(length, room, middle):
    """Return the offset that centres a strip in the room; a longer one is centred on `middle`, within its ends."""
    if length <= room:
        return (room - length) // 2
    return int(np.clip(room // 2 - int(middle), room - length, 0))


def _noisy(face, generator, deviation):
    """Add Gaussian noise, independent in each channel."""
    noise = generator.standard_normal(face.image.shape, np.float32) * np.float32(deviation)
    return replace(face, image=np.clip(np.round(face.image + noise), 0, 255).astype(np.uint8))


def _compressed(face, generator, quality):
    """Compress the image as JPEG."""
    coded = cv2.imencode('.jpg', face.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return replace(face, image=cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _blurred(face, generator, share):
    """Apply a Gaussian blur; share: standard deviation relative to the box's side."""
    return replace(face, image=cv2.GaussianBlur(face.image, (0, 0), share * face.box_px))


#: All variations by name, in the order of the report.
VARIATIONS: dict[str, Vary] = {
    'mirrored': mirrored,
    'turned by 5 degrees': partial(turned, degrees=5),
    'turned by 10 degrees': partial(turned, degrees=10),
    'turned by 15 degrees': partial(turned, degrees=15),
    'darker: values x 1/2': partial(lit, factor=0.5),
    'darker: values x 1/4': partial(lit, factor=0.25),
    'brighter: values x 1.5': partial(lit, factor=1.5),
    'brighter: values x 2': partial(lit, factor=2.0),
    'smaller: box of 64 px': partial(smaller, box_px=64),
    'smaller: box of 48 px': partial(smaller, box_px=48),
    'smaller: box of 32 px': partial(smaller, box_px=32),
    'smaller: box of 24 px': partial(smaller, box_px=24),
    'noise of deviation 10': partial(_noisy, deviation=10),
    'noise of deviation 20': partial(_noisy, deviation=20),
    'JPEG of quality 50': partial(_compressed, quality=50),
    'JPEG of quality 20': partial(_compressed, quality=20),
    'blurred by 2% of the box': partial(_blurred, share=0.02),
    'blurred by 4% of the box': partial(_blurred, share=0.04),
}


def varied(faces: Iterable[LabelledFace], vary: Vary) -> Iterator[LabelledFace]:
    """Vary the image of each face, with fixed seeds; faces without a middle stay unchanged."""
    for place, face in enumerate(faces):
        yield face if face.middle is None else vary(face, np.random.default_rng([0, place]))


def measure_robustness(
    engine: EsrEngine,
    detector: FaceDetector,
    faces: Sequence[LabelledFace],
    variations: Mapping[str, Vary] = VARIATIONS,
    report: Callable[[int, int], object] | None = None,
) -> list[dict[str, Any]]:
    """Compare each varied face's category with that of the unvaried one.

    :param engine: EsrEngine.
    :param detector: FaceDetector.
    :param faces: faces in their images.
    :param variations: variations by name.
    :param report: called with the numbers of variations done and in total.
    :returns: one row per variation, the unvaried images first. `keeps`: fraction of the faces found in the unvaried
        image that are found in the varied one with the same category; `same`: the same among faces found in both;
        `accuracy`: of the faces found in the varied image.
    """
    unvaried = read_through_camera(engine, detector, faces)
    rows = [_row('as it is', unvaried, unvaried)]
    for done, (name, vary) in enumerate(variations.items(), 1):
        reading = read_through_camera(engine, detector, varied(faces, vary))
        rows.append(_row(name, reading, unvaried))
        if report:
            report(done, len(variations))
    return rows


def _row(name, reading, unvaried):
    first, second = unvaried.scores[0], reading.scores[0]
    both = unvaried.is_found & reading.is_found
    same = np.zeros(len(both), bool)
    same[both] = first[both].argmax(1) == second[both].argmax(1)
    keeps = same[unvaried.is_found]
    return {
        'variation': name,
        'n': len(both),
        'found': int(reading.is_found.sum()),
        'keeps': mean(keeps),
        'keeps_interval': list(wilson_interval(keeps.sum(), len(keeps))),
        'same': mean(same[both]),
        'accuracy': mean(reading.is_right()[reading.is_found]),
    }
