"""Recordings made by record_bag: what is in them, and what is left when it does not end as it should."""

import array
import re
import resource
import signal
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hri_msgs.msg import Expression
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message
from ros_processes import Process
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String
from vision_msgs.msg import Detection2DArray, VisionInfo

from graph_peer import quality
from one_process import outcomes

pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed: scripts/setup --tests does that')

from facial_emotion_ros.core.errors import BadBag  # noqa: E402
from facial_emotion_ros.recordings.io.bag_file import BagFile  # noqa: E402
from facial_emotion_ros.ros.recordings.bag_recorder import parse  # noqa: E402
from facial_emotion_ros.ros.recordings.recording_file import RecordingFile  # noqa: E402

MODULE = ('-m', 'facial_emotion_ros.ros.recordings.bag_recorder')


@pytest.fixture(autouse=True)
def no_other_node(shared_process):
    """End the shared node, whose messages would be recorded too."""
    shared_process[1]()


@pytest.fixture
def record(start, tmp_path):
    """Start the recorder."""
    return lambda *words: start(*MODULE, '--output', tmp_path / 'bag', *words)


@pytest.fixture
def record_alone(ros_environment, tmp_path):
    """Start a recorder of /text that ends by itself, badly perhaps; as the module, or as a program that calls it."""

    def begin(*words, program=''):
        arguments = ['--output', str(tmp_path / 'bag'), '--topics', '/text', *words]
        python = ['-c', program % [MODULE[1], *arguments]] if program else [*MODULE, *arguments]
        return Process([sys.executable, *python], ros_environment, tmp_path / 'alone.log')

    return begin


@pytest.fixture
def publish(peer):
    """Return a function that publishes a message until the recorder has subscribed, and it a number of times more."""

    def publish(process, message, topic, times=3, **qos):
        publisher = peer.node.create_publisher(type(message), topic, quality(**qos))
        peer.wait(lambda: re.search(r'Recording %s \(' % topic, process.output()), 'its subscription to ' + topic)
        peer.wait(publisher.get_subscription_count, 'the subscription')
        for _ in range(times):
            publisher.publish(message)
        return publisher

    return publish


def read(path):
    """Return {topic: messages as rclpy reads them}, and what was found to be wrong."""
    classes = {
        each.__name__: each
        for each in (CompressedImage, Detection2DArray, DiagnosticArray, Expression, Image, String, VisionInfo)
    }
    found = {}
    with BagFile(str(path)) as bag:
        for message in bag.messages():
            found.setdefault(message.topic, []).append(
                deserialize_message(message.cdr, classes[message.msgtype.rpartition('/')[2]])
            )
        return found, bag.faults, bag


def ended(process, status=0):
    """Wait until it has ended, and check how."""
    assert process.process.wait(20.0) == status, process.output()
    assert 'Traceback' not in process.output(), process.output()
    return process.output()


def test_everything_of_the_profile_is_in_it_when_it_was_published(record, publish, peer, tmp_path):
    process, publishers = record('--ros-args', '-r', 'image:=/front/image_raw'), {}
    messages = {
        '/front/image_raw/compressed': CompressedImage(
            header=Header(frame_id='front'), format='jpeg', data=array.array('B', bytes(range(200)) * 1000)
        ),
        '/detections': Detection2DArray(header=Header(frame_id='front')),
        '/humans/faces/abcde/expression': Expression(expression='happy', confidence=0.5),
        '/diagnostics': DiagnosticArray(status=[DiagnosticStatus(name='emotion_node: input')]),
    }
    for topic, message in messages.items():
        publishers[topic] = publish(process, message, topic)
    # After thousands of faces, whose names do not come back, the recorder would be slow.
    lost, kept = '/humans/faces/abcde/expression', '/detections'
    for topic in (lost, kept):
        assert publishers[topic].wait_for_all_acked(Duration(seconds=30))
        peer.node.destroy_publisher(publishers[topic])
    peer.wait(lambda: not peer.node.count_subscribers(lost), 'the topic of a lost face to be left')
    assert peer.node.count_subscribers(kept)
    # Messages of another type would make the recording unreadable.
    peer.node.create_publisher(String, lost, quality())
    process.wait_for(lost + ' is not recorded: expected the type hri_msgs/msg/Expression as before')
    # Not of the profile; and the image in the better way alone.
    for topic, message in (('/front/image_raw', Image()), ('/text', String())):
        peer.node.create_publisher(type(message), topic, quality())
    publish(process, VisionInfo(method='esr'), '/vision_info', times=1, latched=True)
    process.end()
    found, faults, bag = read(tmp_path / 'bag')
    assert not faults
    assert found == dict(
        {topic: [message] * 3 for topic, message in messages.items()}, **{'/vision_info': [VisionInfo(method='esr')]}
    )
    assert bag.topics['/vision_info'].qos.durability.name == 'TRANSIENT_LOCAL'
    # Source: RIHS01 of the published packages, as test_messages.py has them.
    metadata = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    for digest in (
        '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
        '411b88e0604397d44775d8ec6a4bc69398fb0dfbfe864c33a40fa99ee85f1b00',
    ):
        assert 'RIHS01_' + digest in metadata
    assert 'Recorded 13 messages on 5 topics' in process.output()


