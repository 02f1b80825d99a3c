"""The console view as a process: what it prints and writes of what is published, whoever publishes it."""

import json
import os
import shutil
import sys
import threading
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_processes import Process, parameter_words
from sensor_msgs.msg import Image
from small_disk import small_disk
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose, VisionInfo

from facial_emotion_ros.ros.demo import console_view
from graph_peer import quality

MODULE = ('-m', 'facial_emotion_ros.ros.demo.console_view', '--ros-args')


def hypothesis(class_id, score):
    """Make one row of results."""
    row = ObjectHypothesisWithPose()
    row.hypothesis.class_id, row.hypothesis.score = class_id, score
    return row


class Publisher:
    """Publishes what an emotion node would, in its own words."""

    def __init__(self, peer):
        self._node = peer.node
        self.image = self._node.create_publisher(Image, 'image', quality())
        self.detections = self._node.create_publisher(Detection2DArray, 'detections', quality())
        self.affect = self._node.create_publisher(Detection2DArray, 'affect', quality())
        self.annotated = self._node.create_publisher(Image, 'annotated', quality())
        self.model = self._node.create_publisher(VisionInfo, 'vision_info', quality(depth=1, latched=True))
        self.diagnostics = self._node.create_publisher(DiagnosticArray, '/diagnostics', quality())

    def ready(self):
        """Whether the console view listens."""
        return self.detections.get_subscription_count() and self.affect.get_subscription_count()

    def answer(self, faces, frame_id='camera', affect=True, stamp=None, encoding='bgr8'):
        """Publish an answer: id -> (emotion, score)."""
        message = Detection2DArray()
        message.header.stamp = stamp or self._node.get_clock().now().to_msg()
        message.header.frame_id = frame_id
        for number, (face_id, (emotion, score)) in enumerate(faces.items()):
            face = Detection2D(header=message.header, id=face_id)
            face.bbox.center.position.x, face.bbox.center.position.y = 100.0 + 200 * number, 120.0
            face.bbox.size_x, face.bbox.size_y = 80.0, 100.0
            face.results = [hypothesis(emotion, score), hypothesis('neutral', 1 - score)]
            message.detections.append(face)
        self.detections.publish(message)
        if affect:
            for face in message.detections:
                face.results = [hypothesis('valence', -0.5), hypothesis('arousal', 0.25), hypothesis('agreement', 1.0)]
            self.affect.publish(message)
        picture = Image(header=message.header, height=48, width=64, step=192, encoding=encoding)
        picture.data.frombytes(np.full((48, 64, 3), 99, np.uint8).tobytes())
        self.annotated.publish(picture)


@pytest.fixture
def publisher(shared_process, peer):
    """Publish on the topics that the console view reads, where no node of other tests does."""
    shared_process[1]()
    return Publisher(peer)


def ended(process):
    """Condition: the process has ended."""
    return lambda: process.process.poll() is not None


def test_answers_are_summed_up_when_the_source_goes(start, peer, publisher, tmp_path, long_form):
    settings = {'end_with_source': True, 'quiet_s': 0.5, 'period_s': 0.1, 'output__folder': tmp_path / 'out'}
    process = start(*MODULE, *parameter_words(**settings))
    publisher.model.publish(VisionInfo(method='net 1.0 (esr)', database_location='/x sha256:abc'))
    peer.wait(publisher.ready, 'the console view')
    answers = [
        ({'abcde': ('happy', 0.9)}, 'camera/a.jpg', True),
        ({'abcde': ('happy', 0.8)}, 'camera/a.jpg', False),
        ({}, 'robot/front_camera', True, Time(sec=-1), 'klingon8'),
        ({'fghij': ('anger', 0.7), 'klmno': ('sad', 0.6)}, 'camera/b.jpg', True),
    ]
    began_s = time.monotonic()
    # Of answers that come while nothing was printed, the newest gets the line; one without affect is no whole answer.
    for answer, words in zip(answers, ('abcde  happy', '', 'no face', 'klmno')):
        publisher.answer(*answer)
        peer.wait(lambda words=words: words in process.output(), 'a line with %r' % words)
    took_s = time.monotonic() - began_s
    peer.node.destroy_publisher(publisher.image)
    peer.wait(ended(process), 'its end')
    assert process.process.returncode == 0
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['frames'] == 4 and summary['frames_with_faces'] == 3
    assert summary['model'] == {'name': 'net 1.0 (esr)', 'sha256': 'abc'}
    assert list(summary['pictures']) == ['a.jpg', 'b.jpg'], "a robot's frame with a slash is no picture"
    [first] = summary['pictures']['a.jpg']['faces']
    assert (first['id'], first['emotion'], first['frames']) == ('abcde', 'happy', 2)
    assert first['valence'] == -0.5 and first['arousal'] == 0.25
    assert first['mean_scores']['happy'] == pytest.approx(0.85) and first['mean_box_px'] == [60.0, 70.0, 140.0, 170.0]
    assert [face['emotion'] for face in summary['pictures']['b.jpg']['faces']] == ['anger', 'sad']
    assert 0 < summary['age_ms']['p50'] < (1000 if long_form else 1000 * took_s)
    assert summary['files'][-1] == 'summary.json' and 'annotated.jpg' in summary['files']
    assert sorted(os.listdir(str(tmp_path / 'out'))) == sorted(summary['files'])
    text = '\n'.join(line for line in process.output().splitlines() if 'RTPS_' not in line)  # not the middleware's
    assert 'An annotated image is skipped: expected ' in text
    assert 'abcde  happy' in text and 'no face' in text and 'Summary: 4 frames' in text and '\033' not in text


