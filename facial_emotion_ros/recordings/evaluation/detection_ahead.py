"""Detect faces some images ahead of their use, in a thread of its own."""

import math
from collections.abc import Callable

import numpy as np

from facial_emotion_ros.perception.face_detector import Faces
from facial_emotion_ros.perception.face_stream import MAX_GAP_S
from facial_emotion_ros.recordings.io.frames import Frame


class DetectionAhead:
    """Detects in the images in which a FaceFinder will, as far as that can be foreseen.

    The finder ignores what it did not need, and detects by itself what it misses: a wrong guess costs time, and changes
    no result. It detects out of turn where a face was lost or the scene changed; the guesses then follow it.
    """

    def __init__(self, detect: Callable[[np.ndarray], Faces], every_n: int):
        """Begin.

        :param detect: function of an image.
        :param every_n: as the FaceFinder's.
        """
        self._detect, self._every_n = detect, every_n
        #: Of each camera: number of an image in which the finder detects, and stamp of the last one that was seen here.
        self._turns: dict[str, int] = {}
        self._stamps_ns: dict[str, int] = {}

    def __call__(self, frame: Frame) -> Faces | None:
        """Detect the faces of an image, where that is due; None elsewhere.

        :param frame: the camera's next image that could be read.
        """
        stamp_ns = self._stamps_ns.get(frame.camera, frame.stamp_ns)
        self._stamps_ns[frame.camera] = frame.stamp_ns
        step_s = (frame.stamp_ns - stamp_ns) / 1e9
        images = min(self._every_n, math.ceil(MAX_GAP_S / step_s)) if step_s > 0 else self._every_n
        if (frame.number - self._turns.setdefault(frame.camera, frame.number)) % images:
            return None
        assert frame.image is not None
        return self._detect(frame.image)

    def follow(self, frame: Frame) -> None:
        """Note that the finder has detected in an image: called by another thread."""
        self._turns[frame.camera] = frame.number
