"""Cameras of 10 bits in messages of 16, and images that show nothing."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import image_fields, scene


def test_a_face_is_read_when_a_camera_uses_ten_of_sixteen_bits_and_darkness_is_reported(tuned_node, peer):
    node = tuned_node(input__used_bits=0)
    camera, health, heard = peer.camera(picture=scene()), peer.health(), peer.listen(Detection2DArray, 'detections')
    ten_bits = image_fields(scene()[:, :, 1].astype(np.uint16) << 2, 'mono16')
    answer = peer.wait(
        lambda: [each for each in heard if each.detections], 'a face', each=lambda: camera.shoot(**ten_bits)
    )[-1]
    assert answer.detections[0].results[0].hypothesis.class_id == 'happy'
    node.wait_for('mono16: using the low 10 of 16 bits')
    assert health.values('input').get('flat', '0') == '0'
    assert peer.set_parameter(Parameter('input.used_bits', value=16)).successful
    peer.wait(lambda: 'contrast' in health.parts()['input'].message, 'a warning', each=lambda: camera.shoot(**ten_bits))
    status = health.parts()['input']
    assert status.level == DiagnosticStatus.WARN and 'its brightest pixel is 3 of 255' in status.message
    assert int(health.values('input')['flat']) > 0
