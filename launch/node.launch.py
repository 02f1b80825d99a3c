"""Start emotion_node: `ros2 launch facial_emotion_ros node.launch.py image_topic:=/camera/image_raw`."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from facial_emotion_ros.ros.launch_actions import emotion_node, overrides, params_file_argument, shared_arguments

_OVERRIDES = 'esr', 'mode', 'transport', 'humans_prefix'


def generate_launch_description():
    """Declare the arguments; the node is created when their values are known."""
    return LaunchDescription(
        [
            *shared_arguments('namespace', 'image_topic'),
            params_file_argument(),
            *shared_arguments(*_OVERRIDES, 'use_sim_time', 'autostart', 'respawn', 'log_level'),
            OpaqueFunction(function=_node),
        ]
    )


def _node(context):
    return [emotion_node(context, overrides(context, *_OVERRIDES))]
