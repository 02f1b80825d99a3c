"""
Start one emotion_node for each of several cameras:

    ros2 launch facial_emotion_ros cameras.launch.py cameras:='front=/front/image_raw rear=/rear/image_raw'

Each node has the camera's name as its namespace, and /<name>/humans as its ROS4HRI prefix, which must be unique.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from facial_emotion_ros.ros.launch_actions import (
    emotion_node,
    overrides,
    params_file_argument,
    shared_arguments,
    value_of,
)
from facial_emotion_ros.ros.launch_arguments import read_cameras


def generate_launch_description():
    """Declare the arguments; the nodes are created when their values are known."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'cameras',
                default_value='camera',
                description='Cameras as name=topic, separated by spaces: front=/front/image_raw '
                'rear=/rear/image_raw. The topic is image_raw if omitted.',
            ),
            params_file_argument(),
            *shared_arguments('esr', 'transport', 'use_sim_time', 'autostart', 'respawn', 'log_level'),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context):
    given = overrides(context, 'esr', 'transport')
    return [
        emotion_node(
            context, dict(given, **{'output.humans_prefix': camera.humans_prefix}), camera.name, camera.image_topic
        )
        for camera in read_cameras(value_of('cameras', context))
    ]
