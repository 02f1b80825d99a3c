"""How often persons are confused, and missed, by what their faces look like: photographs, or rendered faces."""

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.camera.identity_metrics import changed
from facial_emotion_ros.perception.face_appearance import MEAN, gradient_histogram, unit
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture

#: Names of pictures as in Labeled Faces in the Wild: George_W_Bush_0001.jpg.
_NAME = re.compile(r'(.+)_\d+\.(?:jpg|jpeg|png)\Z', re.IGNORECASE)

#: Each face is changed so often: half of the views are one recording's, half another one's.
_CHANGES = 3


def collect(detector: FaceDetector, folder: str, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Describe the largest face of each picture as it is, and in other size, light, turn and place.

    :param detector: of faces.
    :param folder: with pictures called PERSON_NUMBER.jpg, at any depth.
    :param seed: of the changes.
    :returns: names of the persons, and (M, 4, SIZE) float32 descriptions, the unchanged one first; of the faces found.
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
        raise BadDataset(f'{folder}: expected pictures of faces called PERSON_NUMBER.jpg, got {len(paths)} such files')
    return names, np.array(views, np.float32)


def collect_rendered(detector: FaceDetector, count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Describe rendered faces, four views of each person: other poses, expressions, light and background.

    :param detector: of faces.
    :param count: of persons; those of whom fewer than four faces are found are left out.
    :param seed: of the persons.
    :returns: as :func:`collect`.
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
    """Find the largest face: image, box, landmarks; None without any."""
    found = detector.detect(image)
    if not len(found.boxes):
        return None
    place = int(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1).argmax())
    return image, found.boxes[place], found.landmarks[place]


def _described(face):
    return unit(gradient_histogram(*face) - MEAN)


def lines(names: Sequence[str], views: np.ndarray, bounds: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Yield a table: from each bound on, how many pairs of faces are taken for one person.

    :param names, views: of :func:`collect`.
    :param bounds: (name, least likeness).
    """
    who = np.array(names)
    same = who[:, None] == who[None]
    upper = np.triu(np.ones(same.shape, bool), 1)
    pictures = views[:, 0] @ views[:, 0].T
    # Two views of each face in one recording against two other ones in another: the most similar ones count.
    films = np.max([views[:, one] @ views[:, other].T for one in (0, 1) for other in (2, 3)], axis=0)
    yield f'{len(names)} faces of {len(set(names))} persons; {(~same & upper).sum()} pairs of two persons'
    yield 'likeness at least        two persons: pictures, two views each   one person: another day, two views each'
    for name, bound in bounds:
        wrong = [(likeness >= bound)[~same & upper] for likeness in (pictures, films)]
        right = (pictures >= bound)[same & upper], np.diag(films) >= bound
        counts = '   '.join(f'{each.sum():6d} ({each.mean():.1e})' for each in wrong)
        shares = '   '.join(f'{100 * each.mean():6.2f}%' if len(each) else '     –' for each in right)
        yield f'{name:16} {bound:.2f}   {counts}         {shares}'
