"""How often a face keeps its category when its image is mirrored, turned, darker, smaller, noisier or blurred."""

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

#: Makes of a face that in the varied image.
Vary = Callable[[LabelledFace, np.random.Generator], LabelledFace]


def mirrored(face: LabelledFace, generator: np.random.Generator) -> LabelledFace:
    """Mirror the image, left for right."""
    x, y = face.center
    return replace(face, image=np.ascontiguousarray(face.image[:, ::-1]), middle=(face.image.shape[1] - x, y))


def turned(face: LabelledFace, generator: np.random.Generator, degrees: float) -> LabelledFace:
    """Turn the image about the face's middle, one way or the other, the border repeated."""
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
    """Shrink the image until the face's box has this side, and put it before gray in a 640x480 image."""
    face = shrunk(face, min(1.0, box_px / face.box_px))
    small, (x, y) = face.image, face.center
    # Where the shrunk image is still the larger one, the part around the face is shown.
    left, top = (_shift(*each) for each in ((small.shape[1], WIDTH_PX, x), (small.shape[0], HEIGHT_PX, y)))
    return replace(face, image=laid_on_gray(small, left, top), middle=(x + left, y + top))


def _shift(length, room, middle):
    """Return where a strip of this length begins in the room: in its middle, or so that `middle` is near it."""
    if length <= room:
        return (room - length) // 2
    return int(np.clip(room // 2 - int(middle), room - length, 0))


def _noisy(face, generator, deviation):
    """Add Gaussian noise to every pixel and colour."""
    noise = generator.standard_normal(face.image.shape, np.float32) * np.float32(deviation)
    return replace(face, image=np.clip(np.round(face.image + noise), 0, 255).astype(np.uint8))


def _compressed(face, generator, quality):
    """Write the image as JPEG and read it again."""
    coded = cv2.imencode('.jpg', face.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return replace(face, image=cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _blurred(face, generator, share):
    """Blur by a Gaussian whose deviation is this share of the face's box."""
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
    """Vary the image of each face, the same way each time; faces without a middle stay as they are."""
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

    :param engine: network.
    :param detector: of faces.
    :param faces: in their images.
    :param variations: of the images, by name.
    :param report: called with the number of variations done, and that of all.
    :returns: a row for each, the unvaried images first. `keeps` is the share, of the faces found in the unvaried image,
        that are found in the varied one with the same category; `same` that among those found in both; `accuracy` that
        of the faces found in the varied image.
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
