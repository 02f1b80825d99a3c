"""What the worker's thread forgets of faces, and when."""

import os
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from places import SAMPLES
from rclpy.clock import Clock
from rclpy.logging import get_logger
from std_msgs.msg import Header

from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.ros import messages, parameters, worker
from facial_emotion_ros.ros.latest_slot import LatestSlot


@pytest.fixture
def start(monkeypatch):
    """Start a worker with a pipeline of its own; with changed parameters, and crops of faces that are listed."""
    monkeypatch.setattr(worker, '_TAKE_TIMEOUT_S', 0.02)
    started = []

    def make(kind=worker.FrameWorker, faces=(), **changes):
        values = {row.name: row.default for row in parameters.TABLE}
        values.update((name.replace('__', '.'), value) for name, value in changes.items())
        node = SimpleNamespace(value=values.get, get_clock=Clock, get_logger=lambda: get_logger('test_frame_worker'))
        outputs = SimpleNamespace(publish=lambda *_: None, face_ids=lambda: list(faces))
        pipeline, slot = EmotionPipeline('esr_9_ferplus_int8'), LatestSlot()
        started.append(kind(node, pipeline, outputs, slot))
        started[-1].start()
        return started[-1], pipeline, slot

    yield make
    for each in started:
        assert each.stop(5.0)


def picture(sec=100, nanosec=0, crop=False):
    """Return an image with a face."""
    image = cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))
    return messages.image_message(
        Header(stamp=Time(sec=sec, nanosec=nanosec)), np.ascontiguousarray(image[40:260, 130:310]) if crop else image
    )


def wait(condition):
    """Wait until a condition holds."""
    end_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def answered(slot, count):
    """Wait until so many images are answered."""
    wait(lambda: slot.snapshot()['processed'] == count)


def test_what_faces_look_like_is_forgotten_when_no_image_comes_and_their_places_are_not(start):
    thread, pipeline, slot = start(tracker__remember_s=0.0, tracker__max_age_s=0.2)
    thread.offer(picture())
    answered(slot, 1)
    (track,) = pipeline.tracker._tracks
    assert track.views is not None
    wait(lambda: track.views is None and not pipeline.finder._templates._templates)
    assert pipeline.tracker.live_ids == [track.identity], 'stamps decide whether a face keeps its id'
    thread.offer(picture(nanosec=100000000))
    answered(slot, 2)
    assert pipeline.tracker.live_ids == [track.identity] and track.views is not None


def test_what_faces_look_like_is_forgotten_when_only_unreadable_images_come(start):
    thread, pipeline, slot = start(tracker__remember_s=0.0, tracker__max_age_s=0.2)
    thread.offer(picture())
    answered(slot, 1)
    (track,) = pipeline.tracker._tracks
    unreadable = picture(nanosec=100000000)
    unreadable.encoding = 'nonsense'

    def is_forgotten():
        thread.offer(unreadable)
        return track.views is None and not pipeline.finder._templates._templates

    wait(is_forgotten)
    assert slot.snapshot()['processed'] == 1


def test_a_disabled_worker_forgets_at_once_when_the_next_image_is_due_much_later(start):
    thread, pipeline, slot = start(input__rate_hz=0.001)
    thread.offer(picture())
    answered(slot, 1)
    assert pipeline.tracker.live_ids and len(pipeline.smoothing) == 1
    thread.pause(True)
    wait(lambda: not pipeline.tracker.live_ids and len(pipeline.smoothing) == 0)
    assert not pipeline.finder._templates._templates, 'the pixels of a face'


def test_one_face_begins_anew_when_the_stamps_of_its_crops_go_back(start):
    thread, pipeline, slot = start(worker.CropWorker, ['a', 'b'])

    def shoot(face_id, sec, count):
        thread.offer_crop(face_id, picture(sec, crop=True))
        answered(slot, count)
        return dict(pipeline.smoothing._faces)

    shoot('a', 100, 1)
    before, after = shoot('b', 100, 2), shoot('a', 50, 3)
    assert after['b'] is before['b'] and after['a'] is not before['a']
