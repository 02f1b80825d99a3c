"""The image subscription: lazy, as reliable as the camera, and hard to kill."""

import functools
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from graph_peer import image_fields, quality, scene


def test_the_subscription_comes_and_goes_when_readers_do(start_node, peer):
    node = start_node(input__idle_release_s=0.5)
    camera = peer.camera()
    node.wait_for('Active: ')
    peer.spin(0.5)
    assert not camera.watched(), 'subscribed although nobody reads an output'
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched, 'a subscription')
    peer.wait(lambda: heard, 'detections', each=camera.shoot)
    peer.node.destroy_subscription(list(peer.node.subscriptions)[-1])
    gone = time.monotonic()
    peer.wait(lambda: not camera.watched(), 'the subscription to be released')
    assert time.monotonic() - gone >= 0.5
    peer.listen(Detection2DArray, 'affect')
    peer.wait(camera.watched, 'a second subscription')
    node.wait_for('(?s)Listening to /image.*Left the topic /image.*Listening to /image')


def test_images_are_worked_on_without_a_reader_when_laziness_is_off(start_node, peer):
    start_node(input__lazy=False)
    camera, health = peer.camera(), peer.health()
    peer.wait(lambda: health.counts().get('processed'), 'a processed image', each=camera.shoot)
    peer.set_parameter(Parameter('input.lazy', value=True))
    peer.wait(lambda: not camera.watched(), 'the subscription to be released')


@pytest.mark.parametrize('reliable', [True, False])
def test_the_subscription_is_as_reliable_as_the_publisher_when_left_to_itself(start_node, peer, reliable):
    start_node()
    # Small images, since best effort loses big ones in the default middleware.
    camera = peer.camera(reliable=reliable, picture=scene(200, 160))
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'detections', each=camera.shoot)
    assert offered(peer, '/image') == ([ReliabilityPolicy.RELIABLE] if reliable else [ReliabilityPolicy.BEST_EFFORT])


def test_the_reliability_follows_when_a_publisher_of_the_other_kind_comes(start_node, peer):
    node = start_node()
    first = peer.camera(reliable=True, picture=scene(200, 160))
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'detections of the reliable camera', each=first.shoot)
    second = peer.camera(reliable=False, picture=scene(200, 160))
    peer.wait(second.watched, 'a subscription that hears both')
    heard.clear()
    peer.wait(lambda: heard, 'detections of the other camera', each=second.shoot)
    node.wait_for(r'Listening to /image \(best effort\)')
    for name, policy in (('reliable', ReliabilityPolicy.RELIABLE), ('best_effort', ReliabilityPolicy.BEST_EFFORT),
                         ('reliable', ReliabilityPolicy.RELIABLE)):
        assert peer.set_parameter(Parameter('input.reliability', value=name)).successful
        peer.wait(lambda policy=policy: offered(peer, '/image') == [policy], 'what the parameter asks for')


def offered(peer, topic):
    """Return the reliability of every subscription of a topic."""
    return [end.qos_profile.reliability for end in peer.node.get_subscriptions_info_by_topic(topic)]


GOOD = image_fields(scene())
#: (what is wrong, fields in place of the good ones, words of the warning)
MALFORMED = [
    ('step too small', {'step': 640}, 'step'),
    ('step too large', {'step': 4000}, '480 rows of 4000 bytes'),
    ('step of zero', {'step': 0}, 'step'),
    ('step that overflows', {'step': 2 ** 32 - 1}, 'bytes'),
    ('short buffer', {'data': GOOD['data'][:1000]}, '1000'),
    ('no buffer', {'data': GOOD['data'][:0]}, '0 bytes'),
    ('one byte too many', {'data': GOOD['data'] + GOOD['data'][:1]}, '921601'),
    ('unknown encoding', {'encoding': 'klingon8'}, 'klingon8'),
    ('empty encoding', {'encoding': ''}, 'encoding'),
    ('depth image', {'encoding': '32FC1', 'step': 2560, 'data': GOOD['data'] * 2}, 'bytes'),
    ('zero width', {'width': 0}, 'width'),
    ('zero height', {'height': 0}, 'height'),
    ('zero size', {'width': 0, 'height': 0, 'step': 0, 'data': GOOD['data'][:0]}, 'height'),
    ('huge size', {'width': 2 ** 32 - 1, 'height': 2 ** 32 - 1}, '4294967295'),
]


