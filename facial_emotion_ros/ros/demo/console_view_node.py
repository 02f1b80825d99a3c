"""Node of console_view: print a line per face and second; optionally save video, picture and summary.json."""

import functools
import json
import os
import sys
import time
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Optional, Tuple

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, VisionInfo

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadImage, BadParameter, FacialEmotionError
from facial_emotion_ros.core.files import expect_own_files, write_atomic
from facial_emotion_ros.core.text import print_while_read, printable
from facial_emotion_ros.demo.console import HEADING, face_line, no_face_line, summary_lines
from facial_emotion_ros.demo.stream_summary import SeenFace, StreamSummary, image_score
from facial_emotion_ros.demo.video_writer import AnnotatedVideo
from facial_emotion_ros.perception.image_decoding import UsedBits
from facial_emotion_ros.perception.image_files import PICTURE_SUFFIXES
from facial_emotion_ros.ros.demo.parameters import CONSOLE_VIEW, declared_values
from facial_emotion_ros.ros.logs import EVERY_5_S
from facial_emotion_ros.ros.messages import image_of
from facial_emotion_ros.ros.qos import latched_qos, output_qos

#: Possible files in the output folder.
OUTPUTS = ('annotated.mp4', 'annotated.avi', 'annotated', 'annotated.jpg', 'summary.json')

#: Maximum number of results, and of annotated images, that wait for their counterpart.
MAX_ANSWERS, MAX_PICTURES = 64, 8

#: Period of the check for the end of the stream.
CHECK_PERIOD_S = 0.1


class _Answer:
    """The result of one image: its messages, and arrival."""

    arrival_s = age_s = 0.0
    detections: Any = None
    affect: Any = None


