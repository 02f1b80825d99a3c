"""Videos and cameras that OpenCV opens: frames by their own timestamps, streams with a limit of time."""
import os
import re
import time
from typing import Optional

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage, BadParameter
from facial_emotion_ros.medium import Frame, Medium
from facial_emotion_ros.pictures import shrink
from facial_emotion_ros.plain_text import printable

#: Assumed for a file that does not say its rate, or says a senseless one.
VIDEO_RATE_HZ = 25.0

#: How long a stream may be silent, while it is opened and later.
STREAM_TIMEOUT_S = 10.0

#: A frame is due so much of a frame's time early: containers round their timestamps to milliseconds.
_EARLY = 0.25


class OpenCvPath:
    """A path as OpenCV can take it: of names that are not UTF-8 its Python interface makes a crash."""

    def __init__(self, path: str):
        """
        Open what has such a name; /proc then has another name for it.

        :param path: of a file or folder that exists.
        """
        self._descriptor = None
        self.name = path
        try:
            path.encode('utf-8')
        except UnicodeEncodeError:
            self._descriptor = os.open(path, os.O_RDONLY)
            self.name = '/proc/%d/fd/%d' % (os.getpid(), self._descriptor)  # other programs may be given it

    def close(self):
        """Close what was opened."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Video(Medium):
    """
    A video file, played at its own speed whatever the rate: frames are left out or shown twice.

    Each frame is due at its own timestamp, so that phones' films and screen recordings of varying rate keep their time.
    """

    def __init__(self, path: str, rate_hz: float = 0.0, max_side_px: int = 0):
        """
        Open the file and decode its first frame.

        :param path: of the file.
        :param rate_hz: frames per second that are wanted; 0 takes the file's own (the mean where it varies).
        :param max_side_px: larger frames are scaled down to this; 0 leaves them.
        :raises BadParameter: there is no such file.
        :raises BadImage: it cannot be decoded.
        """
        super().__init__()
        if not os.path.isfile(path):
            raise BadParameter('expected a video file, got %r, which is %s; give the path of a file that exists'
                               % (path, 'a folder' if os.path.isdir(path) else 'not there'))
        self._path, self._max_side_px = path, max_side_px
        self._capture = self._file = None
        self.rewind()
        self.rate_hz = rate_hz or self._own_rate_hz
        self.title = 'the video %s (%.4g frames per second)' % (printable(path), self._own_rate_hz)

    def read(self) -> Optional[Frame]:
        """Decode up to the frame whose time has come."""
        now_s = self._count / self.rate_hz + _EARLY / self._own_rate_hz
        while self._next_s is not None and self._next_s <= now_s:
            good, image = self._capture.retrieve()
            if not good:
                return None
            self._image, self._shown_s = image, self._next_s
            self._look_ahead()
        if self._next_s is None and now_s >= self._shown_s + 1.0 / self._own_rate_hz:
            return None
        self._count += 1
        return Frame(shrink(self._image, self._max_side_px))

    def rewind(self):
        """Start again from the first frame."""
        self.close()
        self._file = OpenCvPath(self._path)
        self._capture = cv2.VideoCapture(self._file.name)
        good, self._image = self._capture.read()
        if not good:
            raise BadImage('expected a video that OpenCV can decode, but %r gave no frame; convert it, for example: '
                           'ffmpeg -i %s -c:v libx264 converted.mp4' % (self._path, self._path))
        self._own_rate_hz = _sensible(self._capture.get(cv2.CAP_PROP_FPS))
        self._first_s = self._position_s()
        self._count, self._shown_s, self._next_s = 0, 0.0, 0.0
        self._look_ahead()

    def close(self):
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._file.close()

    def _look_ahead(self):
        """Decode one more frame, to know when it is due; None at the end."""
        if not self._capture.grab():
            self._next_s = None
            return
        stamp_s = self._position_s() - self._first_s
        # What knows no timestamps says 0, or what it said before.
        self._next_s = stamp_s if stamp_s > self._shown_s else self._shown_s + 1.0 / self._own_rate_hz

    def _position_s(self):
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3


class Camera(Medium):
    """A webcam, or a stream that OpenCV opens by its address; it sets the pace itself."""

    #: A camera may drop a frame; this many in a row mean that it is gone.
    MAX_MISSED = 10

    def __init__(self, number: int = 0, path: str = '', rate_hz: float = 0.0, width: int = 640, height: int = 480):
        """
        Open the device and take a first picture.

        :param number: the camera's number as OpenCV counts.
        :param path: a device or a stream address instead of the number.
        :param rate_hz: frames per second asked of the camera; 0 leaves its own.
        :param width: asked of the camera; it may give another.
        :param height: asked of the camera.
        :raises BadImage: there is no such camera, or it gives no picture.
        """
        super().__init__()
        self._is_stream = '://' in path
        # Without user and password, which logs are no place for.
        self.title = 'camera %s' % (printable(re.sub('//[^/]*@', '//', path)) or number)
        self._file = OpenCvPath(path) if path and os.path.exists(path) else None
        self._capture = _open_stream(path) if self._is_stream else cv2.VideoCapture(
            self._file.name if self._file else path or number)
        if not self._is_stream:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            if rate_hz:
                self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest of four
        if self._take() is None:
            self.close()
            raise BadImage('expected a picture from %s, got none%s' % (self.title, (
                ' in %g s; see whether its server runs and answers, and whether address, user and password are right '
                '(try the address in ffplay or VLC)' % STREAM_TIMEOUT_S if self._is_stream else
                '; see which cameras exist (ls /dev/video*), whether this user may open them (group video) and whether '
                'another program holds it')))
        self.rate_hz = rate_hz or _sensible(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> Optional[Frame]:
        """Wait for the next picture."""
        image = self._take()
        if image is None:
            raise BadImage('expected one more picture from %s, but it gives none any more; see whether %s' % (
                self.title, 'its server still runs and can be reached' if self._is_stream else 'it was unplugged'))
        return Frame(image)

    def rewind(self):
        """Do nothing: a camera has no beginning."""

    def close(self):
        """Give the camera back."""
        self._capture.release()
        if self._file is not None:
            self._file.close()

    def _take(self) -> Optional[np.ndarray]:
        end_s = time.monotonic() + STREAM_TIMEOUT_S
        for _ in range(self.MAX_MISSED):
            good, image = self._capture.read()
            if good:
                return image
            if not self._capture.isOpened() or time.monotonic() > end_s:
                break
        return None


def _open_stream(address):
    """Open a stream, with a limit of time where this OpenCV can have one: silent servers would take half a minute."""
    limits = [getattr(cv2, name, None) for name in ('CAP_PROP_OPEN_TIMEOUT_MSEC', 'CAP_PROP_READ_TIMEOUT_MSEC')]
    if None in limits or cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
        return cv2.VideoCapture(address)
    milliseconds = int(STREAM_TIMEOUT_S * 1e3)
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [limits[0], milliseconds, limits[1], milliseconds])


def _sensible(rate_hz):
    return rate_hz if 1.0 <= rate_hz <= 240.0 else VIDEO_RATE_HZ