def test_the_raw_image_is_recorded_and_no_other_when_nobody_compresses_it_at_first(record, publish, peer, tmp_path):
    process = record()
    publish(process, Image(height=1, width=1, encoding='mono8', step=1, data=array.array('B', [7])), '/image')
    late = peer.node.create_publisher(CompressedImage, '/image/compressed', quality())
    # What was announced later is heard of later: the recorder knows the compressed image by then.
    publish(process, Expression(), '/expression')
    assert not late.get_subscription_count()
    process.end()
    found, _, _ = read(tmp_path / 'bag')
    assert set(found) == {'/image', '/expression'} and [image.data[0] for image in found['/image']] == [7, 7, 7]


def test_a_camera_of_best_effort_is_heard_when_it_joins_a_reliable_one(record, publish, peer, tmp_path):
    process = record('--topics', 'text')
    publish(process, String(data='reliable'), '/text', times=1)
    other = peer.node.create_publisher(String, '/text', quality(reliable=False))
    process.wait_for(r'Recording /text \(std_msgs/msg/String, best effort\)')
    peer.wait(other.get_subscription_count, 'the subscription')
    other.publish(String(data='best effort'))
    heard = peer.listen(String, '/text', reliable=False)
    peer.wait(lambda: heard, 'a later one', each=lambda: other.publish(String(data='last')))
    process.end()
    found = [message.data for message in read(tmp_path / 'bag')[0]['/text']]
    assert found[:2] == ['reliable', 'best effort']


def test_messages_have_the_recording_s_time_when_that_is_simulated(record, publish, peer, tmp_path):
    process = record('--topics', 'text', '--ros-args', '-p', 'use_sim_time:=true')
    publish(process, String(data='early'), '/text', times=1)
    clock, message = peer.node.create_publisher(Clock, '/clock', quality()), Clock()
    peer.wait(clock.get_subscription_count, 'its clock')
    message.clock.sec = 1000
    later = peer.node.create_publisher(String, '/text', quality())
    peer.wait(later.get_subscription_count, 'the subscription')
    file = tmp_path / 'bag' / 'bag.mcap'

    def publish_both():  # again: the recorder may know this clock a moment later than the clock knows the recorder
        clock.publish(message)
        later.publish(String(data='late'))

    peer.wait(lambda: b'late' in file.read_bytes(), 'a message in the file', each=publish_both)
    process.end()
    with BagFile(str(tmp_path / 'bag')) as bag:
        first, *others = [(each.receive_ns, each.read().data) for each in bag.messages()]
    assert first == (1000 * 10**9, 'early') and set(others) == {(1000 * 10**9, 'late')}


def test_what_came_is_read_again_when_it_was_killed(record_alone, publish, peer, tmp_path):
    process = record_alone()
    try:
        publish(process, String(data='x' * 10), '/text', times=50)
        file = tmp_path / 'bag' / 'bag.mcap'
        # It is on its way to the disk before a MiB has come.
        peer.wait(lambda: file.stat().st_size > 50 * 10, 'something in the file')
    finally:
        process.process.send_signal(signal.SIGKILL)
        process.process.wait()
    found, faults, _ = read(tmp_path / 'bag')
    assert [message.data for message in found['/text']] == ['x' * 10] * 50
    assert faults, 'that it was not closed'


