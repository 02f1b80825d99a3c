"""The image subscription: lazy, as reliable as the camera, and hard to kill."""

import array
import functools
import re
import time

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from graph_peer import image_fields, quality, scene


def test_answers_come_at_most_so_often_and_to_the_newest_image_when_a_rate_is_set(tuned_node, peer):
    rate_hz, answers = 4.0, 6
    tuned_node(input__rate_hz=rate_hz)
    camera, heard = peer.camera(), peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    began = time.monotonic()
    peer.wait(lambda: len(heard) >= answers, 'answers', each=camera.shoot, every_s=0.02)
    assert time.monotonic() - began >= (answers - 1) / rate_hz
    last = camera.shoot()
    peer.wait(lambda: heard[-1].header == last, 'the answer to the last image')


def test_the_subscription_comes_and_goes_when_subscribers_do(tuned_node, peer):
    node = tuned_node(input__idle_release_s=0.5)
    camera = peer.camera()
    peer.spin(0.5)
    assert not camera.watched(), 'subscribed although no output has a subscriber'
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched, 'a subscription')
    peer.wait(lambda: heard, 'detections', each=camera.shoot)
    peer.node.destroy_subscription(list(peer.node.subscriptions)[-1])
    gone = time.monotonic()
    peer.wait(lambda: not camera.watched(), 'the subscription to be released')
    assert time.monotonic() - gone >= 0.5
    peer.listen(Detection2DArray, 'affect')
    peer.wait(camera.watched, 'a second subscription')
    node.wait_for('(?s)Subscribed to /image.*Unsubscribed from /image.*Subscribed to /image')


def test_images_are_worked_on_without_a_subscriber_when_laziness_is_off(tuned_node, peer):
    tuned_node(input__lazy=False)
    camera, health = peer.camera(), peer.health()
    peer.wait(lambda: health.counts().get('processed'), 'a processed image', each=camera.shoot)
    peer.set_parameter(Parameter('input.lazy', value=True))
    peer.wait(lambda: not camera.watched(), 'the subscription to be released')


def test_the_subscription_is_as_reliable_as_all_publishers_or_as_the_parameter_says(tuned_node, peer):
    node = tuned_node(input__reliability='auto')
    small = scene(160, 120)  # best effort loses big images in the default middleware
    first = peer.camera(reliable=False, picture=small)
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'detections of the best-effort camera', each=first.shoot)
    assert offered(peer, '/image') == [ReliabilityPolicy.BEST_EFFORT]
    peer.node.destroy_publisher(first.publisher)
    second = peer.camera(reliable=True, picture=small)
    peer.wait(lambda: second.answers(heard), 'detections of the reliable camera', each=second.shoot)
    peer.wait(second.watched_reliably, 'a reliable subscription')
    third = peer.camera(reliable=False, picture=small)
    peer.wait(third.watched, 'a subscription that hears both')
    peer.wait(lambda: third.answers(heard), 'detections of another camera', each=third.shoot)
    node.wait_for(r'(?s)Subscribed to /image \(reliable\).*Subscribed to /image \(best effort\)')
    for name, policy in (
        ('reliable', ReliabilityPolicy.RELIABLE),
        ('best_effort', ReliabilityPolicy.BEST_EFFORT),
        ('reliable', ReliabilityPolicy.RELIABLE),
    ):
        assert peer.set_parameter(Parameter('input.reliability', value=name)).successful
        peer.wait(lambda policy=policy: offered(peer, '/image') == [policy], 'what the parameter asks for')


def offered(peer, topic):
    """Return the reliability of every subscription of a topic."""
    return [end.qos_profile.reliability for end in peer.node.get_subscriptions_info_by_topic(topic)]


