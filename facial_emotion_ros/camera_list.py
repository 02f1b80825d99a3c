"""Several cameras in one line of text, as launch arguments have it. Nothing of ROS is imported."""

import re
from typing import List, NamedTuple

from facial_emotion_ros.errors import BadParameter

_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')
_TOPIC = re.compile(r'/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*\Z')


class NamedCamera(NamedTuple):
    """One camera, and where its node and its faces live."""

    #: Namespace of the node and of its relative topics.
    name: str
    #: Topic of its images; relative to the namespace unless it begins with a slash.
    image_topic: str
    #: Prefix of its ROS4HRI topics, which no two nodes may share.
    humans_prefix: str


def read_cameras(text: str) -> List[NamedCamera]:
    """Read cameras like 'front=/front/image_raw rear=/rear/image_raw'.

    :param text: name=topic pairs with spaces or commas between them; a name alone means its topic image_raw.
    :returns: one for each camera, in the order of the text.
    :raises BadParameter: if there is none, a name or topic that ROS does not take, or a name that comes twice.
    """
    cameras = []
    for word in text.replace(',', ' ').split():
        name, _, topic = word.partition('=')
        topic = topic if '=' in word else 'image_raw'
        if not _NAME.match(name) or not _TOPIC.match(topic):
            raise BadParameter('expected cameras like front=/front/image_raw, got %r; write name=topic, with letters, '
                               'digits and underscores' % word)
        if name in [camera.name for camera in cameras]:
            raise BadParameter('expected each camera once, got %r twice; give each a name of its own' % name)
        cameras.append(NamedCamera(name, topic, '/%s/humans' % name))
    if not cameras:
        raise BadParameter('expected one camera at least, like front=/front/image_raw, got %r' % text)
    return cameras