def test_it_ends_in_time_when_the_disk_is_nearly_full(record_alone, publish, tmp_path):
    process = record_alone('--keep-free', '9e8')
    publish(process, String(data='lost'), '/text')
    assert 'record_bag: the disk is nearly full' in ended(process, 1)
    assert (tmp_path / 'bag' / 'metadata.yaml').is_file(), 'what there was is closed'


def test_what_was_written_is_read_again_when_the_disk_takes_no_more(record_alone, publish, tmp_path):
    process = record_alone(
        program='import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d)); sys.argv = %%r; '
        'runpy.run_module(sys.argv[0], run_name="__main__")' % (3 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    )
    publish(process, String(data='y' * 500000), '/text', times=12, depth=20)
    assert re.search('record_bag: .* could not be continued .*File too large', ended(process, 1))
    found, faults, _ = read(tmp_path / 'bag')
    assert 3 <= len(found['/text']) < 12 and {message.data for message in found['/text']} == {'y' * 500000}
    assert faults, 'that it was not closed'


def test_it_ends_with_a_sentence_when_the_disk_takes_no_further_topic(record_alone, peer, tmp_path):
    publisher = peer.node.create_publisher(String, '/text', quality())
    process = record_alone(
        '/other',
        program='import runpy, sys\nfrom rosbags.rosbag2 import Writer\ndef full(*given, **more): raise OSError(28, '
        '"No space left on device")\nWriter.add_connection = full\nsys.argv = %r\n'
        'runpy.run_module(sys.argv[0], run_name="__main__")',
    )
    output = ended(process, 1)
    assert 'record_bag: %s could not be continued (No space left' % (tmp_path / 'bag') in output
    assert 'is not recorded' not in output
    peer.node.destroy_publisher(publisher)


def test_nothing_is_added_when_a_recording_is_closed(tmp_path):
    recording = RecordingFile(str(tmp_path / 'bag'), 1)
    recording.add('/text', 'std_msgs/msg/String', [])
    assert recording.is_open
    recording.close()
    assert not recording.is_open
    with pytest.raises(BadBag, match='it is closed'):
        recording.add('/other', 'std_msgs/msg/String', [])


@pytest.mark.parametrize(
    'words, reported',
    [
        (['--seconds', 'nan'], '--seconds: expected a number of 0 or more, below 1e9, got nan'),
        (['--seconds', '-1'], 'expected a number of 0 or more, below 1e9, got -1'),
        (['--keep-free', 'abc'], '--keep-free: expected a number of 0 or more, below 1e9, got abc'),
        (['--keep-free', 'inf'], 'got inf'),
    ],
)
def test_arguments_are_refused_before_anything_is_made_when_they_make_no_sense(capsys, tmp_path, words, reported):
    with pytest.raises(SystemExit, match='2'):
        parse(['--output', str(tmp_path / 'bag'), *words])
    assert reported in capsys.readouterr().err and not (tmp_path / 'bag').exists()


def test_it_ends_with_a_sentence_when_it_cannot_record(ros_environment, tmp_path):
    there, new = tmp_path / 'there', tmp_path / 'new'
    there.mkdir()
    cases = [
        (['--output', there], 'which exists; delete it or choose another'),
        (['--output', '/proc/bag'], '/proc/bag cannot (No such file'),
        (['--output', new, '--profile', '/nowhere.yaml'], '/nowhere.yaml: expected a profile of topics'),
        (['--output', new, '--topics', 'two words'], 'expected the name of a topic such as detections'),
    ]
    found = outcomes(ros_environment, MODULE[1], [words for words, _ in cases])
    for (words, reported), (status, output) in zip(cases, found):
        assert status == 1 and reported in output and 'Traceback' not in output, (words, status, output)
    assert not new.exists()


def test_it_says_so_when_nothing_came(record):
    process = record('--seconds', '0.5')
    assert 'Nothing was recorded: these topics had no messages' in ended(process)
