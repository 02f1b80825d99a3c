"""What we use of rclpy, launch and launch_ros, with the distribution that introduced it: Humble, unless said otherwise.

The tables were compared with the sources of Humble to Rolling. What is new in the code fails here until it is entered;
look up first in which distribution it came. Where the modules are installed, every entry is looked up in them.
"""

import ast
import functools
import glob
import importlib.util
import inspect
import os
import re

import pytest
from test_guards import ROOT, parse

#: Module -> the names that are imported from it.
NAMES = {
    'launch': 'LaunchDescription',
    'launch.actions': 'DeclareLaunchArgument EmitEvent ExecuteProcess IncludeLaunchDescription OpaqueFunction '
    'RegisterEventHandler TimerAction',
    'launch.event_handlers': 'OnProcessExit OnProcessIO',
    'launch.events': 'Shutdown matches_action',
    'launch.events.process': 'ShutdownProcess',
    'launch.launch_description_sources': 'PythonLaunchDescriptionSource',
    'launch.substitutions': 'LaunchConfiguration PathJoinSubstitution',
    'launch_ros.actions': 'Node',
    'launch_ros.parameter_descriptions': 'ParameterValue',
    'launch_ros.substitutions': 'FindPackageShare',
    'rclpy': 'create_node init ok spin try_shutdown',
    'rclpy.callback_groups': 'ReentrantCallbackGroup',
    'rclpy.clock': 'Clock ClockType JumpThreshold',
    'rclpy.duration': 'Duration Infinite',
    'rclpy.executors': 'ExternalShutdownException SingleThreadedExecutor',
    'rclpy.lifecycle': 'LifecycleNode TransitionCallbackReturn',
    'rclpy.node': 'Node',
    'rclpy.qos': 'DurabilityPolicy HistoryPolicy LivelinessPolicy QoSPolicyKind QoSProfile ReliabilityPolicy '
    'qos_policy_name_from_kind',
    'rclpy.qos_overriding_options': 'QoSOverridingOptions',
    'rclpy.signals': 'SignalHandlerOptions',
    'rclpy.task': 'Future',
    'rclpy.utilities': 'try_shutdown',
}

#: The same for names that Humble lacks, or newer distributions: imported in a `try` alone, one in place of the other.
ALTERNATIVES = {
    'rclpy.event_handler': 'PublisherEventCallbacks SubscriptionEventCallbacks',  # since Iron
    'rclpy.qos_event': 'PublisherEventCallbacks SubscriptionEventCallbacks',  # Humble
}

#: Class or function -> its keyword arguments that are used.
KEYWORDS = {
    'launch.actions.DeclareLaunchArgument': 'choices default_value description',
    'launch.actions.EmitEvent': 'event',
    'launch.actions.ExecuteProcess': 'additional_env cmd output',
    'launch.actions.IncludeLaunchDescription': 'launch_arguments',
    'launch.actions.OpaqueFunction': 'function',
    'launch.actions.TimerAction': 'actions period',
    'launch.event_handlers.OnProcessExit': 'on_exit target_action',
    'launch.event_handlers.OnProcessIO': 'on_stderr on_stdout target_action',
    'launch.events.Shutdown': 'reason',
    'launch.events.process.ShutdownProcess': 'process_matcher',
    'launch_ros.actions.Node': 'additional_env arguments emulate_tty executable name namespace on_exit output package '
    'parameters remappings respawn respawn_delay ros_arguments',
    'launch_ros.parameter_descriptions.ParameterValue': 'value_type',
    'rclpy.create_node': 'enable_rosout start_parameter_services',
    'rclpy.init': 'args signal_handler_options',
    'rclpy.clock.Clock': 'clock_type',
    'rclpy.clock.JumpThreshold': 'min_backward min_forward on_clock_change',
    'rclpy.duration.Duration': 'nanoseconds seconds',
    # `matched`, since Iron, is passed where the signature has it.
    'rclpy.event_handler.PublisherEventCallbacks': 'incompatible_qos use_default_callbacks',
    'rclpy.event_handler.SubscriptionEventCallbacks': 'incompatible_qos',
    'rclpy.qos.QoSProfile': 'depth durability history reliability',
    'rclpy.task.Future': 'executor',
}

