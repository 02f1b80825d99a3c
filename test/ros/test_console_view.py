"""The console view as a process: what it prints and writes of what is published, whoever publishes it."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Image
from small_disk import small_disk
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose, VisionInfo

from conftest import Process
from graph_peer import REPOSITORY, quality

MODULE = ('-m', 'facial_emotion_ros.ros.console_view', '--ros-args')


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

    def answer(self, faces, frame_id='camera', affect=True):
        """Publish an answer: id -> (emotion, score)."""
        message = Detection2DArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
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
        picture = Image(header=message.header, height=48, width=64, step=192, encoding='bgr8')
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
    process = start(*MODULE, '-p', 'end_with_source:=true', '-p', 'quiet_s:=0.5', '-p', 'period_s:=0.1',
                    '-p', 'output.folder:=%s' % (tmp_path / 'out'))
    publisher.model.publish(VisionInfo(method='net 1.0 (esr)', database_location='/x sha256:abc'))
    peer.wait(publisher.ready, 'the console view')
    answers = [({'abcde': ('happy', 0.9)}, 'camera/a.jpg', True), ({'abcde': ('happy', 0.8)}, 'camera/a.jpg', False),
               ({}, 'robot/front_camera', True),
               ({'fghij': ('anger', 0.7), 'klmno': ('sad', 0.6)}, 'camera/b.jpg', True)]
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
    text = process.output()
    assert 'abcde  happy' in text and 'no face' in text and 'Summary: 4 frames' in text and '\033' not in text


def test_nothing_is_written_when_no_folder_is_named(start, peer, publisher):
    process = start(*MODULE, '-p', 'period_s:=0.1')
    peer.wait(publisher.ready, 'the console view')
    peer.wait(lambda: 'abcde  happy' in process.output(), 'a line',
              each=lambda: publisher.answer({'abcde': ('happy', 0.9)}))
    assert publisher.annotated.get_subscription_count() == 0, 'pictures are not even asked for'
    status, _ = process.end()
    assert status == 0 and 'Summary: ' in process.output() and 'Written' not in process.output()


def test_it_goes_on_when_the_source_goes_unless_asked(start, peer, publisher):
    process = start(*MODULE, '-p', 'quiet_s:=0.1', '-p', 'period_s:=0.1')
    peer.wait(publisher.ready, 'the console view')
    peer.wait(lambda: 'abcde' in process.output(), 'a line', each=lambda: publisher.answer({'abcde': ('happy', 0.9)}))
    peer.node.destroy_publisher(publisher.image)
    peer.spin(1.0)
    assert process.process.poll() is None


@pytest.mark.parametrize('settings, words', [
    (['-p', 'give_up_s:=0.5'], 'expected a first answer within 0 s, but none came'),
    (['-p', 'give_up_s:=3.0'], '/emotion_node: input says: no such bundle'),
    (['-p', 'give_up_s:=60.0'], '/emotion_node: inference says: no such bundle'),
    (['-p', 'give_up_s:=60.0', '-r', '__ns:=/robot'], '/robot/emotion_node: inference says: no such bundle'),
    (['-p', 'output.folder:=/proc/nowhere'], 'name another'),
    (['-p', 'color:=pink'], 'one of auto, always, never'),
])
def test_reason_is_told_when_nothing_will_come(ros_environment, peer, publisher, tmp_path, settings, words):
    with open(tmp_path / 'log', 'wb') as log:
        process = subprocess.Popen([sys.executable, *MODULE, *settings], env=ros_environment, cwd=REPOSITORY,
                                   stdout=log, stderr=subprocess.STDOUT)
    status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name=words.partition(' says')[0], message='no such bundle')
    wanted = 'says' in words
    peer.wait(lambda: process.poll() is not None, 'its end',
              each=lambda: wanted and publisher.diagnostics.publish(DiagnosticArray(status=[status])))
    text = (tmp_path / 'log').read_text()
    assert process.returncode == 2, text
    assert words in text and 'Traceback' not in text


def test_one_line_names_the_folder_and_all_else_goes_on_when_the_disk_is_full(ros_environment, peer, publisher,
                                                                             tmp_path):
    with small_disk(tmp_path / 'disk', 64) as disk:
        (disk.path / 'ballast').write_bytes(bytes(shutil.disk_usage(str(disk.path)).free))
        process = Process([sys.executable, *MODULE, '-p', 'period_s:=0.1', '-p', 'output.folder:=%s' % disk.path],
                          ros_environment, tmp_path / 'log')
        peer.wait(publisher.ready, 'the console view')
        for word in ('happy', 'sad'):
            peer.wait(lambda word=word: 'abcde  ' + word in process.output(), 'a line',
                      each=lambda word=word: publisher.answer({'abcde': (word, 0.9)}))
        status, _ = process.end()
        text = process.output()
        assert status == 2 and 'Traceback' not in text and 'Summary: ' in text, text
        assert '%s does not take what is written' % disk.path in text.strip().splitlines()[-1], text
        assert os.listdir(str(disk.path)) == ['ballast']


@pytest.mark.parametrize('name', ['annotated.mp4', 'summary.json'])
def test_a_folder_with_others_files_is_refused_when_they_would_be_replaced(ros_environment, tmp_path, name):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text('{"mine": 1}')
    process = Process([sys.executable, *MODULE, '-p', 'output.folder:=%s' % (tmp_path / 'out')], ros_environment,
                      tmp_path / 'log')
    process.wait_for('holds %s of another origin; name another, or move them' % name)
    assert process.process.wait(30) == 2 and (tmp_path / 'out' / name).read_text() == '{"mine": 1}'


def test_a_camera_that_starts_late_is_waited_for_and_named_when_it_never_comes(start, peer, publisher, tmp_path):
    silence = DiagnosticStatus(level=DiagnosticStatus.ERROR, name='/emotion_node: input', message='No image for 2.5 s.')

    def tell():
        publisher.diagnostics.publish(DiagnosticArray(status=[silence]))

    process = start(*MODULE, '-p', 'give_up_s:=60.0', '-p', 'end_with_source:=true', '-p', 'quiet_s:=0.1')
    peer.wait(publisher.diagnostics.get_subscription_count, 'the console view')
    until_s = time.monotonic() + 1.0
    peer.wait(lambda: time.monotonic() > until_s, 'some diagnostics', each=tell)
    assert process.process.poll() is None, process.output()
    publisher.answer({'abcde': ('happy', 0.9)})
    peer.wait(lambda: 'abcde  happy' in process.output(), 'a line')
    peer.node.destroy_publisher(publisher.image)
    peer.wait(ended(process), 'its end')
    assert process.process.returncode == 0, process.output()


def test_errors_of_others_are_not_ours_when_they_are_published(start, peer, publisher, tmp_path):
    start(*MODULE, '-r', '__ns:=/robot', '-p', 'give_up_s:=60.0', '-p', 'end_with_source:=true', '-p', 'quiet_s:=0.1',
          '-p', 'output.folder:=%s' % tmp_path, '-r', 'detections:=/detections', '-r', 'image:=/image')
    peer.wait(lambda: publisher.diagnostics.get_subscription_count() and publisher.detections.get_subscription_count(),
              'the console view')
    others = ['lidar: motor', '/emotion_node: inference', '/robot/emotion_node_2: inference', '/robot/emotion_node']
    statuses = [DiagnosticStatus(level=DiagnosticStatus.ERROR, name=name, message='broken') for name in others]
    statuses.append(DiagnosticStatus(level=DiagnosticStatus.OK, name='/robot/emotion_node: input', message='good'))
    publisher.diagnostics.publish(DiagnosticArray(status=statuses))
    peer.spin(0.5)
    publisher.answer({'abcde': ('happy', 0.9)})
    peer.node.destroy_publisher(publisher.image)
    peer.wait(lambda: (tmp_path / 'summary.json').exists(), 'its end')
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['frames'] == 1 and list(summary['diagnostics']) == ['/robot/emotion_node: input']
