"""Signals at any moment of a node's life: it ends with 0, soon, and without a traceback."""

import signal

import pytest
from vision_msgs.msg import Detection2DArray

from graph_peer import scene
from process_figures import threads

NUMBERS = {'SIGINT': signal.SIGINT, 'SIGTERM': signal.SIGTERM}


@pytest.mark.timeout(900)
@pytest.mark.parametrize('name', NUMBERS)
def test_the_node_ends_cleanly_when_signalled_at_any_moment(start_node, peer, name, long_form, promise):
    # Short, a third of the ends: every node of other tests ends by SIGINT when it has answered, and test_ending.py
    # sends SIGTERM while models load.
    places = range(50) if long_form else {'SIGINT': (0, 2), 'SIGTERM': (2,)}[name]
    camera = peer.camera(picture=scene(160, 120))
    heard = peer.listen(Detection2DArray, 'detections')
    took_s = []
    for place in places:
        node = start_node()
        del heard[:]
        # A third while it imports, loads and configures; a third when it has just answered; a third in work. Before its
        # first line runs, signals are Python's, or coverage's: the thread that hears of them comes after its handlers.
        if place % 3 == 0:
            peer.wait(lambda pid=node.process.pid: threads(pid) > 1, 'the thread that hears of signals')
            peer.spin(1.5 * place / len(places))
        else:
            peer.wait(lambda: heard, 'an answer', timeout_s=60.0, each=camera.shoot)
            if place % 3 == 2:
                camera.shoot()
        status, seconds = node.end(NUMBERS[name])
        assert (status, 'Traceback' in node.output()) == (0, False), (place, status, node.output())
        took_s.append(seconds)
    if long_form:
        promise(
            'it ends cleanly (%s)' % name,
            'exit code 0 after at most %.2f s, no traceback' % max(took_s),
            bound='3 s',
            n='%d ends' % len(places),
        )
        assert max(took_s) < 3.0
