"""Find parameters and parameter files that ROS would ignore, or refuse without naming them."""

import difflib
import re
from typing import Any, Collection, Iterable, List, Mapping, Sequence, Tuple

from facial_emotion_ros.core.errors import BadParameter

_QOS_PREFIX = 'qos_overrides.'

#: QoS policy -> valid values of its override.
_QOS_VALUES = {
    'reliability': ('reliable', 'best_effort', 'best_available', 'system_default'),
    'durability': ('volatile', 'transient_local', 'best_available', 'system_default'),
    'history': ('keep_last', 'keep_all', 'system_default'),
    'liveliness': ('automatic', 'manual_by_topic', 'best_available', 'system_default'),
}
#: QoS policy with an integer override (queue length, or nanoseconds) -> the maximum that rclpy accepts.
_QOS_NUMBERS = {'depth': 2**31 - 1, 'deadline': 2**63 - 1, 'liveliness_lease_duration': 2**63 - 1}

#: Parameters that rclpy itself declares.
_OF_RCLPY = ('use_sim_time', 'start_type_description_service')

#: Maximum number of sections of a file in a warning.
_LISTED = 5


def qos_faults(given: Mapping[str, Any]) -> List[BadParameter]:
    """Find QoS overrides with invalid values; rclpy's own error does not name the parameter.

    :param given: name -> value of the parameters from files and the command line.
    :returns: one error for each, sorted by name.
    """
    faults = []
    for name in sorted(given):
        policy, value = name.rpartition('.')[2], given[name]
        values = _QOS_VALUES.get(policy, ())
        if not name.startswith(_QOS_PREFIX) or not values and policy not in _QOS_NUMBERS:
            continue
        if values:
            fits, expected = isinstance(value, str) and value.lower() in values, 'one of ' + ', '.join(values)
        else:
            most = _QOS_NUMBERS[policy]
            fits, expected = type(value) is int and 0 <= value <= most, 'an integer from 0 to %d' % most
        if not fits:
            faults.append(BadParameter('Parameter %s must be %s, but is %r.' % (name, expected, value)))
    return faults


def unknown_names(names: Iterable[str], known: Collection[str]) -> List[Tuple[str, str]]:
    """Find parameters that the node does not have.

    :param names: of the parameters from files and the command line.
    :param known: names in the node's table.
    :returns: (name, the most similar known name or ''), sorted by name.
    """
    unknown = []
    for name in sorted(names):
        if name.startswith(_QOS_PREFIX) and name.endswith('.subscription.reliability'):
            unknown.append((name, 'input.reliability'))
        elif name not in known and name not in _OF_RCLPY and not name.startswith(_QOS_PREFIX):
            unknown.append((name, ''.join(difflib.get_close_matches(name, known, n=1))))
    return unknown


def unknown_overrides(names: Iterable[str], known: Collection[str]) -> List[Tuple[str, str]]:
    """Find QoS overrides that no topic has.

    :param names: of the parameters from files and the command line.
    :param known: names of the existing overrides.
    :returns: as `unknown_names`, without those that it finds.
    """
    unknown = [name for name in sorted(names) if name.startswith(_QOS_PREFIX) and name not in known]
    return [
        (name, ''.join(difflib.get_close_matches(name, known, n=1)))
        for name in unknown
        if not unknown_names([name], ())
    ]


def unused_files(arguments: Sequence[str], node_name: str) -> List[Tuple[str, List[str]]]:
    """Find the parameter files whose sections are all for other nodes.

    :param arguments: command line of the process.
    :param node_name: full name of the node.
    :returns: (path, its sections); without empty files, and without unreadable ones, which ROS refuses.
    """
    unused = []
    for word, path in zip(arguments, arguments[1:]):
        if word == '--params-file':
            sections = _sections_of(path)
            if sections and not any(_matches(section, node_name) for section in sections):
                unused.append((path, sections))
    return unused


def warn_unused_files(node: Any, arguments: Sequence[str]) -> None:
    """Log a warning for each parameter file that sets nothing for a node.

    :param node: rclpy node.
    :param arguments: command line of the process.
    """
    name = node.get_fully_qualified_name()
    for path, sections in unused_files(arguments, name):
        more = ' and %d more' % (len(sections) - _LISTED) if len(sections) > _LISTED else ''
        node.get_logger().warning(
            'Parameter file %s sets nothing for this node: expected a section /**, %s or /**/%s, got %s. Correct the '
            'section, or set params_file for this node: an earlier include in the same launch, such as that of '
            'Nav2, passes its params_file on to all that follow.'
            % (path, name, name.rpartition('/')[2], ', '.join(sections[:_LISTED]) + more)
        )


def _sections_of(path):
    """Return the node name patterns in a parameter file."""
    import yaml

    try:
        with open(path, encoding='utf-8') as file:
            return list(_sections(yaml.safe_load(file), ''))
    except (OSError, ValueError, yaml.YAMLError):
        return []


def _sections(tree, prefix):
    if isinstance(tree, dict):
        for key, inner in tree.items():
            if key == 'ros__parameters':
                yield prefix
            else:
                yield from _sections(inner, '%s/%s' % (prefix, str(key).strip('/')))


def _matches(section, node_name):
    """Match a section like rcl: ** is any number of name parts, * is one."""
    parts = {'**': '(/[^/]+)*', '*': '/[^/]+'}
    pattern = ''.join(parts.get(part, '/' + re.escape(part)) for part in section.strip('/').split('/'))
    return re.match(pattern + r'\Z', node_name) is not None
