"""
Start one emotion_node for each of several cameras:

    ros2 launch facial_emotion_ros cameras.launch.py cameras:='front=/front/image_raw rear=/rear/image_raw'

Each has the camera's name as its namespace, and /<name>/humans as its ROS4HRI prefix: two nodes must not share one.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from facial_emotion_ros.camera_list import read_cameras
from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.installed_files import expect_file
from facial_emotion_ros.launch_arguments import BOOLEANS, OPTIONAL_BOOLEANS, given_booleans, is_true


def generate_launch_description():
    """Declare the arguments; the nodes follow when their values are known."""
    defaults = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'config', 'emotion_node.yaml'])
    return LaunchDescription([
        DeclareLaunchArgument('cameras', default_value='camera',
                              description='Cameras as name=topic, with spaces between them: front=/front/image_raw '
                                          'rear=/rear/image_raw. A name alone means its topic image_raw.'),
        DeclareLaunchArgument('params_file', default_value=defaults,
                              description="Parameter file of every node in place of the package's own "
                                          'config/emotion_node.yaml.'),
        DeclareLaunchArgument('use_sim_time', default_value='', choices=OPTIONAL_BOOLEANS,
                              description='Whether the time comes from /clock; empty leaves that to the parameter file '
                                          'and to SetParameter.'),
        DeclareLaunchArgument('autostart', default_value='', choices=OPTIONAL_BOOLEANS,
                              description='Whether the nodes configure and activate themselves; false where a '
                                          'lifecycle manager does that. Empty leaves it to the parameter file, which '
                                          'is true by default.'),
        DeclareLaunchArgument('respawn', default_value='true', choices=BOOLEANS,
                              description="Whether a node's process that crashed or froze is started again after 2 s; "
                                          'one that was told to end, or that refused its parameters, is not.'),
        DeclareLaunchArgument('log_level', default_value='info',
                              description='Least severity that is logged: debug, info, warn, error or fatal.'),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context):
    expect_file(LaunchConfiguration('params_file').perform(context), 'params_file')
    parameters = given_booleans({
        'use_sim_time': LaunchConfiguration('use_sim_time').perform(context),
        'autostart': LaunchConfiguration('autostart').perform(context),
    })
    respawn = is_true(LaunchConfiguration('respawn').perform(context))
    cameras = read_cameras(LaunchConfiguration('cameras').perform(context))
    return [_node(camera, parameters, respawn) for camera in cameras]


def _node(camera, parameters, respawn):
    return Node(
        package='facial_emotion_ros',
        executable='emotion_node',
        name='emotion_node',
        namespace=camera.name,
        parameters=[LaunchConfiguration('params_file'), dict(parameters, **{
            'output.humans_prefix': camera.humans_prefix,
        })],
        remappings=[('image', camera.image_topic)],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        additional_env=transport_environment(),
        respawn=respawn,
        respawn_delay=2.0,
        on_exit=_stay_down,
        output='screen',
    )


def _stay_down(event, _context):
    """Cancel the respawn after exit status 0 (a signal) or 2 (refused parameters): it would only end again."""
    if event.returncode in (0, 2):
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))]
    return []
