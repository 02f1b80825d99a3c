"""Estimate head poses (PnP) from five face landmarks, a mean face and the camera's calibration."""

from typing import List, NamedTuple, Optional

import cv2
import numpy as np

#: Mean interpupillary distance of adults, in m. It sets the scale, and so the distance of a face.
PUPIL_DISTANCE_M = 0.063


class Camera(NamedTuple):
    """The calibration of a camera for images of one size.

    :param matrix: (3, 3) float64 intrinsic matrix in pixels.
    :param distortion: (n,) float64 coefficients of OpenCV's model for perspective or fisheye lenses; (0,) for none.
    :param is_fisheye: whether `distortion` is of the fisheye model.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    is_fisheye: bool = False


class HeadPose(NamedTuple):
    """The pose of a head in the camera's optical frame: x to the right, y down, z forward.

    :param position: (3,) float64, the point between the eyes, in m.
    :param rotation: (3, 3) float64. Its columns are the axes of the head: x out of the face, y to the person's left, z
        up (REP-155).
    """

    position: np.ndarray
    rotation: np.ndarray


#: Landmarks of a mean face in the axes of HeadPose, in interpupillary distances, as CenterFace places them on rendered
#: heads of known pose (docs/head_pose.md). Order: the eye on the viewer's left, the other eye, nose, mouth corners.
_MEAN_FACE = np.array(
    [[0.0, -0.537, 0.0], [0.0, 0.537, 0.0], [0.54, 0.0, -0.614], [-0.058, -0.452, -1.071], [-0.058, 0.452, -1.071]]
)

#: Rotation of a head that faces the camera.
_FACING = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])


def head_poses(landmarks: np.ndarray, camera: Camera) -> List[Optional[HeadPose]]:
    """Estimate the poses of heads.

    :param landmarks: (N, 5, 2) in pixels, see FaceEstimate.
    :param camera: of the image.
    :returns: N poses; None where the landmarks do not fit a face in front of the camera.
    """
    if not len(landmarks):
        return []
    points = np.asarray(landmarks, np.float64).reshape(-1, 1, 2)
    undistort = cv2.fisheye.undistortPoints if camera.is_fisheye else cv2.undistortPoints
    rays = undistort(points, camera.matrix, camera.distortion if len(camera.distortion) else np.zeros(4))
    return [_head_pose(face) for face in rays.reshape(-1, 5, 2)]


def _head_pose(rays: np.ndarray) -> Optional[HeadPose]:
    """Return the pose of a head, or None.

    :param rays: (5, 2) normalized image coordinates of the landmarks (at depth 1).
    """
    if not np.isfinite(rays).all():
        return None
    # Starting from an upright head that faces the camera, the iteration converges for every pose that is detected.
    across, down = rays[1] - rays[0], rays[3:].mean(axis=0) - rays[:2].mean(axis=0)
    size = max(np.hypot(*across), np.hypot(*down))
    if size < 1e-6:
        return None
    distance = PUPIL_DISTANCE_M / size
    angle = np.arctan2(across[1], across[0])
    roll = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    start = cv2.Rodrigues(roll.dot(_FACING))[0], distance * np.append(rays[:2].mean(axis=0), 1.0)[:, None]
    model = PUPIL_DISTANCE_M * _MEAN_FACE
    found, turn, position = cv2.solvePnP(
        model, rays[:, None], np.eye(3), None, start[0], start[1], True, cv2.SOLVEPNP_ITERATIVE
    )
    if not found or not np.isfinite(turn).all() or not np.isfinite(position).all() or position[2, 0] <= 0:
        return None
    return HeadPose(position[:, 0], cv2.Rodrigues(turn)[0])
