"""Re-identification error rates of appearance descriptors, on photographs or rendered faces."""

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.camera.identity_metrics import changed
from facial_emotion_ros.perception.face_appearance import MEAN, gradient_histogram, unit
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture

#: File names as in Labeled Faces in the Wild: George_W_Bush_0001.jpg.
_NAME = re.compile(r'(.+)_\d+\.(?:jpg|jpeg|png)\Z', re.IGNORECASE)

#: Changed versions of each face; of these and the original, two each stand for one of two recordings.
_CHANGES = 3


def collect(detector: FaceDetector, folder: str, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Compute descriptors of the largest face of each picture, unchanged and with changes.

    :param detector: FaceDetector.
    :param folder: folder with pictures named PERSON_NUMBER.jpg, at any depth.
    :param seed: seed of the changes: size, light, rotation and position.
    :returns: person of each of M faces found, and (M, 4, SIZE) float32 descriptors, the unchanged one first.
    :raises BadDataset: if there are fewer than two.
    """
    names, views = [], []
    paths = [os.path.join(home, file) for home, _, files in os.walk(folder) for file in files if _NAME.match(file)]
    for number, path in enumerate(sorted(paths)):
        face = _largest(detector, read_picture(path))
        if face is not None:
            image, box, landmarks = face
            generators = (np.random.default_rng([seed, number, turn]) for turn in range(_CHANGES))
            others = [changed(image, box, landmarks, each) for each in generators]
            views.append([_described(each) for each in (face, *others)])
            name = _NAME.match(os.path.basename(path))
            assert name is not None
            names.append(name[1])
    if len(names) < 2:
        raise BadDataset(f'{folder}: expected pictures of faces named PERSON_NUMBER.jpg, got {len(paths)} such files')
    return names, np.array(views, np.float32)


def collect_rendered(detector: FaceDetector, count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Compute descriptors of rendered faces: four views per person, with other pose, expression, light, background.

    :param detector: FaceDetector.
    :param count: number of persons; those with fewer than four detected faces are skipped.
    :param seed: seed of the persons.
    :returns: see :func:`collect`.
    """
    from facial_emotion_ros.training.synthetic.action_units import draw_expression
    from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
    from facial_emotion_ros.training.synthetic.head_model import read_head_model
    from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

    renderer, views = FaceRenderer(read_head_model()), []
    for number in range(count):
        person = draw_person(renderer.model, np.random.default_rng([seed, number]))
        found: list[np.ndarray] = []
        for turn in range(2 * _CHANGES):
            if len(found) > _CHANGES:
                break
            generator = np.random.default_rng([seed, number, turn])
            image, _, _ = renderer.draw(person, draw_expression(generator).actions, generator)
            face = _largest(detector, image)
            found += [] if face is None else [_described(face)]
        views += [found] if len(found) > _CHANGES else []
    return [f'rendered_{number}' for number in range(len(views))], np.array(views, np.float32)


def _largest(detector, image):
    """Detect the largest face: image, box, landmarks; None without a face."""
    found = detector.detect(image)
    if not len(found.boxes):
        return None
    place = int(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1).argmax())
    return image, found.boxes[place], found.landmarks[place]


def _described(face):
    return unit(gradient_histogram(*face) - MEAN)


def lines(names: Sequence[str], views: np.ndarray, bounds: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Yield the lines of a table: pairs of faces accepted as one person, at each threshold.

    :param names, views: from :func:`collect`.
    :param bounds: (name, minimum similarity).
    """
    who = np.array(names)
    same = who[:, None] == who[None]
    upper = np.triu(np.ones(same.shape, bool), 1)
    pictures = views[:, 0] @ views[:, 0].T
    # Two recordings with two views of each face: the most similar pair of views counts.
    films = np.max([views[:, one] @ views[:, other].T for one in (0, 1) for other in (2, 3)], axis=0)
    yield f'{len(names)} faces of {len(set(names))} persons; {(~same & upper).sum()} pairs of two persons'
    yield 'likeness at least        two persons: pictures, two views each   one person: another day, two views each'
    for name, bound in bounds:
        wrong = [(likeness >= bound)[~same & upper] for likeness in (pictures, films)]
        right = (pictures >= bound)[same & upper], np.diag(films) >= bound
        counts = '   '.join(f'{each.sum():6d} ({each.mean():.1e})' for each in wrong)
        shares = '   '.join(f'{100 * each.mean():6.2f}%' if len(each) else '     –' for each in right)
        yield f'{name:16} {bound:.2f}   {counts}         {shares}'
