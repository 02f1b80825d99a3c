"""A person before the robot's camera is guided by topics, and pictures are kept."""

import csv
import os

from sensor_msgs.msg import Image
from std_msgs.msg import String

from graph_peer import image_fields, quality, scene


def test_prompts_come_on_a_topic_and_pictures_are_kept_when_a_camera_publishes(start, peer, tmp_path):
    folder = tmp_path / 'faces'
    prompts, shown = [], []
    subscriptions = [
        peer.node.create_subscription(String, '/collect_faces/prompt', prompts.append, quality(latched=True)),
        peer.node.create_subscription(Image, '/collect_faces/image', shown.append, quality(depth=1)),
    ]
    camera = peer.node.create_publisher(Image, '/camera/image', quality(depth=1))
    process = start(
        '-m',
        'facial_emotion_ros.cli.collect_faces',
        '--output',
        str(folder),
        '--person',
        'ann',
        '--consent',
        'for this robot',
        '--topic',
        '/camera/image',
        '--emotions',
        'happy',
        '--stills',
        '2',
        '--countdown',
        '0.5',
    )
    picture = scene()
    message = Image(**image_fields(picture))
    peer.wait(lambda: peer.node.count_publishers('/collect_faces/prompt'), 'the command')
    peer.wait(
        lambda: process.process.poll() is not None, 'the end of the capture', each=lambda: camera.publish(message)
    )
    assert process.process.returncode == 0, process.output()
    assert '2 pictures were taken' in process.output()
    with open(folder / 'labels.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['emotion'] for row in rows] == ['happy', 'happy']
    assert all(os.path.getsize(folder / row['file']) for row in rows)
    assert any('happy: smile' in each.data for each in prompts)
    assert shown and bytes(shown[-1].data) != picture.tobytes()
    for subscription in subscriptions:
        peer.node.destroy_subscription(subscription)
    peer.node.destroy_publisher(camera)
