"""What a reader sees of faces over time: unknown, smoothing, and live parameters that really are."""

import numpy as np
from hri_msgs.msg import Expression
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import scene


def words_of(messages):
    """Return the first hypothesis of every face of the latest message."""
    return [face.results[0].hypothesis.class_id for face in messages[-1].detections] if messages else []


def test_a_face_is_unknown_and_known_again_when_a_bound_is_set_live(shared_node, peer):
    camera = peer.camera()
    heard, raw = peer.listen(Detection2DArray, 'detections'), peer.listen(Detection2DArray, 'detections/raw')
    words = peer.listen(Expression, 'expression')
    peer.wait(lambda: words_of(heard) == ['happy'] and raw, 'a happy face', each=camera.shoot)
    try:
        assert peer.set_parameter(Parameter('unknown.min_face_px', value=1000.0)).successful
        peer.wait(lambda: words_of(raw) == words_of(heard) == ['unknown'], 'unknown', each=camera.shoot)
        face = heard[-1].detections[0]
        assert len(face.results) == 9 and face.results[1].hypothesis.class_id == 'happy'
        peer.wait(lambda: words and words[-1].expression == '' and words[-1].confidence == 0.0, 'an empty word',
                  each=camera.shoot)
        refused = peer.set_parameter(Parameter('unknown.max_cut', value=1.5))
        assert not refused.successful and 'unknown.max_cut' in refused.reason
    finally:
        assert peer.set_parameter(Parameter('unknown.min_face_px', value=24.0)).successful
    peer.wait(lambda: words_of(heard) == ['happy'], 'a happy face again', each=camera.shoot)


def test_detections_are_smooth_and_raw_ones_are_not_until_smoothing_is_turned_off(shared_node, peer):
    bright = scene()
    dim = (bright * 0.35).astype(np.uint8)
    cameras = [peer.camera(picture=bright), peer.camera(picture=dim)]
    heard, raw = peer.listen(Detection2DArray, 'detections'), peer.listen(Detection2DArray, 'detections/raw')
    count = [0]

    def shoot():
        count[0] += 1
        cameras[count[0] % 2].shoot()

    def pairs():
        by_stamp = dict(((each.header.stamp.sec, each.header.stamp.nanosec), each) for each in raw)
        return [(each, by_stamp[each.header.stamp.sec, each.header.stamp.nanosec]) for each in heard
                if (each.header.stamp.sec, each.header.stamp.nanosec) in by_stamp and each.detections]

    peer.wait(lambda: any(smooth != rough for smooth, rough in pairs()), 'smoothing', each=shoot)
    try:
        assert peer.set_parameter(Parameter('smoothing.enabled', value=False)).successful
        peer.wait(lambda: len(pairs()) > 2 and all(smooth == rough for smooth, rough in pairs()[-2:]), 'no smoothing',
                  each=shoot)
    finally:
        assert peer.set_parameter(Parameter('smoothing.enabled', value=True)).successful


def test_only_one_face_keeps_its_id_over_images_that_are_not_detected_in(shared_node, peer):
    cameras = [peer.camera(picture=np.roll(scene(), 6 * step, axis=1)) for step in range(4)]
    heard, count = peer.listen(Detection2DArray, 'detections'), [0]
    assert peer.set_parameter(Parameter('detector.every_n', value=4)).successful

    def shoot():
        count[0] += 1
        cameras[(0, 1, 2, 3, 2, 1)[count[0] % 6]].shoot()

    try:
        peer.wait(lambda: len(heard) > 8, 'answers', each=shoot, every_s=0.1)
    finally:
        assert peer.set_parameter(Parameter('detector.every_n', value=2)).successful
    assert {len(each.detections) for each in heard[1:]} == {1}
    assert len({each.detections[0].id for each in heard[1:]}) == 1
