"""Read the list of topics to record: config/recording.yaml, or a file like it. Does not import ROS."""

import re
from typing import Any, List, Sequence

from facial_emotion_ros.core.errors import BadParameter

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')

#: image_transport's suffix of compressed images; such a topic is remapped with the image, not by itself.
COMPRESSED = '/compressed'

#: An absolute or relative topic name; * matches one part of it.
_NAME = re.compile(r'/?(?:[A-Za-z_*][A-Za-z0-9_]*/)*[A-Za-z_*][A-Za-z0-9_]*\Z')


def read_profile(path: str) -> List[List[str]]:
    """Read which topics to record.

    :param path: of the file.
    :returns: entries; each lists alternative names, of which the first with a publisher is recorded.
    :raises BadParameter: if it cannot be read, or is not such a list.
    """
    import yaml

    try:
        with open(path, encoding='utf-8') as file:
            content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(
            '%s: expected a profile of topics, but it cannot be read (%s); config/recording.yaml is an example'
            % (path, ' '.join(str(error).split()))
        ) from None
    topics = content.get('topics') if isinstance(content, dict) else None
    if not isinstance(topics, list) or not topics:
        raise BadParameter('%s: expected a list `topics:`, got none; config/recording.yaml is an example' % path)
    return check_entries(topics, path)


def check_entries(topics: Sequence[Any], source: str) -> List[List[str]]:
    """Check topic names.

    :param topics: names, or lists of names.
    :param source: file or option, for the error.
    :returns: see :func:`read_profile`.
    :raises BadParameter: for an invalid name.
    """
    entries = [each if isinstance(each, list) else [each] for each in topics]
    for name in [name for entry in entries for name in entry or ['']]:
        if not isinstance(name, str) or not _NAME.match(name):
            raise BadParameter(
                '%s: expected the name of a topic such as detections or /humans/faces/*/roi, got %r; correct it'
                % (source, name)
            )
    return entries


def pattern_of(name: str) -> str:
    """Return a regular expression for an absolute topic name, which may contain *."""
    # re.escape of Python 3.6 escapes a slash, too.
    return '[^/]+'.join(re.escape(part).replace('\\/', '/').replace('\\_', '_') for part in name.split('*'))
