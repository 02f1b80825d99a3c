"""Write the estimates as a recording: the messages that the node would have published, with the images' headers."""

from collections.abc import Iterable, Sequence

import numpy as np

from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.message_fields import (
    affect_hypotheses,
    box_parts,
    check_finite,
    emotion_hypotheses,
    expression_parts,
    network_words,
)
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.io.frames import Frame
from facial_emotion_ros.recordings.io.message_types import DETECTIONS, EXPRESSION, detection, header, make
from facial_emotion_ros.recordings.io.writer import BagWriter, reliable_qos

VISION_INFO = 'vision_msgs/msg/VisionInfo'
IDS, ROI = 'hri_msgs/msg/IdsList', 'hri_msgs/msg/NormalizedRegionOfInterest2D'

#: The node's default for its parameter output.contempt_as.
_CONTEMPT_AS = 'drop'


class AnnotatedBag:
    """Writes the node's topics: detections, detections/raw, affect, expression, vision_info, and ROS4HRI faces.

    With several cameras, topics are in the camera's namespace. Face crops are not written.
    """

    def __init__(self, path: str, engine: EsrEngine, several: bool):
        """Create the recording.

        :param path: new folder.
        :param engine: engine of the estimates.
        :param several: whether there are several cameras.
        """
        self._several = several
        self._cameras: set[str] = set()
        self._network = network_words(engine)
        self._bag = BagWriter(path, qos=_qos_of).__enter__()

    def add(
        self, frame: Frame, faces: Sequence[tuple[FaceEstimate, GroundTruth | None]], live_ids: Iterable[str]
    ) -> None:
        """Write the estimates of one image.

        :param frame: the image.
        :param faces: estimates, the largest face first.
        :param live_ids: ids that the tracker still holds.
        """
        estimates = [estimate for estimate, _ in faces]
        check_finite(estimates)
        head = header(frame.stamp_ns, frame.frame_id)
        if frame.camera not in self._cameras:
            self._cameras.add(frame.camera)
            self._write(frame, 'vision_info', make(VISION_INFO, header=head, **self._network))
        emotions = [emotion_hypotheses(each) for each in estimates]
        raw = [emotion_hypotheses(each.raw) for each in estimates]
        affect = [affect_hypotheses(each) for each in estimates]
        for topic, hypotheses in (('detections', emotions), ('detections/raw', raw), ('affect', affect)):
            pairs = zip(estimates, hypotheses)
            detections = [detection(head, each.face_id, each.box, classes) for each, classes in pairs]
            self._write(frame, topic, make(DETECTIONS, header=head, detections=detections))
        first = expression_parts(estimates[0] if estimates else None, _CONTEMPT_AS)
        self._write(frame, 'expression', make(EXPRESSION, header=head, **first))
        self._write(frame, 'humans/faces/tracked', make(IDS, header=head, ids=list(live_ids)))
        height, width = np.asarray(frame.image).shape[:2]
        for estimate in estimates:
            topic = f'humans/faces/{estimate.face_id}'
            self._write(frame, f'{topic}/roi', make(ROI, header=head, **box_parts(estimate, height, width)))
            parts = expression_parts(estimate, _CONTEMPT_AS)
            if parts['expression']:
                self._write(frame, f'{topic}/expression', make(EXPRESSION, header=head, **parts))

    def close(self) -> None:
        """Complete the recording."""
        self._bag.__exit__(None, None, None)

    def discard(self) -> None:
        """Delete the recording."""
        self._bag.discard()

    def _write(self, frame, topic, message):
        prefix = frame.camera.rstrip('/') if self._several else ''
        self._bag.add(f'{prefix}/{topic}', frame.receive_ns, message)


def _qos_of(topic):
    latched = topic.endswith('vision_info')
    return reliable_qos(1 if latched or '/humans/' in topic else 10, latched)
