"""Write a small recording of the embedded sample video (public domain) with its ground truth."""

import math

import cv2

from facial_emotion_ros.demo.sample_video import CAST, LENGTH_S, SLIDE_S, SampleVideo
from facial_emotion_ros.recordings.io.message_types import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    detection,
    header,
    make,
    make_image,
)
from facial_emotion_ros.recordings.io.writer import BagWriter

#: Expression of each portrait.
TRUTH = {'astronaut.jpg': 'happy', 'president.jpg': 'neutral', 'vice_president.jpg': 'happy'}

#: Topics of the recording.
CAMERA, ANNOTATION = '/camera/image_raw', '/annotation/faces'

#: Stamp of the first image; constant, for reproducible recordings.
START_NS = 1767225600 * 10**9

#: The first person of the video is alone until this time.
_ALONE_S = CAST[1].visible_s[0][0] - SLIDE_S

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


def write_sample_bag(
    path: str,
    seconds: float = LENGTH_S,
    rate_hz: float = 10.0,
    transport: str = 'compressed',
    width: int = 640,
    height: int = 480,
    storage: str = 'mcap',
    people: int = 3,
) -> int:
    """Write a recording of camera images with the box and expression of each face.

    :param path: new folder; it must not exist.
    :param seconds: length; the video repeats after LENGTH_S.
    :param rate_hz: images per second.
    :param transport: 'compressed' (JPEG) or 'raw'.
    :param width, height: image size in pixels.
    :param storage: 'mcap' or 'sqlite3'.
    :param people: 3 for the whole video, in which they come and go; 1 for its beginning, played forwards and backwards.
    :returns: number of images.
    :raises BadBag: if the folder exists, or rosbags is not installed.
    """
    video, compressed = SampleVideo(width, height), transport == 'compressed'
    count = math.ceil(seconds * rate_hz)
    with BagWriter(path, storage) as bag:
        for number in range(count):
            stamp_ns = START_NS + round(number / rate_hz * 1e9)
            time_s = number / rate_hz if people == len(CAST) else _to_and_fro(number / rate_hz)
            image = _image(video.frame(time_s), stamp_ns, compressed)
            bag.add(CAMERA + ('/compressed' if compressed else ''), stamp_ns + 4_000_000, image)
            bag.add(ANNOTATION, stamp_ns + 5_000_000, _truth(video.boxes(time_s), stamp_ns))
    return count


def _to_and_fro(time_s):
    """Fold time into the part of the video with one person."""
    time_s = time_s % (2 * _ALONE_S)
    return min(time_s, 2 * _ALONE_S - time_s)


def _image(frame, stamp_ns, compressed):
    if compressed:
        pixels = cv2.imencode('.jpg', frame, _JPEG)[1].reshape(-1)
        return make(
            COMPRESSED_IMAGE, header=header(stamp_ns, 'camera'), format='bgr8; jpeg compressed bgr8', data=pixels
        )
    return make_image(header(stamp_ns, 'camera'), frame)


def _truth(boxes, stamp_ns):
    """Create the annotation of the faces; ids name persons, not tracks."""
    head = header(stamp_ns, 'camera')
    return make(
        DETECTIONS,
        header=head,
        detections=[detection(head, name.partition('.')[0], box, [(TRUTH[name], 1.0)]) for name, box in boxes],
    )
