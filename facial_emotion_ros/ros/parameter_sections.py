"""Which parameter files of a command line have nothing for a node: ROS leaves them out without a word."""

import re

#: So many sections of a file are listed.
_LISTED = 5


def unused_files(arguments, node_name):
    """Find the parameter files whose sections are all for other nodes.

    :param arguments: the command line of the process.
    :param node_name: full name of the node.
    :returns: list of (path, sections that it has). A file without any section is no such file, and neither is one that
        cannot be read: ROS refuses that one itself.
    """
    unused = []
    for word, path in zip(arguments, arguments[1:]):
        if word == '--params-file':
            sections = _sections_of(path)
            if sections and not any(_is_for(section, node_name) for section in sections):
                unused.append((path, sections))
    return unused


def warn_unused_files(node, arguments):
    """Log a warning for each parameter file that has nothing for a node.

    :param node: rclpy node.
    :param arguments: the command line of the process.
    """
    name = node.get_fully_qualified_name()
    for path, sections in unused_files(arguments, name):
        shown = ', '.join(sections[:_LISTED]) + (' and %d more' % (len(sections) - _LISTED)) * (len(sections) > _LISTED)
        node.get_logger().warning(
            'Parameter file %s sets nothing for this node: expected a section /**, %s or /**/%s, got %s. Correct the '
            'section, or give this node a params_file of its own: an earlier include in the same launch, such as that '
            'of Nav2, leaves its params_file to all that follow.' % (path, name, name.rpartition('/')[2], shown))


def _sections_of(path):
    """Return the patterns of nodes' names in a parameter file."""
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


def _is_for(section, node_name):
    """Match as rcl does: ** is any number of parts of a name, * is one."""
    parts = {'**': '(/[^/]+)*', '*': '/[^/]+'}
    pattern = ''.join(parts.get(part, '/' + re.escape(part)) for part in section.strip('/').split('/'))
    return re.match(pattern + r'\Z', node_name) is not None
