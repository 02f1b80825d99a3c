"""What stands on which topic, for whom, and under which name."""

import re

import numpy as np
import pytest
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String
from vision_msgs.msg import Detection2DArray, ObjectHypothesis, VisionInfo

from facial_emotion_ros.ros.qos import SubscriptionEventCallbacks
from graph_peer import quality, scene

#: Prefix of its parameters of quality.
DETECTIONS = 'qos_overrides./detections.publisher.'
EMOTIONS = {'neutral', 'happy', 'sad', 'surprise', 'fear', 'disgust', 'anger', 'contempt'}


def test_each_topic_has_the_same_faces_when_two_are_in_the_image(shared_node, peer):
    camera = peer.camera(picture=scene(faces=2))
    heard = {
        name: peer.listen(kind, name)
        for name, kind in (
            ('detections', Detection2DArray),
            ('detections/raw', Detection2DArray),
            ('affect', Detection2DArray),
            ('affect/scores', Detection2DArray),
            ('expression', Expression),
            ('/humans/faces/tracked', IdsList),
            ('/emotion_node/debug/image', Image),
        )
    }
    stamp = peer.wait(
        lambda: set.intersection(*(set(stamps(camera.answers(heard[name]))) for name in heard)),
        'an answer on every topic',
        each=camera.shoot,
        every_s=0.5,
    ).pop()
    at = {name: stamps(heard[name])[stamp] for name in heard}
    faces = at['detections'].detections
    assert len(faces) == 2
    assert [(face.id, face.bbox) for face in at['detections/raw'].detections] == [
        (face.id, face.bbox) for face in faces
    ]
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
        as_scores = next(each for each in at['affect/scores'].detections if each.id == face.id)
        assert as_scores.bbox == face.bbox and as_scores.header == face.header
        moved = {hypothesis.hypothesis.class_id: hypothesis.hypothesis.score for hypothesis in as_scores.results}
        expected = dict(values, valence=(values['valence'] + 1) / 2, arousal=(values['arousal'] + 1) / 2)
        assert moved == pytest.approx(expected)
    assert set(face.id for face in faces) <= set(at['/humans/faces/tracked'].ids)
    assert at['expression'].expression == 'happy'
    assert at['expression'].confidence == pytest.approx(faces[0].results[0].hypothesis.score, abs=0.05)
    debug = at['/emotion_node/debug/image']
    assert (debug.height, debug.width, debug.encoding, debug.step) == (480, 640, 'bgr8', 1920)
    assert bytes(debug.data) != scene(faces=2).tobytes(), 'nothing is drawn'


def test_a_face_has_topics_of_its_own_while_it_is_tracked_when_ros4hri_reads(shared_node, peer):
    camera = peer.camera(picture=scene())
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    peer.wait(lambda: camera.answers(tracked) and len(tracked[-1].ids) == 1, 'a tracked face', each=camera.shoot)
    face = '/humans/faces/%s/' % tracked[-1].ids[0]
    regions = peer.listen(NormalizedRegionOfInterest2D, face + 'roi')
    words = peer.listen(Expression, face + 'expression')
    crops = peer.listen(Image, face + 'cropped')
    peer.wait(lambda: regions and words and crops, 'roi, expression and crop', each=camera.shoot)
    region, crop, word = regions[-1], crops[-1], words[-1]
    assert 0 <= region.xmin < region.xmax <= 1 and 0 <= region.ymin < region.ymax <= 1 and 0 < region.c <= 1
    assert (crop.width, crop.height, crop.encoding) == (128, 128, 'bgr8')
    lit = np.array(crop.data).reshape(128, 128, 3).any(axis=(0, 2)).sum()
    proportions = (region.xmax - region.xmin) * 640 / ((region.ymax - region.ymin) * 480)
    assert lit / 128 == pytest.approx(proportions, abs=0.05), 'the face keeps its proportions, between bars of black'
    assert word.expression == 'happy' and 0 < word.confidence <= 1 and word.header.frame_id == camera.frame
    assert peer.set_parameter(Parameter('output.face_width_px', value=96)).successful
    peer.wait(lambda: (crops[-1].width, crops[-1].height) == (96, 128), 'a narrower crop', each=camera.shoot)
    assert peer.set_parameter(Parameter('output.face_width_px', value=128)).successful
    empty = scene()
    empty[:] = 90
    nobody = peer.camera(picture=empty)
    peer.wait(lambda: not tracked[-1].ids, 'the face to be given up', each=nobody.shoot)
    peer.wait(lambda: face + 'roi' not in peer.topics(), 'its topics to go', each=nobody.shoot)


