"""Annotated images as a video file, or as pictures where no video encoder is to be had; whole or not at all."""
import errno
import os
import re
import shutil
from typing import List, Sequence, Tuple

import cv2
import numpy as np

from facial_emotion_ros.atomic_file import finish
from facial_emotion_ros.captures import OpenCvPath
from facial_emotion_ros.h264 import H264Writer, h264_program
from facial_emotion_ros.pictures import fit

#: (suffix, encoder), tried in order: H.264 by ffmpeg, then four letters for OpenCV. OpenCV's wheels have both of these,
#: a robot's maybe only the second.
ENCODERS = (('.mp4', 'h264'), ('.mp4', 'mp4v'), ('.avi', 'MJPG'))

#: The log line for a film that another encoder than the first one writes.
NO_H264 = ('the film is not H.264, so browsers do not play it: no ffmpeg with libx264 was found (pip install '
           'imageio-ffmpeg, or install the package ffmpeg)')

_PICTURE = re.compile(r'\d{6}\.jpg$')

#: The film's rate is measured on this many frames before the first is written.
MEASURED_FRAMES = 10

#: Longest time for which a frame stands still where the stream paused.
MAX_STILL_S = 2.0

_DEFAULT_RATE_HZ = 10.0


class AnnotatedFilm:
    """
    Writes frames with their stamps into one file that plays at the stream's own speed.

    note: what there is to say of the file that was begun, '' where that is nothing.
    """

    def __init__(self, folder: str, name: str = 'annotated', encoders: Sequence[Tuple[str, str]] = ENCODERS):
        """
        Prepare; nothing is written yet.

        :param folder: folder that exists.
        :param name: name of the film without suffix.
        :param encoders: what to try; an empty sequence writes pictures.
        """
        self._opened = OpenCvPath(folder)
        self._folder, self._name, self._encoders = self._opened.name, name, encoders
        self._first: List[Tuple[float, np.ndarray]] = []
        self._writer = None
        self._part, self._suffix, self.note = '', '', ''
        self._rate_hz = _DEFAULT_RATE_HZ
        self._start_s, self._written = 0.0, 0
        self._size = (0, 0)

    def add(self, image: np.ndarray, stamp_s: float):
        """
        Add a frame.

        :param image: (H, W, 3) uint8 BGR; a later one of another size is fitted into the first one's.
        :param stamp_s: acquisition time.
        """
        if self._part:
            self._write(image, stamp_s)
            return
        self._first.append((stamp_s, image))
        if len(self._first) >= MEASURED_FRAMES:
            self._open()

    def close(self) -> str:
        """
        Finish the film.

        :returns: name of the file or folder that was written; '' when there was no frame.
        :raises OSError: if the disk did not take it, or a folder of another's has its name.
        """
        if not self._part and self._first:
            self._open()
        if not self._part:
            self._opened.close()
            return ''
        if self._writer is not None:
            self._writer.release()
            # OpenCV's writer keeps it to itself where the disk took nothing more.
            if not _can_be_played(self._part, self._written):
                raise OSError(errno.ENOSPC, 'the film has not all its frames: is the disk full?')
        path = os.path.join(self._folder, self._name + self._suffix)
        if os.path.isdir(path):
            if not all(_PICTURE.match(name) for name in os.listdir(path)):
                raise OSError(errno.EEXIST, 'a folder of that name holds what no film is made of', path)
            shutil.rmtree(path)
        finish(self._part, path)
        self._opened.close()
        return os.path.basename(path)

    def discard(self):
        """Delete what was begun."""
        if isinstance(self._writer, H264Writer):
            self._writer.discard()
        elif self._writer is not None:
            self._writer.release()
        if os.path.isdir(self._part):
            shutil.rmtree(self._part, ignore_errors=True)
        elif self._part and os.path.exists(self._part):
            os.remove(self._part)
        self._part = ''
        self._opened.close()

    def _open(self):
        """Choose rate and encoder, and write what waits."""
        steps = np.diff([stamp_s for stamp_s, _ in self._first])
        steps = steps[steps > 0]
        if len(steps):
            self._rate_hz = float(np.clip(1.0 / np.median(steps), 1.0, 60.0))
        self._start_s, image = self._first[0]
        self._size = (image.shape[1], image.shape[0])
        for suffix, encoder in self._encoders:
            self._part = os.path.join(self._folder, '.%s.part%s' % (self._name, suffix))
            self._writer = self._begin(encoder)
            if self._writer is not None:
                self._suffix = suffix
                break
        else:
            self._part = os.path.join(self._folder, '.%s.part' % self._name)
            shutil.rmtree(self._part, ignore_errors=True)
            os.mkdir(self._part)
        if self._encoders and (self._writer is None or encoder != self._encoders[0][1]):
            self.note = NO_H264
        waiting, self._first = self._first, []
        for stamp_s, image in waiting:
            self._write(image, stamp_s)

    def _begin(self, encoder):
        """Begin the file with an encoder; None where that is not to be had."""
        if encoder == 'h264':
            program = h264_program()
            return H264Writer(program, self._part, self._rate_hz, self._size) if program else None
        writer = cv2.VideoWriter(self._part, cv2.VideoWriter_fourcc(*encoder), self._rate_hz, self._size)
        return writer if writer.isOpened() else None

    def _write(self, image: np.ndarray, stamp_s: float):
        """Write a frame as often as its time asks for: the file has one rate, the stream may stutter."""
        if (image.shape[1], image.shape[0]) != self._size:
            image = fit(image, *self._size)
        due = int((stamp_s - self._start_s) * self._rate_hz + 0.5) + 1
        times = due - self._written
        if not 0 <= times <= MAX_STILL_S * self._rate_hz:
            # The stream paused for long, or its clock jumped: go on from here.
            self._start_s = stamp_s - self._written / self._rate_hz
            times = 1
        for _ in range(times):
            self._written += 1
            if self._writer is not None:
                self._writer.write(image)
            elif not cv2.imwrite(os.path.join(self._part, '%06d.jpg' % self._written), image):
                raise OSError(errno.ENOSPC, 'a picture of the film cannot be written: is the disk full?')


def _can_be_played(path: str, frames: int) -> bool:
    """Tell whether a film has its end, without which players find no frame, and all its frames."""
    film = cv2.VideoCapture(path)
    good = film.isOpened() and film.read()[0] and film.get(cv2.CAP_PROP_FRAME_COUNT) >= frames
    film.release()
    return good
