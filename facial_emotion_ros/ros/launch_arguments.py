"""Parse launch arguments: booleans, and several cameras in one line. Does not import ROS."""

import re
from typing import Dict, List, Mapping, NamedTuple

from facial_emotion_ros.core.errors import BadParameter

#: Accepted spellings, of ROS, Python and Nav2: a refused argument would end the launch of the whole robot.
BOOLEANS = ('true', 'false', 'True', 'False', '1', '0')
#: Additionally '': the parameter is as in files or SetParameter.
OPTIONAL_BOOLEANS = ('',) + BOOLEANS

_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')
_TOPIC = re.compile(r'/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*\Z')


def is_true(text: str) -> bool:
    """Parse one of BOOLEANS."""
    return text in ('true', 'True', '1')


def logger_name(node: str, *namespaces: str) -> str:
    """Return the name of a node's logger, to set the log level of this node only.

    :param node: its name.
    :param namespaces: from the outermost; one that starts with a slash replaces those before it.
    """
    full_name = ''
    for namespace in namespaces + (node,):
        full_name = namespace if namespace.startswith('/') else '%s/%s' % (full_name, namespace)
    return '.'.join(part for part in full_name.split('/') if part)


def given_booleans(texts: Mapping[str, str]) -> Dict[str, bool]:
    """Return the parameters that arguments set.

    :param texts: parameter -> one of OPTIONAL_BOOLEANS.
    :returns: parameter -> value, except those that are ''.
    """
    return {name: is_true(text) for name, text in texts.items() if text}


class NamedCamera(NamedTuple):
    """One camera, and the names of its node and faces."""

    #: Namespace of the node and of its relative topics.
    name: str
    #: Topic of its images; relative to the namespace unless it starts with a slash.
    image_topic: str
    #: Prefix of its ROS4HRI topics, different for each node.
    humans_prefix: str


def read_cameras(text: str) -> List[NamedCamera]:
    """Parse cameras like 'front=/front/image_raw rear=/rear/image_raw'.

    :param text: name=topic pairs separated by spaces or commas; the topic is image_raw if omitted.
    :returns: in the order of the text.
    :raises BadParameter: without a camera, for an invalid name or topic, or a name that occurs twice.
    """
    cameras: List[NamedCamera] = []
    for word in text.replace(',', ' ').split():
        name, equals, topic = word.partition('=')
        topic = topic if equals else 'image_raw'
        if not _NAME.match(name) or not _TOPIC.match(topic):
            raise BadParameter(
                'expected cameras like front=/front/image_raw, got %r; write name=topic, with letters, digits and '
                'underscores, not starting with a digit' % word
            )
        if name in [camera.name for camera in cameras]:
            raise BadParameter('expected each camera once, got %r twice; give each its own name' % name)
        cameras.append(NamedCamera(name, topic, '/%s/humans' % name))
    if not cameras:
        raise BadParameter('expected at least one camera, like front=/front/image_raw, got %r' % text)
    return cameras