def test_nobody_is_listed_any_more_when_the_camera_is_lost(tuned_node, peer):
    tuned_node(input__timeout_s=0.5, tracker__max_age_s=0.5)
    camera = peer.camera()
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    for _ in range(2):
        peer.wait(lambda: tracked and tracked[-1].ids, 'a tracked face', each=camera.shoot)
        face = '/humans/faces/%s/roi' % tracked[-1].ids[0]
        peer.wait(lambda face=face: face in peer.topics(), 'topics of the face', each=camera.shoot)
        peer.wait(lambda: not tracked[-1].ids, 'an empty list')
        peer.wait(lambda face=face: face not in peer.topics(), 'its topics to go')
        assert tracked[-1].header.frame_id == camera.frame
    reported = len(tracked)
    peer.spin(1.0)
    assert len(tracked) == reported, 'the empty list was repeated'


def test_an_image_without_a_face_is_answered_when_nobody_is_there(shared_node, peer):
    empty = scene()
    empty[:] = 90
    camera = peer.camera(picture=empty)
    heard, words = peer.listen(Detection2DArray, 'detections'), peer.listen(Expression, 'expression')
    peer.wait(lambda: camera.answers(heard) and camera.answers(words), 'an answer', each=camera.shoot, every_s=0.5)
    assert len(camera.answers(heard)[0].detections) == 0
    word = camera.answers(words)[0]
    assert (word.expression, word.confidence) == ('', 0.0)


def test_the_model_is_named_when_a_subscriber_comes_late(shared_node, peer):
    heard = peer.listen(VisionInfo, 'vision_info', latched=True, depth=1)
    peer.wait(lambda: heard, 'vision_info')
    assert re.match(r'esr_9_ferplus(_int8)? \S+ \(esr\), balanced$', heard[0].method)
    assert re.search(r'models/esr_9_ferplus(_int8)? sha256:[0-9a-f]{64}$', heard[0].database_location)


def test_every_output_is_reliable_and_only_vision_info_is_latched_when_looked_at(shared_node, peer):
    outputs = {
        '/detections',
        '/detections/raw',
        '/affect',
        '/affect/scores',
        '/expression',
        '/vision_info',
        '/humans/faces/tracked',
        '/emotion_node/debug/image',
        '/diagnostics',
    }
    peer.wait(lambda: outputs <= set(peer.topics()), 'all outputs')
    for topic in outputs:
        profile = peer.node.get_publishers_info_by_topic(topic)[0].qos_profile
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) == (topic == '/vision_info'), topic


