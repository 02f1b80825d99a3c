"""Publish head poses on the topic head_pose and as REP-155 frames on /tf; needs the camera's calibration."""

import re
import time
from typing import Any, Callable, Optional, Sequence

import numpy as np
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.head_pose import Camera, head_poses
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.image_input import TOPIC, camera_info_topic
from facial_emotion_ros.ros.logs import EVERY_60_S

#: Distortion models of sensor_msgs/distortion_models.hpp -> whether it is OpenCV's fisheye model.
_DISTORTIONS = {'plumb_bob': False, 'rational_polynomial': False, 'equidistant': True, 'fisheye': True}
#: Is fisheye -> allowed numbers of coefficients in OpenCV.
_COEFFICIENTS = {False: (4, 5, 8, 12, 14), True: (4,)}
#: Tolerance between the x and y scale of an image relative to its calibration.
_UNEVEN = 0.02


class HeadPoseOutput:
    """Publish while there are subscribers, or always with TF frames; a camera_info is needed then.

    `publish` is called by the worker thread, everything else by the executor's.
    """

    def __init__(self, node: Any, create_publisher: Callable[..., Any], has_frames: bool):
        """Create the publishers.

        :param node: EmotionNode.
        :param create_publisher: method of Outputs; takes type and topic.
        :param has_frames: parameter output.head_frames.
        """
        self._node = node
        self._publisher = create_publisher(PoseArray, 'head_pose')
        self._tf: Any = None
        if has_frames:
            from tf2_msgs.msg import TFMessage

            self._tf_message = TFMessage
            # Not created by Outputs, whose subscribers make the node process images: /tf always has some.
            self._tf = node.create_publisher(TFMessage, '/tf', qos.output_qos(depth=100))
        self._is_rectified = 'rect' in re.split('[/_]', node.resolve_topic_name(TOPIC))
        self._info: Optional[CameraInfo] = None
        self._missing_since_s: Optional[float] = None

    def is_wanted(self) -> bool:
        """Return whether a calibration is needed."""
        return self._tf is not None or self._publisher.get_subscription_count() > 0

    def take_info(self, info: CameraInfo) -> None:
        """Set the calibration of the following images."""
        self._info = info

    def publish(self, header: Header, image: np.ndarray, estimates: Sequence[FaceEstimate]) -> None:
        """Publish the head poses of one image; without a calibration, nothing but a warning.

        :param header: of the image.
        :param image: (H, W, 3).
        :param estimates: the faces, as on `detections`.
        """
        if not self.is_wanted():
            self._missing_since_s = None
            return
        try:
            camera = self._camera(*image.shape[:2])
        except BadImage as fault:
            self._warn_missing(fault)
            return
        self._missing_since_s = None
        poses = head_poses(np.array([estimate.landmarks for estimate in estimates]), camera)
        if self._publisher.get_subscription_count() > 0:
            self._publisher.publish(messages.head_pose_message(header, poses))
        if self._tf is not None and header.frame_id:
            frames = messages.head_frames(header, [estimate.face_id for estimate in estimates], poses)
            if frames:
                self._tf.publish(self._tf_message(transforms=frames))

    def close(self) -> None:
        """Destroy the publisher of frames."""
        if self._tf is not None:
            self._node.destroy_publisher(self._tf)

    def _camera(self, height, width):
        info = self._info
        if info is None:
            raise BadImage('nothing was received on %s' % camera_info_topic(self._node))
        return camera_of(info, height, width, self._is_rectified)

    def _warn_missing(self, fault):
        now_s = time.monotonic()
        if self._missing_since_s is None:
            self._missing_since_s = now_s
        # Image and calibration are separate messages: the first images may arrive before it.
        if now_s - self._missing_since_s >= self._node.value('input.timeout_s'):
            self._node.get_logger().warning(
                'No head pose is published: %s. Calibrate the camera, or remap camera_info.' % fault, **EVERY_60_S
            )


def camera_of(info: CameraInfo, height: int, width: int, is_rectified: bool) -> Camera:
    """Convert a camera_info message to the calibration of an image.

    :param info: of the image's camera.
    :param height, width: of the image, px.
    :param is_rectified: whether the image is rectified, so that P applies instead of K and D.
    :raises BadImage: if it is not a valid calibration, or is for another aspect ratio.
    """
    matrix = np.array(info.p).reshape(3, 4)[:, :3] if is_rectified else np.array(info.k).reshape(3, 3)
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise BadImage('expected a calibrated camera, got a camera_info without focal length')
    left, top, columns, rows = 0, 0, info.width or width, info.height or height
    if info.roi.width and info.roi.height:
        left, top, columns, rows = info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height
    scale_x, scale_y = width / float(columns), height / float(rows)
    if abs(scale_x / scale_y - 1.0) > _UNEVEN:
        raise BadImage('expected a camera_info for images of %dx%d, got one for %dx%d' % (width, height, columns, rows))
    matrix = np.array([[scale_x, 0, -scale_x * left], [0, scale_y, -scale_y * top], [0, 0, 1]]).dot(matrix)
    coefficients = np.array(info.d, np.float64)
    if is_rectified or not coefficients.any():
        return Camera(matrix, np.zeros(0))
    is_fisheye = _DISTORTIONS.get(info.distortion_model)
    if is_fisheye is None or len(coefficients) not in _COEFFICIENTS[is_fisheye] or not np.isfinite(coefficients).all():
        raise BadImage(
            'expected a distortion model of %s, got a camera_info with %r and %d coefficients'
            % (', '.join(_DISTORTIONS), info.distortion_model, len(coefficients))
        )
    return Camera(matrix, coefficients, is_fisheye)
