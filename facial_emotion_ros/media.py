"""Frames to play as a camera: the embedded sample, a folder of pictures, a video file, a webcam. Nothing of ROS."""
import os
from typing import List, Optional

import numpy as np

from facial_emotion_ros.captures import Camera, Video
from facial_emotion_ros.errors import BadImage, BadParameter
from facial_emotion_ros.medium import DRAWN_RATE_HZ, Frame, Medium
from facial_emotion_ros.picture_kinds import PICTURE_SUFFIXES
from facial_emotion_ros.pictures import BACKGROUND, fit, list_pictures, read_picture
from facial_emotion_ros.plain_text import printable
from facial_emotion_ros.sample_film import LENGTH_S, SampleFilm

#: What source.kind may say.
KINDS = ('sample', 'images', 'video', 'camera')

#: Empty time between two pictures: longer than the tracker remembers a face, so that no id passes from one to the next.
PAUSE_S = 1.2


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

        :param folder: the pictures' folder, whose subfolders are not looked at; or one picture file.
        :param rate_hz: frames per second; 0 takes DRAWN_RATE_HZ.
        :param seconds_each: how long each is shown.
        :param width: of the frames in px; every picture is fitted into them, its shape kept.
        :param height: of the frames in px.
        :raises BadParameter: there is no such folder or file.
        :raises BadImage: the folder has no readable picture.
        """
        super().__init__()
        self.rate_hz = rate_hz or DRAWN_RATE_HZ
        self._size = (width, height)
        if not os.path.isdir(folder) and not os.path.isfile(folder):
            raise BadParameter('expected a picture file or a folder of them, got %r, which is not there; give the path '
                               'of one that exists' % folder)
        paths, left_out = list_pictures(folder)
        self.skipped = [(printable(name), reason) for name, reason in left_out]
        self._paths: List[str] = []
        for path in paths:
            try:
                read_picture(path)
            except BadImage as error:
                self.skipped.append((printable(os.path.basename(path)), str(error)))
            else:
                self._paths.append(path)
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


def open_medium(kind: str, path: str = '', camera: int = 0, rate_hz: float = 0.0, seconds_each: float = 2.0,
                width: int = 640, height: int = 480, max_side_px: int = 0) -> Medium:
    """
    Open what is to be played.

    :param kind: one of KINDS.
    :param path: folder or file of 'images', file of 'video'; device or address of 'camera' in place of its number; for
        'sample' another folder with the same portraits.
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
