"""Convert face estimates to ROS messages, and images from and to messages.

Every message has the header of its image.
"""

import array
import functools
import math
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from geometry_msgs.msg import Pose, PoseArray, TransformStamped
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose, VisionInfo

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.emotion.message_fields import box_parts, expression_parts, network_words
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.head_pose import HeadPose
from facial_emotion_ros.perception.image_decoding import decode_image
from facial_emotion_ros.perception.image_files import fit

#: Rotation to an optical frame (x right, y down, z forward) from a body frame (x forward, y left, z up).
_GAZE = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def image_of(
    message: Union[Image, CompressedImage],
    used_bits: Optional[Callable[[str, int], int]] = None,
    on_damage: Optional[Callable[[str], Any]] = None,
) -> np.ndarray:
    """Decode a camera image; unsupported encodings are passed to cv_bridge, if that is installed.

    :param message: from the camera.
    :param used_bits: see :func:`facial_emotion_ros.perception.image_decoding.decode_image`.
    :param on_damage: see :func:`facial_emotion_ros.perception.compressed_image.decode_compressed`.
    :returns: (H, W, 3) uint8 BGR, contiguous.
    :raises BadImage: naming what was expected and what came.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format, used_bits, on_damage)
    return decode_image(
        message.data,
        message.height,
        message.width,
        message.step,
        message.encoding,
        message.is_bigendian,
        fallback=functools.partial(_decode_by_cv_bridge, message) if _cv_bridge() is not None else None,
        used_bits=used_bits,
    )


def _decode_by_cv_bridge(message):
    try:
        return _cv_bridge().imgmsg_to_cv2(message, desired_encoding='bgr8')
    except Exception as error:  # besides CvBridgeError: TypeError and cv2.error
        raise BadImage(
            'expected an encoding that cv_bridge can decode, got %r (%s); set the camera to bgr8 or rgb8'
            % (message.encoding, error)
        ) from None


@functools.lru_cache(maxsize=None)
def _cv_bridge():
    try:
        from cv_bridge import CvBridge
    except Exception:  # built for another numpy or OpenCV, it fails in many ways
        return None
    return CvBridge()


def faces_message(
    header: Header, estimates: Sequence[FaceEstimate], hypotheses: Callable[[FaceEstimate], Iterable[Tuple[str, float]]]
) -> Detection2DArray:
    """Convert faces to a Detection2DArray with id, box and results.

    :param header: of the image.
    :param estimates: of the faces, may be empty.
    :param hypotheses: returns a face's results as (name, value), such as `message_fields.emotion_hypotheses`.
    """
    return Detection2DArray(header=header, detections=[_face(header, face, hypotheses(face)) for face in estimates])


def head_pose_message(header: Header, poses: Sequence[Optional[HeadPose]]) -> PoseArray:
    """Convert head poses to a PoseArray; an unknown one is at the origin, where no head can be."""
    return PoseArray(header=header, poses=[_pose(pose) if pose is not None else Pose() for pose in poses])


def head_frames(header: Header, ids: Sequence[str], poses: Sequence[Optional[HeadPose]]) -> List[TransformStamped]:
    """Return the TF frames face_<id> and gaze_<id> of every head with a known pose.

    Source: REP-155, Face and Gaze Frames. The gaze is the head's direction: z forward, x to the right, y down.

    :param header: of the image; its frame is the parent.
    :param ids: of the faces.
    """
    frames = []
    for face_id, pose in zip(ids, poses):
        if pose is not None:
            for name, axes in (('face_', pose.rotation), ('gaze_', pose.rotation.dot(_GAZE))):
                frame = TransformStamped(header=header, child_frame_id=name + face_id)
                turned = _pose(HeadPose(pose.position, axes))
                frame.transform.rotation = turned.orientation
                for axis in 'xyz':
                    setattr(frame.transform.translation, axis, getattr(turned.position, axis))
                frames.append(frame)
    return frames


def expression_message(header: Header, estimate: Optional[FaceEstimate], contempt_as: str) -> Expression:
    """Convert a face to ROS4HRI's Expression, which has no word for contempt.

    :param header: of the image.
    :param estimate: None without a face.
    :param contempt_as: the word for contempt, or 'drop', which distributes its score over the other words.
    :returns: with an empty word and confidence 0 if the expression is unknown.
    """
    return Expression(header=header, **expression_parts(estimate, contempt_as))


def ids_message(header: Header, ids: Iterable[str]) -> IdsList:
    """Return the list of tracked faces."""
    return IdsList(header=header, ids=list(ids))


def roi_message(header: Header, estimate: FaceEstimate, height: int, width: int) -> NormalizedRegionOfInterest2D:
    """Convert a face box to fractions of the image size, in [0, 1], with the score of the box as c.

    :param header: of the image.
    :param estimate: the face.
    :param height: of the image, px.
    :param width: of the image, px.
    """
    return NormalizedRegionOfInterest2D(header=header, **box_parts(estimate, height, width))


def cropped_message(header: Header, image: np.ndarray, box: Sequence[float], size: Tuple[int, int]) -> Image:
    """Crop a face and scale it to fit into the size: aspect ratio kept, centred, padded with zeros.

    Source: REP-155, faces/<id>/cropped.

    :param header: of the image.
    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 in px; clipped to the image, at least one pixel remains.
    :param size: width and height of the message, px.
    :returns: bgr8.
    """
    height, width = image.shape[:2]
    x0 = min(max(int(math.floor(box[0])), 0), width - 1)
    y0 = min(max(int(math.floor(box[1])), 0), height - 1)
    x1 = min(max(int(math.ceil(box[2])), x0 + 1), width)
    y1 = min(max(int(math.ceil(box[3])), y0 + 1), height)
    return image_message(header, fit(image[y0:y1, x0:x1], *size, around=0, enlarging=cv2.INTER_LINEAR))


def image_message(header: Header, image: np.ndarray) -> Image:
    """Convert an image to a message.

    :param header: std_msgs/Header.
    :param image: (H, W, 3) uint8 BGR.
    :returns: bgr8.
    """
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding='bgr8', is_bigendian=0, step=width * 3)
    # rclpy assigns an array.array directly; an ndarray or bytes would be checked byte by byte (764 ms for 1080p).
    pixels = array.array('B')
    pixels.frombytes(np.ascontiguousarray(image).data.cast('B'))
    message.data = pixels
    return message


def vision_info_message(stamp: Any, engine: Any) -> VisionInfo:
    """Describe the network in use.

    :param stamp: the current time, builtin_interfaces/Time.
    :param engine: EsrEngine.
    :returns: name, version, architecture and operating point; folder and hash; major version.
    """
    words = network_words(engine)
    message = VisionInfo(**dict(words, database_location='%s %s' % (engine.bundle.folder, words['database_location'])))
    message.header.stamp = stamp
    return message


def _pose(head):
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(each) for each in head.position)
    turn = cv2.Rodrigues(np.asarray(head.rotation))[0][:, 0]
    angle = float(np.linalg.norm(turn))
    axis = turn * (math.sin(0.5 * angle) / angle if angle > 0.0 else 0.0)
    pose.orientation.x, pose.orientation.y, pose.orientation.z = (float(each) for each in axis)
    pose.orientation.w = math.cos(0.5 * angle)
    return pose


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
