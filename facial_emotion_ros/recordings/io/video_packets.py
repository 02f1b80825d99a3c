"""Images that a recording holds as packets of a video: which messages those are, and their decoder."""

import re
import struct
from collections.abc import Iterator
from typing import Any

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.recordings.io.film_file import pixels_of, require_av
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET, THEORA

#: Decoders, by the words in a message's format or encoding; the latter may name an encoder, such as hevc_nvenc.
_CODECS = (
    ('hevc', re.compile(r'hevc|h\.?265|x265', re.IGNORECASE)),
    ('h264', re.compile(r'h\.?264|x264|\bavc', re.IGNORECASE)),
    ('av1', re.compile(r'\bav1|libaom|svtav1', re.IGNORECASE)),
    ('vp9', re.compile(r'vp9', re.IGNORECASE)),
    ('vp8', re.compile(r'vp8', re.IGNORECASE)),
    ('mjpeg', re.compile(r'mjpeg', re.IGNORECASE)),
)

#: No codec puts an image further behind those that were coded later.
_REORDERED = 32

#: Theora's stream begins with three packets, of which the first has this size.
_THEORA_HEADERS, _THEORA_FIRST = 3, 42

_LOST = (
    'expected an image of this packet of {}, got none: it is damaged, lies before the first key frame of the '
    'recording, or packets before it are missing'
)


def codec_of(fields: Any, msgtype: str) -> str:
    """Name the codec of a message.

    :param fields: the message.
    :param msgtype: its type.
    :returns: FFmpeg's name of its decoder; '' for an image that is complete in itself.
    :raises BadImage: if it is coded as video in a way that is not read.
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
        f'expected video coded as {", ".join(name for name, _ in _CODECS)}, got {words[:40]!r}; record the topic of '
        'raw or JPEG images instead, or have image_transport republish this one as compressed'
    )


class PacketDecoder:
    """Decodes the packets of one camera."""

    def __init__(self, codec: str):
        """Prepare the decoder.

        :param codec: as of :func:`codec_of`.
        :raises BadBag: if PyAV is not installed.
        """
        self._av, self._codec = require_av(), codec
        self._context: Any = None
        self._headers: list[bytes] = []
        self._waiting: dict[int, Any] = {}
        self._taken = self._given = 0

    def take(self, frame: Any, packet: bytes) -> Iterator[Any]:
        """Decode a packet.

        :param frame: Frame of its image, so far without that.
        :param packet: its bytes.
        :returns: iterator of the frames that are complete now, in the order of their times: each with its image or a
            fault. A codec may need later packets first.
        """
        if self._codec == 'theora' and packet[:1] >= b'\x80':
            self._headers = [*self._headers, packet][-_THEORA_HEADERS:]
            self._context = None
            return
        if not packet:  # for the decoder, it would be the stream's end
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
        """Give the frames that are left, those that no image came of with a fault."""
        if self._context is not None:
            try:
                yield from self._complete(self._context.decode(None))
            except self._av.FFmpegError:  # what is left is damaged
                pass
        yield from self._lost(self._taken)

    def _opened(self):
        context = self._av.CodecContext.create(self._codec, 'r')
        context.thread_count = 1  # more of them give each image later
        if self._codec == 'theora':
            if len(self._headers) < _THEORA_HEADERS or len(self._headers[0]) != _THEORA_FIRST:
                raise BadImage(
                    'expected the three header packets of theora, got none or others: they are sent once, when a '
                    'subscription begins; record the topic from its begin, or that of raw or JPEG images'
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
        """Give up packets that were taken before a place."""
        for place in [each for each in self._waiting if each < before]:
            yield self._waiting.pop(place)._replace(fault=_LOST.format(self._codec))
