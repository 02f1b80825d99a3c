"""Simulated time, and a clock that jumps."""

from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from vision_msgs.msg import Detection2DArray

from graph_peer import quality


def test_simulated_time_that_is_missing_is_named_and_faces_are_forgotten_when_it_jumps(start_node, peer):
    node = start_node(use_sim_time=True, input__timeout_s=2.0)
    camera, heard, health = peer.camera(), peer.listen(Detection2DArray, 'detections'), peer.health()
    peer.wait(
        lambda: heard and 'there is no time on /clock' in health.parts()['input'].message,
        'a warning while there is no clock',
        each=camera.shoot,
    )
    clock = peer.node.create_publisher(Clock, '/clock', quality())
    node.wait_for('Active: ')
    peer.wait(clock.get_subscription_count, 'the node to hear of the clock')
    assert 'jumped' not in node.output()
    heard.clear()
    now = {'clock': 1000.0, 'stamp': 1000.0}

    def shoot():
        for name in now:
            now[name] += 0.1
        clock.publish(Clock(clock=time_of(now['clock'])))
        camera.shoot(stamp=time_of(now['stamp']))

    def another_face():
        return heard and heard[-1].detections and heard[-1].detections[0].id not in seen

    seen = set()
    # The last jump leaves the stamps alone: what is forgotten then is forgotten for the clock's sake.
    for jump in ({}, {'clock': 100.0, 'stamp': 100.0}, {'clock': 5000.0, 'stamp': 5000.0}, {'clock': 200.0}):
        now.update(jump)
        peer.wait(another_face, 'a new id after %s' % jump, each=shoot)
        seen.add(heard[-1].detections[0].id)
        heard.clear()
    node.wait_for('The clock has jumped')
    peer.wait(lambda: health.counts().get('processed', 0) >= 4, 'the counters')
    reported = health.reported()
    peer.wait(lambda: health.reported() > reported + 10, 'the node to see the clock run', each=shoot)
    peer.wait(lambda: 'and /clock has stopped' in health.parts()['input'].message, 'word of a pause, no alarm')
    assert 'No image' not in node.output()


def time_of(seconds):
    """Return a Time message."""
    return Time(sec=int(seconds), nanosec=int(seconds % 1 * 1e9))
