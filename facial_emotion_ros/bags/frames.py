"""The camera images of a recording, decoded one ahead of another, each with its own stamp."""

import queue
import threading
import time
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.bags.message_types import COMPRESSED_IMAGE, stamp_of
from facial_emotion_ros.compressed_image import decode_compressed
from facial_emotion_ros.errors import BadBag, BadImage
from facial_emotion_ros.image import UsedBits, decode_image

#: Images that are decoded ahead: what a slow one may take does not hold up the others, and memory stays small.
AHEAD = 3


class Frame(NamedTuple):
    """One recorded image.

    camera: its topic; number: its place among that camera's images, from 0, bad ones counted too; stamp_ns: when it
    was taken, by its header (by receive_ns where that says 0); receive_ns: when it was recorded; frame_id: of its
    header; image: (H, W, 3) uint8 BGR, None where it is bad, and then `fault` says why; read_s, decode_s: what reading
    and decoding took; found: what `look` made of the image, and found_s what that took.
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
    found: object = None
    found_s: float = 0.0


def read_frames(bag, cameras, look=None, ahead=AHEAD):
    """Read and decode images, in a thread of its own: while one is worked on, the next are made ready.

    :param bag: BagFile, open; nothing else may read it meanwhile.
    :param cameras: topics.
    :param look: function of an image that is called in that thread too; None for none.
    :param ahead: how many are made ready ahead; 0 for none, and no thread.
    :returns: iterator of Frame, in the order of recording.
    """
    if not ahead:
        yield from map(_looker(look), _decode(bag, cameras))
        return
    waiting, is_over = queue.Queue(ahead), threading.Event()

    def put(item):
        while not is_over.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            for frame in map(_looker(look), _decode(bag, cameras)):
                if not put(frame):
                    return
            put(None)
        except BaseException as error:  # raised again where the frames are wanted
            put(error)

    thread = threading.Thread(target=work, name='frames', daemon=True)
    thread.start()
    try:
        while True:
            frame = waiting.get()
            if frame is None:
                return
            if isinstance(frame, BaseException):
                raise frame
            yield frame
    finally:
        is_over.set()
        thread.join()


def _looker(look):
    def looked(frame):
        if look is None or frame.image is None:
            return frame
        began_s = time.perf_counter()
        found = look(frame.image)
        return frame._replace(found=found, found_s=time.perf_counter() - began_s)
    return looked


def _decode(bag, cameras):
    numbers = dict.fromkeys(cameras, 0)
    used_bits = {camera: UsedBits() for camera in cameras}
    before_s = time.perf_counter()
    for message in bag.messages(cameras):
        read_s = time.perf_counter()
        number = numbers[message.topic]
        numbers[message.topic] += 1
        stamp_ns, frame_id, image, fault = message.receive_ns, '', None, ''
        try:
            fields = message.read()
            stamp_ns = stamp_of(fields, message.receive_ns)
            frame_id = fields.header.frame_id
            image = _image_of(fields, message.msgtype, used_bits[message.topic].of)
        except (BadBag, BadImage) as error:
            fault = str(error)
        now_s = time.perf_counter()
        yield Frame(message.topic, number, stamp_ns, message.receive_ns, frame_id, image, fault, read_s - before_s,
                    now_s - read_s)
        before_s = time.perf_counter()


def _image_of(fields, msgtype, used_bits):
    if msgtype == COMPRESSED_IMAGE:
        return decode_compressed(fields.data, fields.format, used_bits)
    return decode_image(fields.data, fields.height, fields.width, fields.step, fields.encoding, fields.is_bigendian,
                        used_bits=used_bits)
