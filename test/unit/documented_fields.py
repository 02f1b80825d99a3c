"""Compares tables and JSON files with docs/columns.md."""

import re

from places import read


def section(name):
    """Give the text below a heading of docs/columns.md."""
    return read('docs', 'columns.md').partition(f'## {name}\n')[2].partition('\n## ')[0]


def fields(value, path=''):
    """List the paths of all values in a JSON file: lists of objects as name[]."""
    if isinstance(value, dict) and value:
        return {each for key, child in value.items() for each in fields(child, f'{path}.{key}' if path else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict) and not path.endswith('longest'):
        return {each for child in value for each in fields(child, path + '[]')}
    return {path}


def undocumented(name, value):
    """List the fields of a JSON file that docs/columns.md lacks, and those that only the page has."""
    names = re.findall(r'^\| `([^`]+)` \|', section(name), re.MULTILINE)
    patterns = {
        each: re.compile(re.sub(r'<\w+>', '.+', re.escape(each)).replace(r'\*', '.+') + r'\Z') for each in names
    }
    found = fields(value)
    lacking = {
        path
        for path in found
        if not any(
            pattern.match(path) or name.startswith((f'{path}.', f'{path}[')) for name, pattern in patterns.items()
        )
    }
    surplus = {each for each, pattern in patterns.items() if not any(map(pattern.match, found))}
    return lacking, surplus
