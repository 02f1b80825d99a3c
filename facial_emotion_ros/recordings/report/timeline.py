"""Per-face timelines and frames worth reviewing of a recording: some kB a face, and 8 bytes an image."""

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

#: A timeline has at most so many steps; when it outgrows them, they become twice as long.
MAX_BINS = 1200

#: Seconds that a step has at first; it doubles while a recording outgrows MAX_BINS of them.
FIRST_BIN_S = 0.25

#: Of so many faces of a camera a picture is kept; of others, who were seen for less long, none.
MAX_PORTRAITS = 60

#: Moments that are kept of each kind, and seconds between two of them.
MAX_MOMENTS, MOMENT_GAP_S = 8, 2.0

#: A strip of a camera's images has at most so many; when it outgrows them, every other one goes.
MAX_STILLS = 16

_PORTRAIT_PX, _MOMENT_PX, _STILL_PX = 96, 360, 120

#: Where all portraits are taken, a face is weighed against the others once in so many frames.
_PORTRAIT_EVERY = 30

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]

#: Kinds of moments.
WRONG, FLIP, DISAGREEMENT = 'wrong', 'flip', 'disagreement'


@dataclass
class Bin:
    """One face in one step of time: sums over its frames, from which :meth:`mean` takes means."""

    frames: int = 0
    scores: np.ndarray = field(default_factory=lambda: np.zeros(len(EMOTIONS)))
    #: valence, arousal, agreement
    affect: np.ndarray = field(default_factory=lambda: np.zeros(3))
    #: Frames with each of WORDS.
    emotions: np.ndarray = field(default_factory=lambda: np.zeros(len(WORDS), np.int64))
    #: Frames with each emotion as truth; all 0 where nothing is known of it.
    truth: np.ndarray = field(default_factory=lambda: np.zeros(len(EMOTIONS), np.int64))
    #: Sums of true valence and arousal, and their frames.
    true_affect: np.ndarray = field(default_factory=lambda: np.zeros(2))
    true_affect_frames: int = 0

    def add(self, other: 'Bin') -> None:
        """Take another step's sums into this one's."""
        self.frames += other.frames
        self.true_affect_frames += other.true_affect_frames
        for name in ('scores', 'affect', 'emotions', 'truth', 'true_affect'):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def emotion(self) -> str:
        """The word that most frames of this step were given, one of WORDS."""
        return WORDS[int(self.emotions.argmax())]

    @property
    def true_emotion(self) -> str:
        """The truth of most of its frames, one of EMOTIONS; '' where none is known."""
        return EMOTIONS[int(self.truth.argmax())] if self.truth.any() else ''

    def mean(self, name: str) -> np.ndarray:
        """Give the mean of 'scores' (8,) or 'affect' (3,: valence, arousal, agreement) over the step's frames."""
        return getattr(self, name) / max(self.frames, 1)

    def mean_true_affect(self) -> np.ndarray | None:
        """Give true valence and arousal (2,), or None where they are not known."""
        return self.true_affect / self.true_affect_frames if self.true_affect_frames else None


@dataclass
class FaceTimeline:
    """One face: when it was there, and what was read of it.

    first_s, last_s: seconds since the recording's first image; frames: with it; steps: {place in time: Bin}, the place
    counted in the timeline's bin_s; portrait: JPEG file of its largest clear view, b'' where none was kept; images:
    [first, last] numbers of the camera's images that follow each other with it.
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
        """Note that the camera's image of this number, and time in seconds, has the face."""
        self.frames, self.last_s = self.frames + 1, max(self.last_s, time_s)
        if self.images and self.images[-1][1] == image - 1:
            self.images[-1][1] = image
        else:
            self.images.append([image, image])


@dataclass
class Moment:
    """A moment worth reviewing: when, which face, what about it in a sentence, and its picture (JPEG)."""

    kind: str
    weight: float
    time_s: float
    camera: str
    face_id: str
    says: str
    picture: bytes


class Film(NamedTuple):
    """The annotated video of a camera: name of its file beside the page; width and height in px; pieces: (time of the
    recording, time of the film), both in s, from each of which on both pass alike.
    """

    name: str
    size: tuple[int, int]
    pieces: list[tuple[float, float]]