class ConsoleView(Node):
    """Subscriber to emotion_node's topics; it uses nothing else, like any other program."""

    def __init__(self) -> None:
        """Subscribe.

        :raises BadParameter: for an invalid parameter, or an output folder that is not writable.
        """
        super().__init__('console_view')
        self._settings = declared_values(self, CONSOLE_VIEW)
        self._color = self._settings['color'] == 'always' or (self._settings['color'] == 'auto' and sys.stdout.isatty())
        self._folder = os.path.expanduser(self._settings['output.folder'])
        self._summary = StreamSummary()
        # By stamp in ns: incomplete results; faces waiting for their annotated image; images waiting for their faces.
        self._answers: 'OrderedDict[int, _Answer]' = OrderedDict()
        self._faces: 'OrderedDict[int, List[SeenFace]]' = OrderedDict()
        self._pictures: 'OrderedDict[int, np.ndarray]' = OrderedDict()
        self._used_bits = UsedBits()
        self._best: Optional[np.ndarray] = None
        self._best_score: Tuple[float, ...] = ()
        #: Faces, age in s and picture of the newest result since the last block of lines.
        self._shown: Optional[Tuple[List[SeenFace], float, str]] = None
        self._model: Optional[Dict[str, str]] = None
        self._diagnostics: 'OrderedDict[str, Any]' = OrderedDict()
        self._started_s, self._has_heading = time.monotonic(), False
        self._source_seen = False
        self._source_gone_s: Optional[float] = None
        self._fault: Optional[FacialEmotionError] = None
        self.done = False
        self._video: Optional[AnnotatedVideo] = None
        # A long queue, so that nothing is lost if this process is slow for a moment.
        for topic in ('detections', 'affect'):
            self.create_subscription(Detection2DArray, topic, functools.partial(self._take, topic), output_qos(100))
        self.create_subscription(VisionInfo, 'vision_info', self._take_model, latched_qos())
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take_diagnostics, output_qos())
        if self._folder:
            _make_folder(self._folder)
            self._video = AnnotatedVideo(self._folder)
            self.create_subscription(Image, 'annotated', self._take_picture, output_qos(5))
            self.get_logger().info('Pictures and summary.json are saved only in %s.' % os.path.abspath(self._folder))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._settings['period_s'], self._print_lines, clock=steady)
        self.create_timer(CHECK_PERIOD_S, self._check_end, clock=steady)
        self._image_topic = self.resolve_topic_name('image')  # count_publishers does not remap
        #: Prefix of the status names in the node's diagnostics.
        self._watched = self.get_namespace().rstrip('/') + '/emotion_node: '

    def finish(self, interrupted: bool) -> int:
        """Print the summary, and write the files.

        :param interrupted: whether a signal ended it.
        :returns: exit status: 1 without any detections, unless a signal ended it.
        """
        self._print_lines()  # of a result since the last period
        for stamp in list(self._answers):
            self._complete(stamp)
        summary = self._summary.summary()
        summary['model'], summary['diagnostics'] = self._model, self._diagnostics
        summary['folder'], summary['files'] = os.path.abspath(self._folder) if self._folder else '', []
        if self._folder:
            summary['files'] = self._write_pictures() + ['summary.json']
            text = json.dumps(summary, indent=2) + '\n'
            self._try(lambda: write_atomic(os.path.join(self._folder, 'summary.json'), text.encode('utf-8')))
        self._print(printable('\n'.join(summary_lines(summary)), keep='\n'))
        if self._fault is not None:
            raise self._fault
        return 0 if self._summary.frames or interrupted else 1

    def _write_pictures(self):
        files = [self._on_video(lambda video: video.close())]
        if self._video is not None and self._video.note:
            self.get_logger().warning('%s: %s.' % (files[0], self._video.note))
        if self._best is not None:
            good, jpeg = cv2.imencode('.jpg', self._best, [cv2.IMWRITE_JPEG_QUALITY, 90])
            if good and self._try(lambda: write_atomic(os.path.join(self._folder, 'annotated.jpg'), jpeg.tobytes())):
                files.append('annotated.jpg')
        return [name for name in files if name]

    def _on_video(self, action: Callable[[AnnotatedVideo], Any]) -> Any:
        """Call a function with the video; if it cannot be written, drop the video and continue."""
        results: List[Any] = []
        video = self._video
        if video is not None and not self._try(lambda: results.append(action(video))):
            video.discard()
            self._video = None
        return results[0] if results else ''

    def _try(self, write):
        """Write, and return whether it succeeded. The first failure is reported now and at the end."""
        try:
            write()
            return True
        except OSError as error:
            if self._fault is None:
                self._fault = FacialEmotionError(
                    '%s cannot be written (%s); free some space, or choose another folder'
                    % (os.path.abspath(self._folder), error.strerror or error)
                )
                self.get_logger().error('%s. The view continues without the file.' % self._fault)
            return False

    def _take(self, topic, message):
        """Keep a message until its counterpart on the other topic has arrived."""
        stamp_ns = _stamp_ns(message)
        answer = self._answers.setdefault(stamp_ns, _Answer())
        setattr(answer, topic, message)
        if topic == 'detections':
            answer.arrival_s = time.monotonic()
            answer.age_s = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        if answer.detections is not None and answer.affect is not None:
            self._complete(stamp_ns)
        elif len(self._answers) > MAX_ANSWERS:
            self._complete(next(iter(self._answers)))

    def _complete(self, stamp):
        """Add a result to the summary, with its affect if that has arrived."""
        answer = self._answers.pop(stamp)
        if answer.detections is None:
            return
        affects = {face.id: face for face in answer.affect.detections} if answer.affect is not None else {}
        faces = [_seen_face(face, affects.get(face.id)) for face in answer.detections.detections]
        picture = _picture_name(answer.detections.header.frame_id)
        self._summary.add(answer.arrival_s, answer.age_s, faces, picture)
        self._shown = (faces, answer.age_s, picture)
        self._faces[stamp] = faces
        self._keep_best(stamp)

    def _take_picture(self, message):
        try:
            stamp_ns, image = _stamp_ns(message), image_of(message, self._used_bits.of)
        except BadImage as error:
            self.get_logger().warning('An annotated image is skipped: %s' % error, **EVERY_5_S)
            return
        self._on_video(lambda video: video.add(image, stamp_ns / 1e9))
        self._pictures[stamp_ns] = image
        self._keep_best(stamp_ns)

    def _keep_best(self, stamp):
        """Keep the best annotated image so far, once both the image and its faces have arrived."""
        if stamp in self._pictures and stamp in self._faces:
            image = self._pictures.pop(stamp)
            score = image_score(self._faces.pop(stamp), image.shape[1])
            if self._best is None or score > self._best_score:
                self._best, self._best_score = image, score
        while len(self._faces) > MAX_ANSWERS:
            self._faces.popitem(last=False)
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)

    def _take_model(self, message):
        hashes = [word[len('sha256:') :] for word in message.database_location.split() if word.startswith('sha256:')]
        self._model = {'name': message.method, 'sha256': hashes[-1] if hashes else ''}

    def _take_diagnostics(self, message):
        for status in message.status:
            if not status.name.startswith(self._watched):  # of another node
                continue
            values = OrderedDict((pair.key, _number(pair.value)) for pair in status.values)
            level = status.level[0] if isinstance(status.level, bytes) else status.level
            self._diagnostics[status.name] = {'level': level, 'message': status.message, 'values': values}
            # A node whose inference failed stays alive, but will never publish. A failed input may recover: a camera
            # may take longer to start than the node's timeout.
            failed = level == DiagnosticStatus.ERROR[0] and status.name == self._watched + 'inference'
            if failed and self._settings['give_up_s'] and not self._summary.frames:
                self._fault = FacialEmotionError('%s says: %s' % (status.name, status.message))
                self.done = True

    def _print_lines(self):
        if self._shown is None:
            return
        if not self._has_heading:
            self._has_heading = True
            self._print(HEADING)
        (faces, age_s, picture), self._shown = self._shown, None
        time_s = self._summary.seconds
        faces = sorted(faces, key=lambda face: face.box)
        lines = [face_line(time_s, face, age_s, picture, self._color) for face in faces]
        self._print('\n'.join(lines or [no_face_line(time_s, picture)]))

    def _print(self, text):
        """Print, and end if stdout is closed."""
        self.done = not print_while_read(text) or self.done  # show() would escape the colours

    def _check_end(self):
        now_s = time.monotonic()
        give_up_s = self._settings['give_up_s']
        if give_up_s and not self._summary.frames and now_s - self._started_s > give_up_s:
            answers, part = self.resolve_topic_name('detections'), self._watched + 'input'
            reported = '; %s says: %s' % (part, self._diagnostics[part]['message']) if part in self._diagnostics else ''
            self._fault = FacialEmotionError(
                'expected first detections within %.0f s, got none: there are %d publishers of %s and %d of %s%s; '
                'check the log of the missing node'
                % (
                    give_up_s,
                    self.count_publishers(self._image_topic),
                    self._image_topic,
                    self.count_publishers(answers),
                    answers,
                    reported,
                )
            )
            self.done = True
        if not self._settings['end_with_source']:
            return
        if self.count_publishers(self._image_topic):
            self._source_seen, self._source_gone_s = True, None
        elif self._source_seen or self._summary.frames:
            self._source_gone_s = self._source_gone_s or now_s
            quiet_since_s = max(self._source_gone_s, self._summary.last_arrival_s)
            self.done = self.done or now_s - quiet_since_s > self._settings['quiet_s']


