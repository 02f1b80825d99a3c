"""What stands on which topic, for whom, and under which name."""

import re

import pytest
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, VisionInfo

from graph_peer import scene

EMOTIONS = {'neutral', 'happy', 'sad', 'surprise', 'fear', 'disgust', 'anger', 'contempt'}


def test_each_topic_tells_the_same_faces_when_two_are_in_the_image(shared_node, peer):
    camera = peer.camera(picture=scene(faces=2))
    heard = {name: peer.listen(kind, name) for name, kind in (
        ('detections', Detection2DArray), ('detections/raw', Detection2DArray), ('affect', Detection2DArray),
        ('expression', Expression), ('/humans/faces/tracked', IdsList), ('/emotion_node/debug/image', Image))}
    stamp = peer.wait(lambda: set.intersection(*(set(stamps(camera.answers(heard[name]))) for name in heard)),
                      'an answer on every topic', each=camera.shoot, every_s=0.5).pop()
    at = {name: stamps(heard[name])[stamp] for name in heard}
    faces = at['detections'].detections
    assert len(faces) == 2
    assert [(face.id, face.bbox) for face in at['detections/raw'].detections] == [
        (face.id, face.bbox) for face in faces]
    assert at['detections/raw'].header == at['detections'].header
    assert area(faces[0]) > area(faces[1])
    for face, affect in zip(faces, at['affect'].detections):
        assert re.match('[a-z]{5}$', face.id) and affect.id == face.id
        assert affect.bbox == face.bbox and affect.header == face.header == at['detections'].header
        scores = [hypothesis.hypothesis.score for hypothesis in face.results]
        assert {hypothesis.hypothesis.class_id for hypothesis in face.results} == EMOTIONS
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1.0, abs=1e-5)
        values = {hypothesis.hypothesis.class_id: hypothesis.hypothesis.score for hypothesis in affect.results}
        assert sorted(values) == ['agreement', 'arousal', 'valence']
        assert -1 <= values['valence'] <= 1 and -1 <= values['arousal'] <= 1 and 0 <= values['agreement'] <= 1
    assert set(face.id for face in faces) <= set(at['/humans/faces/tracked'].ids)
    assert at['expression'].expression == 'happy'
    assert at['expression'].confidence == pytest.approx(faces[0].results[0].hypothesis.score, abs=0.05)
    debug = at['/emotion_node/debug/image']
    assert (debug.height, debug.width, debug.encoding, debug.step) == (480, 640, 'bgr8', 1920)
    assert bytes(debug.data) != scene(faces=2).tobytes(), 'nothing is drawn'


def test_a_face_has_topics_of_its_own_while_it_is_tracked_when_ros4hri_reads(shared_node, peer):
    camera = peer.camera()
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    peer.wait(lambda: camera.answers(tracked) and len(tracked[-1].ids) == 1, 'a tracked face', each=camera.shoot)
    face = '/humans/faces/%s/' % tracked[-1].ids[0]
    regions = peer.listen(NormalizedRegionOfInterest2D, face + 'roi')
    words = peer.listen(Expression, face + 'expression')
    crops = peer.listen(Image, face + 'cropped')
    peer.wait(lambda: regions and words and crops, 'roi, expression and crop', each=camera.shoot)
    region, crop, word = regions[-1], crops[-1], words[-1]
    assert 0 <= region.xmin < region.xmax <= 1 and 0 <= region.ymin < region.ymax <= 1 and 0 < region.c <= 1
    assert crop.width == pytest.approx((region.xmax - region.xmin) * 640, abs=2)
    assert crop.height == pytest.approx((region.ymax - region.ymin) * 480, abs=2)
    assert word.expression == 'happy' and 0 < word.confidence <= 1 and word.header.frame_id == camera.frame
    empty = scene()
    empty[:] = 90
    nobody = peer.camera(picture=empty)
    peer.wait(lambda: not tracked[-1].ids, 'the face to be given up', each=nobody.shoot)
    peer.wait(lambda: face + 'roi' not in peer.topics(), 'its topics to go', each=nobody.shoot)


def test_nobody_is_listed_any_more_when_the_camera_is_lost(start_node, peer):
    start_node(input__timeout_s=0.5, tracker__max_age_s=0.5)
    camera = peer.camera()
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    for _ in range(2):
        peer.wait(lambda: tracked and tracked[-1].ids, 'a tracked face', each=camera.shoot)
        face = '/humans/faces/%s/roi' % tracked[-1].ids[0]
        peer.wait(lambda face=face: face in peer.topics(), 'topics of the face', each=camera.shoot)
        peer.wait(lambda: not tracked[-1].ids, 'an empty list')
        peer.wait(lambda face=face: face not in peer.topics(), 'its topics to go')
        assert tracked[-1].header.frame_id == camera.frame
    told = len(tracked)
    peer.spin(1.0)
    assert len(tracked) == told, 'the empty list was repeated'


