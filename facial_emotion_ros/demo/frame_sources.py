"""Sources of frames to play as a camera: embedded sample, folder of pictures, video file, webcam or stream. No ROS."""

import functools
import os
import time
from abc import ABC, abstractmethod
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage, BadParameter
from facial_emotion_ros.core.text import printable, public_address
from facial_emotion_ros.demo.sample_video import LENGTH_S, SampleVideo
from facial_emotion_ros.perception.decoder_warnings import DamageLog, capture
from facial_emotion_ros.perception.image_files import BACKGROUND, fit, list_pictures, read_picture, shrink
from facial_emotion_ros.perception.image_formats import PICTURE_SUFFIXES
from facial_emotion_ros.system.long_calls import long_call

#: Values of source.kind.
KINDS = ('sample', 'images', 'video', 'camera')

#: Default rate of sample and pictures: two cores process it with three faces in view.
DRAWN_RATE_HZ = 10.0

#: Pause between two pictures: longer than tracker.max_age_s, so that no face continues another one's track.
PAUSE_S = 1.2

#: Rate of a video whose own is missing or implausible.
VIDEO_RATE_HZ = 25.0

#: Timeout for opening a stream and for its next frame.
STREAM_TIMEOUT_S = 10.0

#: Tolerance, as a share of a frame's duration, by which it is due early: containers round timestamps to milliseconds.
_EARLY = 0.25


class Frame(NamedTuple):
    """An image (H, W, 3) uint8 BGR, and the file name of the picture in it; '' for none in particular."""

    image: np.ndarray
    name: str = ''


class FrameSource(ABC):
    """A sequence of frames.

    title: for the log; rate_hz: at which to play the frames; skipped: (name, reason) of every unreadable input;
    damaged: (name, decoder's warning) of every picture that is shown although it may be damaged.
    """

    title = ''
    rate_hz = DRAWN_RATE_HZ

    def __init__(self) -> None:
        """Start with nothing skipped."""
        self.skipped: List[Tuple[str, str]] = []
        self.damaged: List[Tuple[str, str]] = []

    @abstractmethod
    def read(self) -> Optional[Frame]:
        """Return the next frame, or None at the end.

        :raises BadImage: if the source fails.
        """

    def rewind(self) -> None:  # noqa: B027, a camera has no first frame
        """Restart from the first frame, if there is one."""

    def close(self) -> None:  # noqa: B027, most sources have nothing open
        """Release files and devices."""


class Sample(FrameSource):
    """The embedded sample video, see :mod:`facial_emotion_ros.demo.sample_video`."""

    title = 'the embedded sample (three public-domain portraits)'

    def __init__(self, rate_hz: float = 0.0, width: int = 640, height: int = 480, folder: str = ''):
        """Load the portraits.

        :param rate_hz: frames per second; 0 for DRAWN_RATE_HZ.
        :param width: of the frames in px.
        :param height: of the frames in px.
        :param folder: of the portraits; '' for the embedded ones.
        """
        super().__init__()
        self.rate_hz = rate_hz or DRAWN_RATE_HZ
        self._video = SampleVideo(width, height, folder)
        self._count = 0

    def read(self) -> Optional[Frame]:
        """Draw the next frame."""
        if self._count / self.rate_hz >= LENGTH_S:
            return None
        self._count += 1
        return Frame(self._video.frame((self._count - 1) / self.rate_hz))

    def rewind(self) -> None:
        """Restart from the first frame."""
        self._count = 0


class Pictures(FrameSource):
    """The pictures of a folder in the order of their names, each shown for a while and followed by a blank pause."""

    def __init__(
        self, folder: str, rate_hz: float = 0.0, seconds_each: float = 2.0, width: int = 640, height: int = 480
    ):
        """List the files, and read every picture once, to report damaged ones before the first is shown.

        :param folder: of the pictures, without its subfolders; or one picture file.
        :param rate_hz: frames per second; 0 for DRAWN_RATE_HZ.
        :param seconds_each: how long each is shown.
        :param width: of the frames in px; pictures are fitted into them and keep their aspect ratio.
        :param height: of the frames in px.
        :raises BadParameter: if there is no such folder or file.
        :raises BadImage: if the folder has no readable picture.
        """
        super().__init__()
        self.rate_hz = rate_hz or DRAWN_RATE_HZ
        self._size = (width, height)
        if not os.path.isdir(folder) and not os.path.isfile(folder):
            raise BadParameter(
                'expected a picture file or a folder of them, got %r, which does not exist; correct the path'
                % public_address(folder)
            )
        paths, left_out = list_pictures(folder)
        self.skipped = [(printable(name), reason) for name, reason in left_out]
        self._paths: List[str] = []
        for path in paths:
            name = printable(os.path.basename(path))
            try:
                read_picture(path, functools.partial(self._note_damage, name))
            except BadImage as error:
                self.skipped.append((name, str(error)))
            else:
                self._paths.append(path)
        if not self._paths:
            reasons = '; '.join('%s: %s' % pair for pair in self.skipped[:3]) or 'no file has such a suffix'
            raise BadImage(
                'expected readable pictures (%s) in %r, got none (%s); add some, or choose another folder'
                % (' '.join(PICTURE_SUFFIXES), folder, reasons)
            )
        self.title = '%d picture%s from %s' % (len(self._paths), 's' if len(self._paths) > 1 else '', printable(folder))
        self._shown_frames = max(int(round(seconds_each * self.rate_hz)), 1)
        self._pause_frames = int(np.ceil(PAUSE_S * self.rate_hz))
        self._empty = Frame(np.full((height, width, 3), BACKGROUND, np.uint8))
        self.rewind()

    def read(self) -> Optional[Frame]:
        """Return the current picture, or the blank frame after it."""
        index, position = divmod(self._count, self._shown_frames + self._pause_frames)
        if index >= len(self._paths):
            return None
        self._count += 1
        if position >= self._shown_frames:
            return self._empty
        if position == 0:
            picture = read_picture(self._paths[index], on_damage=lambda _damage: None)  # reported already
            self._shown = Frame(fit(picture, *self._size), printable(os.path.basename(self._paths[index])))
        return self._shown

    def rewind(self) -> None:
        """Restart from the first picture."""
        self._count = 0
        self._shown = self._empty

    def _note_damage(self, name, damage):
        self.damaged.append((name, damage))


