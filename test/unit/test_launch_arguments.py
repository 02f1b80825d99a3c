"""Cameras of a launch argument: each with a namespace and a ROS4HRI prefix of its own."""

import pytest

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.ros.launch_arguments import logger_name, read_cameras


@pytest.mark.parametrize(
    'text, expected',
    [
        ('front=/front/image_raw', [('front', '/front/image_raw', '/front/humans')]),
        ('front=/a/b rear', [('front', '/a/b', '/front/humans'), ('rear', 'image_raw', '/rear/humans')]),
        (
            ' front=image, rear=color/image_raw ',
            [('front', 'image', '/front/humans'), ('rear', 'color/image_raw', '/rear/humans')],
        ),
    ],
)
def test_cameras_are_read_when_named(text, expected):
    assert [tuple(camera) for camera in read_cameras(text)] == expected


@pytest.mark.parametrize(
    'namespaces, expected',
    [
        ([''], 'emotion_node'),
        (['', 'robot'], 'robot.emotion_node'),
        (['', '/robot/head/'], 'robot.head.emotion_node'),
        (['/fleet', 'robot'], 'fleet.robot.emotion_node'),
        (['/fleet', '/robot'], 'robot.emotion_node'),
        (['/fleet', ''], 'fleet.emotion_node'),
    ],
)
def test_a_logger_is_named_as_ros_names_it_when_the_node_has_namespaces(namespaces, expected):
    assert logger_name('emotion_node', *namespaces) == expected


@pytest.mark.parametrize(
    'text, words',
    [
        ('', 'at least one camera'),
        (' , ', 'at least one camera'),
        ('front=', "'front='"),
        ('=image', 'name=topic'),
        ('2nd=/image', "'2nd=/image'"),
        ('front=/im age/x', "'age/x'"),
        ('front=/image/', 'letters'),
        ('a/b=/image', 'letters'),
        ('front front=/x', "'front' twice"),
        ('front=/x=y', 'name=topic'),
    ],
)
def test_refused_with_the_reason_when_ros_would_not_take_it(text, words):
    with pytest.raises(BadParameter) as refusal:
        read_cameras(text)
    assert words in str(refusal.value)
