"""Decode images that are recorded as video packets: FFMPEGPacket, CompressedVideo, Theora, H.264 CompressedImage."""

import re
import struct
from collections.abc import Iterator
from typing import Any

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.recordings.io.film_file import pixels_of, require_av
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET, THEORA

#: FFmpeg decoders by the words in a message's format or encoding, which may name an encoder such as hevc_nvenc.
_CODECS = (
    ('hevc', re.compile(r'hevc|h\.?265|x265', re.IGNORECASE)),
    ('h264', re.compile(r'h\.?264|x264|\bavc', re.IGNORECASE)),
    ('av1', re.compile(r'\bav1|libaom|svtav1', re.IGNORECASE)),
    ('vp9', re.compile(r'vp9', re.IGNORECASE)),
    ('vp8', re.compile(r'vp8', re.IGNORECASE)),
    ('mjpeg', re.compile(r'mjpeg', re.IGNORECASE)),
)

#: Upper bound of how many later packets a codec may need before it returns an image (B-frame reordering).
_REORDERED = 32

#: A Theora stream begins with three header packets; the first has this size in bytes.
_THEORA_HEADERS, _THEORA_FIRST = 3, 42

_LOST = (
    'expected an image from this {} packet, got none: it is damaged, precedes the first key frame of the '
    'recording, or packets before it are missing'
)


def codec_of(fields: Any, msgtype: str) -> str:
    """Return the video codec of an image message.

    :param fields: the message.
    :param msgtype: its type.
    :returns: name of FFmpeg's decoder; '' for an image that is not a video packet.
    :raises BadImage: if the codec is not supported.
    """
    if msgtype == THEORA:
        return 'theora'
    coded = {FFMPEG_PACKET: 'encoding', COMPRESSED_VIDEO: 'format', COMPRESSED_IMAGE: 'format'}.get(msgtype)
    if coded is None:
        return ''
    # ffmpeg_image_transport appends the pixel formats: 'h264;nv12;bgr8;bgr8'.
    words = getattr(fields, coded).partition(';')[0]
    if msgtype == COMPRESSED_IMAGE:
        return next((name for name, pattern in _CODECS[:2] if pattern.search(words)), '')
    for name, pattern in _CODECS:
        if pattern.search(words):
            return name
    raise BadImage(
        f'expected the video codec {", ".join(name for name, _ in _CODECS)}, got {words[:40]!r}; record the raw or '
        'JPEG topic instead, or republish this one as compressed with image_transport'
    )


class PacketDecoder:
    """Decodes the video packets of one camera."""

    def __init__(self, codec: str):
        """Create a decoder.

        :param codec: from :func:`codec_of`.
        :raises BadBag: if PyAV is not installed.
        """
        self._av, self._codec = require_av(), codec
        self._context: Any = None
        self._headers: list[bytes] = []
        self._waiting: dict[int, Any] = {}
        self._taken = self._given = 0

    def take(self, frame: Any, packet: bytes) -> Iterator[Any]:
        """Decode a packet.

        :param frame: Frame of the packet, without image.
        :param packet: its bytes.
        :returns: iterator of the frames that are now complete, in time order, each with an image or a fault. A codec
            may need later packets first.
        """
        if self._codec == 'theora' and packet[:1] >= b'\x80':
            self._headers = [*self._headers, packet][-_THEORA_HEADERS:]
            self._context = None
            return
        if not packet:  # the decoder would take it for the end of the stream
            yield frame._replace(fault=_LOST.format(self._codec))
            return
        place, self._taken = self._taken, self._taken + 1
        self._waiting[place] = frame
        try:
            if self._context is None:
                self._context = self._opened()
            coded = self._av.Packet(packet)
            coded.pts = coded.dts = place
            decoded = self._context.decode(coded)
        except (self._av.FFmpegError, BadImage) as error:
            fault = str(error) if isinstance(error, BadImage) else _LOST.format(self._codec)
            yield self._waiting.pop(place)._replace(fault=fault)
            return
        yield from self._complete(decoded)

    def flush(self) -> Iterator[Any]:
        """Yield the remaining frames; those without an image have a fault."""
        if self._context is not None:
            try:
                yield from self._complete(self._context.decode(None))
            except self._av.FFmpegError:  # the remaining packets are damaged
                pass
        yield from self._lost(self._taken)

    def _opened(self):
        context = self._av.CodecContext.create(self._codec, 'r')
        context.thread_count = 1  # more threads delay each image
        if self._codec == 'theora':
            if len(self._headers) < _THEORA_HEADERS or len(self._headers[0]) != _THEORA_FIRST:
                raise BadImage(
                    'expected the three Theora header packets, got none or others: they are sent once, when a '
                    'subscription starts; record the topic from its start, or the raw or JPEG topic'
                )
            context.extradata = b''.join(struct.pack('>H', len(each)) + each for each in self._headers)
        return context

    def _complete(self, decoded):
        for image in decoded:
            if not self._given:
                yield from self._lost(image.pts)
            yield from self._lost(image.pts - _REORDERED)
            self._given += 1
            frame = self._waiting.pop(image.pts, None)
            if frame is not None:
                damage = f'damaged packets of {self._codec}' if image.is_corrupt else ''
                yield frame._replace(image=pixels_of(image), damage=damage)

    def _lost(self, before):
        """Yield, with a fault, the waiting frames before a packet number."""
        for place in [each for each in self._waiting if each < before]:
            yield self._waiting.pop(place)._replace(fault=_LOST.format(self._codec))
