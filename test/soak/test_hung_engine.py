"""A network that hangs is told, hinders no service, and cannot keep the node from ending."""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import scene
from soak_peer import listen, part_of


@pytest.mark.timeout(300)
def test_a_hang_is_told_and_services_answer_when_the_network_hangs(paced_node, peer, long_form, promise):
    hang_s, timeout_s = (30.0, 5.0) if long_form else (2.0, 0.5)
    node = paced_node('real', diagnostics__hang_timeout_s=timeout_s, diagnostics__period_s=1.0 if long_form else 0.1)
    camera, heard = peer.camera(picture=scene(160, 120)), peer.listen(Detection2DArray, 'detections')
    told = listen(peer, DiagnosticArray, '/diagnostics')
    peer.wait(lambda: heard and told, 'an answer and diagnostics', each=camera.shoot)
    node.set_pace('hang')

    def hanging():
        status = part_of(told[-1], 'inference')
        return status.level == DiagnosticStatus.ERROR and 'the model hangs' in status.message

    camera.shoot()
    began_s, waits_s, error_s = time.monotonic(), [], 0.0
    while time.monotonic() < began_s + hang_s:
        assert peer.state() == 'active'
        asked_s = time.monotonic()
        assert peer.set_parameter(Parameter('tracker.max_age_s', value=1.0 + len(waits_s) % 2)).successful
        waits_s.append(time.monotonic() - asked_s)
        assert peer.get_parameters(['tracker.max_age_s'])[0].double_value == 1.0 + (len(waits_s) - 1) % 2
        camera.shoot()
        error_s = error_s or (hanging() and told[-1].at_s - began_s)
    assert error_s and hanging() and len(waits_s) >= 2
    node.set_pace('real')
    peer.wait(lambda: part_of(told[-1], 'inference').level == DiagnosticStatus.OK, 'OK', each=camera.shoot)
    peer.wait(lambda: camera.shoot() and heard[-1].header.stamp.sec >= 0 and not hanging(), 'answers')
    node.set_pace('hang')
    told_before = len(told)
    peer.wait(lambda: len(told) > told_before and hanging(), 'the second hang', each=camera.shoot)
    status, ended_s = node.end()
    assert status == 0 and 'Traceback' not in node.output(), node.output()
    if long_form:
        promise('a hung engine is seen', 'ERROR after %.2f s, the slowest of %d parameter services answered after %.0f '
                'ms, exit after %.2f s' % (error_s, len(waits_s), 1e3 * max(waits_s), ended_s),
                bound='timeout (%g s) + 1 s, 200 ms, 5 s' % timeout_s, n='a hang of %g s' % hang_s)
        assert error_s <= timeout_s + 1.0 and max(waits_s) < 0.2 and ended_s < 5.0
