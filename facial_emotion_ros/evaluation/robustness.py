"""How often a face keeps its category when its image is mirrored, turned, darker, smaller, noisier or blurred."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facial_emotion_ros.evaluation.camera import mean, read_through_camera, share_interval
from facial_emotion_ros.evaluation.scenes import HEIGHT_PX, WIDTH_PX
from facial_emotion_ros.pictures import BACKGROUND


@dataclass(frozen=True)
class Variation:
    """One way in which an image may differ.

    :param name: what is said of it.
    :param vary: LabelledFace and numpy.random.Generator to the LabelledFace in the varied image.
    """

    name: str
    vary: Callable


def mirrored(face, generator):
    """Mirror the image, left for right."""
    x, y = face.middle
    return replace(face, image=np.ascontiguousarray(face.image[:, ::-1]), middle=(face.image.shape[1] - x, y))


def turned(degrees):
    """Make what turns an image by so many degrees."""
    def vary(face, generator):
        """Turn the image about the face's middle, one way or the other, the border repeated."""
        angle = degrees if generator.random() < 0.5 else -degrees
        height, width = face.image.shape[:2]
        x, y = face.middle
        matrix = cv2.getRotationMatrix2D((x - 0.5, y - 0.5), angle, 1.0)
        image = cv2.warpAffine(face.image, matrix, (width, height), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
        return replace(face, image=image)
    return vary


def lit(factor):
    """Make what gives an image this much light."""
    def vary(face, generator):
        """Multiply the pixels' values; what leaves the range is cut off."""
        table = np.clip(np.round(factor * np.arange(256)), 0, 255).astype(np.uint8)
        return replace(face, image=cv2.LUT(face.image, table))
    return vary


def shrunk(face, factor):
    """Shrink an image.

    :param face: LabelledFace.
    :param factor: above 0, up to 1.
    :returns: LabelledFace.
    """
    height, width = face.image.shape[:2]
    columns, rows = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(face.image, (columns, rows), interpolation=cv2.INTER_AREA)
    middle = (face.middle[0] * columns / width, face.middle[1] * rows / height)
    return replace(face, image=small, middle=middle, box_px=face.box_px * factor)


def _smaller(box_px):
    def vary(face, generator):
        """Shrink the image until the face's box has this side, and put it before gray in a 640x480 image."""
        face = shrunk(face, min(1.0, box_px / face.box_px))
        small, (x, y) = face.image, face.middle
        image = np.full((HEIGHT_PX, WIDTH_PX, 3), BACKGROUND, np.uint8)
        # Where the shrunk image is still the larger one, the part around the face is shown.
        left, top = (_shift(*each) for each in ((small.shape[1], WIDTH_PX, x), (small.shape[0], HEIGHT_PX, y)))
        rows = slice(max(0, top), min(HEIGHT_PX, top + small.shape[0]))
        columns = slice(max(0, left), min(WIDTH_PX, left + small.shape[1]))
        image[rows, columns] = small[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left]
        return replace(face, image=image, middle=(x + left, y + top))
    return vary


def _shift(length, room, middle):
    """Return where a strip of this length begins in the room: in its middle, or so that `middle` is near it."""
    if length <= room:
        return (room - length) // 2
    return int(np.clip(room // 2 - int(middle), room - length, 0))


def _noisy(deviation):
    def vary(face, generator):
        """Add Gaussian noise to every pixel and colour."""
        noise = generator.standard_normal(face.image.shape, np.float32) * np.float32(deviation)
        return replace(face, image=np.clip(np.round(face.image + noise), 0, 255).astype(np.uint8))
    return vary


def _compressed(quality):
    def vary(face, generator):
        """Write the image as JPEG and read it again."""
        coded = cv2.imencode('.jpg', face.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return replace(face, image=cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return vary


def _blurred(share):
    def vary(face, generator):
        """Blur by a Gaussian whose deviation is this share of the face's box."""
        return replace(face, image=cv2.GaussianBlur(face.image, (0, 0), share * face.box_px))
    return vary


#: All that is measured, in the order of the report.
VARIATIONS = (
    Variation('mirrored', mirrored),
    Variation('turned by 5 degrees', turned(5)),
    Variation('turned by 10 degrees', turned(10)),
    Variation('turned by 15 degrees', turned(15)),
    Variation('darker: values x 1/2', lit(0.5)),
    Variation('darker: values x 1/4', lit(0.25)),
    Variation('brighter: values x 1.5', lit(1.5)),
    Variation('brighter: values x 2', lit(2.0)),
    Variation('smaller: box of 64 px', _smaller(64)),
    Variation('smaller: box of 48 px', _smaller(48)),
    Variation('smaller: box of 32 px', _smaller(32)),
    Variation('smaller: box of 24 px', _smaller(24)),
    Variation('noise of deviation 10', _noisy(10)),
    Variation('noise of deviation 20', _noisy(20)),
    Variation('JPEG of quality 50', _compressed(50)),
    Variation('JPEG of quality 20', _compressed(20)),
    Variation('blurred by 2% of the box', _blurred(0.02)),
    Variation('blurred by 4% of the box', _blurred(0.04)),
)


def varied(faces, variation, seed=0):
    """Vary each face's image.

    :param faces: iterable of LabelledFace; those without a middle are passed on as they are.
    :param variation: Variation.
    :param seed: of what is random in it.
    :returns: iterator of LabelledFace.
    """
    for place, face in enumerate(faces):
        yield face if face.middle is None else variation.vary(face, np.random.default_rng([seed, place]))


def measure_robustness(engine, detector, faces, variations=VARIATIONS, seed=0, report=None):
    """Compare each varied face's category with that of the unvaried one.

    :param engine: EsrEngine.
    :param detector: anything with `detect(image) -> Faces`.
    :param faces: sequence of LabelledFace.
    :param variations: sequence of Variation.
    :param seed: of what is random in the variations.
    :param report: called with the name of the variation that begins.
    :returns: list of dict, the unvaried images first. `keeps` is the share, of the faces found in the unvaried image,
        that are found in the varied one and have the same category there; `same` that among those found in both;
        `accuracy` that of the faces found in the varied image.
    """
    rows, unvaried = [], None
    for variation in (Variation('as it is', lambda face, generator: face), *variations):
        if report:
            report(variation.name)
        reading = read_through_camera(engine, detector, varied(faces, variation, seed))
        unvaried = unvaried or reading
        rows.append(_row(variation.name, reading, unvaried))
    return rows


def _row(name, reading, unvaried):
    first, second = unvaried.scores[0], reading.scores[0]
    both = unvaried.is_found & reading.is_found
    same = np.zeros(len(both), bool)
    same[both] = first[both].argmax(1) == second[both].argmax(1)
    keeps = same[unvaried.is_found]
    return {
        'variation': name, 'n': len(both), 'found': int(reading.is_found.sum()),
        'keeps': mean(keeps), 'keeps_interval': share_interval(keeps), 'same': mean(same[both]),
        'accuracy': mean(reading.is_right()[reading.is_found]),
    }
