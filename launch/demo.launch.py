"""
Play a source as a camera and print what emotion_node publishes: `ros2 launch facial_emotion_ros demo.launch.py`.

All topics stay on this machine, unless ROS_AUTOMATIC_DISCOVERY_RANGE (Humble and older: ROS_LOCALHOST_ONLY) is set.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from facial_emotion_ros.core.resources import expect_file
from facial_emotion_ros.demo.processes import demo_processes
from facial_emotion_ros.ros.launch_actions import params_file_argument, shared_arguments, value_of
from facial_emotion_ros.ros.launch_arguments import BOOLEANS, given_booleans, is_true
from facial_emotion_ros.system.dds_environment import localhost_environment


def generate_launch_description():
    """Declare the arguments; the processes are created when their values are known."""
    return LaunchDescription(_arguments() + [OpaqueFunction(function=_start)])


def _start(context):
    """Create the three nodes."""
    expect_file(value_of('params_file', context), 'params_file')
    processes = demo_processes(
        source={
            'source.kind': LaunchConfiguration('source'),
            'source.path': ParameterValue(LaunchConfiguration('path'), value_type=str),
            'source.camera': ParameterValue(LaunchConfiguration('camera'), value_type=int),
            'source.seconds_each': ParameterValue(LaunchConfiguration('seconds_each'), value_type=float),
            'rate_hz': ParameterValue(LaunchConfiguration('rate_hz'), value_type=float),
            'loop': is_true(value_of('loop', context)),
            'duration_s': ParameterValue(LaunchConfiguration('duration_s'), value_type=float),
        },
        output_folder=ParameterValue(LaunchConfiguration('output_folder'), value_type=str),
        image_topic=LaunchConfiguration('image_topic'),
        params_file=LaunchConfiguration('params_file'),
        common=given_booleans({'use_sim_time': value_of('use_sim_time', context)}),
    )
    nodes = {process.name: _node(process) for process in processes}
    return list(nodes.values()) + [
        # The console view ends last, after the stream.
        _shut_down_after(nodes['console_view'], 'the stream has ended'),
        _shut_down_after(nodes['emotion_node'], 'emotion_node has ended'),
        _shut_down_after(nodes['media_source'], 'media_source could not play', only_after_failure=True),
    ]


def _arguments():
    return [
        DeclareLaunchArgument(
            'source',
            default_value='sample',
            choices=['sample', 'images', 'video', 'camera'],
            description='What is played as a camera.',
        ),
        DeclareLaunchArgument(
            'path',
            default_value='',
            description='Folder or file of images, video file, or device or address of a camera.',
        ),
        DeclareLaunchArgument('camera', default_value='0', description='Number of the camera, without a path.'),
        DeclareLaunchArgument(
            'seconds_each', default_value='2.0', description='Seconds for which each picture of images is shown.'
        ),
        DeclareLaunchArgument(
            'rate_hz', default_value='0.0', description='Images per second; 0: the default of the source.'
        ),
        DeclareLaunchArgument(
            'loop', default_value='false', choices=BOOLEANS, description='Whether to restart at the end.'
        ),
        DeclareLaunchArgument(
            'duration_s', default_value='0.0', description='End after this many seconds; 0 plays to the end.'
        ),
        DeclareLaunchArgument(
            'output_folder',
            default_value='',
            description='Folder for annotated.mp4, annotated.jpg and summary.json; empty saves nothing.',
        ),
        *shared_arguments('namespace', 'image_topic'),
        params_file_argument(),
        *shared_arguments('use_sim_time', 'log_level'),
    ]


def _node(process):
    return Node(
        package='facial_emotion_ros',
        executable=process.name,
        name=process.name,
        namespace=LaunchConfiguration('namespace'),
        parameters=list(process.parameter_files) + [dict(process.parameters)] * bool(process.parameters),
        remappings=list(process.remappings),
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        additional_env=localhost_environment(),
        emulate_tty=True,
        output='screen',
    )


def _shut_down_after(node, reason, only_after_failure=False):
    """End the whole launch when a process has ended."""

    def on_exit(event, _context):
        if only_after_failure and event.returncode == 0:
            return []
        return [EmitEvent(event=Shutdown(reason=reason))]

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit))
