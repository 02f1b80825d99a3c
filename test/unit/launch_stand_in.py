"""What a launch file gives its nodes, where launch and launch_ros are not installed: stand-ins for what ours use.

Source of the behaviour: ros2/launch and ros2/launch_ros, branch jazzy. test/ros/test_launch.py runs the real ones.
"""

import importlib.util
import os
import sys
import types

from places import ROOT


class LaunchConfiguration:
    """The value of an argument."""

    def __init__(self, name):
        self.name = name

    def perform(self, context):
        """Return it as text."""
        context.used.add(self.name)
        return context[self.name]


class DeclareLaunchArgument:
    """Sets a default, and refuses what is no choice."""

    def __init__(self, name, default_value, description, choices=None):
        self.name, self.default, self.choices, self.description = name, default_value, choices, description
        assert choices is None or default_value in choices

    def visit(self, context):
        """Declare it."""
        context.declared.append(self)
        context.setdefault(self.name, perform(self.default, context))
        if self.choices is not None and context[self.name] not in self.choices:
            raise RuntimeError('Argument "%s" provided value "%s" is not valid.' % (self.name, context[self.name]))
        return []


class OpaqueFunction:
    """Calls a function when the arguments are known."""

    def __init__(self, function):
        self._function = function

    def visit(self, context):
        """Call it, and go on with what it returns."""
        return _visit(self._function(context) or [], context)


class IncludeLaunchDescription:
    """Goes on with another file."""

    def __init__(self, source, launch_arguments):
        self._path, self._arguments = source, launch_arguments

    def visit(self, context):
        """Pass the arguments on, and do what the file describes."""
        context.update((name, perform(value, context)) for name, value in self._arguments)
        return _visit(_load(perform(self._path, context)).generate_launch_description(), context)


class Node:
    """Keeps what it is given."""

    def __init__(self, **given):
        self._given = given

    def visit(self, context):
        """Return it, with all values performed."""
        return [perform(self._given, context)]


class RegisterEventHandler:
    """Keeps what is done when something happens."""

    def __init__(self, handler):
        self._handler = handler

    def visit(self, context):
        """Note it."""
        context.handlers.append(self._handler)
        return []


class _Nothing:
    """Stands for all that starts no node."""

    def __init__(self, *_given, **_named):
        pass

    def visit(self, _context):
        """Do nothing."""
        return []


class _Share:
    def __init__(self, _package):
        pass

    def perform(self, _context):
        return ROOT


class _Join:
    def __init__(self, parts):
        self._parts = parts

    def perform(self, context):
        return os.path.join(*(perform(part, context) for part in self._parts))


class ParameterValue:
    """A value of a type."""

    def __init__(self, value, value_type):
        self._value, self._type = value, value_type

    def perform(self, context):
        """Return it in its type."""
        return self._type(perform(self._value, context))


_MODULES = {
    'launch': {'LaunchDescription': list},
    'launch.actions': {
        'DeclareLaunchArgument': DeclareLaunchArgument,
        'IncludeLaunchDescription': IncludeLaunchDescription,
        'OpaqueFunction': OpaqueFunction,
        'EmitEvent': _Nothing,
        'ExecuteProcess': _Nothing,
        'RegisterEventHandler': RegisterEventHandler,
        'TimerAction': _Nothing,
    },
    'launch.event_handlers': {'OnProcessExit': types.SimpleNamespace, 'OnProcessIO': types.SimpleNamespace},
    'launch.events': {'Shutdown': _Nothing, 'matches_action': _Nothing},
    'launch.events.process': {'ShutdownProcess': _Nothing},
    'launch.launch_description_sources': {'PythonLaunchDescriptionSource': lambda path: path},
    'launch.substitutions': {'LaunchConfiguration': LaunchConfiguration, 'PathJoinSubstitution': _Join},
    'launch_ros': {},
    'launch_ros.actions': {'Node': Node},
    'launch_ros.parameter_descriptions': {'ParameterValue': ParameterValue},
    'launch_ros.substitutions': {'FindPackageShare': _Share},
}


def perform(value, context):
    """Replace every substitution inside of a value by what it stands for."""
    if hasattr(value, 'perform'):
        return value.perform(context)
    if isinstance(value, dict):
        return {name: perform(inner, context) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(perform(inner, context) for inner in value)
    return value


class Context(dict):
    """The arguments by name; which were declared, and which were read; handlers of events."""

    def __init__(self, arguments):
        super().__init__(arguments)
        self.declared, self.used, self.handlers = [], set(), []
        self.launch_configurations = self


def launched(monkeypatch, name, **arguments):
    """Launch a file.

    :param monkeypatch: of pytest.
    :param name: of the file.
    :param arguments: str each.
    :returns: (the keyword arguments of each Node, in order; Context).
    :raises RuntimeError: for an argument that is no choice.
    """
    for module, names in _MODULES.items():
        made = types.ModuleType(module)
        vars(made).update(names)
        monkeypatch.setitem(sys.modules, module, made)
    ours = 'facial_emotion_ros.ros.launch_actions'
    monkeypatch.setitem(sys.modules, ours, _load(os.path.join(ROOT, *ours.split('.')) + '.py'))
    context = Context(arguments)
    nodes = _visit(_load(os.path.join(ROOT, 'launch', name)).generate_launch_description(), context)
    return nodes, context


def nodes_of(monkeypatch, name, **arguments):
    """Return the first of what `launched` returns."""
    return launched(monkeypatch, name, **arguments)[0]


def _load(path):
    """Run a module anew."""
    spec = importlib.util.spec_from_file_location('launch_file', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _visit(entities, context):
    return [node for entity in entities for node in entity.visit(context)]