def test_every_malformed_image_is_counted_and_good_ones_are_answered_when_they_alternate(start_node, peer):
    node = start_node()
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    good = []
    for what, fields, _words in MALFORMED:
        camera.shoot(**fields)
        peer.wait(lambda: health.settled(before['received'] + 2 * len(good) + 1), what)
        good.append(camera.shoot())
        peer.wait(lambda: heard[-1].header == good[-1], 'the answer to a good image')
    after = peer.wait(lambda: health.settled(before['received'] + 2 * len(good)), 'the counters')
    assert [after[name] - before[name] for name in ('received', 'processed', 'replaced', 'bad', 'expired', 'failed')
            ] == [2 * len(MALFORMED), len(MALFORMED), 0, len(MALFORMED), 0, 0]
    warnings = [line for line in node.output().splitlines() if '[WARN]' in line]
    assert MALFORMED[0][2] in warnings[0] and 'expected' in warnings[0]
    assert len(warnings) < len(MALFORMED), 'the warning is not throttled'


@pytest.mark.parametrize('fields, words', [case[1:] for case in MALFORMED if case[0] in (
    'short buffer', 'unknown encoding', 'zero size')])
def test_the_warning_says_what_was_expected_when_an_image_is_malformed(start_node, peer, fields, words):
    node = start_node(input__lazy=False)
    camera = peer.camera()
    peer.wait(camera.watched, 'a subscription')
    peer.wait(lambda: '[WARN]' in node.output(), 'a warning', each=lambda: camera.shoot(**fields))
    warning = node.wait_for(r'\[WARN\].*').group()
    assert words in warning and 'expected' in warning


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', 'mono16'])
def test_a_face_is_found_when_an_encoding_is_supported(shared_node, peer, encoding):
    picture = scene()
    pixels = {'bgr8': picture, 'rgb8': picture[:, :, ::-1], 'bgra8': np.dstack([picture, picture[:, :, 0]]),
              'rgba8': np.dstack([picture[:, :, ::-1], picture[:, :, 0]]), 'mono8': picture[:, :, 1],
              'mono16': picture[:, :, 1].astype(np.uint16) * 257}[encoding]
    camera, heard = peer.camera(), peer.listen(Detection2DArray, 'detections')
    fields = image_fields(pixels, encoding)
    answer = peer.wait(lambda: camera.answers(heard), 'detections', each=lambda: camera.shoot(**fields), every_s=0.5)[0]
    assert len(answer.detections) == 1
    assert answer.detections[0].results[0].hypothesis.class_id == 'happy'


def test_a_frame_is_dropped_as_expired_when_it_is_too_old(start_node, peer):
    start_node(input__max_age_s=5.0)
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    old = peer.node.get_clock().now().to_msg()
    old.sec -= 10
    camera.shoot(stamp=old)
    after = peer.wait(lambda: health.settled(before['received'] + 1), 'the expired frame')
    assert (after['expired'], after['processed']) == (1, before['processed'])
    assert old not in [message.header.stamp for message in heard]


def test_images_are_answered_and_have_no_age_when_the_camera_leaves_the_stamp_at_zero(start_node, peer):
    start_node(input__max_age_s=5.0)
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'an answer', each=lambda: camera.shoot(stamp=Time()))
    counts = peer.counts_from_now(health)
    assert counts['expired'] == 0 and counts['processed'] > 0
    values = health.values('inference')
    assert values['age_p50_ms'] == '' and float(values['work_p50_ms']) > 0
    status = health.parts()['input']
    assert status.level == DiagnosticStatus.WARN and 'without a stamp' in status.message
    assert int(health.values('input')['unstamped']) == counts['processed']


def test_stamps_of_the_future_are_flagged_and_give_no_age_when_the_cameras_clock_is_ahead(start_node, peer):
    start_node()
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')

    def shoot_ahead():
        stamp = peer.node.get_clock().now().to_msg()
        stamp.sec += 3600
        camera.shoot(stamp=stamp)

    peer.wait(lambda: heard, 'an answer', each=shoot_ahead)
    counts = peer.counts_from_now(health)
    status = health.parts()['input']
    assert status.level == DiagnosticStatus.WARN and 'in the future' in status.message
    assert int(health.values('input')['future']) == counts['processed'] > 0
    assert health.values('inference')['age_max_ms'] == ''


