"""Compressed images, as image_transport publishes them."""

import array

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import packed, scene


def test_compressed_pictures_are_answered_and_damaged_ones_counted_when_they_alternate(start_node, peer):
    node = start_node('-r', 'image:=/front/image_raw', input__transport='compressed', input__timeout_s=0.3)
    raw, health = peer.camera('/front/image_raw'), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    words = '/front/image_raw is of type sensor_msgs/msg/Image; set input.transport to auto or raw'
    peer.wait(lambda: words in health.parts()['input'].message, 'the cause in the diagnostics', each=raw.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.ERROR
    node.wait_for(r'\[WARN\].*No image for .*' + words)
    peer.node.destroy_publisher(raw.publisher)
    assert peer.set_parameter(Parameter('input.timeout_s', value=30.0)).successful
    camera = peer.compressed_camera('/front/image_raw/compressed')
    before = peer.first_answer(camera, heard, health)
    assert [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy']
    whole = packed(scene(320, 240), '.jpg')
    wrong = [
        {'data': whole[:5000]},
        {'data': array.array('B')},
        {'format': '32FC1; compressedDepth'},
        {'data': array.array('B', b'no picture')},
        {'data': packed(scene(320, 240), '.png')[:-1]},
    ]
    for number, fields in enumerate(wrong, before['received'] + 1):
        camera.shoot(**fields)
        peer.wait(lambda number=number: health.settled(number), 'the picture to be counted')
    last = camera.shoot(data=packed(scene(320, 240), '.png'), format='png')
    peer.wait(lambda: heard[-1].header == last, 'the answer to a PNG')
    assert [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy']
    after = peer.wait(lambda: health.settled(before['received'] + len(wrong) + 1), 'the counters')
    assert (after['bad'], after['failed']) == (len(wrong), 0)
    assert 'expected a complete JPEG file' in node.output() and 'Traceback' not in node.output()
    assert health.values('input')['topic'] == '/front/image_raw/compressed'


def test_the_node_follows_what_is_published_when_the_transport_is_auto(tuned_node, peer):
    node = tuned_node(input__idle_release_s=0.0)
    heard, health = peer.listen(Detection2DArray, 'detections'), peer.health()
    packed_camera = peer.compressed_camera('/image/compressed')
    peer.wait(lambda: packed_camera.answers(heard), 'an answer to JPEG', each=packed_camera.shoot)
    node.wait_for(r'Subscribed to /image/compressed \(.*\): compressed images\.')
    peer.wait(lambda: health.values('input')['topic'] == '/image/compressed', 'the topic')
    camera = peer.camera('/image')
    peer.wait(lambda: camera.answers(heard), 'an answer to a raw image', each=camera.shoot)
    node.wait_for(r'Subscribed to /image \(.*\): raw images\.')
    peer.wait(lambda: not packed_camera.watched(), 'the node to leave the compressed topic')
    peer.node.destroy_publisher(camera.publisher)
    heard.clear()
    peer.wait(lambda: packed_camera.answers(heard), 'an answer to JPEG again', each=packed_camera.shoot)


def test_another_type_on_the_same_topic_is_followed_without_an_error_while_subscribers_come_and_go(tuned_node, peer):
    node, heard, others = tuned_node(), peer.listen(Detection2DArray, 'detections'), []

    def shoot():
        if others:
            peer.node.destroy_subscription(others.pop())
        else:
            peer.listen(Detection2DArray, 'affect')
            others.append(list(peer.node.subscriptions)[-1])
        camera.shoot()

    for open_camera in 4 * (peer.camera, peer.compressed_camera):
        camera = open_camera('/image')
        peer.wait(lambda: camera.answers(heard), 'an answer', each=shoot, every_s=0.03)  # noqa: B023
        peer.node.destroy_publisher(camera.publisher)
    assert '[ERROR]' not in node.output(), node.output()


def test_the_type_and_the_cure_are_said_when_only_compressed_images_are_published(node_here, peer):
    node_here(input__transport='raw', input__timeout_s=0.3)
    camera, health = peer.compressed_camera(), peer.health()
    peer.listen(Detection2DArray, 'detections')
    words = '/image/compressed is of type sensor_msgs/msg/CompressedImage; set input.transport to auto or compressed'
    peer.wait(lambda: words in health.parts()['input'].message, 'the cause in the diagnostics', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.ERROR
