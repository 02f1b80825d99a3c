"""Measures detection in every n-th image: CPU time, and overlap with detection in every image."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.sample_video import CAST, SampleVideo
from facial_emotion_ros.evaluation.camera.scenes import draw_background
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_stream import FaceFinder
from facial_emotion_ros.perception.face_tracker import FaceTracker, intersection_over_union
from facial_emotion_ros.perception.image_files import read_picture

#: Streams by name: (images per second, seconds, speed of the faces along their path in rad/s; 0: the sample video).
STREAMS = {
    'sample video, 15 Hz': (15, 24, 0.0),
    'slow, 15 Hz': (15, 10, 1.0),
    'fast, 15 Hz': (15, 10, 3.0),
    'fast, 30 Hz': (30, 8, 3.0),
}


class _Replayed:
    """A detector that returns known detections, so that each image is processed only once."""

    def __init__(self):
        self.faces, self.calls = None, 0

    def detect(self, _image):
        self.calls += 1
        return self.faces


def images(name: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the images of a stream of STREAMS: (stamp in s, (480, 640, 3) uint8 BGR), with camera noise."""
    rate_hz, length_s, speed = STREAMS[name]
    random = np.random.default_rng(0)
    video, ground = SampleVideo(), draw_background(np.random.default_rng(0))
    for number in range(int(rate_hz * length_s)):
        stamp_s = number / rate_hz
        image = video.frame(stamp_s) if not speed else _moving(ground.copy(), stamp_s, speed)
        noise = random.standard_normal(image.shape, np.float32) * 3
        yield stamp_s, np.clip(image + noise, 0, 255).astype(np.uint8)


def measure(name: str, detector: FaceDetector, steps: Sequence[int] = (2, 3, 4)) -> tuple[float, list[dict[str, Any]]]:
    """Measure one stream.

    :param name: key of STREAMS.
    :param detector: FaceDetector.
    :param steps: values of n.
    :returns: milliseconds per detection, and for each n: n, detections, ids; for the images in between: mean and 5th
        percentile (p5) of the overlap, fraction below 0.5, and ms per image.
    """
    frames = list(images(name))
    started = time.process_time()
    faces = [detector.detect(image) for _, image in frames]
    detection_ms = 1e3 * (time.process_time() - started) / len(frames)
    return detection_ms, [_measure_step(frames, faces, step) for step in steps]


def _measure_step(frames, faces, step):
    known = _Replayed()
    finder, overlaps, between_s, ids = FaceFinder(known, FaceTracker(), every_n=step), [], [], set()
    for (stamp_s, image), detected in zip(frames, faces):
        known.faces, calls, started = detected, known.calls, time.process_time()
        found = finder.find(image, stamp_s)
        ids |= set(found.ids)
        if known.calls == calls:
            between_s.append(time.process_time() - started)
            pairs = intersection_over_union(np.asarray(detected.boxes, float), np.asarray(found.boxes, float))
            overlaps += list(pairs.max(axis=1)) if pairs.size else [0.0] * len(detected)
    return {
        'n': step,
        'detections': known.calls,
        'ids': len(ids),
        'mean': float(np.mean(overlaps)),
        'p5': float(np.percentile(overlaps, 5)),
        'below': float(np.mean(np.array(overlaps) < 0.5)),
        'ms': 1e3 * float(np.mean(between_s)),
    }


def _moving(image, stamp_s, speed):
    """Draw the sample's three faces, moving over a background."""
    for place, portrait in enumerate(CAST):
        picture = read_picture(find_shared('samples') + '/' + portrait.file)
        scale = (90 + 25 * np.sin(1.1 * stamp_s + place)) / portrait.face_px
        height = scale * portrait.face_px
        x = 107 + 213 * place + 70 * np.sin(speed * stamp_s * (1 + 0.2 * place) + place)
        y = 240 + 80 * np.sin(0.8 * speed * stamp_s + 2 * place)
        center_x, center_y = portrait.center_px
        matrix = np.array([[scale, 0, x - scale * center_x], [0, scale, y - scale * center_y]])
        if scale < 0.5:
            picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            matrix[:, :2] *= 2
        mask: np.ndarray = cv2.ellipse(
            np.zeros(image.shape[:2], np.uint8), (int(x), int(y)), (int(0.75 * height), int(height)), 0, 0, 360, 255, -1
        )
        mask &= cv2.warpAffine(np.full(picture.shape[:2], 255, np.uint8), matrix, (640, 480))
        image[mask > 0] = cv2.warpAffine(picture, matrix, (640, 480))[mask > 0]
    return image
