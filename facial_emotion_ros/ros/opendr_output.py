"""The topics of OpenDR's facial emotion node, for those who come from there: the largest face, no header.

Source: OpenDR's documentation of opendr_perception, facial_emotion_estimation_node: names, types, what they hold.
"""

from sensor_msgs.msg import Image
from std_msgs.msg import String
from vision_msgs.msg import ObjectHypothesis

from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN

EMOTION_TOPIC = '/opendr/facial_emotion_estimation'
DESCRIPTION_TOPIC = '/opendr/facial_emotion_estimation_description'
PICTURE_TOPIC = '/opendr/image_emotion_estimation_annotated'


class OpenDrOutput:
    """Publishes the class's number and score, and its name; the picture is left to whoever draws one anyway."""

    def __init__(self, create_publisher):
        """Create the publishers.

        :param create_publisher: function of message type, topic and depth.
        """
        self._emotion = create_publisher(ObjectHypothesis, EMOTION_TOPIC, 1)
        self._description = create_publisher(String, DESCRIPTION_TOPIC, 1)
        #: Publisher of the annotated image.
        self.picture = create_publisher(Image, PICTURE_TOPIC, 1)

    def publish(self, estimate):
        """Tell one face; nothing is said where its emotion is unknown, for which OpenDR has no class.

        :param estimate: FaceEstimate.
        """
        if estimate.emotion == UNKNOWN:
            return
        self._emotion.publish(ObjectHypothesis(class_id=str(EMOTIONS.index(estimate.emotion)),
                                               score=float(estimate.confidence)))
        self._description.publish(String(data=estimate.emotion.capitalize()))