def malformed_images():
    """Give (what is wrong, fields in place of a good image's, words that name it)."""
    good = image_fields(scene(320, 240))['data']
    return [
        ('step too small', {'step': 320}, 'step'),
        ('step too large', {'step': 4000}, '240 rows of 4000'),
        ('step of zero', {'step': 0}, 'step'),
        ('step that overflows', {'step': 2**32 - 1}, 'bytes'),
        ('short buffer', {'data': good[:1000]}, '1000'),
        ('no buffer', {'data': good[:0]}, '0 bytes'),
        ('one byte too many', {'data': good + good[:1]}, '230401'),
        ('unknown encoding', {'encoding': 'klingon8'}, 'klingon8'),
        ('empty encoding', {'encoding': ''}, "got ''"),
        ('depth image', {'encoding': '32FC1', 'step': 1280, 'data': good * 2}, 'depth'),
        ('zero width', {'width': 0}, 'width'),
        ('zero height', {'height': 0}, 'height'),
        ('zero size', {'width': 0, 'height': 0, 'step': 0, 'data': good[:0]}, 'height'),
        ('huge size', {'width': 2**32 - 1, 'height': 2**32 - 1}, '4294967295'),
    ]


def test_every_malformed_image_is_counted_and_named_and_good_ones_are_answered_when_they_alternate(tuned_node, peer):
    node = tuned_node()
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    good, malformed = [], malformed_images()
    for what, fields, words in malformed:
        camera.shoot(**fields)
        peer.wait(lambda: health.settled(before['received'] + 2 * len(good) + 1), what)
        status = health.parts()['input']
        assert status.level == DiagnosticStatus.WARN and 'expected' in status.message and words in status.message, what
        good.append(camera.shoot())
        peer.wait(lambda: heard[-1].header == good[-1], 'the answer to a good image')
    after = peer.wait(lambda: health.settled(before['received'] + 2 * len(good)), 'the counters')
    assert [
        after[name] - before[name] for name in ('received', 'processed', 'replaced', 'bad', 'expired', 'failed')
    ] == [2 * len(malformed), len(malformed), 0, len(malformed), 0, 0]
    # An earlier test may have had its warning within the 5 s in which there is one.
    what = r'\[WARN\].*Dropped an image: expected'
    peer.wait(lambda: re.search(what, node.output()), 'a warning', each=lambda: camera.shoot(**fields), every_s=1.0)
    assert node.output().count('[WARN]') < len(malformed), 'the warning is not throttled'


def test_a_face_is_found_when_an_encoding_is_supported(shared_node, peer):
    camera, heard = peer.camera(), peer.listen(Detection2DArray, 'detections')
    for encoding in ENCODINGS:
        pixels, step = camera_pixels(scene(320, 240), encoding)
        fields = {'encoding': encoding, 'step': step, 'data': array.array('B', pixels), 'width': 320, 'height': 240}
        peer.wait(
            lambda: camera.answers(heard), encoding, each=lambda fields=fields: camera.shoot(**fields), every_s=0.5
        )
        [face] = camera.answers(heard)[0].detections
        assert face.results[0].hypothesis.class_id == 'happy', encoding
        last = camera.shoot(**fields)
        peer.wait(lambda last=last: heard[-1].header == last, 'its last image')
        heard.clear()


#: Encodings of sensor_msgs, one of each kind.
ENCODINGS = ('bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', 'mono16', 'rgb16', 'bayer_grbg8', 'yuv422', 'nv12')


def camera_pixels(picture, encoding):
    """Lay out a picture as a camera does, grayish where colour would need arithmetic.

    :returns: (bytes, step).
    """
    height, width = picture.shape[:2]
    green, gray = picture[:, :, 1], picture.mean(2).astype(np.uint8)
    if encoding == 'bayer_grbg8':
        mosaic = green.copy()
        mosaic[::2, 1::2], mosaic[1::2, ::2] = picture[::2, 1::2, 2], picture[1::2, ::2, 0]
        return mosaic.tobytes(), width
    if encoding == 'yuv422':
        return np.dstack([np.full_like(gray, 128), gray]).tobytes(), 2 * width
    if encoding == 'nv12':
        return gray.tobytes() + b'\x80' * (height * width // 2), width
    pixels = {
        'bgr8': picture,
        'rgb8': picture[:, :, ::-1],
        'bgra8': np.dstack([picture, green]),
        'rgba8': np.dstack([picture[:, :, ::-1], green]),
        'mono8': green,
        'mono16': green.astype('<u2') * 257,
        'rgb16': picture[:, :, ::-1].astype('<u2') * 257,
    }[encoding]
    return pixels.tobytes(), pixels.nbytes // height


def test_a_frame_is_dropped_as_expired_when_it_is_too_old(tuned_node, peer):
    tuned_node(input__max_age_s=5.0)
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    old = peer.node.get_clock().now().to_msg()
    old.sec -= 10
    camera.shoot(stamp=old)
    after = peer.wait(lambda: health.settled(before['received'] + 1), 'the expired frame')
    assert (after['expired'], after['processed']) == (1, before['processed'])
    assert old not in [message.header.stamp for message in heard]


def test_images_are_answered_and_have_no_age_when_the_camera_leaves_the_stamp_at_zero(tuned_node, peer):
    tuned_node(input__max_age_s=5.0)
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


def test_stamps_of_the_future_are_flagged_and_give_no_age_when_the_cameras_clock_is_ahead(tuned_node, peer):
    tuned_node()
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
        shot.append(camera.shoot(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)))

    return shoot


