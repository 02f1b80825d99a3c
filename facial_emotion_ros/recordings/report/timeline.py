"""Collect per-face timelines and frames worth reviewing; takes some kB per face and 8 bytes per image."""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.image_files import shrink
from facial_emotion_ros.recordings.evaluation.camera_run import durations_of
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import WORDS

#: Maximum number of time steps (bins); the step doubles when the recording gets longer.
MAX_BINS = 1200

#: Initial length of a step, in s.
FIRST_BIN_S = 0.25

#: Maximum number of portraits per camera, of the longest visible faces.
MAX_PORTRAITS = 60

#: Maximum number of moments of each kind, and minimum time in s between two of the same face.
MAX_MOMENTS, MOMENT_GAP_S = 8, 2.0

#: Maximum number of images in a camera's strip; beyond it, every other one is dropped.
MAX_STILLS = 16

_PORTRAIT_PX, _MOMENT_PX, _STILL_PX = 96, 360, 120

#: When all portraits are used, a face competes for one every this many frames.
_PORTRAIT_EVERY = 30

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]

#: Kinds of moments.
WRONG, FLIP, DISAGREEMENT = 'wrong', 'flip', 'disagreement'


@dataclass
class Bin:
    """Sums over the frames of one face in one time step."""

    frames: int = 0
    scores: np.ndarray = field(default_factory=lambda: np.zeros(len(EMOTIONS)))
    #: valence, arousal, agreement
    affect: np.ndarray = field(default_factory=lambda: np.zeros(3))
    #: Number of frames with each of WORDS.
    emotions: np.ndarray = field(default_factory=lambda: np.zeros(len(WORDS), np.int64))
    #: Number of frames with each emotion as ground truth.
    truth: np.ndarray = field(default_factory=lambda: np.zeros(len(EMOTIONS), np.int64))
    #: Sums of true valence and arousal, and number of frames.
    true_affect: np.ndarray = field(default_factory=lambda: np.zeros(2))
    true_affect_frames: int = 0

    def add(self, other: 'Bin') -> None:
        """Add another step's sums."""
        self.frames += other.frames
        self.true_affect_frames += other.true_affect_frames
        for name in ('scores', 'affect', 'emotions', 'truth', 'true_affect'):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def emotion(self) -> str:
        """The most frequent published emotion, one of WORDS."""
        return WORDS[int(self.emotions.argmax())]

    @property
    def true_emotion(self) -> str:
        """The most frequent ground truth, one of EMOTIONS; '' if unknown."""
        return EMOTIONS[int(self.truth.argmax())] if self.truth.any() else ''

    def mean(self, name: str) -> np.ndarray:
        """Return the mean over frames of 'scores', (8,), or 'affect', (3,): valence, arousal, agreement."""
        return getattr(self, name) / max(self.frames, 1)

    def mean_true_affect(self) -> np.ndarray | None:
        """Return the mean true valence and arousal, (2,); None if unknown."""
        return self.true_affect / self.true_affect_frames if self.true_affect_frames else None


@dataclass
class FaceTimeline:
    """Timeline of one face.

    first_s, last_s: seconds since the recording's first image; frames: number of frames with it; steps: {index: Bin},
    in units of the timeline's bin_s; portrait: JPEG of its best view, b'' if none is kept; portrait_merit: quality of
    that view; images: [first, last] numbers of consecutive images of the camera with it.
    """

    face_id: str
    first_s: float
    last_s: float
    frames: int = 0
    steps: dict[int, Bin] = field(default_factory=dict)
    portrait: bytes = b''
    portrait_merit: float = -1.0
    images: list[list[int]] = field(default_factory=list)

    def see(self, time_s: float, image: int) -> None:
        """Record that the camera's image of this number and time in s contains the face."""
        self.frames, self.last_s = self.frames + 1, max(self.last_s, time_s)
        if self.images and self.images[-1][1] == image - 1:
            self.images[-1][1] = image
        else:
            self.images.append([image, image])


@dataclass
class Moment:
    """A frame worth reviewing; says: description; picture: JPEG."""

    kind: str
    weight: float
    time_s: float
    camera: str
    face_id: str
    says: str
    picture: bytes


class Film(NamedTuple):
    """The annotated video of a camera: file name; width and height in px; pieces: (time in the recording, time in the
    video) in s, from which on both advance at the same rate.
    """

    name: str
    size: tuple[int, int]
    pieces: list[tuple[float, float]]


