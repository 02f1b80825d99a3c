"""Start emotion_node alone: `ros2 launch facial_emotion_ros node.launch.py image_topic:=/camera/image_raw`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from facial_emotion_ros.ros.launch_actions import emotion_node, params_file_argument, shared_arguments, value_of

#: Argument -> the parameter that it overrides, unless it is empty.
OVERRIDES = {
    'esr': 'inference.bundle',
    'mode': 'input.mode',
    'transport': 'input.transport',
    'humans_prefix': 'output.humans_prefix',
}


def generate_launch_description():
    """Declare the arguments and the one node."""
    return LaunchDescription(
        [
            *shared_arguments('namespace', 'image_topic'),
            params_file_argument(),
            DeclareLaunchArgument(
                'esr',
                default_value='',
                description='Emotion network, overrides inference.bundle: the name of an embedded bundle, or the '
                'path of one from adapt or export.',
            ),
            DeclareLaunchArgument(
                'mode',
                default_value='',
                choices=['', 'image', 'humans'],
                description='Overrides input.mode: image for a camera, humans for the face crops of another '
                'ROS4HRI node.',
            ),
            DeclareLaunchArgument(
                'transport',
                default_value='',
                choices=['', 'auto', 'raw', 'compressed'],
                description='Overrides input.transport: raw, compressed (image_topic with /compressed appended), '
                'or auto (raw if someone publishes it, else compressed).',
            ),
            DeclareLaunchArgument(
                'humans_prefix',
                default_value='',
                description='Overrides output.humans_prefix, the prefix of the ROS4HRI topics, such as '
                '/front/humans; none disables them.',
            ),
            *shared_arguments('use_sim_time', 'autostart', 'respawn', 'log_level'),
            OpaqueFunction(function=_node),
        ]
    )


def _node(context):
    """Create the node, now that the arguments are known."""
    given = {parameter: value_of(argument, context) for argument, parameter in OVERRIDES.items()}
    return [emotion_node(context, {name: '' if text == 'none' else text for name, text in given.items() if text})]
