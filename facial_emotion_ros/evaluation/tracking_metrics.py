"""Counts identity switches of the tracker on simulated paths, with jitter, missed and occluded faces."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.perception.face_tracker import FaceTracker, intersection_over_union

_WIDTH_PX, _HEIGHT_PX = 640, 480
#: Simulated appearance descriptors: with this length, similarities of two persons have a standard deviation of 0.15, as
#: in photographs; with this noise, two descriptors of one person have a similarity of 0.73.
_DESCRIPTION, _DESCRIPTION_NOISE = 44, 0.6
_JITTER, _MISSED, _LEAST_SCORE, _BEGIN_SCORE, _MAX_OVERLAP = 0.02, 0.03, 0.25, 0.45, 0.3


class Walk(NamedTuple):
    """Moving faces: number, images per second, speed (rad/s along their path), and whether they cross."""

    faces: int
    rate_hz: int
    speed: float
    crossing: bool


WALKS = (
    Walk(3, 30, 0.8, False),
    Walk(3, 10, 0.8, False),
    Walk(3, 10, 2.5, False),
    Walk(2, 30, 0.8, True),
    Walk(3, 15, 0.8, True),
    Walk(3, 15, 1.6, True),
    Walk(4, 10, 0.8, True),
)


def count_switches(
    walk: Walk,
    seeds: int = 10,
    length_s: float = 30.0,
    tracker_type: Callable[[], FaceTracker] = FaceTracker,
    described: bool = False,
) -> tuple[int, int]:
    """Count identity switches: a face gets another id than when it was last tracked.

    :param walk: motion of the faces.
    :param seeds: number of runs.
    :param length_s: duration of each run.
    :param tracker_type: makes the tracker of each run.
    :param described: give the tracker appearance descriptors.
    :returns: number of switches, and of boxes with an id.
    """
    switches, named = 0, 0
    for seed in range(seeds):
        random = np.random.RandomState(seed)
        stamps, paths = _paths(random, walk, length_s)
        order, tracker = random.permutation(walk.faces), tracker_type()
        names: dict[int, str] = {}
        appearance = np.random.default_rng(seed)
        persons = appearance.normal(size=(walk.faces, _DESCRIPTION)) / math.sqrt(_DESCRIPTION)
        for stamp_s, places in zip(stamps, paths):
            boxes, faces, scores = _detect(random, places, order)
            descriptions = _describe(appearance, persons, faces, boxes).__getitem__ if described else None
            for face, name in zip(faces, tracker.update(boxes, scores, stamp_s, _BEGIN_SCORE, descriptions)):
                if name:
                    named += 1
                    switches += names.get(face, name) != name
                    names[face] = name
    return switches, named


def _paths(random, walk, length_s):
    """Sample irregular stamps, and centre and side of every face at each."""
    steps = random.uniform(0.6, 1.4, int(length_s * walk.rate_hz)) / walk.rate_hz
    steps[random.uniform(size=len(steps)) < 0.05] *= 2  # a frame is missing
    stamps, paths = np.cumsum(steps), []
    for face in range(walk.faces):
        side, phases = random.uniform(60, 140), random.uniform(0, 2 * np.pi, 3)
        rates = random.uniform(0.6, 1.4, 3) * walk.speed
        x = _WIDTH_PX / 2 + (_WIDTH_PX / 2 - 60) * np.sin(rates[0] * stamps + phases[0])
        y = _HEIGHT_PX / 2 + 60 * np.sin(rates[1] * stamps + phases[1])
        sides = side * np.exp(0.2 * np.sin(0.7 * rates[2] * stamps + phases[2]))
        if not walk.crossing:
            room = _WIDTH_PX / walk.faces
            x = room * (face + 0.5) + 0.3 * room * np.sin(walk.speed * stamps * (1 + 0.3 * face) + face)
            sides = np.minimum(sides, 0.6 * room)
        paths.append(np.stack([x, y, sides], 1))
    return stamps, np.stack(paths, 1)


def _describe(appearance, persons, faces, boxes):
    """Sample appearance descriptors; that of an occluded face is mixed with that of the face in front."""
    noise = appearance.normal(size=(len(faces), _DESCRIPTION)) * _DESCRIPTION_NOISE / math.sqrt(_DESCRIPTION)
    hidden = np.tril(intersection_over_union(boxes, boxes), -1)  # from front to back
    mixed = (1 - hidden.sum(axis=1, keepdims=True)) * persons[faces] + hidden @ persons[faces] + noise
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _detect(random, places, order):
    """Detect the faces from front to back; occluded ones have lower scores, or are suppressed."""
    boxes, faces, scores = np.zeros((0, 4)), [], []
    for face in order:
        x, y, side = places[face]
        x, y = x + random.normal(0, _JITTER * side), y + random.normal(0, _JITTER * side)
        side *= np.exp(random.normal(0, _JITTER))
        box = np.array([[x - 0.42 * side, y - 0.55 * side, x + 0.42 * side, y + 0.55 * side]])
        corners = np.minimum(boxes[:, 2:], box[:, 2:]) - np.maximum(boxes[:, :2], box[:, :2])
        hidden = (corners.clip(0).prod(axis=1) / (0.924 * side * side)).max() if len(boxes) else 0.0
        score = random.uniform(0.7, 0.9) - hidden
        if random.uniform() < _MISSED:
            score = random.choice([0.0, 0.3])
        if score < _LEAST_SCORE or len(boxes) and intersection_over_union(boxes, box).max() > _MAX_OVERLAP:
            continue
        boxes = np.concatenate([boxes, box])
        faces.append(face)
        scores.append(score)
    return boxes, faces, np.array(scores)