class OpenCvPath:
    """A path for OpenCV, whose Python interface crashes on names that are not UTF-8: these get a name in /proc."""

    def __init__(self, path: str):
        """Open the path if its name is not UTF-8.

        :param path: of an existing file or folder.
        """
        self._descriptor: Optional[int] = None
        self.name = path
        try:
            path.encode('utf-8')
        except UnicodeEncodeError:
            self._descriptor = os.open(path, os.O_RDONLY)
            self.name = '/proc/%d/fd/%d' % (os.getpid(), self._descriptor)  # valid for other programs, too

    def close(self) -> None:
        """Close the path."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Video(FrameSource):
    """A video file, played at its own speed at any rate: frames are skipped or repeated.

    Each frame is due at its own timestamp, so that videos with variable rate (phones, screen recordings) keep time.
    """

    def __init__(self, path: str, rate_hz: float = 0.0, max_side_px: int = 0):
        """Open the file and decode its first frame.

        :param path: of the file.
        :param rate_hz: frames per second to deliver; 0 for the file's own (the mean of a variable rate).
        :param max_side_px: larger frames are downscaled to this; 0 keeps their size.
        :raises BadParameter: if there is no such file.
        :raises BadImage: if it cannot be decoded.
        """
        super().__init__()
        if not os.path.isfile(path):
            raise BadParameter(
                'expected a video file, got %r, which %s; correct the path'
                % (public_address(path), 'is a folder' if os.path.isdir(path) else 'does not exist')
            )
        self._path, self._max_side_px = path, max_side_px
        self._capture: Any = None
        self._own_rate_hz = VIDEO_RATE_HZ
        self._count = 0
        self._damage = DamageLog()
        self.rewind()
        self.rate_hz = rate_hz or self._own_rate_hz
        self.title = 'the video %s (%.4g frames per second)' % (printable(path), self._own_rate_hz)

    def read(self) -> Optional[Frame]:
        """Decode up to the frame that is due."""
        now_s = self._count / self.rate_hz + _EARLY / self._own_rate_hz
        while self._next_s is not None and self._next_s <= now_s:
            good, image = self._decode(self._capture.retrieve)
            if not good:
                return None
            self._image, self._shown_s = image, self._next_s
            self._look_ahead()
        if self._next_s is None and now_s >= self._shown_s + 1.0 / self._own_rate_hz:
            return None
        self._count += 1
        return Frame(shrink(self._image, self._max_side_px))

    def rewind(self) -> None:
        """Restart from the first frame."""
        self.close()
        self._file = OpenCvPath(self._path)
        self._capture = self._decode(cv2.VideoCapture, self._file.name)
        good, self._image = self._decode(self._capture.read)
        if not good:
            raise BadImage(
                'expected a video that OpenCV can decode, but %r gave no frame; convert it, for example: '
                'ffmpeg -i %s -c:v libx264 converted.mp4' % (self._path, self._path)
            )
        self._own_rate_hz = _plausible(self._capture.get(cv2.CAP_PROP_FPS))
        self._first_s = self._position_s()
        self._count, self._shown_s = 0, 0.0
        self._next_s: Optional[float] = 0.0
        self._look_ahead()

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._file.close()

    def _look_ahead(self):
        """Decode one more frame, to know when it is due; None at the end."""
        if not self._decode(self._capture.grab):
            self._next_s = None
            return
        stamp_s = self._position_s() - self._first_s
        # Decoders without timestamps return 0, or repeat the last one.
        self._next_s = stamp_s if stamp_s > self._shown_s else self._shown_s + 1.0 / self._own_rate_hz

    def _decode(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a decoding function, and count its warnings."""
        returned, damage = capture(function, *arguments)
        if damage:
            self._damage.add('A frame of the video %s' % printable(self._path), damage)
        return returned

    def _position_s(self):
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3