def test_it_writes_nothing_and_goes_on_when_the_source_goes_unless_asked(start, peer, publisher, tmp_path):
    process = start(*MODULE, *parameter_words(quiet_s=0.1, period_s=0.1))
    peer.wait(publisher.ready, 'the console view')
    peer.wait(
        lambda: 'abcde  happy' in process.output(), 'a line', each=lambda: publisher.answer({'abcde': ('happy', 0.9)})
    )
    assert publisher.annotated.get_subscription_count() == 0, 'pictures are not even asked for'
    peer.node.destroy_publisher(publisher.image)
    peer.spin(1.0)
    assert process.process.poll() is None
    status, _ = process.end()
    assert status == 0 and 'Summary: ' in process.output() and 'Written' not in process.output()


@pytest.mark.parametrize(
    'settings, words',
    [
        ({'give_up_s': 0.5}, 'expected first detections within 0 s, got none'),
        ({'give_up_s': 8.0}, '/emotion_node: input says: no such bundle'),
        ({'give_up_s': 60.0}, '/emotion_node: inference says: no such bundle'),
        ({'give_up_s': 60.0}, '/robot/emotion_node: inference says: no such bundle'),
        ({'output__folder': '/proc/nowhere'}, 'choose another'),
        ({'color': 'pink'}, 'one of auto, always, never'),
    ],
)
def test_the_reason_is_reported_when_nothing_will_come(run_here, publisher, settings, words):
    node, _, message = words.partition(' says: ')
    status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name=node, message=message)
    over = threading.Event()
    namespace = ('-r', '__ns:=/robot') if words.startswith('/robot') else ()

    def report():
        while message and not over.wait(0.1):
            publisher.diagnostics.publish(DiagnosticArray(status=[status]))

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        status_code, text = run_here(console_view.main, *namespace, **settings)
    finally:
        over.set()
        reporter.join()
    assert status_code == 2 and words in text and 'Traceback' not in text, text


def test_it_ends_and_writes_its_files_when_nobody_reads_its_lines_any_more(run_here, publisher, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, 'stdout', os.fdopen(writer, 'w'))
    over = threading.Event()

    def answer():
        while not over.wait(0.1):
            publisher.answer({'abcde': ('happy', 0.9)})

    answers = threading.Thread(target=answer)
    answers.start()
    try:
        status, text = run_here(console_view.main, period_s=0.1, output__folder=str(tmp_path / 'out'))
    finally:
        over.set()
        answers.join()
    sys.stdout.close()
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert status == 0 and summary['frames'] and 'Traceback' not in text
    assert set(summary['files']) <= set(os.listdir(str(tmp_path / 'out')))


def test_one_line_names_the_folder_and_all_else_goes_on_when_the_disk_is_full(
    ros_environment, peer, publisher, tmp_path
):
    with small_disk(tmp_path / 'disk', 64) as disk:
        (disk.path / 'ballast').write_bytes(bytes(shutil.disk_usage(str(disk.path)).free))
        process = Process(
            [sys.executable, *MODULE, '-p', 'period_s:=0.1', '-p', 'output.folder:=%s' % disk.path],
            ros_environment,
            tmp_path / 'log',
        )
        peer.wait(publisher.ready, 'the console view')
        for word in ('happy', 'sad'):
            peer.wait(
                lambda word=word: 'abcde  ' + word in process.output(),
                'a line',
                each=lambda word=word: publisher.answer({'abcde': (word, 0.9)}),
            )
        status, _ = process.end()
        text = process.output()
        assert status == 2 and 'Traceback' not in text and 'Summary: ' in text, text
        assert '%s cannot be written' % disk.path in text.strip().splitlines()[-1], text
        assert os.listdir(str(disk.path)) == ['ballast']


@pytest.mark.parametrize('name', ['annotated.mp4', 'summary.json'])
def test_a_folder_with_others_files_is_refused_when_they_would_be_replaced(run_here, tmp_path, name):
    (tmp_path / name).write_text('{"mine": 1}')
    status, text = run_here(console_view.main, output__folder=tmp_path)
    assert status == 2 and 'got %s, which would be lost' % name in text
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_a_late_camera_is_waited_for_and_errors_of_others_are_not_ours(start, peer, publisher, tmp_path):
    settings = {'give_up_s': 60.0, 'end_with_source': True, 'quiet_s': 0.1, 'output__folder': tmp_path / 'out'}
    names = ('__ns:=/robot', 'detections:=/detections', 'affect:=/affect', 'image:=/image')
    process = start(*MODULE, *parameter_words(**settings), *[word for name in names for word in ('-r', name)])
    peer.wait(lambda: publisher.diagnostics.get_subscription_count() and publisher.ready(), 'the console view')
    others = ['lidar: motor', '/emotion_node: inference', '/robot/emotion_node_2: inference', '/robot/emotion_node']
    names = others + ['/robot/emotion_node: input']
    statuses = [DiagnosticStatus(level=DiagnosticStatus.ERROR, name=name, message='No image') for name in names]
    until_s = time.monotonic() + 1.0
    peer.wait(
        lambda: time.monotonic() > until_s,
        'some diagnostics',
        each=lambda: publisher.diagnostics.publish(DiagnosticArray(status=statuses)),
    )
    assert process.process.poll() is None, process.output()
    publisher.answer({'abcde': ('happy', 0.9)})
    peer.wait(lambda: 'abcde  happy' in process.output(), 'a line')
    peer.node.destroy_publisher(publisher.image)
    peer.wait(ended(process), 'its end')
    assert process.process.returncode == 0, process.output()
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['frames'] == 1 and list(summary['diagnostics']) == ['/robot/emotion_node: input']