def test_an_image_without_a_face_is_answered_when_nobody_is_there(shared_node, peer):
    empty = scene()
    empty[:] = 90
    camera = peer.camera(picture=empty)
    heard, words = peer.listen(Detection2DArray, 'detections'), peer.listen(Expression, 'expression')
    peer.wait(lambda: camera.answers(heard) and camera.answers(words), 'an answer', each=camera.shoot, every_s=0.5)
    assert len(camera.answers(heard)[0].detections) == 0
    word = camera.answers(words)[0]
    assert (word.expression, word.confidence) == ('', 0.0)


def test_the_model_is_named_when_a_reader_comes_late(shared_node, peer):
    heard = peer.listen(VisionInfo, 'vision_info', latched=True, depth=1)
    peer.wait(lambda: heard, 'vision_info')
    assert re.match(r'esr_9_ferplus(_int8)? \S+ \(esr\)$', heard[0].method)
    assert re.search(r'models/esr_9_ferplus(_int8)? sha256:[0-9a-f]{64}$', heard[0].database_location)


def test_every_output_is_reliable_and_only_vision_info_is_latched_when_looked_at(shared_node, peer):
    outputs = {'/detections', '/detections/raw', '/affect', '/expression', '/vision_info', '/humans/faces/tracked',
               '/emotion_node/debug/image', '/diagnostics'}
    peer.wait(lambda: outputs <= set(peer.topics()), 'all outputs')
    for topic in outputs:
        profile = peer.node.get_publishers_info_by_topic(topic)[0].qos_profile
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) == (topic == '/vision_info'), topic


def test_names_follow_when_namespaced_and_remapped(start_node, peer):
    start_node('-r', '__ns:=/robot/head', '-r', 'image:=front/image_raw', '-r', 'detections:=faces',
               output__humans_prefix='/robot/humans')
    camera = peer.camera('/robot/head/front/image_raw')
    heard = peer.listen(Detection2DArray, '/robot/head/faces')
    tracked = peer.listen(IdsList, '/robot/humans/faces/tracked')
    health = peer.health()
    peer.wait(lambda: heard and tracked, 'detections', each=camera.shoot)
    assert peer.state('/robot/head/emotion_node') == 'active'
    names = {name for name in peer.topics() if not name.startswith('/robot/humans/faces/')}
    ours = {'faces', 'detections/raw', 'affect', 'expression', 'vision_info', 'emotion_node/debug/image'}
    assert {'/robot/head/' + name for name in ours} <= names
    assert {name for name in names if 'robot' not in name} <= {'/diagnostics', '/rosout', '/parameter_events'}
    peer.wait(lambda: health.parts(), 'diagnostics')
    assert health._heard[-1].status[0].name == '/robot/head/emotion_node: input'


def test_an_output_has_another_quality_when_overridden(start_node, peer):
    start_node('-p', 'qos_overrides./affect.publisher.reliability:=best_effort')
    peer.wait(lambda: {'/affect', '/detections'} <= set(peer.topics()), 'outputs')
    profiles = [peer.node.get_publishers_info_by_topic(topic)[0].qos_profile for topic in ('/affect', '/detections')]
    assert [profile.reliability for profile in profiles] == [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE]


def test_no_ros4hri_topic_exists_when_the_prefix_is_empty(start_node, peer):
    node = start_node(output__humans_prefix="''")
    node.wait_for('Active: ')
    peer.wait(lambda: '/detections' in peer.topics(), 'the other outputs')
    assert not [topic for topic in peer.topics() if 'humans' in topic]


def test_contempt_takes_its_word_when_the_parameter_is_set_live(shared_node, peer):
    assert peer.set_parameter(Parameter('output.contempt_as', value='skeptical')).successful
    refused = peer.set_parameter(Parameter('output.contempt_as', value='contempt'))
    assert not refused.successful and 'one of drop' in refused.reason
    assert peer.get_parameters(['output.contempt_as'])[0].string_value == 'skeptical'
    assert peer.set_parameter(Parameter('output.contempt_as', value='drop')).successful


def stamps(messages):
    """Return messages by stamp."""
    return {(message.header.stamp.sec, message.header.stamp.nanosec): message for message in messages}


def area(detection):
    """Return the area of a box in square pixels."""
    return detection.bbox.size_x * detection.bbox.size_y
