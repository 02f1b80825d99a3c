"""The example node, examples/emotion_listener.py, beside the real node."""

import os

from graph_peer import REPOSITORY


def test_the_listener_prints_the_node_s_answer_when_a_camera_shows_a_face(shared_node, start, peer):
    listener = start(os.path.join(REPOSITORY, 'examples', 'emotion_listener.py'))
    camera = peer.camera()
    peer.wait(lambda: ' happy ' in listener.output(), 'a happy face', each=camera.shoot)
    assert listener.wait_for(r'(?m)^\d+\.\d{3}  [a-z]{5}  happy +(0\.\d\d|1\.00)$')