def _make_folder(folder):
    """Create the output folder; refuse one with files of the same names from another program.

    :raises BadParameter: if it cannot be created or written, or has such files.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise BadParameter(
            'expected output.folder to be a folder that can be created, got %r (%s); choose another'
            % (folder, error.strerror)
        ) from None
    if not os.access(folder, os.W_OK):
        raise BadParameter('expected output.folder to be writable, but %r is not; choose another' % folder)
    expect_own_files(folder, OUTPUTS, 'summary.json', ('folder', 'files', 'diagnostics'))


def _picture_name(frame_id):
    """Return the file name that media_source's name_in_frame_id appends to a frame_id; '' for other frames."""
    name = frame_id.rpartition('/')[2]
    return printable(name) if name != frame_id and name.lower().endswith(PICTURE_SUFFIXES) else ''


def _seen_face(detection, affect):
    """Convert the messages of one face to a SeenFace."""
    scores = {row.hypothesis.class_id: row.hypothesis.score for row in detection.results}
    affects = {row.hypothesis.class_id: row.hypothesis.score for row in affect.results} if affect is not None else {}
    center, size_x, size_y = detection.bbox.center.position, detection.bbox.size_x, detection.bbox.size_y
    return SeenFace(
        printable(detection.id),
        (center.x - size_x / 2, center.y - size_y / 2, center.x + size_x / 2, center.y + size_y / 2),
        tuple(scores.get(emotion, 0.0) for emotion in EMOTIONS),
        affects.get('valence', float('nan')),
        affects.get('arousal', float('nan')),
        bool(detection.results) and detection.results[0].hypothesis.class_id != UNKNOWN,
    )


def _stamp_ns(message):
    """Return the stamp of a message in ns; rclpy's Time refuses stamps before 1970."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _number(text):
    """Convert a diagnostic value to a number if it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
