"""
Play a recording into emotion_node: `ros2 launch facial_emotion_ros replay.launch.py bag:=my_bag output:=answers`.

Player and recorder are those of `ros2 bag` where that is installed, else our own play_bag and record_bag. The node
starts first; the launch ends when the recording has been played and answered.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.installed_files import expect_file
from facial_emotion_ros.launch_arguments import BOOLEANS, is_true
from facial_emotion_ros.ros.replay_graph import make_replay, player_words, plays_with_ros2_bag, recorder_words

#: What the last image may still take after the recording has ended.
LAST_ANSWER_S = 3.0


def generate_launch_description():
    """Declare the arguments; the processes follow from them."""
    defaults = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'config', 'emotion_node.yaml'])
    return LaunchDescription([
        DeclareLaunchArgument('bag', default_value='',
                              description='The recording: its folder, or an .mcap, .db3 or (ROS 1) .bag file.'),
        DeclareLaunchArgument('image_topic', default_value='',
                              description="The camera's topic in the recording, raw or compressed; empty takes the "
                                          'first that there is.'),
        DeclareLaunchArgument('topics', default_value='',
                              description='Topics that are played beside that one, separated by spaces.'),
        DeclareLaunchArgument('rate', default_value='1.0', description='How many times faster it is played.'),
        DeclareLaunchArgument('loop', default_value='false', choices=BOOLEANS,
                              description='Whether to begin again at the end.'),
        DeclareLaunchArgument('start', default_value='0.0', description='Seconds that are left out at the beginning.'),
        DeclareLaunchArgument('clock', default_value='40.0',
                              description="How often a second the recording's time is published on /clock, which the "
                                          'node then goes by; 0 leaves it to the time of now, by which recorded '
                                          'images are old.'),
        DeclareLaunchArgument('output', default_value='',
                              description="Folder to make, for a recording of the node's answers; empty records "
                                          'nothing.'),
        DeclareLaunchArgument('player', default_value='auto', choices=['auto', 'ros2_bag', 'own'],
                              description='Who plays and records: ros2 bag, our own executables, or auto: ros2 bag '
                                          'where it is installed.'),
        DeclareLaunchArgument('namespace', default_value='',
                              description='Namespace of the node and of its relative topics.'),
        DeclareLaunchArgument('params_file', default_value=defaults,
                              description="Parameter file in place of the package's own config/emotion_node.yaml."),
        OpaqueFunction(function=_start),
    ])


def _start(context):
    """Make the processes, now that the arguments are known."""
    def text(argument):
        return argument.perform(context)

    params_file = text(LaunchConfiguration('params_file'))
    expect_file(params_file, 'params_file')
    replay = make_replay(text(LaunchConfiguration('bag')), text(LaunchConfiguration('image_topic')), {
        'topics': tuple(text(LaunchConfiguration('topics')).split()),
        'rate': text(LaunchConfiguration('rate')),
        'loop': is_true(text(LaunchConfiguration('loop'))),
        'start_s': text(LaunchConfiguration('start')),
        'clock_hz': text(LaunchConfiguration('clock')),
        'output': text(LaunchConfiguration('output')),
        'namespace': text(LaunchConfiguration('namespace')),
    })
    ros2_bag = plays_with_ros2_bag(text(LaunchConfiguration('player')), replay.bag)
    node, player = _node(replay, params_file), _player(replay, ros2_bag)
    actions = [node, _shut_down_after(node, 'emotion_node has ended', 0.0),
               _shut_down_after(player, 'the recording has been played', LAST_ANSWER_S)]
    if replay.output:
        recorder = _recorder(replay, ros2_bag)
        actions += [recorder, _shut_down_after(recorder, 'the recorder has ended', 0.0)]
    # Our player waits for the node by itself.
    return actions + [_when_active(node, player) if ros2_bag else player]


def _node(replay, params_file):
    return Node(
        package='facial_emotion_ros',
        executable='emotion_node',
        name='emotion_node',
        namespace=replay.namespace,
        parameters=[params_file, {
            'use_sim_time': bool(replay.clock_hz),
            'autostart': True,
            # From the first image on, whether or not anyone reads by then.
            'input.lazy': False,
            'input.transport': 'compressed' if replay.is_compressed else 'raw',
        }],
        remappings=[('image', replay.image_topic)],
        additional_env=transport_environment(),
        output='screen',
    )


def _player(replay, ros2_bag):
    words = player_words(replay, ros2_bag)
    if ros2_bag:
        return ExecuteProcess(cmd=['ros2'] + words, additional_env=transport_environment(), output='screen')
    return Node(package='facial_emotion_ros', executable='play_bag', arguments=words,
                additional_env=transport_environment(), output='screen')


def _recorder(replay, ros2_bag):
    words = recorder_words(replay, ros2_bag)
    if ros2_bag:
        return ExecuteProcess(cmd=['ros2'] + words, output='screen')
    return Node(package='facial_emotion_ros', executable='record_bag', arguments=words, namespace=replay.namespace,
                parameters=[{'use_sim_time': bool(replay.clock_hz)}], output='screen')


def _when_active(node, action):
    """Do something, once, when the node says that it is active."""
    started = []

    def on_line(event):
        if b'Active: ' not in event.text or started:
            return []
        started.append(True)
        return [action]
    return RegisterEventHandler(OnProcessIO(target_action=node, on_stdout=on_line, on_stderr=on_line))


def _shut_down_after(process, reason, after_s):
    """End the whole launch when a process has ended; a while later, if it ended well."""
    def on_exit(event, _context):
        shutdown = EmitEvent(event=Shutdown(reason=reason))
        return [shutdown if event.returncode or not after_s else TimerAction(period=after_s, actions=[shutdown])]
    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=on_exit))
