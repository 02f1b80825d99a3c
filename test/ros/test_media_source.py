"""The media source as a process: what arrives at a subscriber, and how it ends."""

import os
import signal
import socket

import cv2
import numpy as np
import pytest
from rclpy.qos import ReliabilityPolicy
from rclpy.time import Time
from ros_processes import parameter_words
from sensor_msgs.msg import Image

from facial_emotion_ros.demo.frame_sources import PAUSE_S
from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.ros.demo import media_source
from facial_emotion_ros.system.dds_environment import transport_environment
from graph_peer import REPOSITORY, quality

MODULE = ('-m', 'facial_emotion_ros.ros.demo.media_source', '--ros-args')
RATE_HZ = 20.0
PAUSE = int(np.ceil(PAUSE_S * RATE_HZ))


@pytest.fixture
def images(peer):
    """Collect what comes on the topic `image`."""
    received = []
    subscription = peer.node.create_subscription(Image, 'image', received.append, quality(depth=60))
    yield received
    peer.node.destroy_subscription(subscription)


@pytest.fixture
def folder(tmp_path):
    """Make a folder with two pictures and a damaged one."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for name, value in (('first' * 50 + '.png', 40), ('second.jpg', 200)):
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), value, np.uint8))
    (folder / 'cut.jpg').write_bytes((folder / 'second.jpg').read_bytes()[:200])
    return folder


def test_pictures_arrive_in_order_when_a_folder_is_played(start, peer, images, folder):
    process = start(
        *MODULE,
        *parameter_words(
            source__kind='images',
            source__path=folder,
            source__seconds_each=0.4,
            rate_hz=RATE_HZ,
            source__width=320,
            source__height=240,
            name_in_frame_id=True,
            wait_for_subscriber=True,
        ),
    )
    offers = peer.wait(lambda: peer.node.get_publishers_info_by_topic('/image'), 'the publisher')
    assert offers[0].qos_profile.reliability == ReliabilityPolicy.RELIABLE
    peer.wait(lambda: process.process.poll() is not None, 'the end of the pictures')
    peer.wait(lambda: len(images) >= 2 * (8 + PAUSE), 'all that was sent')
    frame_ids = [message.header.frame_id for message in images]
    first = 'camera/' + ('first' * 50 + '.png')[-200:]  # what a node takes, however long the name is
    assert frame_ids == [first] * 8 + ['camera'] * PAUSE + ['camera/second.jpg'] * 8 + ['camera'] * PAUSE
    stamps = [Time.from_msg(message.header.stamp).nanoseconds for message in images]
    # A busy machine is late with some images, and leaves out turns; none is early, and somewhere ten follow each other
    # as they should.
    periods = np.array(stamps) * RATE_HZ / 1e9
    assert (np.diff(periods) > 0).all()
    assert 8 < np.min(periods[10:] - periods[:-10]) < 12, np.diff(periods)
    assert {(message.encoding, message.width, message.height, message.step) for message in images} == {
        ('bgr8', 320, 240, 960)
    }
    assert images[0].data[120 * 960 + 480] == 40
    assert 'cut.jpg is skipped: expected a complete JPEG file, got one that was cut off' in process.output()
    assert '1 damaged files skipped' in process.output()


def largest_segment(pid):
    """Return the size in bytes of the largest shared-memory segment of Fast DDS that a process has mapped."""
    with open('/proc/%d/maps' % pid) as maps:
        spans = [line.split()[0].split('-') for line in maps if '/dev/shm/fast' in line]
    return max(int(end, 16) - int(start, 16) for start, end in spans)


def test_first_frame_is_not_lost_when_a_subscriber_is_late(start, peer, ros_environment):
    process = start(*MODULE, *parameter_words(wait_for_subscriber=True, duration_s=0.5, sourcekind='images'))
    process.wait_for(r'\[WARN\].*sourcekind is unknown and has no effect; did you mean source.kind\?')
    process.wait_for('once there is a subscriber')
    if transport_environment(ros_environment):
        assert largest_segment(process.process.pid) >= 2**26, 'images do not fit into the shared memory'
    received = []
    subscription = peer.node.create_subscription(Image, 'image', received.append, quality(depth=20))
    peer.wait(lambda: process.process.poll() is not None and len(received) >= 3, 'the end and some images')
    peer.node.destroy_subscription(subscription)
    first = np.frombuffer(received[0].data, np.uint8).reshape(480, 640, 3)
    assert np.array_equal(first, SampleVideo(folder=os.path.join(REPOSITORY, 'samples')).frame(0.0))
    assert 'XML' not in process.output(), process.output()


def test_publisher_is_best_effort_when_asked_for(start, peer):
    process = start(*MODULE, *parameter_words(reliability='best_effort', loop=True))
    process.wait_for('Playing')
    offers = peer.wait(lambda: peer.node.get_publishers_info_by_topic('/image'), 'the publisher')
    assert offers[0].qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    'parameters, words',
    [
        ({'source__kind': 'film'}, 'one of sample, images, video, camera'),
        ({'source__kind': 'images', 'source__path': '/nowhere'}, "a picture file or a folder of them, got '/nowhere'"),
        ({'source__kind': 'video', 'source__path': os.path.join(REPOSITORY, 'README.md')}, 'README.md'),
        ({'source__kind': 'camera', 'source__camera': 98}, 'expected a picture from camera 98, got none'),
        ({'source__camera': 'front'}, 'an integer from 0 to 99'),
        ({'reliability': 'perhaps'}, "one of reliable, best_effort, but is 'perhaps'"),
        ({'rate_hz': -1}, 'rate_hz must be a float from 0.0 to 240.0 (Hz), but is -1'),
    ],
)
def test_bad_input_ends_it_with_a_sentence_when_started(run_here, parameters, words):
    status, text = run_here(media_source.main, **parameters)
    assert status == 2 and words in text and 'Traceback' not in text, text


def test_it_ends_soon_after_a_signal_when_the_server_of_its_stream_is_silent(start):
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = 'http://127.0.0.1:%d/live' % server.getsockname()[1]
        process = start(*MODULE, *parameter_words(source__kind='camera', source__path=address))
        stream, _ = server.accept()
        assert process.end(signal.SIGTERM, timeout_s=6.0)[0] == 0
        stream.close()
