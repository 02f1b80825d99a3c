"""Head poses: those of known projections come back, also through a lens and from a camera that is mounted sideways."""

import os

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.perception import head_pose
from facial_emotion_ros.perception.head_pose import Camera, head_poses
from facial_emotion_ros.perception.image_rotation import rotated
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

MATRIX = np.array([[600.0, 0, 310], [0, 610, 250], [0, 0, 1]])
CAMERAS = {
    'plain': Camera(MATRIX, np.zeros(0)),
    'wide': Camera(MATRIX, np.array([-0.3, 0.09, 0.001, -0.001, -0.01])),
    'fisheye': Camera(MATRIX, np.array([-0.02, 0.01, -0.003, 0.001]), True),
}
#: Degrees: about the head's axes y (nods), z (turns) and the camera's z.
POSES = [(0, 0, 0), (25, 0, 0), (-30, 20, 10), (10, 60, -20), (0, -70, 0), (-15, -40, 90), (5, 30, 180), (20, 10, -90)]


def about(axis, degrees):
    vector = np.zeros(3)
    vector[axis] = np.radians(degrees)
    return cv2.Rodrigues(vector)[0]


def degrees_between(one, other):
    return np.degrees(np.linalg.norm(cv2.Rodrigues(one.T.dot(other))[0]))


@pytest.mark.parametrize('kind', CAMERAS)
def test_a_projected_pose_comes_back(kind):
    camera, expected, landmarks = CAMERAS[kind], [], []
    for number, (nod, turn, roll) in enumerate(POSES):
        rotation = about(2, roll).dot(head_pose._FACING).dot(about(2, turn)).dot(about(1, nod))
        position = np.array([0.2 - 0.1 * (number % 5), 0.15 - 0.1 * (number % 4), 0.5 + 0.4 * number])
        project = cv2.fisheye.projectPoints if camera.is_fisheye else cv2.projectPoints
        model = head_pose.PUPIL_DISTANCE_M * head_pose._MEAN_FACE[:, None]
        coefficients = camera.distortion if len(camera.distortion) else np.zeros(4)
        points = project(model, cv2.Rodrigues(rotation)[0], position[:, None], camera.matrix, coefficients)[0]
        landmarks.append(points.reshape(5, 2))
        expected.append((position, rotation))
    found = head_poses(np.array(landmarks, np.float32), camera)
    assert len(found) == len(POSES)
    for pose, (position, rotation) in zip(found, expected):
        assert degrees_between(pose.rotation, rotation) < 0.5
        np.testing.assert_allclose(pose.position, position, atol=0.005)


def test_there_is_no_pose_where_the_landmarks_are_those_of_no_face():
    landmarks = np.zeros((3, 5, 2), np.float32)
    landmarks[1] = np.nan
    landmarks[2] = 320 + 100 * np.array([[-0.5, -0.5], [0.5, -0.5], [0, 0], [-0.4, 0.5], [0.4, 0.5]])
    first, second, third = head_poses(landmarks, CAMERAS['plain'])
    assert first is None and second is None and third.position[2] > 0
    assert head_poses(np.zeros((0,)), CAMERAS['plain']) == []


@pytest.fixture(scope='module')
def astronaut():
    """Return a picture with a face in its middle, the camera of it, and a pipeline."""
    picture = cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))[:240, 74:374]
    camera = Camera(np.array([[400.0, 0, 140], [0, 400, 110], [0, 0, 1]]), np.zeros(0))
    return picture, camera, EmotionPipeline('esr_9_ferplus_int8', 'centerface_int8')


def test_a_person_who_faces_the_camera_does_so(astronaut):
    picture, camera, pipeline = astronaut
    [pose] = head_poses(np.array([face.landmarks for face in pipeline.estimate(picture)]), camera)
    towards = -pose.position / np.linalg.norm(pose.position)
    assert pose.rotation[:, 0].dot(towards) > np.cos(np.radians(30)), 'x points out of the face'
    assert pose.rotation[1, 2] < -0.8, 'z points up'
    assert 0.2 < pose.position[2] < 1.0


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_the_pose_is_in_the_camera_s_own_frame_when_it_is_mounted_sideways(astronaut, degrees):
    picture, camera, pipeline = astronaut
    [upright] = head_poses(np.array([face.landmarks for face in pipeline.estimate(picture)]), camera)
    image = np.ascontiguousarray(rotated(picture, 360 - degrees))
    height, width = picture.shape[:2]
    x, y = camera.matrix[:2, 2]
    centre = {90: (y, width - x), 180: (width - x, height - y), 270: (height - y, x)}[degrees]
    matrix = np.array([[400.0, 0, centre[0]], [0, 400, centre[1]], [0, 0, 1]])
    pipeline.rotate(degrees)
    faces = pipeline.estimate(image)
    pipeline.rotate(0)
    [pose] = head_poses(np.array([face.landmarks for face in faces]), Camera(matrix, np.zeros(0)))
    turn = about(2, -degrees)
    assert degrees_between(pose.rotation, turn.dot(upright.rotation)) < 0.1
    np.testing.assert_allclose(pose.position, turn.dot(upright.position), atol=1e-3)
