"""The messages that recordings hold, for rosbags: ROS 2's own, and our part of vision_msgs and hri_msgs."""

import functools
import glob
import os

from facial_emotion_ros.errors import BadBag
from facial_emotion_ros.installed_files import find_shared

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
EXPRESSION = 'hri_msgs/msg/Expression'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'


def require_rosbags():
    """Make sure that the rosbags library is there.

    :raises BadBag: if it is not, with what to do.
    """
    try:
        import rosbags  # noqa: F401, is only looked for
    except ImportError as error:
        raise BadBag('reading and writing recordings needs the Python package rosbags, which is not installed: '
                     'pip install rosbags (Python 3.10 and up)') from error


@functools.cache
def typestore():
    """Give the definitions of messages: ROS 2 Jazzy's, and our part of vision_msgs and hri_msgs.

    :returns: rosbags' Typestore, to be looked into, not changed.
    :raises BadBag: if rosbags is not installed.
    """
    require_rosbags()
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store, found = get_typestore(Stores.ROS2_JAZZY), {}
    for path in sorted(glob.glob(os.path.join(find_shared('messages'), '*', 'msg', '*.msg'))):
        package = os.path.basename(os.path.dirname(os.path.dirname(path)))
        with open(path, encoding='utf-8') as file:
            name = os.path.splitext(os.path.basename(path))[0]
            found.update(get_types_from_msg(file.read(), f'{package}/msg/{name}'))
    store.register(found)
    return store


def make(msgtype, **values):
    """Make a message with the given fields, all others at their defaults.

    :param msgtype: such as IMAGE.
    :returns: a message of :func:`typestore`.
    """
    return typestore().types[msgtype](**{name: values[name] if name in values else _default(kind)
                                         for name, kind in typestore().fielddefs[msgtype][1]})


def stamp(nanoseconds):
    """Make a builtin_interfaces/Time of nanoseconds."""
    return make('builtin_interfaces/msg/Time', sec=int(nanoseconds // 10 ** 9), nanosec=int(nanoseconds % 10 ** 9))


def header(nanoseconds, frame_id=''):
    """Make a std_msgs/Header."""
    return make('std_msgs/msg/Header', stamp=stamp(nanoseconds), frame_id=frame_id)


def stamp_of(message, receive_ns):
    """Give a message's stamp in nanoseconds; when it was recorded, where it is not stamped."""
    return message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec or receive_ns


def _default(kind):
    """Give a field's default: zero, '', or empty."""
    import numpy as np

    node, details = kind
    if node.name == 'BASE':
        name = details[0]
        return '' if name in ('string', 'wstring') else False if name == 'bool' else 0.0 if 'float' in name else 0
    if node.name == 'NAME':
        return make(details)
    (inner, inner_details), length = details
    if inner.name == 'BASE' and inner_details[0] not in ('string', 'wstring'):
        return np.zeros(length if node.name == 'ARRAY' else 0, inner_details[0].replace('octet', 'uint8'))
    return [_default((inner, inner_details)) for _ in range(length if node.name == 'ARRAY' else 0)]
