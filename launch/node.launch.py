"""Start emotion_node alone: `ros2 launch facial_emotion_ros node.launch.py image_topic:=/camera/image_raw`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.installed_files import expect_file
from facial_emotion_ros.launch_arguments import BOOLEANS, OPTIONAL_BOOLEANS, given_booleans, is_true


def generate_launch_description():
    """Declare the arguments and the one node."""
    defaults = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'config', 'emotion_node.yaml'])
    return LaunchDescription([
        DeclareLaunchArgument('namespace', default_value='',
                              description='Namespace of the node and of its relative topics.'),
        DeclareLaunchArgument('image_topic', default_value='image',
                              description="The camera's image topic (sensor_msgs/Image); relative to the namespace "
                                          'unless it begins with a slash.'),
        DeclareLaunchArgument('params_file', default_value=defaults,
                              description="Parameter file in place of the package's own config/emotion_node.yaml."),
        DeclareLaunchArgument('mode', default_value='', choices=['', 'image', 'humans'],
                              description="What is worked on, in place of the parameter file's input.mode: a camera's "
                                          'image, or the faces that another ROS4HRI node finds.'),
        DeclareLaunchArgument('transport', default_value='', choices=['', 'auto', 'raw', 'compressed'],
                              description="Which images are subscribed to, in place of the parameter file's "
                                          'input.transport; compressed is image_topic with /compressed behind it, '
                                          'auto is raw where someone publishes it, else compressed.'),
        DeclareLaunchArgument('humans_prefix', default_value='',
                              description="Prefix of the ROS4HRI topics in place of the parameter file's "
                                          'output.humans_prefix, such as /front/humans; none: no such topics.'),
        DeclareLaunchArgument('use_sim_time', default_value='', choices=OPTIONAL_BOOLEANS,
                              description='Whether the time comes from /clock; empty leaves that to the parameter file '
                                          'and to SetParameter.'),
        DeclareLaunchArgument('autostart', default_value='', choices=OPTIONAL_BOOLEANS,
                              description='Whether the node configures and activates itself; false where a lifecycle '
                                          'manager does that. Empty leaves it to the parameter file, which is true '
                                          'by default.'),
        DeclareLaunchArgument('respawn', default_value='true', choices=BOOLEANS,
                              description='Whether a process that crashed or froze is started again after 2 s; one '
                                          'that was told to end, or that refused its parameters, is not.'),
        DeclareLaunchArgument('log_level', default_value='info',
                              description='Least severity that is logged: debug, info, warn, error or fatal.'),
        OpaqueFunction(function=_node),
    ])


def _node(context):
    """Make the node, now that the arguments are known: those that are left empty leave the file's parameters alone."""
    expect_file(LaunchConfiguration('params_file').perform(context), 'params_file')
    parameters = given_booleans({
        'use_sim_time': LaunchConfiguration('use_sim_time').perform(context),
        'autostart': LaunchConfiguration('autostart').perform(context),
    })
    given = {
        'input.mode': LaunchConfiguration('mode').perform(context),
        'input.transport': LaunchConfiguration('transport').perform(context),
        'output.humans_prefix': LaunchConfiguration('humans_prefix').perform(context),
    }
    parameters.update((name, '' if value == 'none' else value) for name, value in given.items() if value)
    return [Node(
        package='facial_emotion_ros',
        executable='emotion_node',
        name='emotion_node',
        namespace=LaunchConfiguration('namespace'),
        parameters=[LaunchConfiguration('params_file')] + [parameters] * bool(parameters),
        remappings=[('image', LaunchConfiguration('image_topic'))],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        additional_env=transport_environment(),
        respawn=is_true(LaunchConfiguration('respawn').perform(context)),
        respawn_delay=2.0,
        on_exit=_stay_down,
        output='screen',
    )]


def _stay_down(event, _context):
    """Cancel the respawn after exit status 0 (a signal) or 2 (refused parameters): it would only end again."""
    if event.returncode in (0, 2):
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))]
    return []
