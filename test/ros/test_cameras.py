"""Several cameras, each with a node of its own, on one graph: as cameras.launch.py starts them."""

import re

from hri_msgs.msg import IdsList
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.perception.face_tracker import face_id
from facial_emotion_ros.ros.launch_arguments import read_cameras


def test_each_node_answers_its_own_camera_under_its_own_prefix_when_two_run(start_node, peer):
    cameras = {}
    for named in read_cameras('front=/front_camera/image_raw rear'):
        start_node(
            '-r',
            '__ns:=/' + named.name,
            '-r',
            'image:=' + named.image_topic,
            output__humans_prefix=named.humans_prefix,
            tracker__first_face=5,
        )
        topic = named.image_topic if named.image_topic.startswith('/') else '/%s/%s' % (named.name, named.image_topic)
        cameras[named.name] = (
            peer.camera(topic),
            peer.listen(Detection2DArray, '/%s/detections' % named.name),
            peer.listen(IdsList, named.humans_prefix + '/faces/tracked'),
        )
    assert [camera.publisher.topic_name for camera, _, _ in cameras.values()] == [
        '/front_camera/image_raw',
        '/rear/image_raw',
    ]

    def shoot():
        for camera, _, _ in cameras.values():
            camera.shoot()

    for name, (_, detections, tracked) in cameras.items():
        peer.wait(
            lambda detections=detections, tracked=tracked: len(detections) > 2 and tracked and tracked[-1].ids,
            'answers to the %s camera' % name,
            each=shoot,
            timeout_s=40.0,
        )
    for camera, detections, tracked in cameras.values():
        assert {message.header.frame_id for message in detections + tracked} == {camera.frame}
        assert {face for message in tracked for face in message.ids} == {face_id(5)}, 'a first face was named'
    # Not at once: the graph takes a while to forget a node of another test that was too busy to say that it ends.
    peer.wait(lambda: not {'/humans/faces/tracked', '/detections'} & set(peer.topics()), 'topics of their own alone')


def test_a_warning_names_the_prefix_once_when_another_node_shares_it(shared_node, peer):
    other = peer.node.create_publisher(IdsList, '/humans/faces/tracked', 1)
    warning = r'\[WARN\].*Another node also publishes on /humans/faces/tracked.*output.humans_prefix'
    shared_node.wait_for(warning)
    health = peer.health()
    peer.wait(lambda: health.reported() > 10, 'diagnostics')
    assert len(re.findall(warning, shared_node.output())) == 1
    peer.node.destroy_publisher(other)