class Camera(FrameSource):
    """A webcam, or a stream that OpenCV opens by its address; it sets the rate itself.

    Each call of OpenCV is a long call, see :mod:`facial_emotion_ros.system.long_calls`.
    """

    #: A camera may drop frames; this many in a row mean that it is gone.
    MAX_MISSED = 10

    def __init__(self, number: int = 0, path: str = '', rate_hz: float = 0.0, width: int = 640, height: int = 480):
        """Open the device and take a first picture.

        :param number: OpenCV's number of the camera.
        :param path: a device or a stream address instead of the number.
        :param rate_hz: frames per second to request from the camera; 0 keeps its own.
        :param width: to request from the camera.
        :param height: to request from the camera.
        :raises BadImage: if there is no such camera, or it delivers no picture.
        """
        super().__init__()
        self._is_stream = '://' in path
        self.title = 'camera %s' % (printable(public_address(path)) or number)
        self._file = OpenCvPath(path) if path and os.path.exists(path) else None
        with long_call():
            if self._is_stream:
                self._capture = _open_stream(path)
            else:
                self._capture = cv2.VideoCapture(self._file.name if self._file else path or number)
                self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
                self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
                if rate_hz:
                    self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest of four
        self._damage = DamageLog()
        if self._take() is None:
            self.close()
            if self._is_stream:
                cure = (
                    ' in %g s; check that its server runs and is reachable, and that address, user and password are '
                    'correct (try the address in ffplay or VLC)' % STREAM_TIMEOUT_S
                )
            else:
                cure = (
                    '; check which cameras exist (ls /dev/video*), that this user may open them (group video) and '
                    'that no other program uses it'
                )
            raise BadImage('expected a picture from %s, got none%s' % (self.title, cure))
        self.rate_hz = rate_hz or _plausible(self._capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> Optional[Frame]:
        """Wait for the next picture."""
        image = self._take()
        if image is None:
            cause = 'its server still runs and can be reached' if self._is_stream else 'it is still plugged in'
            raise BadImage('expected another picture from %s, got none; check that %s' % (self.title, cause))
        return Frame(image)

    def close(self) -> None:
        """Release the camera."""
        with long_call():
            self._capture.release()
        if self._file is not None:
            self._file.close()

    def _take(self) -> Optional[np.ndarray]:
        end_s = time.monotonic() + STREAM_TIMEOUT_S
        for _ in range(self.MAX_MISSED):
            with long_call():
                (good, image), damage = capture(self._capture.read)
            if damage:
                self._damage.add('A picture from %s' % self.title, damage)
            if good:
                return image
            if not self._capture.isOpened() or time.monotonic() > end_s:
                break
        return None


def _open_stream(address):
    """Open a stream, with a timeout where this OpenCV supports it: a silent server would take half a minute."""
    limits: List[Any] = [
        getattr(cv2, name, None) for name in ('CAP_PROP_OPEN_TIMEOUT_MSEC', 'CAP_PROP_READ_TIMEOUT_MSEC')
    ]
    if None in limits or cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
        return cv2.VideoCapture(address)
    milliseconds = int(STREAM_TIMEOUT_S * 1e3)
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [limits[0], milliseconds, limits[1], milliseconds])


def _plausible(rate_hz):
    return rate_hz if 1.0 <= rate_hz <= 240.0 else VIDEO_RATE_HZ


def open_source(
    kind: str,
    path: str = '',
    camera: int = 0,
    rate_hz: float = 0.0,
    seconds_each: float = 2.0,
    width: int = 640,
    height: int = 480,
    max_side_px: int = 0,
) -> FrameSource:
    """Open a source of frames.

    :param kind: one of KINDS.
    :param path: folder or file of 'images', file of 'video'; device or address of 'camera' instead of its number; for
        'sample', another folder with the same portraits.
    :param camera: number of 'camera'.
    :param rate_hz: frames per second; 0 for the source's default.
    :param seconds_each: how long each picture of 'images' is shown.
    :param width: of the frames in px (a video keeps its own).
    :param height: of the frames in px.
    :param max_side_px: larger frames of a video are downscaled to this; 0 keeps their size.
    :raises BadParameter: for an unknown kind, or if there is no such folder or file.
    :raises BadImage: if nothing in it can be decoded.
    """
    if kind not in KINDS:
        raise BadParameter('expected source.kind to be one of %s, got %r' % (', '.join(KINDS), kind))
    if kind in ('images', 'video') and not path:
        raise BadParameter(
            "expected source.path to name a %s for source.kind '%s', got nothing"
            % ('folder' if kind == 'images' else 'file', kind)
        )
    if kind == 'sample':
        return Sample(rate_hz, width, height, path)
    if kind == 'images':
        return Pictures(path, rate_hz, seconds_each, width, height)
    if kind == 'video':
        return Video(path, rate_hz, max_side_px)
    return Camera(camera, path, rate_hz, width, height)