def test_names_quality_and_opendrs_topics_are_as_asked_for(start_node, peer):
    start_node(
        '-r',
        '__ns:=/robot/head',
        '-r',
        'image:=front/image_raw',
        '-r',
        'detections:=faces',
        # Rules that would hold for names that are remapped already.
        '-r',
        'faces:=twice',
        '-r',
        '/robot/head/front/image_raw:=twice',
        '-p',
        'qos_overrides./robot/head/affect.publisher.reliability:=best_effort',
        output__humans_prefix='/robot/humans',
        output__opendr=True,
    )
    camera = peer.camera('/robot/head/front/image_raw')
    heard = peer.listen(Detection2DArray, '/robot/head/faces')
    tracked = peer.listen(IdsList, '/robot/humans/faces/tracked')
    numbers = peer.listen(ObjectHypothesis, '/opendr/facial_emotion_estimation')
    words = peer.listen(String, '/opendr/facial_emotion_estimation_description')
    pictures = peer.listen(Image, '/opendr/image_emotion_estimation_annotated')
    health = peer.health()
    peer.wait(
        lambda: heard and tracked and numbers and words and pictures, 'all topics', each=camera.shoot, every_s=0.5
    )
    assert (numbers[0].class_id, words[0].data) == ('1', 'Happy') and 0 < numbers[0].score <= 1
    assert (pictures[0].width, pictures[0].height, pictures[0].encoding) == (320, 240, 'bgr8')
    assert peer.state('/robot/head/emotion_node') == 'active'
    names = {name for name in peer.topics() if not name.startswith('/robot/humans/faces/')}
    ours = {'faces', 'detections/raw', 'affect', 'expression', 'vision_info', 'emotion_node/debug/image'}
    assert {'/robot/head/' + name for name in ours} <= names

    def others():
        return {name for name in peer.topics() if 'robot' not in name and not name.startswith('/opendr/')}

    shared = {'/diagnostics', '/rosout', '/parameter_events'}
    peer.wait(lambda: others() <= shared, 'the topics of all robots alone')
    offered = [
        peer.node.get_publishers_info_by_topic('/robot/head/' + name)[0].qos_profile.reliability
        for name in ('affect', 'faces')
    ]
    assert offered == [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE]
    peer.wait(lambda: health.parts(), 'diagnostics')
    status = health._heard[-1].status[0]
    assert status.name == '/robot/head/emotion_node: input'
    assert status.hardware_id == '/robot/head/front/image_raw', 'aggregators group by the camera'
    assert health.values('input')['publishers'] == '1'


def test_a_subscriber_of_detections_is_told_when_the_node_has_frozen_and_not_when_the_camera_has(node_here, peer):
    offers = {'liveliness': 'manual_by_topic', 'liveliness_lease_duration': 3 * 10**9, 'deadline': 5 * 10**8}
    words = [word for name, value in offers.items() for word in ('-p', '%s%s:=%s' % (DETECTIONS, name, value))]
    node = node_here(*words)
    profile = quality()
    profile.liveliness, profile.liveliness_lease_duration = LivelinessPolicy.MANUAL_BY_TOPIC, Duration(seconds=3)
    profile.deadline = Duration(nanoseconds=5 * 10**8)
    alive, misses = [], []
    events = SubscriptionEventCallbacks(
        liveliness=lambda event: alive.append(event.alive_count), deadline=lambda event: misses.append(event)
    )
    peer.node.create_subscription(Detection2DArray, 'detections', lambda message: None, profile, event_callbacks=events)
    peer.wait_state('active')
    peer.wait(lambda: alive and alive[-1] == 1, 'a living publisher')
    before = len(alive)
    peer.spin(4.0)
    assert alive[before:] == [], 'no image came, but the node lives'
    peer.executor.remove_node(node)
    peer.wait(lambda: alive[-1] == 0, 'the end of its life')
    peer.executor.add_node(node)
    peer.wait(lambda: alive[-1] == 1, 'another life')
    camera = peer.camera()
    peer.wait(lambda: camera.watched_reliably(), 'a subscription')
    camera.shoot()
    peer.wait(lambda: misses, 'the camera that has failed')


def test_topics_that_nobody_asked_for_do_not_exist(node_here, peer):
    node_here(autostart=False, output__humans_prefix="''")
    assert peer.change_state('configure')
    peer.wait(lambda: '/detections' in peer.topics(), 'the other outputs')
    peer.wait(lambda: not re.search('humans|opendr', ' '.join(peer.topics())), 'no topics of others')


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
