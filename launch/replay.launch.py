"""
Play a recording into emotion_node: `ros2 launch facial_emotion_ros replay.launch.py bag:=my_bag output:=answers`.

`ros2 bag` plays and records if installed, else our play_bag and record_bag. The node starts first; the launch ends when
the recording has been played and processed.
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
from launch_ros.actions import Node

from facial_emotion_ros.core.resources import expect_file
from facial_emotion_ros.ros.launch_actions import params_file_argument, shared_arguments, value_of
from facial_emotion_ros.ros.launch_arguments import BOOLEANS, is_true
from facial_emotion_ros.ros.recordings.replay_graph import (
    make_replay,
    player_words,
    plays_with_ros2_bag,
    recorder_words,
)
from facial_emotion_ros.system.dds_environment import transport_environment

#: Time for the last results after the recording has ended.
LAST_ANSWER_S = 3.0


def generate_launch_description():
    """Declare the arguments; the processes are created when their values are known."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'bag',
                default_value='',
                description='The recording: its folder, or an .mcap, .db3 or (ROS 1) .bag file.',
            ),
            DeclareLaunchArgument(
                'image_topic',
                default_value='',
                description='Image topic in the recording, raw or compressed. Empty: the first.',
            ),
            DeclareLaunchArgument('topics', default_value='', description='Other topics to play, separated by spaces.'),
            DeclareLaunchArgument('rate', default_value='1.0', description='Playback speed factor.'),
            DeclareLaunchArgument(
                'loop', default_value='false', choices=BOOLEANS, description='Whether to restart at the end.'
            ),
            DeclareLaunchArgument('start', default_value='0.0', description='Seconds to skip at the beginning.'),
            DeclareLaunchArgument(
                'clock',
                default_value='40.0',
                description='Rate in Hz of /clock with the time of the recording, which the node then uses; 0: no '
                '/clock, and the node uses the current time, by which recorded images are old.',
            ),
            DeclareLaunchArgument(
                'output',
                default_value='',
                description="Folder to create for a recording of the node's outputs; empty records nothing.",
            ),
            DeclareLaunchArgument(
                'player',
                default_value='auto',
                choices=['auto', 'ros2_bag', 'own'],
                description='Player and recorder: ros2_bag, own (play_bag and record_bag), or auto (ros2_bag if '
                'installed).',
            ),
            *shared_arguments('namespace'),
            params_file_argument(),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context):
    def text(name):
        return value_of(name, context)

    params_file = text('params_file')
    expect_file(params_file, 'params_file')
    replay = make_replay(
        text('bag'),
        text('image_topic'),
        {
            'topics': tuple(text('topics').split()),
            'rate': text('rate'),
            'loop': is_true(text('loop')),
            'start_s': text('start'),
            'clock_hz': text('clock'),
            'output': text('output'),
            'namespace': text('namespace'),
        },
    )
    ros2_bag = plays_with_ros2_bag(text('player'), replay.bag)
    node, player = _node(replay, params_file), _player(replay, ros2_bag)
    actions = [
        node,
        _shut_down_after(node, 'emotion_node has ended', 0.0),
        _shut_down_after(player, 'the recording has been played', LAST_ANSWER_S),
    ]
    if replay.output:
        recorder = _recorder(replay, ros2_bag)
        actions += [recorder, _shut_down_after(recorder, 'the recorder has ended', 0.0)]
    # Our own player waits for the node.
    return actions + [_when_active(node, player) if ros2_bag else player]


def _node(replay, params_file):
    return Node(
        package='facial_emotion_ros',
        executable='emotion_node',
        name='emotion_node',
        namespace=replay.namespace,
        # Without /clock, the end of the recording must not be reported as silence; the file may override this.
        parameters=[{'input.timeout_s': 2 * LAST_ANSWER_S}] * (not replay.clock_hz)
        + [
            params_file,
            {
                'use_sim_time': bool(replay.clock_hz),
                'autostart': True,
                # From the first image on, even if there is no subscriber yet.
                'input.lazy': False,
                'input.transport': 'compressed' if replay.is_compressed else 'raw',
            },
        ],
        remappings=[('image', replay.image_topic)],
        output='screen',
    )


def _player(replay, ros2_bag):
    words = player_words(replay, ros2_bag)
    if ros2_bag:
        return ExecuteProcess(cmd=['ros2'] + words, additional_env=transport_environment(), output='screen')
    return Node(
        package='facial_emotion_ros',
        executable='play_bag',
        arguments=words,
        output='screen',
    )


def _recorder(replay, ros2_bag):
    words = recorder_words(replay, ros2_bag)
    if ros2_bag:
        return ExecuteProcess(cmd=['ros2'] + words, output='screen')
    return Node(
        package='facial_emotion_ros',
        executable='record_bag',
        arguments=words,
        namespace=replay.namespace,
        parameters=[{'use_sim_time': bool(replay.clock_hz)}],
        output='screen',
    )


def _when_active(node, action):
    """Start an action once, when the node logs that it is active."""
    started = []

    def on_line(event):
        if b'Active: ' not in event.text or started:
            return []
        started.append(True)
        return [action]

    return RegisterEventHandler(OnProcessIO(target_action=node, on_stdout=on_line, on_stderr=on_line))


def _shut_down_after(process, reason, after_s):
    """End the whole launch when a process has ended, after a delay if it succeeded."""

    def on_exit(event, _context):
        shutdown = EmitEvent(event=Shutdown(reason=reason))
        return [shutdown if event.returncode or not after_s else TimerAction(period=after_s, actions=[shutdown])]

    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=on_exit))
