"""Read and decode the camera images of a recording, ahead of their use in a background thread."""

import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadBag, BadImage
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.image_decoding import UsedBits, decode_image
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, COMPRESSED_VIDEO, stamp_of
from facial_emotion_ros.recordings.io.video_packets import PacketDecoder, codec_of

#: Number of images decoded ahead: enough to hide a slow one and to fill a batch, few enough to keep memory small.
AHEAD = 6


class Frame(NamedTuple):
    """One recorded image.

    camera: its topic; number: index among that camera's images, unreadable ones included; stamp_ns: header stamp
    (receive_ns if that is 0); receive_ns: time of recording; frame_id: of its header; image: (H, W, 3) uint8 BGR, None
    if unreadable, with the reason in `fault`; read_s, decode_s: time spent on reading and decoding; found: its Faces,
    if already detected, and found_s the time that took; damage: the decoder's warning about a decoded image, or ''.
    """

    camera: str
    number: int
    stamp_ns: int
    receive_ns: int
    frame_id: str
    image: np.ndarray | None
    fault: str
    read_s: float
    decode_s: float
    found: Any = None
    found_s: float = 0.0
    damage: str = ''


def read_frames(bag: BagFile, cameras: Sequence[str]) -> Generator[Frame, None, None]:
    """Read and decode images in a background thread, ahead of their use.

    :param bag: open BagFile; nothing else may read it meanwhile.
    :param cameras: image topics.
    :returns: iterator of Frame, in recording order.
    """
    frames = _decode(bag, cameras)
    pool = ThreadPoolExecutor(1, 'frames')
    try:
        waiting = deque(pool.submit(next, frames, None) for _ in range(AHEAD + 1))
        while (frame := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, frames, None))
            yield frame
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(bag, cameras):
    numbers = dict.fromkeys(cameras, 0)
    used_bits = {camera: UsedBits() for camera in cameras}
    decoders: dict[str, PacketDecoder] = {}
    before_s = time.perf_counter()
    for message in bag.messages(cameras):
        read_s = time.perf_counter()
        camera, receive_ns = message.topic, message.receive_ns
        frame = Frame(camera, 0, receive_ns, receive_ns, '', None, '', read_s - before_s, 0.0)
        try:
            fields = message.read()
            frame_id = fields.frame_id if message.msgtype == COMPRESSED_VIDEO else fields.header.frame_id
            frame = frame._replace(stamp_ns=stamp_of(fields, receive_ns), frame_id=frame_id)
            codec = codec_of(fields, message.msgtype)
            if codec:
                decoder = decoders.get(camera) or decoders.setdefault(camera, PacketDecoder(codec))
                done = list(decoder.take(frame, bytes(fields.data)))
            else:
                damage: list[str] = []
                image = _image_of(fields, message.msgtype, used_bits[camera].of, damage.append)
                done = [frame._replace(image=image, damage=''.join(damage))]
        except (BadBag, BadImage) as error:
            done = [frame._replace(fault=str(error))]
        now_s = time.perf_counter()
        for frame in done:
            yield frame._replace(number=numbers[camera], decode_s=(now_s - read_s) / len(done))
            numbers[camera] += 1
        before_s = time.perf_counter()
    for camera, decoder in decoders.items():
        for number, frame in enumerate(decoder.flush(), numbers[camera]):
            yield frame._replace(number=number)


def _image_of(fields, msgtype, used_bits, on_damage):
    if msgtype == COMPRESSED_IMAGE:
        return decode_compressed(fields.data, fields.format, used_bits, on_damage)
    return decode_image(
        fields.data, fields.height, fields.width, fields.step, fields.encoding, fields.is_bigendian, used_bits=used_bits
    )
