"""Our answers as a recording: the topics and messages that the node would have published, with the images' headers."""

from facial_emotion_ros.answer_parts import (
    affect_hypotheses,
    box_parts,
    check_finite,
    emotion_hypotheses,
    network_words,
    within,
)
from facial_emotion_ros.bags.message_types import DETECTIONS, EXPRESSION, detection, header, make, typestore
from facial_emotion_ros.bags.writer import BagWriter, reliable_qos
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
        self._store, self._several, self._rhythms, self._known = typestore(), several, {}, {}
        self._network = network_words(bundle)
        self._bag = BagWriter(path, qos=_qos_of, replace=True).__enter__()

    def add(self, frame, faces, live_ids):
        """Write the answer to one image.

        :param frame: Frame.
        :param faces: list of (FaceEstimate, Truth or None), the largest face first.
        :param live_ids: ids that the tracker has not given up.
        """
        estimates = [estimate for estimate, _ in faces]
        check_finite(estimates)
        head = header(frame.stamp_ns, frame.frame_id)
        if frame.camera not in self._rhythms:
            self._rhythms[frame.camera] = UnknownRhythm()
            self._write(frame, 'vision_info', VISION_INFO, make(VISION_INFO, header=head, **self._network))
        emotions = [emotion_hypotheses(each) for each in estimates]
        raw = [emotion_hypotheses(each.raw) for each in estimates]
        affect = [affect_hypotheses(each) for each in estimates]
        for topic, hypotheses in (('detections', emotions), ('detections/raw', raw), ('affect', affect)):
            faces = [detection(head, estimate.face_id, estimate.box, told)
                     for estimate, told in zip(estimates, hypotheses)]
            self._write(frame, topic, DETECTIONS, make(DETECTIONS, header=head, detections=faces))
        self._write(frame, 'expression', EXPRESSION, _expression(head, estimates[0] if estimates else None))
        self._write(frame, 'humans/faces/tracked', IDS, make(IDS, header=head, ids=list(live_ids)))
        for lost in self._known.get(frame.camera, set()) - set(live_ids):
            self._rhythms[frame.camera].forget(lost)
        self._known[frame.camera] = set(live_ids)
        rhythm, sides = self._rhythms[frame.camera], frame.image.shape[:2]
        for estimate in estimates:
            topic = f'humans/faces/{estimate.face_id}'
            self._write(frame, f'{topic}/roi', ROI, make(ROI, header=head, **box_parts(estimate, *sides)))
            word = _expression(head, estimate)
            if rhythm.lets_through(estimate.face_id, word, frame.receive_ns / 1e9):
                self._write(frame, f'{topic}/expression', EXPRESSION, word)

    def close(self):
        """Give the recording its name."""
        self._bag.__exit__(None, None, None)

    def discard(self):
        """Delete it."""
        self._bag.discard()

    def _write(self, frame, topic, msgtype, message):
        prefix = frame.camera.rstrip('/') if self._several else ''
        self._bag.write(f'{prefix}/{topic}', msgtype, frame.receive_ns, self._store.serialize_cdr(message, msgtype))


def _qos_of(topic):
    latched = topic.endswith('vision_info')
    return reliable_qos(1 if latched or '/humans/' in topic else 10, latched)


def _expression(head, estimate):
    if estimate is None:
        return make(EXPRESSION, header=head)
    word, confidence = '', 0.0
    if estimate.emotion != UNKNOWN:
        word, confidence = expression_word(estimate.scores, _CONTEMPT_AS, estimate.emotion)
    return make(EXPRESSION, header=head, expression=word, valence=within(estimate.valence, -1.0, 1.0),
                arousal=within(estimate.arousal, -1.0, 1.0), confidence=confidence)
