"""A person before the robot's camera is guided by topics, and pictures are kept."""

import csv
import os

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from graph_peer import packed, quality, scene


def test_prompts_come_on_a_topic_and_pictures_are_kept_when_a_camera_publishes(start, peer, tmp_path):
    folder = tmp_path / 'faces'
    prompts, shown = [], []
    subscriptions = [
        peer.node.create_subscription(String, '/collect_faces/prompt', prompts.append, quality(latched=True)),
        peer.node.create_subscription(Image, '/collect_faces/image', shown.append, quality(depth=1)),
    ]
    other = peer.node.create_publisher(Image, '/other', quality())
    command = f'-m facial_emotion_ros.cli.collect_faces --output {folder} --person ann --consent yes --rotate 180'
    command += ' --topic /camera/image_compressed --emotions happy --stills 2 --countdown 0.5'
    process = start(*command.split())
    process.wait_for(r'No image on .*nothing publishes on /camera/image_compressed.*topics: .*/other')
    # A camera upside down, of 10 bits, whose compressed images are on a topic of any name.
    camera = peer.node.create_publisher(CompressedImage, '/camera/image_compressed', quality(depth=1))
    picture = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
    turned = np.uint16(cv2.rotate(picture, cv2.ROTATE_180)) << 2
    message = CompressedImage(data=packed(turned, '.png'), format='mono16; png compressed')
    process.wait_for(r'Subscribed to /camera/image_compressed \(reliable\): compressed images')
    peer.wait(
        lambda: process.process.poll() is not None, 'the end of the capture', each=lambda: camera.publish(message)
    )
    assert process.process.returncode == 0, process.output()
    assert '2 pictures taken' in process.output()
    with open(folder / 'labels.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['emotion'] for row in rows] == ['happy', 'happy']
    for row in rows:
        kept = cv2.imread(os.path.join(str(folder), row['file']), cv2.IMREAD_GRAYSCALE)
        assert np.abs(kept.astype(int) - picture).mean() < 3, 'dark, or upside down'
    peer.wait(lambda: prompts and prompts[-1].data == 'Done, thank you.', 'the last prompt')
    assert 'happy: smile' in prompts[0].data, 'each prompt arrives'
    assert shown and shown[-1].width == 640
    for subscription in subscriptions:
        peer.node.destroy_subscription(subscription)
    for publisher in (camera, other):
        peer.node.destroy_publisher(publisher)
