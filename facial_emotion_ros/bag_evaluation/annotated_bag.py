"""Our answers as a recording: the topics and messages that the node would have published, with the images' headers."""

import functools

from facial_emotion_ros.bags.message_types import DETECTIONS, EXPRESSION, header, make, typestore
from facial_emotion_ros.bags.writer import BagWriter
from facial_emotion_ros.emotions import UNKNOWN
from facial_emotion_ros.expression_words import UnknownRhythm, expression_word

VISION_INFO = 'vision_msgs/msg/VisionInfo'
IDS, ROI = 'hri_msgs/msg/IdsList', 'hri_msgs/msg/NormalizedRegionOfInterest2D'

#: The node's default for its parameter output.contempt_as.
_CONTEMPT_AS = 'drop'


class AnnotatedBag:
    """Writes what the node publishes: detections, detections/raw, affect, expression, vision_info, and ROS4HRI's faces.

    The topics lie in the camera's namespace where there are several cameras, without one otherwise. Faces' crops, which
    the node publishes while somebody looks, are left out.
    """

    def __init__(self, path, bundle, several):
        """Begin it.

        :param path: folder to make.
        :param bundle: ModelBundle of the emotion network.
        :param several: whether there are several cameras.
        """
        self._store, self._several, self._rhythms = typestore(), several, {}
        self._info = {'method': f'{bundle.name} {bundle.version} ({bundle.architecture})',
                      'database_location': f'sha256:{bundle.sha256}'}
        self._bag = BagWriter(path).__enter__()

    def add(self, frame, faces, live_ids):
        """Write the answer to one image.

        :param frame: Frame.
        :param faces: list of (FaceEstimate, Truth or None), the largest face first.
        :param live_ids: ids that the tracker has not given up.
        """
        estimates = [estimate for estimate, _ in faces]
        head = header(frame.stamp_ns, frame.frame_id)
        if frame.camera not in self._rhythms:
            self._rhythms[frame.camera] = UnknownRhythm()
            self._write(frame, 'vision_info', VISION_INFO, make(VISION_INFO, header=head, **self._info))
        emotions = [_hypotheses(each) for each in estimates]
        raw = [_hypotheses(each.raw) for each in estimates]
        affect = [[('valence', each.valence), ('arousal', each.arousal), ('agreement', each.agreement)]
                  for each in estimates]
        for topic, hypotheses in (('detections', emotions), ('detections/raw', raw), ('affect', affect)):
            faces = [_detection(head, estimate, told) for estimate, told in zip(estimates, hypotheses)]
            self._write(frame, topic, DETECTIONS, make(DETECTIONS, header=head, detections=faces))
        self._write(frame, 'expression', EXPRESSION, _expression(head, estimates[0] if estimates else None))
        self._write(frame, 'humans/faces/tracked', IDS, make(IDS, header=head, ids=list(live_ids)))
        rhythm, sides = self._rhythms[frame.camera], frame.image.shape[1::-1]
        for estimate in estimates:
            topic = f'humans/faces/{estimate.face_id}'
            self._write(frame, f'{topic}/roi', ROI, _roi(head, estimate, sides))
            word = _expression(head, estimate)
            if rhythm.lets_through(estimate.face_id, word):
                self._write(frame, f'{topic}/expression', EXPRESSION, word)

    def settle(self):
        """Do nothing: the recording is complete when it is closed."""

    def close(self):
        """Give the recording its name."""
        self._bag.__exit__(None, None, None)

    def discard(self):
        """Delete it."""
        self._bag.discard()

    def _write(self, frame, topic, msgtype, message):
        prefix = frame.camera.rstrip('/') if self._several else ''
        self._bag.write(f'{prefix}/{topic}', msgtype, frame.receive_ns, self._store.serialize_cdr(message, msgtype))


def _hypotheses(reading):
    falling = sorted(reading.scores.items(), key=lambda pair: (pair[0] != reading.emotion, -pair[1]))
    return [(UNKNOWN, 0.0), *falling] if reading.emotion == UNKNOWN else falling


def _detection(head, estimate, hypotheses):
    x0, y0, x1, y1 = estimate.box
    place = make('vision_msgs/msg/Point2D', x=(x0 + x1) / 2, y=(y0 + y1) / 2)
    box = make('vision_msgs/msg/BoundingBox2D', center=make('vision_msgs/msg/Pose2D', position=place), size_x=x1 - x0,
               size_y=y1 - y0)
    results = [make('vision_msgs/msg/ObjectHypothesisWithPose', pose=_pose(), hypothesis=make(
        'vision_msgs/msg/ObjectHypothesis', class_id=word, score=float(score))) for word, score in hypotheses]
    return make('vision_msgs/msg/Detection2D', header=head, id=estimate.face_id, bbox=box, results=results)


@functools.cache
def _pose():
    """Make the pose that stands for none, as ROS makes it: no turn."""
    upright = make('geometry_msgs/msg/Quaternion', w=1.0)
    return make('geometry_msgs/msg/PoseWithCovariance', pose=make('geometry_msgs/msg/Pose', orientation=upright))


def _roi(head, estimate, sides):
    parts = [min(max(edge / side, 0.0), 1.0) for edge, side in zip(estimate.box, sides * 2)]
    return make(ROI, header=head, c=estimate.box_score, **dict(zip(('xmin', 'ymin', 'xmax', 'ymax'), parts)))


def _expression(head, estimate):
    if estimate is None:
        return make(EXPRESSION, header=head)
    word, confidence = '', 0.0
    if estimate.emotion != UNKNOWN:
        word, confidence = expression_word(estimate.scores, _CONTEMPT_AS, estimate.emotion)
    return make(EXPRESSION, header=head, expression=word, valence=estimate.valence, arousal=estimate.arousal,
                confidence=confidence)
