"""Face estimates as ROS messages: pure conversion, nothing is published here.

Every message carries the header of the image that it answers.
"""

import array
import math

import numpy as np
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose, VisionInfo

from facial_emotion_ros.answer_parts import affect_hypotheses, box_parts, emotion_hypotheses, network_words, within
from facial_emotion_ros.emotions import UNKNOWN
from facial_emotion_ros.expression_words import expression_word


def detections_message(header, estimates):
    """Tell every face with its emotion scores; where the emotion is unknown, a hypothesis that says so goes first.

    :param header: std_msgs/Header of the image.
    :param estimates: list of FaceEstimate.
    :returns: Detection2DArray; without faces, an empty one.
    """
    return _faces_message(header, estimates, emotion_hypotheses)


def raw_detections_message(header, estimates):
    """Tell every face with what this image alone says of it.

    :param header: std_msgs/Header of the image.
    :param estimates: list of FaceEstimate.
    :returns: Detection2DArray with the same ids and boxes as `detections_message`.
    """
    return _faces_message(header, estimates, lambda estimate: emotion_hypotheses(estimate.raw))


def affect_message(header, estimates):
    """Tell every face with valence, arousal (both in [-1, 1]) and agreement (in [0, 1]) in place of scores.

    :param header: std_msgs/Header of the image.
    :param estimates: list of FaceEstimate.
    :returns: Detection2DArray with the same ids and boxes as `detections_message`.
    """
    return _faces_message(header, estimates, affect_hypotheses)


def expression_message(header, estimate, contempt_as):
    """Tell one face in ROS4HRI's words, which lack contempt.

    :param header: std_msgs/Header of the image.
    :param estimate: FaceEstimate, or None where there is no face.
    :param contempt_as: word that contempt counts as, or 'drop': then the other words share out its score.
    :returns: Expression; the word is empty and all numbers are 0 where nothing can be said.
    """
    message = Expression(header=header)
    if estimate is None:
        return message
    message.valence = within(estimate.valence, -1.0, 1.0)
    message.arousal = within(estimate.arousal, -1.0, 1.0)
    if estimate.emotion != UNKNOWN:
        message.expression, message.confidence = expression_word(
            estimate.scores, contempt_as, estimate.emotion)
    return message


def ids_message(header, ids):
    """List the faces that are tracked.

    :param header: std_msgs/Header of the image.
    :param ids: iterable of str.
    :returns: IdsList.
    """
    return IdsList(header=header, ids=list(ids))


def roi_message(header, estimate, height, width):
    """Tell a face box as parts of the image's size.

    :param header: std_msgs/Header of the image.
    :param estimate: FaceEstimate.
    :param height: of the image, px.
    :param width: of the image, px.
    :returns: NormalizedRegionOfInterest2D, in [0, 1], c the score of the box.
    """
    return NormalizedRegionOfInterest2D(header=header, **box_parts(estimate, height, width))


def cropped_message(header, image, box):
    """Cut a face out of the image.

    :param header: std_msgs/Header of the image.
    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 in px; what lies outside of the image is cut off.
    :returns: sensor_msgs/Image, bgr8, of at least one pixel.
    """
    height, width = image.shape[:2]
    x0 = min(max(int(math.floor(box[0])), 0), width - 1)
    y0 = min(max(int(math.floor(box[1])), 0), height - 1)
    x1 = min(max(int(math.ceil(box[2])), x0 + 1), width)
    y1 = min(max(int(math.ceil(box[3])), y0 + 1), height)
    return image_message(header, image[y0:y1, x0:x1])


def image_message(header, image):
    """Make a message of an image.

    :param header: std_msgs/Header.
    :param image: (H, W, 3) uint8 BGR.
    :returns: sensor_msgs/Image, bgr8.
    """
    image = np.ascontiguousarray(image)
    message = Image(header=header, height=image.shape[0], width=image.shape[1], encoding='bgr8', is_bigendian=0,
                    step=image.shape[1] * 3)
    # An array.array is handed over as it is; an ndarray or bytes would be checked byte by byte (764 ms for 1080p).
    pixels = array.array('B')
    pixels.frombytes(memoryview(image).cast('B'))
    message.data = pixels
    return message


def vision_info_message(stamp, bundle):
    """Tell which network speaks.

    :param stamp: builtin_interfaces/Time of now.
    :param bundle: ModelBundle of the emotion network.
    :returns: VisionInfo: name, version and architecture; where it lies and its hash; the first number of its version.
    """
    words = network_words(bundle)
    message = VisionInfo(**dict(words, database_location='%s %s' % (bundle.folder, words['database_location'])))
    message.header.stamp = stamp
    return message


def _faces_message(header, estimates, hypotheses):
    return Detection2DArray(header=header, detections=[_face(header, face, hypotheses(face)) for face in estimates])


def _face(header, estimate, hypotheses):
    detection = Detection2D(header=header, id=estimate.face_id)
    x0, y0, x1, y1 = (float(edge) for edge in estimate.box)
    detection.bbox.center.position.x = 0.5 * (x0 + x1)
    detection.bbox.center.position.y = 0.5 * (y0 + y1)
    detection.bbox.size_x = x1 - x0
    detection.bbox.size_y = y1 - y0
    detection.results = [_hypothesis(name, value) for name, value in hypotheses]
    return detection


def _hypothesis(class_id, score):
    row = ObjectHypothesisWithPose()
    row.hypothesis.class_id = class_id
    row.hypothesis.score = float(score)
    return row
