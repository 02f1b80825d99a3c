"""
Play something as a camera, and watch what emotion_node says: `ros2 launch facial_emotion_ros demo.launch.py`.

What the processes publish stays on this machine, unless the environment names another ROS_AUTOMATIC_DISCOVERY_RANGE
(on Humble and older: another ROS_LOCALHOST_ONLY).
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from facial_emotion_ros.demo_graph import demo_processes, localhost_environment, transport_environment
from facial_emotion_ros.installed_files import expect_file
from facial_emotion_ros.launch_arguments import BOOLEANS, OPTIONAL_BOOLEANS, given_booleans, is_true


def generate_launch_description():
    """Declare the arguments; the processes follow when their values are known."""
    return LaunchDescription(_arguments() + [OpaqueFunction(function=_start)])


def _start(context):
    """Make a node of each process of the demo's graph."""
    expect_file(LaunchConfiguration('params_file').perform(context), 'params_file')
    processes = demo_processes(
        source={
            'source.kind': LaunchConfiguration('source'),
            'source.path': ParameterValue(LaunchConfiguration('path'), value_type=str),
            'source.camera': ParameterValue(LaunchConfiguration('camera'), value_type=int),
            'source.seconds_each': ParameterValue(LaunchConfiguration('seconds_each'), value_type=float),
            'rate_hz': ParameterValue(LaunchConfiguration('rate_hz'), value_type=float),
            'loop': is_true(LaunchConfiguration('loop').perform(context)),
            'duration_s': ParameterValue(LaunchConfiguration('duration_s'), value_type=float),
        },
        output_folder=ParameterValue(LaunchConfiguration('output_folder'), value_type=str),
        image_topic=LaunchConfiguration('image_topic'),
        params_file=LaunchConfiguration('params_file'),
        common=given_booleans({'use_sim_time': LaunchConfiguration('use_sim_time').perform(context)}),
    )
    nodes = {process.name: _node(process) for process in processes}
    return list(nodes.values()) + [
        # The console view ends by itself when the stream has ended; nothing is left to do then.
        _shut_down_after(nodes['console_view'], 'the stream has ended'),
        _shut_down_after(nodes['emotion_node'], 'emotion_node has ended'),
        _shut_down_after(nodes['media_source'], 'media_source could not play', only_after_failure=True),
    ]


def _arguments():
    defaults = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'config', 'emotion_node.yaml'])
    return [
        DeclareLaunchArgument('source', default_value='sample', choices=['sample', 'images', 'video', 'camera'],
                              description='What is played as a camera.'),
        DeclareLaunchArgument('path', default_value='',
                              description='Folder or file of images, file of a video, device or address of a camera.'),
        DeclareLaunchArgument('camera', default_value='0', description='Number of the camera, where no path is given.'),
        DeclareLaunchArgument('seconds_each', default_value='2.0',
                              description='How long each picture of images is shown.'),
        DeclareLaunchArgument('rate_hz', default_value='0.0',
                              description='Images per second; 0 takes what suits the source.'),
        DeclareLaunchArgument('loop', default_value='false', choices=BOOLEANS,
                              description='Whether to start again at the end.'),
        DeclareLaunchArgument('duration_s', default_value='0.0',
                              description='End after this time; 0 plays to the end.'),
        DeclareLaunchArgument('output_folder', default_value='',
                              description='Folder for annotated.mp4, annotated.jpg and summary.json; empty writes no '
                                          'picture anywhere.'),
        DeclareLaunchArgument('namespace', default_value='', description='Namespace of the nodes and of their topics.'),
        DeclareLaunchArgument('image_topic', default_value='image',
                              description='Name of the image topic between the media source and emotion_node.'),
        DeclareLaunchArgument('params_file', default_value=defaults,
                              description="Parameter file of emotion_node in place of the package's own "
                                          'config/emotion_node.yaml.'),
        DeclareLaunchArgument('use_sim_time', default_value='', choices=OPTIONAL_BOOLEANS,
                              description='Whether the time comes from /clock; empty leaves that to the parameter file '
                                          'and to SetParameter.'),
        DeclareLaunchArgument('log_level', default_value='info',
                              description='Least severity that is logged: debug, info, warn, error or fatal.'),
    ]


def _node(process):
    return Node(
        package='facial_emotion_ros',
        executable=process.executable,
        name=process.name,
        namespace=LaunchConfiguration('namespace'),
        parameters=list(process.parameter_files) + [dict(process.parameters)] * bool(process.parameters),
        remappings=list(process.remappings),
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        additional_env=dict(transport_environment(), **localhost_environment()),
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
