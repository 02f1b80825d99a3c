"""A recording of the embedded film with its ground truth: small, free to be passed on, made in seconds."""

import math

import cv2

from facial_emotion_ros.bags.message_types import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    detection,
    header,
    make,
    typestore,
)
from facial_emotion_ros.bags.writer import BagWriter
from facial_emotion_ros.sample_film import CAST, LENGTH_S, SLIDE_S, SampleFilm

#: What the portraits show.
TRUTH = {'astronaut.jpg': 'happy', 'president.jpg': 'neutral', 'vice_president.jpg': 'happy'}

#: Topics of the recording.
CAMERA, ANNOTATION = '/camera/image_raw', '/annotation/faces'

#: Stamp of the first image: 2026-01-01, so that every making of it gives the same bytes.
START_NS = 1767225600 * 10 ** 9

#: So long the first person of the film is alone.
_ALONE_S = CAST[1].visible_s[0][0] - SLIDE_S

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


def write_sample_bag(path, seconds=LENGTH_S, rate_hz=10.0, transport='compressed', width=640, height=480,
                     storage='mcap', people=3):
    """Write a recording: camera images, and where each face really is and what it shows.

    :param path: folder to make; it must not be there.
    :param seconds: of film; it repeats itself after LENGTH_S.
    :param rate_hz: images a second.
    :param transport: 'compressed' (JPEG) or 'raw'.
    :param width, height: of the images, in pixels.
    :param storage: 'mcap' or 'sqlite3'.
    :param people: 3 for the whole film, in which they come and go; 1 for its begin, to and fro, with one face always.
    :returns: number of images.
    :raises BadBag: if the folder is there, or rosbags is not installed.
    """
    store, film = typestore(), SampleFilm(width, height)
    compressed = transport == 'compressed'
    msgtype, topic = (COMPRESSED_IMAGE, CAMERA + '/compressed') if compressed else (IMAGE, CAMERA)
    count = math.ceil(seconds * rate_hz)
    with BagWriter(path, storage) as bag:
        for number in range(count):
            stamp_ns = START_NS + round(number / rate_hz * 1e9)
            time_s = number / rate_hz if people == len(CAST) else _to_and_fro(number / rate_hz)
            image = _image(film.frame(time_s), stamp_ns, compressed)
            bag.write(topic, msgtype, stamp_ns + 4_000_000, store.serialize_cdr(image, msgtype))
            truth = _truth(film.boxes(time_s), stamp_ns)
            bag.write(ANNOTATION, DETECTIONS, stamp_ns + 5_000_000, store.serialize_cdr(truth, DETECTIONS))
    return count


def _to_and_fro(time_s):
    """Fold time into the part of the film that shows one person alone."""
    time_s = time_s % (2 * _ALONE_S)
    return min(time_s, 2 * _ALONE_S - time_s)


def _image(frame, stamp_ns, compressed):
    if compressed:
        pixels = cv2.imencode('.jpg', frame, _JPEG)[1].reshape(-1)
        return make(COMPRESSED_IMAGE, header=header(stamp_ns, 'camera'), format='bgr8; jpeg compressed bgr8',
                    data=pixels)
    return make(IMAGE, header=header(stamp_ns, 'camera'), height=frame.shape[0], width=frame.shape[1], encoding='bgr8',
                step=3 * frame.shape[1], data=frame.reshape(-1))


def _truth(boxes, stamp_ns):
    """Say where the faces are: ids of people, not of tracks."""
    head = header(stamp_ns, 'camera')
    return make(DETECTIONS, header=head, detections=[
        detection(head, name.partition('.')[0], box, [(TRUTH[name], 1.0)]) for name, box in boxes])
