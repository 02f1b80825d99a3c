"""CPU model and flags from /proc/cpuinfo; empty where the kernel does not list them."""

import re
from typing import List, Set


def cpuinfo(path: str = '/proc/cpuinfo') -> str:
    """Return the content of /proc/cpuinfo; '' where there is none."""
    try:
        with open(path, encoding='utf-8', errors='replace') as stream:
            return stream.read()
    except OSError:
        return ''


def model_name(text: str) -> str:
    """Return the first processor's name from :func:`cpuinfo`'s text; '' where there is none, as on Arm."""
    found = re.search(r'^model name\s*:(.*)$', text, re.MULTILINE)
    return found.group(1).strip() if found else ''


def flags(text: str) -> List[Set[str]]:
    """Return each processor's instruction set flags from :func:`cpuinfo`'s text."""
    return [set(line.split()) for line in re.findall(r'^(?:flags|Features)\s*:(.*)$', text, re.MULTILINE)]