#: Class -> its members that are used -> their keyword arguments that are used.
MEMBERS = {
    'rclpy.callback_groups.CallbackGroup': {'add_entity': ''},
    'rclpy.clock.Clock': {'clock_type': '', 'create_jump_callback': 'post_callback', 'now': ''},
    'rclpy.clock.JumpHandle': {'unregister': ''},
    'rclpy.clock.ROSClock': {'ros_time_is_active': ''},
    'rclpy.executors.SingleThreadedExecutor': {
        'add_node': '',
        'shutdown': 'timeout_sec',
        'spin_once': 'timeout_sec',
        'wake': '',
    },
    'rclpy.lifecycle.LifecycleNode': {
        'add_on_set_parameters_callback': '',
        'context': '',
        'count_publishers': '',
        'create_publisher': 'event_callbacks qos_overriding_options',
        'create_service': '',
        'create_subscription': 'event_callbacks qos_overriding_options raw',
        'create_timer': 'clock',
        'declare_parameter': 'ignore_override',
        'destroy_node': '',
        'destroy_publisher': '',
        'destroy_subscription': '',
        'destroy_timer': '',
        'executor': '',
        'get_clock': '',
        'get_fully_qualified_name': '',
        'get_logger': '',
        'get_name': '',
        'get_namespace': '',
        'get_parameter': '',
        'get_parameters_by_prefix': '',
        'get_publishers_info_by_topic': '',
        'get_topic_names_and_types': '',
        'resolve_topic_name': 'only_expand',
        'services': '',
        'trigger_activate': '',
        'trigger_configure': '',
    },
    'rclpy.publisher.Publisher': {
        'assert_liveliness': '',
        'get_subscription_count': '',
        'publish': '',
        'qos_profile': '',
        'topic_name': '',
        'wait_for_all_acked': '',
    },
    'rclpy.service.Service': {'callback': '', 'callback_group': '', 'srv_name': '', 'srv_type': ''},
    'rclpy.task.Future': {'set_exception': '', 'set_result': ''},
    'rclpy.time.Time': {'from_msg': '', 'nanoseconds': '', 'to_msg': ''},
    'rclpy.timer.Timer': {'cancel': ''},
}

#: A private name of rclpy that is used; Humble to Rolling have it. docs/architecture.md says why.
PRIVATE = '_parameter_overrides'

LIFECYCLE_NODE = 'rclpy.lifecycle.LifecycleNode'


@functools.lru_cache(maxsize=None)
def sources():
    """Map the files that may use ROS to their syntax trees."""
    patterns = ('facial_emotion_ros/ros/**/*.py', 'launch/*.py', 'examples/*.py')
    paths = [path for pattern in patterns for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)]
    return {os.path.relpath(path, ROOT): list(ast.walk(parse(path))) for path in paths}


def imported(nodes):
    """List what a module imports from rclpy, launch and launch_ros: (name in the module, dotted name, in a `try`)."""
    tried = {id(node) for each in nodes if isinstance(each, ast.Try) for node in ast.walk(each)}
    return [
        (name.asname or name.name, '%s.%s' % (node.module, name.name), id(node) in tried)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in ('rclpy', 'launch', 'launch_ros')
        for name in node.names
    ]


def looked_up(dotted):
    """Import a class or function by its dotted name."""
    path, _, name = dotted.rpartition('.')
    return getattr(importlib.import_module(path), name)


def accepted(callee):
    """List the keyword arguments of a function or of a class, whose bases may take the rest."""
    if not inspect.isclass(callee):
        return set(inspect.signature(callee).parameters)
    makers = [maker for each in inspect.getmro(callee) for maker in (each.__init__, each.__new__)]
    names = {name for maker in makers for name in inspect.signature(maker).parameters}
    return names | set(dir(callee)) if 'rclpy' in callee.__module__ and 'kwargs' in names else names  # QoSProfile


def members(kind):
    """List the attributes of a class, and of its instances as far as its source assigns them."""
    texts = [inspect.getsource(each) for each in inspect.getmro(kind) if each.__module__.startswith('rclpy')]
    return set(dir(kind)).union(*(re.findall(r'self\.(\w+)\b[^=\n]*=[^=]', text) for text in texts))


def dotted_names(table):
    """List a table of names by module as dotted names."""
    return {'%s.%s' % (module, name) for module, names in table.items() for name in names.split()}


def test_what_is_imported_from_ros_stands_in_the_tables():
    used = {
        'rclpy.' + node.attr
        for nodes in sources().values()
        for node in nodes
        if isinstance(node, ast.Attribute) and getattr(node.value, 'id', '') == 'rclpy'
    }
    found = [each for nodes in sources().values() for each in imported(nodes)]
    used |= {name for _, name, tried in found if not tried}
    assert used == dotted_names(NAMES), 'enter what is new, if Humble has it'
    assert {name for _, name, tried in found if tried} == dotted_names(ALTERNATIVES)


