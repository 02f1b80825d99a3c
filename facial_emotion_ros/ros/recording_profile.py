"""Which topics are recorded: config/recording.yaml, or a file of that form. Nothing of ROS is imported."""
import re
from typing import List, Sequence

from facial_emotion_ros.errors import BadParameter

#: A name of a topic, absolute or relative; * stands for one part of it.
_NAME = re.compile(r'/?(?:[A-Za-z_*][A-Za-z0-9_]*/)*[A-Za-z_*][A-Za-z0-9_]*\Z')

#: What image_transport adds to the name of an image; it is not remapped by itself, but with the image.
COMPRESSED = '/compressed'


def read_profile(path: str) -> List[List[str]]:
    """
    Read which topics shall be recorded.

    :param path: of the file.
    :returns: list of entries; each is the list of names of which the first that somebody publishes is meant.
    :raises BadParameter: it cannot be read, or does not have that form.
    """
    import yaml
    try:
        with open(path, encoding='utf-8') as file:
            content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter('%s: expected a profile of topics, but it cannot be read (%s); config/recording.yaml is one'
                           % (path, ' '.join(str(error).split()))) from None
    topics = content.get('topics') if isinstance(content, dict) else None
    if not isinstance(topics, list) or not topics:
        raise BadParameter('%s: expected a list `topics:`, got none; config/recording.yaml is an example' % path)
    return check_entries(topics, path)


def check_entries(topics: Sequence, where: str) -> List[List[str]]:
    """
    Check names of topics.

    :param topics: names, or lists of names.
    :param where: words for where they come from.
    :returns: as :func:`read_profile`.
    :raises BadParameter: one is no name.
    """
    entries = [each if isinstance(each, list) else [each] for each in topics]
    for name in [name for entry in entries for name in entry or ['']]:
        if not isinstance(name, str) or not _NAME.match(name):
            raise BadParameter("%s: expected the name of a topic such as detections or /humans/faces/*/roi, got %r; "
                               'correct it' % (where, name))
    return entries


def pattern_of(name: str) -> str:
    """
    Write a name as a regular expression.

    :param name: absolute, maybe with *.
    :returns: an expression that the whole name of a topic has to match.
    """
    # re.escape of Python 3.6 puts a backslash before a slash, too.
    return '[^/]+'.join(re.escape(part).replace('\\/', '/').replace('\\_', '_') for part in name.split('*'))
