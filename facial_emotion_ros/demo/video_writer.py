"""Write annotated images atomically as a video file, or as pictures if there is no video encoder."""

import errno
import os
import re
import shutil
from typing import Any, List, Sequence, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.files import move_into_place
from facial_emotion_ros.demo.frame_sources import OpenCvPath
from facial_emotion_ros.demo.h264 import H264Writer, h264_program
from facial_emotion_ros.perception.image_files import fit

#: (suffix, encoder), tried in order: H.264 by ffmpeg, then OpenCV's by their FourCC; some robots' OpenCV has only MJPG.
ENCODERS = (('.mp4', 'h264'), ('.mp4', 'mp4v'), ('.avi', 'MJPG'))

#: Log line for a video that is not H.264.
NO_H264 = (
    'the video is not H.264, so browsers do not play it: no ffmpeg with libx264 was found (pip install '
    'imageio-ffmpeg, or install the package ffmpeg)'
)

_PICTURE = re.compile(r'\d{6}\.jpg$')

#: The video's rate is measured on this many frames before the first is written.
MEASURED_FRAMES = 10

#: Maximum time for which a frame is repeated when the stream pauses.
MAX_STILL_S = 2.0

_DEFAULT_RATE_HZ = 10.0


class AnnotatedVideo:
    """Write stamped frames into one file that plays at the stream's own speed.

    note: a remark about the file for the log, or ''; size: its width and height in px, (0, 0) before the first frame;
    pieces: (acquisition time, time in the file), both in s, of the first frame of each continuous piece: a new one
    starts after a pause that was shortened.
    """

    def __init__(self, folder: str, name: str = 'annotated', encoders: Sequence[Tuple[str, str]] = ENCODERS):
        """Set the output; nothing is written yet.

        :param folder: an existing folder.
        :param name: of the video without suffix.
        :param encoders: to try in this order; if none works, pictures are written.
        """
        self._opened = OpenCvPath(folder)
        self._folder, self._name, self._encoders = self._opened.name, name, encoders
        self._first: List[Tuple[float, np.ndarray]] = []
        self._writer: Any = None
        self._part, self._suffix, self.note = '', '', ''
        self._rate_hz = _DEFAULT_RATE_HZ
        self._start_s, self._written = 0.0, 0
        self.size = (0, 0)
        self.pieces: List[Tuple[float, float]] = []

    def add(self, image: np.ndarray, stamp_s: float) -> None:
        """Add a frame.

        :param image: (H, W, 3) uint8 BGR; later ones are fitted into the size of the first.
        :param stamp_s: acquisition time in seconds.
        """
        if self._part:
            self._write(image, stamp_s)
            return
        self._first.append((stamp_s, image))
        if len(self._first) >= MEASURED_FRAMES:
            self._open()

    def close(self) -> str:
        """Finish the video.

        :returns: name of the file or folder that was written; '' without a frame.
        :raises OSError: if it could not be written, or its name is that of a folder with other files.
        """
        if not self._part and self._first:
            self._open()
        if not self._part:
            self._opened.close()
            return ''
        if self._writer is not None:
            self._writer.release()
            # OpenCV's writer does not report a full disk.
            if not _is_complete(self._part, self._written):
                raise OSError(errno.ENOSPC, 'the video is incomplete: is the disk full?')
        path = os.path.join(self._folder, self._name + self._suffix)
        if os.path.isdir(path):
            if not all(_PICTURE.match(name) for name in os.listdir(path)):
                raise OSError(errno.EEXIST, 'a folder of this name contains other files', path)
            shutil.rmtree(path)
        move_into_place(self._part, path)
        self._opened.close()
        return os.path.basename(path)

    def discard(self) -> None:
        """Delete what was written."""
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
        """Choose rate and encoder, and write the first frames."""
        steps = np.diff([stamp_s for stamp_s, _ in self._first])
        steps = steps[steps > 0]
        if len(steps):
            self._rate_hz = float(np.clip(1.0 / np.median(steps), 1.0, 60.0))
        self._start_s, image = self._first[0]
        self.pieces.append((self._start_s, 0.0))
        self.size = (image.shape[1], image.shape[0])
        for suffix, encoder in self._encoders:
            self._part = os.path.join(self._folder, '.%s.part%s' % (self._name, suffix))
            self._writer = self._start(encoder)
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

    def _start(self, encoder):
        """Start an encoder; None where it is not available."""
        if encoder == 'h264':
            program = h264_program()
            return H264Writer(program, self._part, self._rate_hz, self.size) if program else None
        code = cv2.VideoWriter_fourcc(*encoder)  # type: ignore[attr-defined]  # older OpenCV has no other name for it
        writer = cv2.VideoWriter(self._part, code, self._rate_hz, self.size)
        return writer if writer.isOpened() else None

    def _write(self, image: np.ndarray, stamp_s: float) -> None:
        """Write a frame as often as its duration requires: the file has a constant rate, the stream may not."""
        if (image.shape[1], image.shape[0]) != self.size:
            image = fit(image, *self.size)
        due = int((stamp_s - self._start_s) * self._rate_hz + 0.5) + 1
        times = due - self._written
        if not 0 <= times <= MAX_STILL_S * self._rate_hz:
            # The stream paused for too long, or its clock jumped: continue from here.
            self._start_s = stamp_s - self._written / self._rate_hz
            self.pieces.append((stamp_s, self._written / self._rate_hz))
            times = 1
        for _ in range(times):
            self._written += 1
            if self._writer is not None:
                self._writer.write(image)
            elif not cv2.imwrite(os.path.join(self._part, '%06d.jpg' % self._written), image):
                raise OSError(errno.ENOSPC, 'a picture of the video cannot be written: is the disk full?')


def _is_complete(path: str, frames: int) -> bool:
    """Return whether a video has all its frames, and its index, without which players find none."""
    video = cv2.VideoCapture(path)
    good = video.isOpened() and video.read()[0] and video.get(cv2.CAP_PROP_FRAME_COUNT) >= frames
    video.release()
    return good