@dataclass
class CameraTimeline:
    """One camera.

    times_s: of its images, 8 bytes each; faces: {id: FaceTimeline} in the order of their coming; portrayed: those of
    them that have a portrait; stills: {place: (time in s, JPEG file)} of the first image in each still_s seconds.
    """

    times_s: array = field(default_factory=lambda: array('d'))
    faces: dict[str, FaceTimeline] = field(default_factory=dict)
    portrayed: dict[str, FaceTimeline] = field(default_factory=dict)
    still_s: float = FIRST_BIN_S
    stills: dict[int, tuple[float, bytes]] = field(default_factory=dict)

    def seconds_in_view(self) -> dict[str, float]:
        """Give the time for which each face was in view, by :func:`.durations_of` the images: {face id: seconds}."""
        until_s = np.concatenate([[0.0], durations_of(np.array(self.times_s)).cumsum()])
        return {
            face_id: float(sum(until_s[last + 1] - until_s[first] for first, last in face.images))
            for face_id, face in self.faces.items()
        }

    def places(self, bin_s: float, wide: int) -> np.ndarray:
        """Give the place in time of each image, (N,) int64, where `wide` steps of `bin_s` seconds are one."""
        return (np.array(self.times_s) / bin_s).astype(np.int64) // wide

    def has_face(self) -> np.ndarray:
        """Return whether each image has a face, (N,) bool."""
        found = np.zeros(len(self.times_s), bool)
        for first, last in (images for face in self.faces.values() for images in face.images):
            found[first : last + 1] = True
        return found

    def keep_still(self, time_s: float, image: np.ndarray) -> None:
        """Keep an image where it is the first of its stretch of time, small.

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
    """Collects what the report shows, frame by frame.

    bin_s: seconds of one step; end_s: time of the last frame; cameras: {topic: CameraTimeline}; films: {topic: Film} of
    cameras with an annotated video that browsers play; `moments()` lists those worth reviewing.
    """

    def __init__(self) -> None:
        """Begin without frames."""
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

        :param camera: topic of its camera.
        :param time_s: seconds since the recording's first image, not below 0.
        :param image: (H, W, 3) uint8 BGR, as its pictures may be shown: with blurred faces where that is wished.
        :param faces: list of (FaceEstimate, GroundTruth or None).
        :param shown: the image with the estimates drawn, made by calling it; None shows the image itself.
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
        """List the moments, the gravest kind first, within a kind in the order of time."""
        return [
            each
            for kind in (WRONG, FLIP, DISAGREEMENT)
            for each in sorted(self._moments[kind], key=lambda each: each.time_s)
        ]

    def _make_room(self, time_s):
        """Double the steps' length until the recording fits into as many as may be."""
        self.end_s = max(self.end_s, time_s)
        while self.end_s / self.bin_s >= MAX_BINS:
            self.bin_s *= 2
            for face in (face for camera in self.cameras.values() for face in camera.faces.values()):
                face.steps = merge_steps(face.steps, 2)

    def _keep_portrait(self, camera, face, image, estimate):
        x0, y0, x1, y1 = estimate.box
        size = math.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0))
        # A picture that is a little larger is not worth the encoding.
        merit = (0.25 if estimate.emotion == UNKNOWN else 1.0) * min(size, 200.0) * estimate.box_score
        if merit <= 1.1 * face.portrait_merit:
            return
        if not face.portrait and len(camera.portrayed) >= MAX_PORTRAITS:
            # Whoever was there for less long gives way, once this one has stayed: so long that it is seldom looked for.
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
            found.append((WRONG, sure, f'read as {estimate.emotion} ({sure:.0%}), truth is {label}'))
        if known and before and before != estimate.emotion:
            found.append((FLIP, sure, f'from {before} to {estimate.emotion} ({sure:.0%})'))
        if estimate.agreement < 0.5:
            found.append(
                (DISAGREEMENT, 1.0 - estimate.agreement, f'the branches agree by {estimate.agreement:.0%} only')
            )
        for kind, weight, says in found:
            if self._makes_room(kind, weight, camera, time_s, estimate.face_id):
                picture = self._picture(shown() if shown else image, estimate, _MOMENT_PX, 1.6)
                self._moments[kind].append(Moment(kind, weight, time_s, camera, estimate.face_id, says, picture))

    def _makes_room(self, kind, weight, camera, time_s, face_id):
        """Tell whether a moment is among the gravest of its kind, one of its face in a few seconds; drop the least."""
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
        """Cut a square around a face out of an image, as a JPEG file."""
        height, width = image.shape[:2]
        x0, y0, x1, y1 = estimate.box
        half = min((0.5 + margin) * max(x1 - x0, y1 - y0, 8.0), 0.5 * max(height, width))
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        left, right = int(max(x - half, 0)), int(min(x + half, width))
        top, bottom = int(max(y - half, 0)), int(min(y + half, height))
        return _jpeg(image[top : max(bottom, top + 1), left : max(right, left + 1)], side_px)


def merge_steps(steps: Mapping[int, Bin], wide: int) -> dict[int, Bin]:
    """Add up steps by place in time, so many places in one."""
    merged: dict[int, Bin] = {}
    for place, each in steps.items():
        merged.setdefault(place // wide, Bin()).add(each)
    return merged


def _jpeg(image, side_px):
    """Encode an image, made smaller where its longer side has more px."""
    return cv2.imencode('.jpg', shrink(image, side_px), _JPEG)[1].tobytes()


def _bin_of(estimate, truth):
    """Make the sums of one face in one frame."""
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
