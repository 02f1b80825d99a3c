"""What a subscriber sees of faces over time: unknown, smoothing, and live parameters that really are."""

import numpy as np
from hri_msgs.msg import Expression
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray, VisionInfo

from graph_peer import scene


def words_of(messages):
    """Return the first hypothesis of every face of the latest message."""
    return [face.results[0].hypothesis.class_id for face in messages[-1].detections] if messages else []


def test_a_face_is_unknown_and_known_again_when_a_bound_is_set_live(shared_node, peer):
    camera = peer.camera()
    heard, raw = peer.listen(Detection2DArray, 'detections'), peer.listen(Detection2DArray, 'detections/raw')
    words = peer.listen(Expression, 'expression')
    peer.wait(lambda: words_of(heard) == ['happy'] and raw, 'a happy face', each=camera.shoot)
    of_face = peer.listen(Expression, '/humans/faces/%s/expression' % heard[-1].detections[0].id)
    peer.wait(lambda: of_face, 'the expression of the face', each=camera.shoot)
    try:
        assert peer.set_parameter(Parameter('unknown.min_face_px', value=1000.0)).successful
        peer.wait(lambda: words_of(raw) == words_of(heard) == ['unknown'], 'unknown', each=camera.shoot)
        face = heard[-1].detections[0]
        assert len(face.results) == 9 and face.results[1].hypothesis.class_id == 'happy'
        peer.wait(
            lambda: words and words[-1].expression == '' and words[-1].confidence == 0.0,
            'an empty word',
            each=camera.shoot,
        )
        refused = peer.set_parameter(Parameter('unknown.max_cut', value=1.5))
        assert not refused.successful and 'unknown.max_cut' in refused.reason
    finally:
        assert peer.set_parameter(Parameter('unknown.min_face_px', value=24.0)).successful
    known = len(of_face)
    peer.wait(lambda: words_of(heard) == ['happy'] and len(of_face) > known, 'a happy face again', each=camera.shoot)
    assert {word.expression for word in of_face} == {'happy'}, 'ROS4HRI has no word for unknown'


def test_an_image_that_is_upside_down_is_read_in_its_own_pixels_when_told_live(shared_node, peer):
    upright = peer.camera(picture=scene())
    inverted = peer.camera(picture=np.ascontiguousarray(scene()[::-1, ::-1]))
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: words_of(upright.answers(heard)) == ['happy'], 'a happy face', each=upright.shoot)
    centre = upright.answers(heard)[-1].detections[0].bbox.center.position
    refused = peer.set_parameter(Parameter('input.rotate_deg', value=45))
    assert not refused.successful and 'one of 0, 90, 180, 270, -1' in refused.reason
    try:
        assert peer.set_parameter(Parameter('input.rotate_deg', value=180)).successful
        peer.wait(lambda: words_of(inverted.answers(heard)) == ['happy'], 'an answer', each=inverted.shoot)
        found = inverted.answers(heard)[-1].detections[0].bbox.center.position
        assert max(abs(found.x + centre.x - 640), abs(found.y + centre.y - 480)) < 8
        shared_node.wait_for('Images are rotated clockwise by 180 degrees')
    finally:
        assert peer.set_parameter(Parameter('input.rotate_deg', value=0)).successful


def test_scores_follow_the_operating_point_and_the_prior_that_are_set_live(shared_node, peer):
    camera = peer.camera()
    raw, model = peer.listen(Detection2DArray, 'detections/raw'), peer.listen(VisionInfo, 'vision_info', latched=True)

    def scores():
        faces = raw[-1].detections if raw else []
        return {each.hypothesis.class_id: each.hypothesis.score for face in faces for each in face.results}

    peer.wait(lambda: scores().get('happy', 0) > 0.5 and model, 'a happy face and vision_info', each=camera.shoot)
    try:
        assert peer.set_parameter(Parameter('inference.prior', value='3 0 1 1 1 1 1 1')).successful
        peer.wait(lambda: scores().get('happy') == 0.0, 'a face that cannot be happy', each=camera.shoot)
        assert abs(sum(score for word, score in scores().items() if word != 'unknown') - 1) < 1e-4
        peer.wait(
            lambda: model[-1].method.endswith(', balanced, prior 0.333 0 0.111 0.111 0.111 0.111 0.111 0.111'),
            'vision_info of the prior',
        )
        for name, value, words in (
            ('inference.prior', '1 2 3', 'eight numbers'),
            ('inference.prior', '0 0 0 0 0 0 0 0', 'not all of them 0'),
            ('inference.operating_point', 'nobody', '(balanced, ferplus)'),
        ):
            refused = peer.set_parameter(Parameter(name, value=value))
            assert not refused.successful and words in refused.reason, refused
        assert peer.set_parameter(Parameter('inference.operating_point', value='ferplus')).successful
        assert peer.set_parameter(Parameter('inference.prior', value='')).successful
        peer.wait(lambda: model[-1].method.endswith(', ferplus'), 'vision_info of ferplus', each=camera.shoot)
    finally:
        for name in ('inference.prior', 'inference.operating_point'):
            assert peer.set_parameter(Parameter(name, value='')).successful
    peer.wait(
        lambda: model[-1].method.endswith(', balanced') and scores().get('happy', 0) > 0.5,
        'a happy face again',
        each=camera.shoot,
    )


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
        return [
            (each, by_stamp[each.header.stamp.sec, each.header.stamp.nanosec])
            for each in heard
            if (each.header.stamp.sec, each.header.stamp.nanosec) in by_stamp and each.detections
        ]

    peer.wait(lambda: any(smooth != rough for smooth, rough in pairs()), 'smoothing', each=shoot)
    try:
        assert peer.set_parameter(Parameter('smoothing.enabled', value=False)).successful
        peer.wait(
            lambda: len(pairs()) > 2 and all(smooth == rough for smooth, rough in pairs()[-2:]),
            'no smoothing',
            each=shoot,
        )
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
