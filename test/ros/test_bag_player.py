"""Recordings played by play_bag: what arrives, how, when, and how it ends."""

import csv
import glob
import os
import time

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.ros.recordings.bag_player import parse
from facial_emotion_ros.ros.recordings.bag_topics import has_header, stamp_of, with_stamp
from graph_peer import quality
from one_process import outcomes

rosbags = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed: scripts/setup --tests does that')

from facial_emotion_ros.recordings.io.bag_file import BagFile  # noqa: E402
from facial_emotion_ros.recordings.io.sample_bag import CAMERA, write_sample_bag  # noqa: E402
from facial_emotion_ros.recordings.io.writer import BagWriter  # noqa: E402

MODULE = ('-m', 'facial_emotion_ros.ros.recordings.bag_player')
JPEG = CAMERA + '/compressed'
PERIOD_S = 0.1
START_NS = 1767225600 * 10**9


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Record the beginning of the sample as JPEG: twelve images."""
    path = str(tmp_path_factory.mktemp('bags') / 'film')
    write_sample_bag(path, seconds=1.2, rate_hz=1 / PERIOD_S, width=320, height=240)
    return path


@pytest.fixture
def texts(tmp_path):
    """Return a function that records texts: texts(receive times in s) -> path."""

    def record(times_s):
        path = str(tmp_path / 'texts')
        with BagWriter(path) as bag:
            for number, time_s in enumerate(times_s):
                bag.write(
                    '/text',
                    'std_msgs/msg/String',
                    START_NS + int(time_s * 1e9),
                    serialize_message(String(data=str(number))),
                )
        return path

    return record


def recorded(path, topic):
    """Return (time of recording, message) of a topic, as rclpy reads it."""
    with BagFile(path) as bag:
        return [
            (message.receive_ns, deserialize_message(message.cdr, CompressedImage))
            for message in bag.messages((topic,))
        ]


def seconds(message):
    """Return a stamp in seconds."""
    return Time.from_msg(message).nanoseconds / 1e9


def test_every_message_arrives_as_it_was_recorded_when_played(start, peer, film):
    heard, arrivals_s = [], []
    peer.node.create_subscription(
        CompressedImage,
        JPEG,
        lambda message: (heard.append(message), arrivals_s.append(time.monotonic())),
        quality(depth=60),
    )
    process = start(*MODULE, film, '--wait-for', 1)
    peer.wait(lambda: process.process.poll() is not None, 'the end')
    peer.wait(lambda: len(heard) >= 12, 'all images')
    assert heard == [message for _, message in recorded(film, JPEG)]
    # A busy machine is late with some, which shortens the span to the next; five follow each other as they should.
    spans_s = np.array(arrivals_s[5:]) - np.array(arrivals_s[:-5])
    assert np.abs(spans_s - 5 * PERIOD_S).min() < 0.2 * PERIOD_S, spans_s
    assert arrivals_s[-1] - arrivals_s[0] > 6 * PERIOD_S, 'they were not played at once'
    assert 'to the end, played 24 messages on 2 topics' in process.output()


def test_messages_come_on_another_topic_when_remapped_by_the_player_s_or_ros_s_arguments(start, peer, film):
    heard, faces = peer.listen(CompressedImage, '/front'), peer.listen(Detection2DArray, '/people')
    words = ('--remap', JPEG + ':=/front', '--ros-args', '-r', '/annotation/faces:=/people')
    start(*MODULE, film, '--wait-for', 1, *words)
    peer.wait(lambda: heard and faces, 'an image and its annotation')
    assert heard[0].header == recorded(film, JPEG)[0][1].header, 'the first image was lost'
    peer.wait(lambda: not {'/annotation/faces', JPEG} & set(peer.topics()), 'the new names alone')


def test_topics_are_offered_as_they_were_recorded(start, peer, tmp_path):
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(9223372036, 854775807)
    offers = {'/now': ('BEST_EFFORT', 'VOLATILE'), '/latched': ('RELIABLE', 'TRANSIENT_LOCAL')}
    qos = {
        topic: Qos(
            QosHistory.KEEP_LAST,
            1,
            QosReliability[reliability],
            QosDurability[durability],
            forever,
            forever,
            QosLiveliness.AUTOMATIC,
            forever,
            False,
        )
        for topic, (reliability, durability) in offers.items()
    }
    with BagWriter(str(tmp_path / 'texts'), qos=qos.get) as bag:
        for time_s in (0, 30):
            for topic in offers:
                bag.write(topic, 'std_msgs/msg/String', START_NS + time_s * 10**9, serialize_message(String(data='x')))
    process = start(*MODULE, tmp_path / 'texts')
    process.wait_for('Playing')
    for topic, (reliability, durability) in offers.items():
        [offer] = peer.wait(lambda topic=topic: peer.node.get_publishers_info_by_topic(topic), 'the publisher')
        assert offer.qos_profile.reliability == ReliabilityPolicy[reliability]
        assert offer.qos_profile.durability == DurabilityPolicy[durability]
    late = peer.listen(String, '/latched', latched=True)
    peer.wait(lambda: late, 'what was published before')


def test_a_topic_is_left_out_with_a_warning_when_its_type_is_not_installed(ros_environment, tmp_path):
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg('int32 x', 'nowhere_msgs/msg/Thing'))
    with BagWriter(str(tmp_path / 'odd')) as bag:
        for number in range(3):
            bag.write(
                '/thing', 'nowhere_msgs/msg/Thing', START_NS + number, b'\x00\x01\x00\x00' + bytes(4), typestore=store
            )
            bag.write('/text', 'std_msgs/msg/String', START_NS + number, serialize_message(String()))
    [(status, output)] = outcomes(ros_environment, MODULE[1], [[tmp_path / 'odd']])
    assert status == 0 and output.count('[WARN]') == 1, output
    assert '/thing is skipped: its type nowhere_msgs/msg/Thing is not installed' in output
    assert 'played 3 messages on 1 topics' in output


def test_damaged_messages_are_left_out_and_counted_when_played(start, peer, tmp_path):
    whole = serialize_message(Image(header=Header(frame_id='whole')))
    with BagWriter(str(tmp_path / 'damaged')) as bag:
        for number, cdr in enumerate((whole[:11], whole, b'', whole[:12], whole[:4])):
            bag.write('/image', 'sensor_msgs/msg/Image', START_NS + number, cdr)
        bag.write('/text', 'std_msgs/msg/String', START_NS + 5, b'\x00\x01')
    process = start(*MODULE, tmp_path / 'damaged', '--ledger', tmp_path / 'ledger.csv')
    peer.wait(lambda: process.process.poll() is not None, 'the end')
    output = process.output()
    assert process.process.returncode == 0 and 'Traceback' not in output, output
    assert '/image: a message is skipped: expected 12 bytes or more, got 11: it is damaged.' in output
    assert 'damaged: 4 messages could not be read and were skipped.' in output
    assert 'to the end, played 2 messages on 2 topics' in output


def test_the_clock_has_the_time_of_the_recording_when_wanted(start, peer, film):
    clock, heard = peer.listen(Clock, '/clock', depth=200), peer.listen(CompressedImage, JPEG)
    process = start(*MODULE, film, '--clock', 50, '--rate', 2, '--start', 0.3, '--wait-for', 1)
    peer.wait(lambda: process.process.poll() is not None, 'the end')
    began_s = START_NS / 1e9
    peer.wait(lambda: heard and clock and seconds(clock[-1].clock) >= began_s + 1.0, 'the last times')
    times_s = [seconds(message.clock) for message in clock]
    assert times_s == sorted(times_s)
    assert began_s + 0.29 < times_s[0] < began_s + 0.41 and began_s + 1.0 < times_s[-1] <= began_s + 1.12
    # Twice as fast: 0.8 s of the recording pass, at about 50 Hz for 0.4 s.
    assert 8 < len([each for each in times_s if each > times_s[0]]) < 30
    assert 0.29 < seconds(heard[0].header.stamp) - began_s < 0.41


@pytest.mark.parametrize('clock', [True, False])
def test_the_node_answers_on_when_the_recording_begins_again(start, start_node, peer, film, clock):
    node = start_node('-r', 'image:=' + CAMERA, use_sim_time=clock, input__transport='compressed')
    heard = peer.listen(Detection2DArray, 'detections', depth=100)
    start(*MODULE, film, '--topics', JPEG, '--loop', '--wait-for', 1, *(['--clock'] if clock else []))

    def turns():
        stamps_s = [seconds(message.header.stamp) for message in heard]
        return [number for number in range(1, len(stamps_s)) if stamps_s[number] < stamps_s[number - 1]]

    peer.wait(lambda: turns() and len(heard) > turns()[0] + 5, 'answers after the second beginning')
    before, after = heard[turns()[0] - 1], heard[turns()[0] + 5]
    assert before.detections and after.detections
    # Who comes after a jump of time is not who was there before it.
    assert {face.id for face in before.detections}.isdisjoint(face.id for face in after.detections)
    if clock:
        node.wait_for('The clock has jumped')


@pytest.mark.parametrize(
    'times_s, cut, reported',
    [
        ([0.0, 0.1, 9e5, 9e5 + 0.1], False, 'Skipped 900000 s without a message'),
        # Messages come in the order of the file where that has no index.
        ([500.0, 500.1, 0.0, 0.1], True, 'texts_0.mcap is damaged'),
    ],
)
def test_messages_follow_each_other_when_the_clock_was_set_meanwhile(start, peer, texts, times_s, cut, reported):
    heard, path = peer.listen(String, '/text'), texts(times_s)
    if cut:
        [file] = glob.glob(path + '/*.mcap')
        os.rename(file, path + '/texts_0.mcap')
        os.truncate(path + '/texts_0.mcap', os.path.getsize(path + '/texts_0.mcap') - 8)
    process = start(*MODULE, path, '--wait-for', 1)
    process.wait_for('to the end, played 4 messages')
    peer.wait(lambda: len(heard) == 4, 'all messages')
    assert [message.data for message in heard] == ['0', '1', '2', '3']
    assert reported in process.output()


def test_nobody_is_flooded_when_a_single_message_is_played_over_and_over(start, peer, texts):
    heard = peer.listen(String, '/text', depth=100)
    start(*MODULE, texts([0.0]), '--loop', '--wait-for', 1)
    peer.wait(lambda: len(heard) >= 2, 'the second turn')
    assert len(heard) <= 3


def test_stamps_are_of_now_and_noted_when_that_is_asked_for(start, peer, film, tmp_path):
    heard, began_ns = peer.listen(CompressedImage, JPEG, depth=60), time.time_ns()
    process = start(
        *MODULE, film, '--topics', JPEG, '--stamp-now', '--ledger', tmp_path / 'ledger.csv', '--wait-for', 1
    )
    peer.wait(lambda: process.process.poll() is not None, 'the end')
    peer.wait(lambda: len(heard) >= 12, 'all images')
    with open(str(tmp_path / 'ledger.csv'), newline='') as file:
        rows = list(csv.DictReader(file))
    stamps_ns = [Time.from_msg(message.header.stamp).nanoseconds for message in heard]
    assert [int(row['stamp_ns']) for row in rows] == stamps_ns
    assert began_ns < stamps_ns[0] < stamps_ns[-1] < time.time_ns()
    before = recorded(film, JPEG)
    assert [int(row['receive_ns']) for row in rows] == [receive_ns for receive_ns, _ in before]
    for row, message, (receive_ns, old) in zip(rows, heard, before):
        # As old as it was when it was recorded, and nothing else of it has changed.
        assert int(row['published_ns']) - int(row['stamp_ns']) == receive_ns - int(row['recorded_stamp_ns'])
        message.header.stamp = old.header.stamp
        assert message == old


def test_images_are_played_when_the_recording_is_of_ros_1(start, peer, tmp_path):
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    image, header = (store.types[name] for name in ('sensor_msgs/msg/Image', 'std_msgs/msg/Header'))
    pixels = np.arange(48, dtype=np.uint8)
    with Writer(tmp_path / 'old.bag') as bag:
        topic = bag.add_connection('/camera/image_raw', image.__msgtype__, typestore=store)
        for number in range(3):
            stamp = store.types['builtin_interfaces/msg/Time'](1500000000 + number, 7)
            bag.write(
                topic,
                (1500000000 + number // 3) * 10**9,
                store.serialize_ros1(
                    image(header(number, stamp, 'camera'), 4, 4, 'bgr8', 0, 12, pixels), image.__msgtype__
                ),
            )
    heard = peer.listen(Image, CAMERA)
    start(*MODULE, tmp_path / 'old.bag', '--wait-for', 1)
    peer.wait(lambda: len(heard) == 3, 'three images')
    assert [message.header.stamp.sec for message in heard] == [1500000000, 1500000001, 1500000002]
    assert (heard[0].height, heard[0].step, heard[0].encoding, heard[0].data.tobytes()) == (
        4,
        12,
        'bgr8',
        pixels.tobytes(),
    )


def test_it_ends_with_a_sentence_when_it_cannot_play(ros_environment, film):
    played = 'played topics: /annotation/faces, ' + JPEG
    cases = [
        (['/nowhere/bag'], 1, "expected a recording, got '/nowhere/bag', which does not exist"),
        ([film, '--topics', '/front'], 1, 'expected the topic /front, but it has /annotation/faces, ' + JPEG),
        ([film, '--start', '60'], 1, 'expected messages on '),
        ([film, '--wait-for', '1', '--patience', '0.1'], 1, 'expected 1 subscribers of ' + JPEG + ' within 0.1 s'),
        ([film, '--ledger', '/nowhere/ledger.csv'], 1, "'/nowhere/ledger.csv'"),
        ([film, '--ros-args', '-r', 'nonsense'], 2, 'nonsense'),
        ([film, '--remap', '/front:=/image'], 1, 'expected --remap of a played topic, got /front; ' + played),
        (
            [film, '--topics', JPEG, '--remap', 'annotation/faces:=/x'],
            1,
            'got annotation/faces; played topics: ' + JPEG,
        ),
    ]
    found = outcomes(ros_environment, MODULE[1], [words for words, _, _ in cases])
    for (words, status, reported), (got, output) in zip(cases, found):
        assert got == status and reported in output and 'Traceback' not in output, (words, got, output)


@pytest.mark.parametrize(
    'words, reported',
    [
        (['--clock', '--stamp-now'], 'expected --stamp-now or --clock, got both'),
        (['--rate', '0'], '--rate: expected a positive number, below 1e9, got 0'),
        (['--rate', 'abc'], 'expected a positive number, below 1e9, got abc'),
        (['--start', '-1'], 'expected a number of 0 or more, below 1e9, got -1'),
        (['--start', 'nan'], 'expected a number of 0 or more, below 1e9, got nan'),
        (['--clock', '1e30'], 'expected a positive number, below 1e9, got 1e30'),
        (['--wait-for', '-1'], 'expected an integer of 0 or more, below 1e9, got -1'),
        (['--wait-for', '1.5'], 'expected an integer of 0 or more'),
        (['--remap', '/front'], "expected A:=B, got '/front'"),
    ],
)
def test_arguments_are_refused_when_they_make_no_sense(capsys, words, reported):
    with pytest.raises(SystemExit, match='2'):
        parse(['film'] + words)
    assert reported in capsys.readouterr().err


@pytest.mark.parametrize('big_endian', [False, True])
def test_a_stamp_is_exchanged_when_a_message_is_bytes(big_endian):
    if big_endian:
        cdr = b'\x00\x00\x00\x00' + bytes([0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 1, 0])
    else:
        cdr = serialize_message(Header(frame_id='left'))
        cdr = with_stamp(cdr, 5 * 10**9 + 7)
    assert stamp_of(cdr) == 5 * 10**9 + 7
    later = with_stamp(cdr, 1795660065 * 10**9 + 684964883)
    assert stamp_of(later) == 1795660065 * 10**9 + 684964883
    assert len(later) == len(cdr) and later[12:] == cdr[12:] and later[:4] == cdr[:4]
    # Where the time of recording is missing, as in ROS 1 before the first /clock, an image seems to be of the future.
    assert stamp_of(with_stamp(cdr, 10**19)) // 10**9 == 2**31 - 1
    if not big_endian:
        assert deserialize_message(later, Header).frame_id == 'left'


def test_a_header_is_found_when_a_message_begins_with_one():
    assert has_header(Image) and has_header(Detection2DArray) and not has_header(String) and not has_header(Clock)
