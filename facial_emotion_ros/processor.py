"""What the kernel says of the processor; nothing of it where it says nothing."""

import re
from typing import List, Set


def cpuinfo(path: str = '/proc/cpuinfo') -> str:
    """Return the kernel's text about the processors; '' where there is none.

    :param path: the file that holds it.
    """
    try:
        with open(path, encoding='utf-8', errors='replace') as stream:
            return stream.read()
    except OSError:
        return ''


def model_name(text: str) -> str:
    """Return the name of the first processor; '' where the text has none, as on Arm.

    :param text: of :func:`cpuinfo`.
    """
    found = re.search(r'^model name\s*:(.*)$', text, re.MULTILINE)
    return found.group(1).strip() if found else ''


def flags(text: str) -> List[Set[str]]:
    """Return the instruction sets of each processor, by the kernel's names.

    :param text: of :func:`cpuinfo`.
    """
    return [set(line.split()) for line in re.findall(r'^(?:flags|Features)\s*:(.*)$', text, re.MULTILINE)]
