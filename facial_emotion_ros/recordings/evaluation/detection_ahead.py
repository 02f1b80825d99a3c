"""Detect faces some images ahead of their use, as far as it can be foreseen in which images."""

import math
from collections.abc import Callable

import numpy as np

from facial_emotion_ros.perception.face_detector import Faces
from facial_emotion_ros.perception.face_stream import MAX_GAP_S
from facial_emotion_ros.recordings.io.frames import Frame

#: Where no more images than these wait for the finder, it will soon have nothing to do.
_FEW = 2


class DetectionTurns:
    """In which images a FaceFinder will detect: guesses, from the images in which it did."""

    def __init__(self, every_n: int):
        """Begin.

        :param every_n: as the FaceFinder's.
        """
        self._every_n = every_n
        #: Of each camera: number of an image in which the finder detects, and stamp of the last one that was seen here.
        self._turns: dict[str, int] = {}
        self._stamps_ns: dict[str, int] = {}

    def interval(self, frame: Frame) -> int:
        """Give the number of images from one detection to the next.

        :param frame: the camera's next image that could be read.
        """
        stamp_ns = self._stamps_ns.get(frame.camera, frame.stamp_ns)
        self._stamps_ns[frame.camera] = frame.stamp_ns
        step_s = (frame.stamp_ns - stamp_ns) / 1e9
        return min(self._every_n, math.ceil(MAX_GAP_S / step_s)) if step_s > 0 else self._every_n

    def is_due(self, frame: Frame, interval: int) -> bool:
        """Guess whether the finder will detect in an image."""
        return (frame.number - self._turns.setdefault(frame.camera, frame.number)) % interval == 0

    def follow(self, frame: Frame, has_detected: bool) -> None:
        """Note that the finder is done with an image, and whether it detected."""
        if has_detected:
            self._turns[frame.camera] = frame.number


class DetectionAhead:
    """Detects in the images in which a FaceFinder will, in a thread of its own.

    The finder ignores what it did not need, and detects by itself what it misses: a wrong guess costs time, and changes
    no result. It detects out of turn where a face was lost or the scene changed; the guesses then follow it. Where it
    has little else to do, detection is left to it: so both threads are busy, whatever the images hold.
    """

    def __init__(self, detect: Callable[[np.ndarray], Faces], every_n: int, finders: int = 1):
        """Begin.

        :param detect: function of an image.
        :param every_n: as the FaceFinder's.
        :param finders: number of FaceFinders that use what is detected; several would each detect what is left to them.
        """
        self._detect, self._turns, self._finders = detect, DetectionTurns(every_n), finders
        #: Images that were given out, and those that the finder is done with.
        self._given = self._done = 0

    def __call__(self, frame: Frame) -> Faces | None:
        """Detect the faces of an image, where that is due; None elsewhere.

        :param frame: the camera's next image that could be read.
        """
        is_left = self._given - self._done <= _FEW and self._finders == 1
        self._given += 1
        is_due = self._turns.is_due(frame, self._turns.interval(frame))
        if is_left or not is_due:
            return None
        assert frame.image is not None
        return self._detect(frame.image)

    def follow(self, frame: Frame, has_detected: bool) -> None:
        """Note that the finder is done with an image, and whether it detected: called by another thread."""
        self._done += 1
        self._turns.follow(frame, has_detected)
