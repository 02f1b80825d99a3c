"""Read a video file as a recording with one camera topic, each frame with its own timestamp."""

import re
from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.message_types import IMAGE, header, make_image
from facial_emotion_ros.recordings.io.storage import Storage, StoredMessage, StoredTopic, words_of

#: File names of videos.
FILM = re.compile(r'\.(mp4|m4v|mov|mkv|webm|avi)$', re.IGNORECASE)

#: The topic of a video's images.
TOPIC = '/video'

#: A video whose last frame ends earlier than its stated length by more than this was truncated.
_CUT_S = 1.0

#: Creation times before this year are placeholders.
_LEAST_YEAR = 1980


def require_av() -> Any:
    """Import PyAV, or raise BadBag with the command that installs it."""
    try:
        import av
    except ImportError as error:
        raise BadBag(
            'reading videos needs the Python package av, which is not installed: pip install av (Python 3.10 and up)'
        ) from error
    return av


class FilmStorage(Storage):
    """A video file; its stamps count from its creation time, or from 0 if the file has none."""

    def __init__(self, path: str):
        """Read the video's metadata.

        :raises BadBag: if PyAV is not installed, or the file holds no video.
        :raises Exception: PyAV's, if the file is damaged.
        """
        super().__init__(path)
        av = require_av()
        with av.open(path) as film:
            stream = _stream_of(film)
            if stream is None:
                raise BadBag('it holds no video')
            self.topics = [StoredTopic(TOPIC, IMAGE, stream.frames, None)]
            self.start_ns = _created_ns(film.metadata.get('creation_time') or stream.metadata.get('creation_time'))
            self.end_ns = self.start_ns + 1000 * _microseconds(film)

    def messages(self, wanted: Collection[str], start_ns: int | None) -> Iterator[StoredMessage]:
        """See Storage."""
        if TOPIC not in wanted:
            return
        av = require_av()
        with av.open(self.path) as film:
            stream = _stream_of(film)
            first_s = float((stream.start_time or 0) * stream.time_base)
            step_s = 1 / float(stream.average_rate or stream.base_rate or 25)
            if start_ns is not None:
                film.seek(round((first_s + (start_ns - self.start_ns) / 1e9) / stream.time_base), stream=stream)
            time_s, length_s = -step_s, _length_s(film, stream)
            for frame in _decoded(film, stream, av.FFmpegError):
                # Some files store no timestamps: then frames are spaced by the video's frame rate.
                time_s = time_s + step_s if frame is None or frame.time is None else frame.time - first_s
                stamp_ns = self.start_ns + round(1e9 * time_s)
                if start_ns is None or stamp_ns >= start_ns:
                    yield TOPIC, IMAGE, stamp_ns, (stamp_ns, frame, stream.sample_aspect_ratio)
                if frame is not None and frame.duration:
                    step_s = float(frame.duration * frame.time_base)
            if time_s + step_s < length_s - _CUT_S:
                raise BadBag(f'the video is truncated: it was {length_s:.1f} s long')

    def needs_conversion(self, msgtype: str) -> bool:
        """See Storage."""
        return True

    def _decoded(self, raw, msgtype):
        stamp_ns, frame, aspect = raw
        if frame is None or frame.is_corrupt:
            raise BadBag('expected a video frame, got damaged bytes')
        return make_image(header(stamp_ns), pixels_of(frame, aspect))


def open_film(path: str, name: str) -> FilmStorage:
    """Open a video file.

    :param path: path of the file.
    :param name: its name in error messages.
    :raises BadBag: if nothing can be read of it.
    """
    try:
        return FilmStorage(path)
    except BadBag as error:
        if isinstance(error.__cause__, ImportError):
            raise
        raise BadBag(f'expected a video, got {name}: {error}') from error
    except Exception as fault:  # damaged bytes can raise anything in the library
        words = words_of(getattr(fault, 'strerror', '') or fault)
        raise BadBag(
            f'expected a video, got {name}, which cannot be read ({words}); it may be truncated: '
            'copy it from its source again, or convert it to .mp4'
        ) from fault


def pixels_of(frame: Any, aspect: Any = None) -> np.ndarray:
    """Convert a decoded frame to an upright image with square pixels, as players show it.

    :param frame: PyAV VideoFrame.
    :param aspect: pixel aspect ratio (width / height); None or 0 for 1.
    :returns: (H, W, 3) uint8 BGR, contiguous.
    """
    width = round(frame.width * aspect) if aspect else frame.width
    pixels = frame.to_ndarray(format='bgr24', width=width, height=frame.height)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _decoded(film, stream, damage):
    """Decode the frames of a video; None for each damaged packet."""
    for packet in film.demux(stream):
        try:
            frames = packet.decode()
        except damage:
            frames = [None]
        yield from frames


def _stream_of(film):
    """Choose the first video stream that is not a cover picture."""
    streams = [each for each in film.streams.video if not each.disposition & each.disposition.attached_pic]
    return streams[0] if streams else None


def _length_s(film, stream):
    """Return the length of the video stream; 0 if unknown."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return _microseconds(film) / 1e6 if len(film.streams) == 1 else 0.0


def _microseconds(film):
    """Return the duration; Matroska states its end time, even if it does not start at 0."""
    begin = film.start_time or 0 if 'matroska' in film.format.name else 0
    return max((film.duration or 0) - max(begin, 0), 0)


def _created_ns(text):
    """Parse the creation time, in ns since 1970; 0 if unknown."""
    try:
        moment = datetime.fromisoformat((text or '').replace('Z', '+00:00'))
    except ValueError:
        return 0
    if moment.year < _LEAST_YEAR:
        return 0
    return round((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) * 10**9