def test_keyword_arguments_of_ros_stand_in_the_tables():
    methods = {name: words for table in MEMBERS.values() for name, words in table.items()}
    unknown = []
    for path, nodes in sources().items():
        functions = {}
        for local, name, _ in imported(nodes):
            functions[local] = functions.get(local, '') + ' ' + KEYWORDS.get(name, '')
        for call in nodes:
            if not isinstance(call, ast.Call):
                continue
            if isinstance(call.func, ast.Name):
                known = functions.get(call.func.id)
            elif getattr(getattr(call.func, 'value', None), 'id', '') == 'rclpy':
                known = KEYWORDS.get('rclpy.' + call.func.attr, '')
            else:
                known = methods.get(getattr(call.func, 'attr', ''))
            if known is not None:
                words = {word.arg for word in call.keywords if word.arg}
                unknown += [(path, call.lineno, word) for word in words - set(known.split())]
    assert not unknown, 'enter what is new, if Humble has it'


def test_no_other_private_name_of_ros_is_used():
    found = {
        (path, node.attr)
        for path, nodes in sources().items()
        for node in nodes
        if isinstance(node, ast.Attribute) and re.match('_[a-z]', node.attr)
        # os._exit is documented, and so are the names of a namedtuple.
        if getattr(node.value, 'id', '') not in ('self', 'os') and node.attr != '_fields'
    }
    assert found == {
        ('facial_emotion_ros/ros/parameters.py', PRIVATE),
        # Overridden; in Humble it has one more parameter, which is passed on.
        ('facial_emotion_ros/ros/process.py', '_make_handler'),
    }


@pytest.mark.parametrize('package', ['launch', 'launch_ros', 'rclpy'])
def test_every_entry_exists_where_ros_is_installed(package):
    # Not `launch` itself: the checkout has a folder of that name.
    pytest.importorskip(
        {'rclpy': 'rclpy.node'}.get(package, package + '.actions'), reason=package + ' is not installed'
    )
    names = dotted_names(NAMES)
    if importlib.util.find_spec('rclpy.event_handler'):  # else those of Humble stand in their place
        names |= {name for name in KEYWORDS if name.startswith('rclpy.event_handler.')}
    for name in [name for name in names if name.split('.')[0] == package]:
        words = KEYWORDS.get(name, '').split()
        assert set(words) <= accepted(looked_up(name)) if words else looked_up(name), name
    for name in [name for name in MEMBERS if name.split('.')[0] == package]:
        kind = looked_up(name)
        assert set(MEMBERS[name]) <= members(kind), name
        for method, words in MEMBERS[name].items():
            assert not words or set(words.split()) <= accepted(getattr(kind, method)), method


def test_nodes_use_what_stands_in_the_table_and_override_nothing_else_of_rclpy():
    pytest.importorskip('rclpy', reason='rclpy is not installed: scripts/setup does that')
    kind = looked_up(LIFECYCLE_NODE)
    theirs = members(kind)
    assert PRIVATE in theirs
    used = set()
    for nodes in sources().values():
        used |= {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ('node', 'self._node')
        }
        for ours in nodes:
            if isinstance(ours, ast.ClassDef) and {'Node', 'LifecycleNode'} & {
                ast.unparse(base) for base in ours.bases
            }:
                inside = list(ast.walk(ours))
                of_self = [
                    node for node in inside if isinstance(node, ast.Attribute) and ast.unparse(node.value) == 'self'
                ]
                own = {node.name for node in ours.body if isinstance(node, ast.FunctionDef)}
                own |= {node.attr for node in of_self if isinstance(node.ctx, ast.Store)}
                callbacks = {name for name in own if name.startswith('on_')}
                assert own & theirs - callbacks == {'__init__'}, ours.name
                used |= {node.attr for node in of_self} - own
    assert used & theirs - {PRIVATE} == set(MEMBERS[LIFECYCLE_NODE]), 'enter what is new, if Humble has it'


@pytest.mark.parametrize(
    'module, is_of_ros',
    [('rclpy.exceptions', True), ('_rclpy_pybind11', True), ('rclpy._rclpy_nanobind', True), ('builtins', False)],
)
def test_errors_of_ros_are_known_whatever_binds_its_native_part(module, is_of_ros):
    pytest.importorskip('rclpy', reason='rclpy is not installed: scripts/setup does that')
    from facial_emotion_ros.ros.process import is_ros_error

    assert is_ros_error(type('RCLError', (RuntimeError,), {'__module__': module})()) is is_of_ros
