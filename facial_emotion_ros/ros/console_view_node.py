"""The node of the executable console_view: a readable line per face and second; film, picture and summary.json."""

import functools
import json
import os
import sys
import time
from collections import OrderedDict

import cv2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, VisionInfo

from facial_emotion_ros.annotated_film import AnnotatedFilm
from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.console_text import HEADING, face_line, no_face_line, summary_lines
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.image import UsedBits, decode_image
from facial_emotion_ros.pictures import PICTURE_SUFFIXES
from facial_emotion_ros.plain_text import printable, show
from facial_emotion_ros.ros.demo_parameters import CONSOLE_VIEW, declare
from facial_emotion_ros.ros.qos import latched_qos, output_qos
from facial_emotion_ros.stream_record import SeenFace, StreamRecord, picture_merit

#: What may be written into the output folder.
OUTPUTS = ('annotated.mp4', 'annotated.avi', 'annotated', 'annotated.jpg', 'summary.json')

#: Answers and pictures that wait for their other half; more than this means that it will not come.
MAX_WAITING = 64

#: How often the end of the stream is looked for.
CHECK_PERIOD_S = 0.1


class ConsoleView(Node):
    """Reads what the emotion node says, as anyone's program would: its messages alone."""

    def __init__(self):
        """
        Subscribe.

        :raises BadParameter: a parameter does not fit, or the output folder cannot be written.
        """
        super().__init__('console_view')
        self._settings = declare(self, CONSOLE_VIEW)
        self._color = self._settings['color'] == 'always' or (self._settings['color'] == 'auto' and sys.stdout.isatty())
        self._folder = os.path.expanduser(self._settings['output.folder'])
        self._record = StreamRecord()
        self._answers = OrderedDict()  # stamp in ns -> [arrival s, age s, Detection2DArray or None, affect or None]
        self._used_bits = UsedBits()
        self._pictures = OrderedDict()  # stamp in ns -> annotated image whose answer is not complete yet
        self._faces = OrderedDict()  # stamp in ns -> faces of an answer whose annotated image has not come yet
        self._best, self._best_merit = None, ()
        self._shown = None  # (faces, age s, picture) of the newest answer since the last block of lines
        self._model, self._diagnostics = None, OrderedDict()
        self._started_s, self._headed = time.monotonic(), False
        self._source_seen, self._gone_since_s = False, None
        self._fault = None
        self.done = False
        self._film = None
        # A long queue, so that a slow moment here loses no answer.
        for topic, half in (('detections', 2), ('affect', 3)):
            self.create_subscription(Detection2DArray, topic, functools.partial(self._take, half), output_qos(100))
        self.create_subscription(VisionInfo, 'vision_info', self._take_model, latched_qos())
        self.create_subscription(DiagnosticArray, '/diagnostics', self._take_diagnostics, output_qos())
        if self._folder:
            _make_folder(self._folder)
            self._film = AnnotatedFilm(self._folder)
            self.create_subscription(Image, 'annotated', self._take_picture, output_qos(5))
            self.get_logger().info('Pictures and summary.json go to %s and nowhere else.'
                                   % os.path.abspath(self._folder))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._settings['period_s'], self._print_lines, clock=steady)
        self.create_timer(CHECK_PERIOD_S, self._look_for_end, clock=steady)
        self._image_topic = self.resolve_topic_name('image')
        self._watched = self.get_namespace().rstrip('/') + '/emotion_node: '  # how the names of its diagnostics begin

    def finish(self, interrupted):
        """
        Say the summary, and write what was collected.

        :param interrupted: whether a signal ended it.
        :returns: exit status: 1 when nothing was ever answered, save when a person broke it off.
        """
        for stamp in list(self._answers):
            self._complete(stamp)
        summary = self._record.summary()
        summary['model'], summary['diagnostics'] = self._model, self._diagnostics
        summary['folder'], summary['files'] = os.path.abspath(self._folder) if self._folder else '', []
        if self._folder:
            summary['files'] = self._write_pictures() + ['summary.json']
            text = json.dumps(summary, indent=2) + '\n'
            self._try(lambda: write_whole(os.path.join(self._folder, 'summary.json'), text.encode('utf-8')))
        show('\n'.join(summary_lines(summary)), flush=True)
        if self._fault is not None:
            raise self._fault
        return 0 if self._record.frames or interrupted else 1

    def _write_pictures(self):
        files = [self._of_film(lambda film: film.close())]
        if self._film is not None and self._film.note:
            self.get_logger().warning('%s: %s.' % (files[0], self._film.note))
        if self._best is not None:
            good, jpeg = cv2.imencode('.jpg', self._best, [cv2.IMWRITE_JPEG_QUALITY, 90])
            if good and self._try(lambda: write_whole(os.path.join(self._folder, 'annotated.jpg'), jpeg.tobytes())):
                files.append('annotated.jpg')
        return [name for name in files if name]

    def _of_film(self, action):
        """Do something with the film; one that the disk does not take is given up, and all else goes on."""
        answers = []
        if self._film is not None and not self._try(lambda: answers.append(action(self._film))):
            self._film.discard()
            self._film = None
        return answers[0] if answers else ''

    def _try(self, write):
        """Write; tell whether the disk took it. The first time that it does not is told now and in the end."""
        try:
            write()
            return True
        except OSError as error:
            if self._fault is None:
                self._fault = FacialEmotionError(
                    '%s does not take what is written (%s); free some space, or name another folder'
                    % (os.path.abspath(self._folder), error.strerror or error))
                self.get_logger().error('%s. It goes on without.' % self._fault)
            return False

    def _take(self, half, message):
        """Keep one half of an answer until its other half is there."""
        stamp = Time.from_msg(message.header.stamp)
        answer = self._answers.setdefault(stamp.nanoseconds, [0.0, 0.0, None, None])
        answer[half] = message
        if half == 2:
            answer[0] = time.monotonic()
            answer[1] = (self.get_clock().now() - Time.from_msg(message.header.stamp)).nanoseconds / 1e9
        if answer[2] is not None and answer[3] is not None:
            self._complete(stamp.nanoseconds)
        elif len(self._answers) > MAX_WAITING:
            self._complete(next(iter(self._answers)))

    def _complete(self, stamp):
        """Record an answer, with its affect where that came."""
        arrival_s, age_s, detections, affect = self._answers.pop(stamp)
        if detections is None:
            return
        affects = {face.id: face for face in affect.detections} if affect is not None else {}
        faces = [_seen_face(face, affects.get(face.id)) for face in detections.detections]
        picture = _picture_name(detections.header.frame_id)
        self._record.add(arrival_s, age_s, faces, picture)
        self._shown = (faces, age_s, picture)
        self._faces[stamp] = faces
        if stamp in self._pictures:
            self._judge(stamp)
        while len(self._faces) > MAX_WAITING:
            self._faces.popitem(last=False)

    def _take_picture(self, message):
        stamp = Time.from_msg(message.header.stamp)
        image = decode_image(message.data, message.height, message.width, message.step, message.encoding,
                             bool(message.is_bigendian), used_bits=self._used_bits.of)
        self._of_film(lambda film: film.add(image, stamp.nanoseconds / 1e9))
        self._pictures[stamp.nanoseconds] = image
        if stamp.nanoseconds in self._faces:
            self._judge(stamp.nanoseconds)
        while len(self._pictures) > 8:
            self._pictures.popitem(last=False)

    def _judge(self, stamp):
        """Keep the best picture so far."""
        image = self._pictures.pop(stamp)
        merit = picture_merit(self._faces.pop(stamp), image.shape[1])
        if self._best is None or merit > self._best_merit:
            self._best, self._best_merit = image, merit

    def _take_model(self, message):
        hashes = [word[len('sha256:'):] for word in message.database_location.split() if word.startswith('sha256:')]
        self._model = {'name': message.method, 'sha256': hashes[-1] if hashes else ''}

    def _take_diagnostics(self, message):
        for status in message.status:
            if not status.name.startswith(self._watched):  # the rest of the robot reports on this topic too
                continue
            values = OrderedDict((pair.key, _number(pair.value)) for pair in status.values)
            level = status.level[0] if isinstance(status.level, bytes) else status.level
            self._diagnostics[status.name] = {'level': level, 'message': status.message, 'values': values}
            if (level == DiagnosticStatus.ERROR[0] and status.name == self._watched + 'inference'
                    and self._settings['give_up_s'] and not self._record.frames):
                # A node that cannot start stays reachable and says why: nothing will come, however long one waits.
                # Its input is another matter: a camera may take longer to start than the node's patience lasts.
                self._fault = FacialEmotionError('%s says: %s' % (status.name, status.message))
                self.done = True

    def _print_lines(self):
        if self._shown is None:
            return
        if not self._headed:
            self._headed = True
            print(HEADING, flush=True)
        (faces, age_s, picture), self._shown = self._shown, None
        time_s = self._record.last_arrival_s - self._record.first_arrival_s
        faces = sorted(faces, key=lambda face: face.box)
        lines = [face_line(time_s, face, age_s, picture, self._color) for face in faces]
        print('\n'.join(lines or [no_face_line(time_s, picture)]), flush=True)  # in colours

    def _look_for_end(self):
        now_s = time.monotonic()
        give_up_s = self._settings['give_up_s']
        if give_up_s and not self._record.frames and now_s - self._started_s > give_up_s:
            answers = self.resolve_topic_name('detections')
            part = self._watched + 'input'
            told = '; %s says: %s' % (part, self._diagnostics[part]['message']) if part in self._diagnostics else ''
            self._fault = FacialEmotionError(
                'expected a first answer within %.0f s, but none came: there are %d publishers of %s and %d of %s%s; '
                'see the log of what is missing' % (
                    give_up_s, self.count_publishers(self._image_topic), self._image_topic,
                    self.count_publishers(answers), answers, told))
            self.done = True
        if not self._settings['end_with_source']:
            return
        if self.count_publishers(self._image_topic):
            self._source_seen, self._gone_since_s = True, None
            return
        if self._source_seen or self._record.frames:
            self._gone_since_s = self._gone_since_s or now_s
            quiet_since_s = max(self._gone_since_s, self._record.last_arrival_s or 0.0)
            self.done = self.done or now_s - quiet_since_s > self._settings['quiet_s']


