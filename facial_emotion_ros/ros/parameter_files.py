"""The table of parameters as a parameter file and as documentation; a test compares the three.

`python -m facial_emotion_ros.ros.parameter_files yaml` (or `markdown`) prints what config/emotion_node.yaml and
docs/parameters.md hold.
"""

import sys
import textwrap

from facial_emotion_ros.ros.parameters import TABLE, expected


def as_yaml():
    """Print the table as a parameter file that sets nothing: every line that would is commented out.

    A launch loads it after what SetParameter gives, so a default that it set would win over that.

    :returns: text of config/emotion_node.yaml.
    """
    lines = textwrap.wrap(
        'Every parameter of emotion_node with its default, to copy from. Nothing is set here, so that SetParameter of '
        'a launch file holds: take away the # before what you set otherwise, and before the two lines that begin it. '
        'Made from the table in facial_emotion_ros/ros/parameters.py by: '
        'python3 -m facial_emotion_ros.ros.parameter_files yaml', 116, initial_indent='# ', subsequent_indent='# ',
        break_on_hyphens=False)
    lines += ['#/**:', '#  ros__parameters:']
    for parameter in TABLE:
        note = '%s Must be %s%s.' % (
            parameter.description, expected(parameter), '' if parameter.live else '; read-only')
        lines += textwrap.wrap(note, 116, initial_indent='#    # ', subsequent_indent='#    # ',
                               break_on_hyphens=False)
        lines.append('#    %s: %s' % (parameter.name, _literal(parameter.default)))
    return '\n'.join(lines) + '\n'


def as_markdown():
    """Print the table for the documentation.

    :returns: a Markdown table, one row a parameter.
    """
    lines = ['| Parameter | Default | Values | Live | What it does |', '|---|---|---|---|---|']
    for parameter in TABLE:
        lines.append('| `%s` | `%s` | %s | %s | %s |' % (
            parameter.name, _literal(parameter.default), expected(parameter), 'yes' if parameter.live else 'no',
            parameter.description))
    return '\n'.join(lines) + '\n'


def _literal(value):
    """Write a default as YAML does."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, list):
        return '[%s]' % ', '.join("'%s'" % item for item in value)
    return "'%s'" % value if isinstance(value, str) else str(value)


if __name__ == '__main__':
    sys.stdout.write({'yaml': as_yaml, 'markdown': as_markdown}[sys.argv[1]]())