def now_s(peer):
    """Return the time of day."""
    return peer.node.get_clock().now().nanoseconds / 1e9


def test_odd_stamps_are_counted_and_named_and_give_no_age(tuned_node, peer):
    tuned_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    processed = 0
    # A driver that stamps its uptime; one that stamps all alike; one whose clock goes back by a millisecond each time.
    for kind, words, ages, stamp_of in (
        ('past', 'far in the past', 0, lambda began_s, _: now_s(peer) - 1.7e9),
        ('frozen', 'the stamp of the previous one', 1, lambda began_s, _: began_s),
        ('backwards', 'went back', 2, lambda began_s, number: began_s - number * 1e-3),
    ):
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


def test_a_face_that_has_left_is_given_up_when_all_stamps_are_alike(tuned_node, peer):
    tuned_node(tracker__max_age_s=0.5)
    camera, heard, stamp = peer.camera(), peer.listen(IdsList, '/humans/faces/tracked'), Time(sec=5)
    peer.wait(lambda: heard and heard[-1].ids, 'a face', each=lambda: camera.shoot(stamp=stamp))
    empty = image_fields(np.zeros((240, 320, 3), np.uint8))
    # By the stamps alone, no time would pass: neither for the tracker nor for the smoothing.
    peer.wait(lambda: not heard[-1].ids, 'an empty list', each=lambda: camera.shoot(stamp=stamp, **empty))


def test_a_recording_that_begins_again_is_named_and_its_faces_are_new(tuned_node, peer):
    tuned_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    began_s, length = now_s(peer), 6
    shoot = shoot_with(peer, camera, lambda number: began_s + number % length * 0.2)
    peer.wait(lambda: len({face.id for message in heard for face in message.detections}) == 2, 'a new id', each=shoot)
    peer.wait(lambda: 'the previous faces are forgotten' in health.parts()['input'].message, 'a warning')


def test_two_cameras_on_one_topic_are_named_and_the_warning_goes_with_one_of_them(tuned_node, peer):
    node = tuned_node()
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    other = peer.another('second_camera', 'robot')
    publisher = other.create_publisher(Image, '/image', quality(depth=1))
    peer.wait(
        lambda: '2 publishers on /image (/peer, /robot/second_camera)' in health.parts()['input'].message,
        'a warning',
        each=camera.shoot,
    )
    assert health.parts()['input'].level == DiagnosticStatus.WARN
    node.wait_for(r'\[WARN\].*2 publishers on /image \(/peer, /robot/second_camera\)')
    other.destroy_publisher(publisher)
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'all to be well', each=camera.shoot)
    assert node.output().count('publishers on /image') == 1, 'the warning is not throttled'


def test_silence_and_its_end_are_each_logged_once(tuned_node, peer):
    node = tuned_node(input__timeout_s=1.0)
    peer.listen(Detection2DArray, 'detections')
    node.wait_for(r'\[WARN\].*No image for .*nothing publishes on /image')
    assert peer.change_state('deactivate') and peer.change_state('activate')
    node.wait_for('(?s)nothing publishes on /image.*Active: .*nothing publishes on /image')
    camera = peer.camera()
    peer.wait(lambda: 'Receiving images again' in node.output(), 'good news', each=camera.shoot)
    node.wait_for('(?s)images again.*No image for .*1 publisher on /image')
    assert [node.output().count(words) for words in ('No image for', 'images again')] == [3, 1]
