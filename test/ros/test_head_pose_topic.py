"""Head poses: while somebody subscribes to them, and with a calibration of the camera alone."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.ros.head_pose_output import camera_of
from graph_peer import quality, scene

INFO = {
    'height': 480,
    'width': 640,
    'distortion_model': 'plumb_bob',
    'd': [-0.05, 0.01, 0.0, 0.0, 0.0],
    'k': [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0],
    'p': [590.0, 0.0, 321.0, 0.0, 0.0, 591.0, 241.0, 0.0, 0.0, 0.0, 1.0, 0.0],
}
ROI = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=240)


def axis(quaternion, number):
    """Return an axis of the frame that a quaternion stands for: 0 for x."""
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
            [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
            [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
        ][number]
    )


def test_the_poses_are_those_of_the_faces_of_detections_and_need_a_calibration(tuned_node, peer):
    node = tuned_node(input__timeout_s=0.5)
    camera = peer.camera(picture=scene(faces=2))
    infos = peer.node.create_publisher(CameraInfo, 'camera_info', quality(depth=1))
    faces = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: camera.answers(faces), 'an answer', each=camera.shoot, every_s=0.3)
    assert infos.get_subscription_count() == 0, 'head_pose has no subscriber'
    poses = peer.listen(PoseArray, 'head_pose')
    peer.wait(
        lambda: 'No head pose is published: nothing was received on /camera_info.' in node.output(),
        'a sentence about the calibration',
        each=camera.shoot,
        every_s=0.3,
    )
    assert not poses

    def shoot():
        infos.publish(CameraInfo(**INFO))
        camera.shoot()

    peer.wait(lambda: camera.answers(poses), 'head poses', each=shoot, every_s=0.3)
    answer = camera.answers(poses)[0]
    [detections] = peer.wait(
        lambda: [each for each in faces if each.header == answer.header], 'detections of the same image'
    )
    assert len(answer.poses) == len(detections.detections) == 2
    for pose, detection in zip(answer.poses, detections.detections):
        x, y, z = pose.position.x, pose.position.y, pose.position.z
        assert 0.2 < z < 3.0
        seen = 600 * x / z + 320, 600 * y / z + 240
        box = detection.bbox
        assert abs(seen[0] - box.center.position.x) < box.size_x / 2, 'the pose of another face'
        assert abs(seen[1] - box.center.position.y) < box.size_y / 2
        assert axis(pose.orientation, 0)[2] < -0.7, 'x points out of the face'
        assert axis(pose.orientation, 2)[1] < -0.7, 'z points up'


def test_frames_are_those_of_rep_155(node_here, peer):
    tf2_msgs = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not installed: scripts/setup does that')
    node_here('-r', 'image:=/front/image_raw', output__head_frames=True)
    camera = peer.camera('/front/image_raw', picture=scene())
    infos = peer.node.create_publisher(CameraInfo, '/front/camera_info', quality(depth=1))
    faces, transforms = peer.listen(Detection2DArray, 'detections'), peer.listen(tf2_msgs.TFMessage, '/tf', depth=100)

    def shoot():
        infos.publish(CameraInfo(**INFO))
        camera.shoot()

    peer.wait(lambda: transforms, 'frames', each=shoot, every_s=0.3)
    [face, gaze] = transforms[-1].transforms
    assert face.header.frame_id == gaze.header.frame_id == camera.frame and face.header == gaze.header
    [answer] = peer.wait(lambda: [each for each in faces if each.header == face.header], 'detections of the same image')
    [detection] = answer.detections
    assert [face.child_frame_id, gaze.child_frame_id] == ['face_' + detection.id, 'gaze_' + detection.id]
    assert face.transform.translation == gaze.transform.translation and face.transform.translation.z > 0.2
    turned, looking = face.transform.rotation, gaze.transform.rotation
    assert axis(turned, 0)[2] < -0.7 and axis(turned, 2)[1] < -0.7, 'x out of the face, to the camera; z up'
    np.testing.assert_allclose(axis(looking, 2), axis(turned, 0), atol=1e-6)
    np.testing.assert_allclose(axis(looking, 1), -axis(turned, 2), atol=1e-6)
    np.testing.assert_allclose(axis(looking, 0), -axis(turned, 1), atol=1e-6)


@pytest.mark.parametrize(
    'changes, size, is_rectified, focal, centre, distorted',
    [
        ({}, (480, 640), False, (600, 600), (320, 240), True),
        ({}, (480, 640), True, (590, 591), (321, 241), False),
        ({}, (240, 320), False, (300, 300), (160, 120), True),
        ({'binning_x': 2, 'binning_y': 2}, (240, 320), False, (300, 300), (160, 120), True),
        ({'roi': ROI}, (240, 320), False, (600, 600), (220, 200), True),
        ({'width': 0, 'height': 0, 'd': []}, (480, 640), False, (600, 600), (320, 240), False),
        ({'d': [0.0] * 5, 'distortion_model': ''}, (480, 640), False, (600, 600), (320, 240), False),
    ],
)
def test_a_calibration_is_that_of_the_image(changes, size, is_rectified, focal, centre, distorted):
    camera = camera_of(CameraInfo(**dict(INFO, **changes)), *size, is_rectified)
    assert (camera.matrix[0, 0], camera.matrix[1, 1]) == pytest.approx(focal)
    assert tuple(camera.matrix[:2, 2]) == pytest.approx(centre)
    assert bool(len(camera.distortion)) == distorted and not camera.is_fisheye


@pytest.mark.parametrize(
    'changes, reason',
    [
        ({'k': [0.0] * 9}, 'without focal length'),
        ({'height': 640}, 'for images of 640x480, got one for 640x640'),
        ({'distortion_model': 'omni'}, "'omni' and 5 coefficients"),
        ({'distortion_model': 'equidistant'}, "'equidistant' and 5 coefficients"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(changes, reason):
    with pytest.raises(BadImage, match=reason):
        camera_of(CameraInfo(**dict(INFO, **changes)), 480, 640, False)