@dataclass
class CameraTimeline:
    """Timeline of one camera.

    times_s: times of its images; faces: {id: FaceTimeline} in order of appearance; portrayed: those with a portrait;
    stills: {index: (time in s, JPEG)}, the first image of each interval of still_s seconds.
    """

    times_s: array = field(default_factory=lambda: array('d'))
    faces: dict[str, FaceTimeline] = field(default_factory=dict)
    portrayed: dict[str, FaceTimeline] = field(default_factory=dict)
    still_s: float = FIRST_BIN_S
    stills: dict[int, tuple[float, bytes]] = field(default_factory=dict)

    def seconds_in_view(self) -> dict[str, float]:
        """Return how long each face was visible, by :func:`.durations_of` the images: {face id: seconds}."""
        until_s = np.concatenate([[0.0], durations_of(np.array(self.times_s)).cumsum()])
        return {
            face_id: float(sum(until_s[last + 1] - until_s[first] for first, last in face.images))
            for face_id, face in self.faces.items()
        }

    def places(self, bin_s: float, wide: int) -> np.ndarray:
        """Return the column index of each image, (N,) int64, for columns of `wide` steps of `bin_s` seconds."""
        return (np.array(self.times_s) / bin_s).astype(np.int64) // wide

    def has_face(self) -> np.ndarray:
        """Return whether each image has a face, (N,) bool."""
        found = np.zeros(len(self.times_s), bool)
        for first, last in (images for face in self.faces.values() for images in face.images):
            found[first : last + 1] = True
        return found

    def keep_still(self, time_s: float, image: np.ndarray) -> None:
        """Store a thumbnail of an image if it is the first of its interval.

        :param time_s: seconds since the recording's first image.
        :param image: (H, W, 3) uint8 BGR.
        """
        place = int(time_s / self.still_s)
        if place in self.stills:
            return
        self.stills[place] = time_s, _jpeg(image, _STILL_PX)
        while len(self.stills) > MAX_STILLS:
            self.still_s *= 2
            self.stills = {place // 2: self.stills[place] for place in sorted(self.stills, reverse=True)}


class Timeline:
    """Collects the report's data, frame by frame.

    bin_s: length of a step in s; end_s: time of the last frame; cameras: {topic: CameraTimeline}; films: {topic: Film}
    of cameras with an annotated video that browsers can play.
    """

    def __init__(self) -> None:
        """Start without frames."""
        self.bin_s, self.end_s = FIRST_BIN_S, 0.0
        self.cameras: dict[str, CameraTimeline] = {}
        self.films: dict[str, Film] = {}
        self._moments: dict[str, list[Moment]] = {WRONG: [], FLIP: [], DISAGREEMENT: []}
        self._last_emotions: dict[tuple[str, str], str] = {}

    def add(
        self,
        camera: str,
        time_s: float,
        image: np.ndarray,
        faces: Sequence[tuple[FaceEstimate, Any]],
        shown: Callable[[], np.ndarray] | None = None,
    ) -> None:
        """Add the estimates of one frame.

        :param camera: image topic.
        :param time_s: seconds since the recording's first image, at least 0.
        :param image: (H, W, 3) uint8 BGR; with blurred faces for anonymized reports.
        :param faces: (FaceEstimate, GroundTruth or None) pairs.
        :param shown: function that returns the image with the estimates drawn; None to show the image itself.
        """
        self._make_room(time_s)
        place = int(time_s / self.bin_s)
        timeline = self.cameras.setdefault(camera, CameraTimeline())
        timeline.times_s.append(time_s)
        timeline.keep_still(time_s, image)
        for estimate, truth in faces:
            face = timeline.faces.get(estimate.face_id)
            if face is None:
                face = timeline.faces[estimate.face_id] = FaceTimeline(estimate.face_id, time_s, time_s)
            face.see(time_s, len(timeline.times_s) - 1)
            face.steps.setdefault(place, Bin()).add(_bin_of(estimate, truth))
            self._keep_portrait(timeline, face, image, estimate)
            self._look_for_moments(camera, time_s, image, estimate, truth, shown)

    def moments(self) -> list[Moment]:
        """List the moments worth reviewing by kind (WRONG, FLIP, DISAGREEMENT), then by time."""
        return [
            each
            for kind in (WRONG, FLIP, DISAGREEMENT)
            for each in sorted(self._moments[kind], key=lambda each: each.time_s)
        ]

    def _make_room(self, time_s):
        """Double the step until the recording fits into MAX_BINS."""
        self.end_s = max(self.end_s, time_s)
        while self.end_s / self.bin_s >= MAX_BINS:
            self.bin_s *= 2
            for face in (face for camera in self.cameras.values() for face in camera.faces.values()):
                face.steps = merge_steps(face.steps, 2)

    def _keep_portrait(self, camera, face, image, estimate):
        x0, y0, x1, y1 = estimate.box
        size = math.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0))
        # A slightly better picture is not worth the encoding.
        merit = (0.25 if estimate.emotion == UNKNOWN else 1.0) * min(size, 200.0) * estimate.box_score
        if merit <= 1.1 * face.portrait_merit:
            return
        if not face.portrait and len(camera.portrayed) >= MAX_PORTRAITS:
            # Replace the portrait of the face with the fewest frames, checked only now and then to save time.
            if face.frames % _PORTRAIT_EVERY:
                return
            least = min(camera.portrayed.values(), key=lambda each: each.frames)
            if least.frames >= face.frames:
                return
            least.portrait, least.portrait_merit = b'', -1.0
            del camera.portrayed[least.face_id]
        camera.portrayed[face.face_id] = face
        face.portrait = self._picture(image, estimate, _PORTRAIT_PX, 0.35)
        face.portrait_merit = merit

    def _look_for_moments(self, camera, time_s, image, estimate, truth, shown):
        known = estimate.emotion != UNKNOWN
        before = self._last_emotions.get((camera, estimate.face_id))
        if known:
            self._last_emotions[camera, estimate.face_id] = estimate.emotion
        label, sure = truth.emotion if truth is not None else '', estimate.confidence
        found = []
        if label and known and label != estimate.emotion:
            found.append((WRONG, sure, f'estimated {estimate.emotion} ({sure:.0%}), truth {label}'))
        if known and before and before != estimate.emotion:
            found.append((FLIP, sure, f'from {before} to {estimate.emotion} ({sure:.0%})'))
        if estimate.agreement < 0.5:
            found.append((DISAGREEMENT, 1.0 - estimate.agreement, f'agreement of only {estimate.agreement:.0%}'))
        for kind, weight, says in found:
            if self._makes_room(kind, weight, camera, time_s, estimate.face_id):
                picture = self._picture(shown() if shown else image, estimate, _MOMENT_PX, 1.6)
                self._moments[kind].append(Moment(kind, weight, time_s, camera, estimate.face_id, says, picture))

    def _makes_room(self, kind, weight, camera, time_s, face_id):
        """Return whether to keep a moment: per kind the MAX_MOMENTS of most weight, one per face within MOMENT_GAP_S.

        Drops the moment that it replaces.
        """
        kept = self._moments[kind]
        near = [
            each
            for each in kept
            if each.camera == camera and each.face_id == face_id and abs(each.time_s - time_s) < MOMENT_GAP_S
        ]
        rivals = near or (kept if len(kept) >= MAX_MOMENTS else [])
        if rivals:
            least = min(rivals, key=lambda each: each.weight)
            if weight <= least.weight + 0.02:
                return False
            kept.remove(least)
        return True

    @staticmethod
    def _picture(image, estimate, side_px, margin):
        """Crop a square around a face, as JPEG."""
        height, width = image.shape[:2]
        x0, y0, x1, y1 = estimate.box
        half = min((0.5 + margin) * max(x1 - x0, y1 - y0, 8.0), 0.5 * max(height, width))
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        left, right = int(max(x - half, 0)), int(min(x + half, width))
        top, bottom = int(max(y - half, 0)), int(min(y + half, height))
        return _jpeg(image[top : max(bottom, top + 1), left : max(right, left + 1)], side_px)


def merge_steps(steps: Mapping[int, Bin], wide: int) -> dict[int, Bin]:
    """Merge each `wide` consecutive steps into one."""
    merged: dict[int, Bin] = {}
    for place, each in steps.items():
        merged.setdefault(place // wide, Bin()).add(each)
    return merged


def _jpeg(image, side_px):
    """Encode an image as JPEG, with at most side_px on its longer side."""
    return cv2.imencode('.jpg', shrink(image, side_px), _JPEG)[1].tobytes()


def _bin_of(estimate, truth):
    """Create the sums of one face in one frame."""
    step = Bin(
        frames=1,
        scores=np.array([estimate.scores[emotion] for emotion in EMOTIONS]),
        affect=np.array([estimate.valence, estimate.arousal, estimate.agreement]),
    )
    step.emotions[WORDS.index(estimate.emotion)] = 1
    if truth is not None and truth.emotion:
        step.truth[EMOTIONS.index(truth.emotion)] = 1
    if truth is not None and truth.valence is not None and truth.arousal is not None:
        step.true_affect, step.true_affect_frames = np.array([truth.valence, truth.arousal]), 1
    return step
