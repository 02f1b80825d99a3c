"""Generate the parameter file and its documentation from the table of parameters; a test compares them.

`python -m facial_emotion_ros.ros.parameter_files yaml` (or `markdown`) prints the content of config/emotion_node.yaml
(or of docs/parameters.md).
"""

import sys
import textwrap
from typing import Any

from facial_emotion_ros.ros.parameters import TABLE, expected


def as_yaml() -> str:
    """Return the content of config/emotion_node.yaml: every parameter, commented out.

    A launch applies the file after SetParameter, so a default in it would override SetParameter.
    """
    lines = _comment(
        '#',
        'Every parameter of emotion_node with its default. All are commented out, so that SetParameter in a launch '
        'file takes effect: uncomment what you change, and the first two lines. Generated from '
        'facial_emotion_ros/ros/parameters.py by: python3 -m facial_emotion_ros.ros.parameter_files yaml',
    )
    lines += ['#/**:', '#  ros__parameters:']
    for row in TABLE:
        note = '%s Must be %s%s.' % (row.description, expected(row), '' if row.live else '; read-only')
        lines += _comment('#    #', note) + ['#    %s: %s' % (row.name, _literal(row.default))]
    return '\n'.join(lines) + '\n'


def as_markdown() -> str:
    """Return the table of docs/parameters.md."""
    lines = ['| Parameter | Default | Values | Live | What it does |', '|---|---|---|---|---|']
    for row in TABLE:
        cells = '`%s`' % row.name, '`%s`' % _literal(row.default), expected(row), 'yes' if row.live else 'no'
        lines.append('| %s | %s |' % (' | '.join(cells), row.description))
    return '\n'.join(lines) + '\n'


def _comment(mark, text):
    indent = mark + ' '
    return textwrap.wrap(text, 116, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _literal(value: Any) -> str:
    """Format a default as YAML."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, list):
        return '[%s]' % ', '.join("'%s'" % item for item in value)
    return "'%s'" % value if isinstance(value, str) else str(value)


if __name__ == '__main__':
    sys.stdout.write({'yaml': as_yaml, 'markdown': as_markdown}[sys.argv[1]]())