def _make_folder(folder):
    """Make the output folder, or say why that cannot be; what others wrote there is not to be replaced."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise BadParameter('expected output.folder to be a folder that can be made, got %r (%s); name another'
                           % (folder, error.strerror)) from None
    if not os.access(folder, os.W_OK):
        raise BadParameter('expected output.folder to be writable, but %r is not; name another' % folder)
    there = [name for name in OUTPUTS if os.path.lexists(os.path.join(folder, name))]
    if there and not _is_ours(os.path.join(folder, 'summary.json')):
        raise BadParameter('expected output.folder to be new, empty, or of an earlier stream, but %r holds %s of '
                           'another origin; name another, or move them' % (folder, ', '.join(there)))


def _is_ours(path):
    """Tell whether a file is the summary of a stream."""
    try:
        with open(path, encoding='utf-8') as stream:
            return {'folder', 'files', 'diagnostics'} <= set(json.load(stream))
    except (OSError, ValueError, TypeError):
        return False


def _picture_name(frame_id):
    """Give the file that media_source's name_in_frame_id tells of; a robot's own frames may have slashes too."""
    name = frame_id.rpartition('/')[2]
    return printable(name) if name != frame_id and name.lower().endswith(PICTURE_SUFFIXES) else ''


def _seen_face(detection, affect):
    """Read one face from its messages."""
    scores = {row.hypothesis.class_id: row.hypothesis.score for row in detection.results}
    feelings = {row.hypothesis.class_id: row.hypothesis.score for row in affect.results} if affect is not None else {}
    center, size_x, size_y = detection.bbox.center.position, detection.bbox.size_x, detection.bbox.size_y
    return SeenFace(
        printable(detection.id),
        (center.x - size_x / 2, center.y - size_y / 2, center.x + size_x / 2, center.y + size_y / 2),
        tuple(scores.get(emotion, 0.0) for emotion in EMOTIONS), feelings.get('valence', float('nan')),
        feelings.get('arousal', float('nan')),
        bool(detection.results) and detection.results[0].hypothesis.class_id != UNKNOWN)


def _number(text):
    """Turn a diagnostic value into a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
