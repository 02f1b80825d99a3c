"""Compressed images, as image_transport publishes them."""

import array

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from graph_peer import packed, scene


def test_compressed_pictures_are_answered_and_damaged_ones_counted_when_they_alternate(start_node, peer):
    node = start_node('-r', 'image:=/front/image_raw', input__transport='compressed')
    camera, health = peer.compressed_camera('/front/image_raw/compressed'), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    assert [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy']
    whole = packed(scene(), '.jpg')
    wrong = [{'data': whole[:5000]}, {'data': array.array('B')}, {'format': '32FC1; compressedDepth'},
             {'data': array.array('B', b'no picture')}, {'data': packed(scene(), '.png')[:-1]}]
    for number, fields in enumerate(wrong, before['received'] + 1):
        camera.shoot(**fields)
        peer.wait(lambda number=number: health.settled(number), 'the picture to be counted')
    last = camera.shoot(data=packed(scene(), '.png'), format='png')
    peer.wait(lambda: heard[-1].header == last, 'the answer to a PNG')
    assert [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy']
    after = peer.wait(lambda: health.settled(before['received'] + len(wrong) + 1), 'the counters')
    assert (after['bad'], after['failed']) == (len(wrong), 0)
    assert 'expected a JPEG file with its end' in node.output() and 'Traceback' not in node.output()
    assert health.values('input')['topic'] == '/front/image_raw/compressed'


@pytest.mark.parametrize('topic', ['/front/image_raw', '/front/image_raw/compressed'])
def test_the_node_follows_what_is_published_when_the_transport_is_auto(start_node, peer, topic):
    node = start_node('-r', 'image:=' + topic, input__idle_release_s=0.0)
    heard, health = peer.listen(Detection2DArray, 'detections'), peer.health()
    packed_camera = peer.compressed_camera('/front/image_raw/compressed')
    peer.wait(lambda: packed_camera.answers(heard), 'an answer to JPEG', each=packed_camera.shoot)
    node.wait_for(r'Listening to /front/image_raw/compressed \(.*\): compressed images\.')
    peer.wait(lambda: health.values('input')['topic'] == '/front/image_raw/compressed', 'the topic')
    if not topic.endswith('compressed'):
        camera = peer.camera(topic)
        peer.wait(lambda: camera.answers(heard), 'an answer to a raw image', each=camera.shoot)
        node.wait_for(r'Listening to /front/image_raw \(.*\): raw images\.')
        peer.wait(lambda: not packed_camera.watched(), 'the node to leave the compressed topic')
        peer.node.destroy_publisher(camera.publisher)
        heard.clear()
        peer.wait(lambda: packed_camera.answers(heard), 'an answer to JPEG again', each=packed_camera.shoot)


@pytest.mark.parametrize('transport, words', [
    ('raw', '/image/compressed is of type sensor_msgs/msg/CompressedImage; set input.transport to auto or compressed'),
    ('compressed', '/image is of type sensor_msgs/msg/Image; set input.transport to auto or raw')])
def test_the_type_and_the_cure_are_said_when_the_other_transport_is_published(start_node, peer, transport, words):
    node = start_node(input__transport=transport, input__timeout_s=0.3)
    camera = peer.compressed_camera() if transport == 'raw' else peer.camera()
    health = peer.health()
    peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: words in health.parts()['input'].message, 'the cause in the diagnostics', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.ERROR
    node.wait_for(r'\[WARN\].*No image for .*' + words)


def test_a_word_that_is_no_transport_is_refused_when_given(start_node, peer):
    node = start_node(input__transport='theora')
    node.wait_for(r"\[ERROR\].*input.transport must be one of auto, raw, compressed, but is 'theora'")
    assert peer.state() == 'unconfigured'


@pytest.mark.parametrize('encoding', ['bayer_grbg8', 'yuv422', 'nv12', 'rgb16'])
def test_a_face_is_found_when_an_encoding_is_a_cameras_own(shared_node, peer, encoding):
    pixels, step = camera_pixels(scene(), encoding)
    camera, heard = peer.camera(), peer.listen(Detection2DArray, 'detections')
    fields = {'encoding': encoding, 'step': step, 'data': array.array('B', pixels)}
    answer = peer.wait(lambda: camera.answers(heard), 'detections', each=lambda: camera.shoot(**fields), every_s=0.5)[0]
    assert [face.results[0].hypothesis.class_id for face in answer.detections] == ['happy']


def camera_pixels(picture, encoding):
    """Lay out a picture as a camera does, grayish where colour would need arithmetic.

    :returns: (bytes, step).
    """
    height, width = picture.shape[:2]
    gray = picture.mean(2).astype(np.uint8)
    if encoding == 'rgb16':
        return (picture[:, :, ::-1].astype('<u2') * 257).tobytes(), 6 * width
    if encoding == 'bayer_grbg8':
        mosaic = picture[:, :, 1].copy()
        mosaic[::2, 1::2], mosaic[1::2, ::2] = picture[::2, 1::2, 2], picture[1::2, ::2, 0]
        return mosaic.tobytes(), width
    if encoding == 'yuv422':
        return np.dstack([np.full_like(gray, 128), gray]).tobytes(), 2 * width
    return gray.tobytes() + b'\x80' * (height * width // 2), width
