"""Frames to play as a camera: the embedded sample, a folder of pictures, a video file, a webcam. Nothing of ROS."""
import os
from abc import ABC, abstractmethod
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage, BadParameter
from facial_emotion_ros.picture_kinds import PICTURE_SUFFIXES
from facial_emotion_ros.pictures import BACKGROUND, fit, list_pictures, read_picture, shrink
from facial_emotion_ros.plain_text import printable
from facial_emotion_ros.sample_film import LENGTH_S, SampleFilm

#: What source.kind may say.
KINDS = ('sample', 'images', 'video', 'camera')

#: Frames per second of drawn media: what two cores answer one by one with three faces in view.
DRAWN_RATE_HZ = 10.0

#: Assumed for a file that does not say its rate, or says a senseless one.
VIDEO_RATE_HZ = 25.0

#: Empty time between two pictures: longer than the tracker remembers a face, so that no id passes from one to the next.
PAUSE_S = 1.2


class Frame(NamedTuple):
    """One frame: image (H, W, 3) uint8 BGR; name of the picture that it shows, '' where it is no particular one."""

    image: np.ndarray
    name: str = ''


class Medium(ABC):
    """
    A sequence of frames.

    title: what plays, in words; rate_hz: frames per second at which it is to be played; skipped: (name, reason) of
    every input that had to be left out.
    """

    title = ''
    rate_hz = DRAWN_RATE_HZ

    def __init__(self):
        """Start with nothing skipped."""
        self.skipped: List[Tuple[str, str]] = []

    @abstractmethod
    def read(self) -> Optional[Frame]:
        """
        Take the next frame.

        :returns: the frame, or None at the end.
        :raises BadImage: the medium broke off.
        """

    @abstractmethod
    def rewind(self):
        """Start again from the first frame."""

    def close(self):  # noqa: B027, most media hold nothing open
        """Release what was opened."""


class Sample(Medium):
    """The embedded film, see :mod:`facial_emotion_ros.sample_film`."""

    title = 'the embedded sample (three public-domain portraits)'

    def __init__(self, rate_hz: float = 0.0, width: int = 640, height: int = 480, folder: str = ''):
        """
        Load the portraits.

        :param rate_hz: frames per second; 0 takes DRAWN_RATE_HZ.
        :param width: of the frames in px.
        :param height: of the frames in px.
        :param folder: of the portraits; '' takes the embedded ones.
        """
        super().__init__()
        self.rate_hz = rate_hz or DRAWN_RATE_HZ
        self._film = SampleFilm(width, height, folder)
        self._count = 0

    def read(self) -> Optional[Frame]:
        """Draw the next frame."""
        if self._count / self.rate_hz >= LENGTH_S:
            return None
        self._count += 1
        return Frame(self._film.frame((self._count - 1) / self.rate_hz))

    def rewind(self):
        """Start again from the first frame."""
        self._count = 0


class Pictures(Medium):
    """Every picture of a folder in the order of its name, each still for a while, then a short empty pause."""

    def __init__(self, folder: str, rate_hz: float = 0.0, seconds_each: float = 2.0, width: int = 640,
                 height: int = 480):
        """
        Read the names, and every picture once, so that a damaged one is known before the first is shown.

        :param folder: the pictures' folder; its subfolders are not looked at.
        :param rate_hz: frames per second; 0 takes DRAWN_RATE_HZ.
        :param seconds_each: how long each is shown.
        :param width: of the frames in px; every picture is fitted into them, its shape kept.
        :param height: of the frames in px.
        :raises BadParameter: there is no such folder.
        :raises BadImage: the folder has no readable picture.
        """
        super().__init__()
        self.rate_hz = rate_hz or DRAWN_RATE_HZ
        self._size = (width, height)
        if not os.path.isdir(folder):
            raise BadParameter('expected a folder of pictures, got %r, which is %s; give the path of a folder that '
                               'exists' % (folder, 'a file' if os.path.exists(folder) else 'not there'))
        names, left_out = list_pictures(folder)
        self.skipped = [(printable(name), reason) for name, reason in left_out]
        self._paths: List[str] = []
        for name in names:
            try:
                read_picture(os.path.join(folder, name))
            except BadImage as error:
                self.skipped.append((printable(name), str(error)))
            else:
                self._paths.append(os.path.join(folder, name))
        if not self._paths:
            reasons = '; '.join('%s: %s' % pair for pair in self.skipped[:3]) or 'no file there has such a name'
            raise BadImage('expected readable pictures (%s) in %r, got none (%s); put some there or give another folder'
                           % (' '.join(PICTURE_SUFFIXES), folder, reasons))
        self.title = '%d picture%s from %s' % (len(self._paths), 's' if len(self._paths) > 1 else '', printable(folder))
        self._shown_frames = max(int(round(seconds_each * self.rate_hz)), 1)
        self._pause_frames = int(np.ceil(PAUSE_S * self.rate_hz))
        self._empty = Frame(np.full((height, width, 3), BACKGROUND, np.uint8))
        self.rewind()

    def read(self) -> Optional[Frame]:
        """Give the picture that is on, or the pause after it."""
        index, position = divmod(self._count, self._shown_frames + self._pause_frames)
        if index >= len(self._paths):
            return None
        self._count += 1
        if position >= self._shown_frames:
            return self._empty
        if position == 0:
            picture = read_picture(self._paths[index])
            self._shown = Frame(fit(picture, *self._size), printable(os.path.basename(self._paths[index])))
        return self._shown

    def rewind(self):
        """Start again from the first picture."""
        self._count = 0
        self._shown = self._empty


