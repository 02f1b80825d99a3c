"""Arguments and actions shared by the launch files. The only module that imports launch."""

from typing import Any, Dict, List, Optional

from launch.actions import DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from facial_emotion_ros.core.resources import expect_file
from facial_emotion_ros.ros.launch_arguments import BOOLEANS, OPTIONAL_BOOLEANS, given_booleans, is_true, logger_name

#: Shared argument -> keyword arguments of DeclareLaunchArgument.
_SHARED: Dict[str, Dict[str, Any]] = {
    'namespace': {'default_value': '', 'description': 'Namespace of the node and of its relative topics.'},
    'image_topic': {
        'default_value': 'image',
        'description': 'Image topic (sensor_msgs/Image); relative to the namespace unless it starts with a slash.',
    },
    'use_sim_time': {
        'default_value': '',
        'choices': OPTIONAL_BOOLEANS,
        'description': 'Whether to use the time of /clock. Empty: as in the parameter file or SetParameter.',
    },
    'autostart': {
        'default_value': '',
        'choices': OPTIONAL_BOOLEANS,
        'description': 'Whether the node configures and activates itself; false for a lifecycle manager. Empty: as in '
        'the parameter file, by default true.',
    },
    'respawn': {
        'default_value': 'true',
        'choices': BOOLEANS,
        'description': 'Whether to respawn the process 2 s after a crash or freeze; not after a signal or refused '
        'parameters.',
    },
    'log_level': {
        'default_value': 'info',
        'description': 'Lowest severity that the node logs: debug, info, warn, error or fatal.',
    },
    'esr': {
        'default_value': '',
        'description': 'Overrides inference.bundle, the emotion network: name of an embedded bundle, or path of one '
        'from adapt or export.',
    },
    'mode': {
        'default_value': '',
        'choices': ['', 'image', 'humans'],
        'description': 'Overrides input.mode: image for a camera, humans for the face crops of another ROS4HRI node.',
    },
    'transport': {
        'default_value': '',
        'choices': ['', 'auto', 'raw', 'compressed'],
        'description': 'Overrides input.transport: raw, compressed (the image topic with /compressed appended), or '
        'auto (raw if it has a publisher, else compressed).',
    },
    'humans_prefix': {
        'default_value': '',
        'description': 'Overrides output.humans_prefix, the prefix of the ROS4HRI topics, such as /front/humans; none '
        'disables them.',
    },
}

#: Argument -> parameter that it overrides if not empty.
_OVERRIDES = {
    'esr': 'inference.bundle',
    'mode': 'input.mode',
    'transport': 'input.transport',
    'humans_prefix': 'output.humans_prefix',
}


def shared_file(folder: str, name: str) -> Any:
    """Return a substitution for the path of a file in the package's share folder."""
    return PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), folder, name])


def shared_arguments(*names: str) -> List[Any]:
    """Declare some of the shared arguments."""
    return [DeclareLaunchArgument(name, **_SHARED[name]) for name in names]


def params_file_argument(file: str = 'emotion_node.yaml') -> Any:
    """Declare `params_file`.

    :param file: the default, in the package's folder config.
    """
    return DeclareLaunchArgument(
        'params_file',
        default_value=shared_file('config', file),
        description="Parameter file of emotion_node in place of the package's own config/%s." % file,
    )


def value_of(name: str, context: Any) -> str:
    """Return the value of a launch argument."""
    return LaunchConfiguration(name).perform(context)


def overrides(context: Any, *names: str) -> Dict[str, str]:
    """Return the parameters that launch arguments override.

    :param names: of the arguments, among esr, mode, transport and humans_prefix.
    """
    given = {_OVERRIDES[name]: value_of(name, context) for name in names}
    return {name: '' if text == 'none' else text for name, text in given.items() if text}


def emotion_node(
    context: Any, parameters: Dict[str, Any], namespace: Optional[str] = None, image_topic: Optional[str] = None
) -> Any:
    """Create the action for emotion_node from the shared arguments.

    :param context: of the launch.
    :param parameters: override the file's and those of SetParameter.
    :param namespace: None for the argument's value.
    :param image_topic: None for the argument's value.
    :raises BadParameter: if params_file is not a file.
    """
    expect_file(value_of('params_file', context), 'params_file')
    booleans = given_booleans({name: value_of(name, context) for name in ('use_sim_time', 'autostart')})
    given = dict(booleans, **parameters)
    namespace = value_of('namespace', context) if namespace is None else namespace
    logger = logger_name('emotion_node', context.launch_configurations.get('ros_namespace') or '', namespace)
    return Node(
        package='facial_emotion_ros',
        executable='emotion_node',
        name='emotion_node',
        namespace=namespace,
        parameters=[LaunchConfiguration('params_file')] + [given] * bool(given),
        remappings=[('image', LaunchConfiguration('image_topic') if image_topic is None else image_topic)],
        ros_arguments=['--log-level', '%s:=%s' % (logger, value_of('log_level', context))],
        respawn=is_true(value_of('respawn', context)),
        respawn_delay=2.0,
        on_exit=_stay_down,
        output='screen',
    )


def board(name: str) -> List[Any]:
    """Include node.launch.py, with all its arguments, with the parameter file of a board.

    :param name: of config/<name>.yaml.
    """
    return [
        params_file_argument(name + '.yaml'),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(shared_file('launch', 'node.launch.py')),
            launch_arguments=[('params_file', LaunchConfiguration('params_file'))],
        ),
    ]


def _stay_down(event, _context):
    """Cancel the respawn after exit status 0 (signal) or 2 (refused parameters): the process would only end again."""
    if event.returncode in (0, 2):
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))]
    return []
