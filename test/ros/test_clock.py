"""Simulated time, and a clock that jumps."""

from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from vision_msgs.msg import Detection2DArray

from graph_peer import quality


def test_faces_get_new_ids_and_ages_stay_sane_when_simulated_time_jumps_back(start_node, peer):
    node = start_node(use_sim_time=True)
    clock = peer.node.create_publisher(Clock, '/clock', quality())
    camera, heard, health = peer.camera(), peer.listen(Detection2DArray, 'detections'), peer.health()
    now = [1000.0]

    def shoot():
        now[0] += 0.1
        stamp = Time(sec=int(now[0]), nanosec=int(now[0] % 1 * 1e9))
        clock.publish(Clock(clock=stamp))
        camera.shoot(stamp=stamp)

    peer.wait(lambda: heard and heard[-1].detections, 'a face', each=shoot)
    first = heard[-1].detections[0].id
    peer.wait(lambda: health.counts().get('processed', 0) > 1, 'diagnostics', each=shoot)
    now[0] = 100.0
    heard.clear()
    peer.wait(lambda: heard and heard[-1].header.stamp.sec < 200 and heard[-1].detections, 'a face again', each=shoot)
    assert heard[-1].detections[0].id != first
    node.wait_for('The clock has jumped')