def shoot_with(peer, camera, stamp_of):
    """Return a function that shoots the next image, stamped with the seconds that `stamp_of` has for its number."""
    shot = []

    def shoot():
        stamp_ns = int(stamp_of(len(shot)) * 1e9)
        shot.append(camera.shoot(stamp=Time(sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9)))

    return shoot


def now_s(peer):
    """Return the time of day."""
    return peer.node.get_clock().now().nanoseconds / 1e9


def test_odd_stamps_are_counted_and_named_and_give_no_age(start_node, peer):
    start_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    processed = 0
    # A driver that stamps its uptime; one that stamps all alike; one whose clock goes back by a millisecond each time.
    for kind, words, ages, stamp_of in (('past', 'far in the past', 0, lambda began_s, _: now_s(peer) - 1.7e9),
                                        ('frozen', 'the stamp of the one before', 1, lambda began_s, _: began_s),
                                        ('backwards', 'went back', 2, lambda began_s, number: began_s - number * 1e-3)):
        heard.clear()
        shoot = shoot_with(peer, camera, functools.partial(stamp_of, now_s(peer)))
        peer.wait(lambda: len(heard) >= 3, 'answers', each=shoot, every_s=0.2)
        counts = peer.counts_from_now(health)
        new, processed = counts['processed'] - processed, counts['processed']
        status, values = health.parts()['input'], health.values('input')
        assert status.level == DiagnosticStatus.WARN and words in status.message
        assert int(values[kind]) == new - (kind != 'past') >= 2, 'the first of them has an ordinary stamp'
        found = health.values('inference')
        assert (found['age_max_ms'] == '') is (ages == 0), 'an odd stamp gives an age'
        assert len({face.id for message in heard for face in message.detections}) == 1, 'a face was forgotten'
    assert int(values['unstamped']) == int(values['future']) == 0


def test_a_face_that_has_left_is_given_up_when_all_stamps_are_alike(start_node, peer):
    start_node(tracker__max_age_s=0.5)
    camera, heard, stamp = peer.camera(), peer.listen(IdsList, '/humans/faces/tracked'), Time(sec=5)
    peer.wait(lambda: heard and heard[-1].ids, 'a face', each=lambda: camera.shoot(stamp=stamp))
    empty = image_fields(np.zeros((480, 640, 3), np.uint8))
    # By the stamps alone, no time would pass: neither for the tracker nor for the smoothing.
    peer.wait(lambda: not heard[-1].ids, 'an empty list', each=lambda: camera.shoot(stamp=stamp, **empty))


def test_a_recording_that_begins_again_is_named_and_its_faces_are_new(start_node, peer):
    start_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    began_s, length = now_s(peer), 6
    shoot = shoot_with(peer, camera, lambda number: began_s + number % length * 0.2)
    peer.wait(lambda: len({face.id for message in heard for face in message.detections}) == 2, 'a new id', each=shoot)
    peer.wait(lambda: 'the faces before are forgotten' in health.parts()['input'].message, 'a warning')


def test_two_cameras_on_one_topic_are_named_and_the_warning_goes_with_one_of_them(start_node, peer):
    node = start_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    other = Node('second_camera', namespace='robot', context=peer.node.context)
    publisher = other.create_publisher(Image, '/image', quality(depth=1))
    peer.wait(lambda: '2 publishers on /image (/peer, /robot/second_camera)' in health.parts()['input'].message,
              'a warning', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.WARN
    node.wait_for(r'\[WARN\].*2 publishers on /image \(/peer, /robot/second_camera\)')
    other.destroy_publisher(publisher)
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'all to be well', each=camera.shoot)
    assert node.output().count('publishers on /image') == 1, 'the warning is not throttled'
    other.destroy_node()


def test_the_log_tells_once_that_images_stay_away_and_once_that_they_come_again(start_node, peer):
    node = start_node(input__timeout_s=1.0)
    peer.listen(Detection2DArray, 'detections')
    node.wait_for(r'\[WARN\].*No image for .*nothing publishes on /image')
    camera = peer.camera()
    peer.wait(lambda: 'Images come again' in node.output(), 'good news', each=camera.shoot)
    node.wait_for('(?s)come again.*No image for .*1 publisher on /image')
    assert [node.output().count(words) for words in ('No image for', 'come again')] == [2, 1]