class Video(Medium):
    """A video file, played at its own speed whatever the rate: frames are left out or shown twice."""

    def __init__(self, path: str, rate_hz: float = 0.0, max_side_px: int = 0):
        """
        Open the file and decode its first frame.

        :param path: of the file.
        :param rate_hz: frames per second that are wanted; 0 takes the file's own.
        :param max_side_px: larger frames are scaled down to this; 0 leaves them.
        :raises BadParameter: there is no such file.
        :raises BadImage: it cannot be decoded.
        """
        super().__init__()
        if not os.path.isfile(path):
            raise BadParameter('expected a video file, got %r, which is %s; give the path of a file that exists'
                               % (path, 'a folder' if os.path.isdir(path) else 'not there'))
        self._path, self._max_side_px = path, max_side_px
        self._capture = None
        self.rewind()
        own_rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self._own_rate_hz = own_rate_hz if 1.0 <= own_rate_hz <= 240.0 else VIDEO_RATE_HZ
        self.rate_hz = rate_hz or self._own_rate_hz
        self.title = 'the video %s (%.4g frames per second)' % (path, self._own_rate_hz)

    def read(self) -> Optional[Frame]:
        """Decode up to the frame whose time has come."""
        wanted = int(self._count * self._own_rate_hz / self.rate_hz + 1e-6)
        while self._decoded < wanted:
            # Every frame on the way has to be decoded; only the conversion of those that are left out is saved.
            if not self._capture.grab():
                return None
            self._decoded += 1
            if self._decoded == wanted:
                good, image = self._capture.retrieve()
                if not good:
                    return None
                self._image = image
        self._count += 1
        return Frame(shrink(self._image, self._max_side_px))

    def rewind(self):
        """Start again from the first frame."""
        self.close()
        self._capture = cv2.VideoCapture(self._path)
        good, self._image = self._capture.read()
        if not good:
            raise BadImage('expected a video that OpenCV can decode, but %r gave no frame; convert it, for example: '
                           'ffmpeg -i %s -c:v libx264 converted.mp4' % (self._path, self._path))
        self._count, self._decoded = 0, 0

    def close(self):
        """Close the file."""
        if self._capture is not None:
            self._capture.release()


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
        self.title = 'camera %s' % (path or number)
        self._capture = cv2.VideoCapture(path or number)
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if rate_hz:
            self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest of four
        if self._take() is None:
            raise BadImage('expected a picture from %s, got none; see which cameras exist (ls /dev/video*), whether '
                           'this user may open them (group video) and whether another program holds it' % self.title)
        own_rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz or (own_rate_hz if 1.0 <= own_rate_hz <= 240.0 else VIDEO_RATE_HZ)

    def read(self) -> Optional[Frame]:
        """Wait for the next picture."""
        image = self._take()
        if image is None:
            raise BadImage('expected one more picture from %s, but it gives none any more; see whether it was unplugged'
                           % self.title)
        return Frame(image)

    def rewind(self):
        """Do nothing: a camera has no beginning."""

    def close(self):
        """Give the camera back."""
        self._capture.release()

    def _take(self) -> Optional[np.ndarray]:
        for _ in range(self.MAX_MISSED):
            good, image = self._capture.read()
            if good:
                return image
            if not self._capture.isOpened():
                break
        return None


def open_medium(kind: str, path: str = '', camera: int = 0, rate_hz: float = 0.0, seconds_each: float = 2.0,
                width: int = 640, height: int = 480, max_side_px: int = 0) -> Medium:
    """
    Open what is to be played.

    :param kind: one of KINDS.
    :param path: folder of 'images', file of 'video'; device or address of 'camera' in place of its number; for 'sample'
        another folder with the same portraits.
    :param camera: number of 'camera'.
    :param rate_hz: frames per second; 0 takes the medium's own.
    :param seconds_each: how long each picture of 'images' is shown.
    :param width: of the frames in px (a video keeps its own).
    :param height: of the frames in px.
    :param max_side_px: larger frames of a video are scaled down to this; 0 leaves them.
    :raises BadParameter: an unknown kind, or no such folder or file.
    :raises BadImage: nothing in it can be decoded.
    """
    if kind not in KINDS:
        raise BadParameter('expected source.kind to be one of %s, got %r' % (', '.join(KINDS), kind))
    if kind in ('images', 'video') and not path:
        raise BadParameter("expected source.path to name a %s for source.kind '%s', got nothing"
                           % ('folder' if kind == 'images' else 'file', kind))
    if kind == 'sample':
        return Sample(rate_hz, width, height, path)
    if kind == 'images':
        return Pictures(path, rate_hz, seconds_each, width, height)
    if kind == 'video':
        return Video(path, rate_hz, max_side_px)
    return Camera(camera, path, rate_hz, width, height)
