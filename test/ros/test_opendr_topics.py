"""OpenDR's topics: there only where they are asked for."""

from sensor_msgs.msg import Image
from std_msgs.msg import String
from vision_msgs.msg import Detection2DArray, ObjectHypothesis


def test_opendrs_topics_tell_the_largest_face_when_they_are_asked_for(start_node, peer):
    start_node(output__opendr=True)
    camera = peer.camera()
    numbers = peer.listen(ObjectHypothesis, '/opendr/facial_emotion_estimation')
    names = peer.listen(String, '/opendr/facial_emotion_estimation_description')
    pictures = peer.listen(Image, '/opendr/image_emotion_estimation_annotated')
    detections = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: numbers and names and pictures and detections, 'all topics', each=camera.shoot, every_s=0.5)
    assert (numbers[0].class_id, names[0].data) == ('1', 'Happy') and 0 < numbers[0].score <= 1
    assert (pictures[0].width, pictures[0].height, pictures[0].encoding) == (640, 480, 'bgr8')


def test_opendrs_topics_are_not_there_when_nobody_asked_for_them(shared_node, peer):
    peer.wait(lambda: '/detections' in peer.topics(), 'the other outputs')
    assert not [topic for topic in peer.topics() if 'opendr' in topic]
