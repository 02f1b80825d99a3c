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


def detection(head, name, box, hypotheses):
    """Make a vision_msgs/Detection2D of a face.

    :param head: std_msgs/Header.
    :param name: id of the face.
    :param box: x0, y0, x1, y1 in px.
    :param hypotheses: list of (word, score).
    """
    x0, y0, x1, y1 = box
    middle = make('vision_msgs/msg/Point2D', x=(x0 + x1) / 2, y=(y0 + y1) / 2)
    place = make('vision_msgs/msg/BoundingBox2D', center=make('vision_msgs/msg/Pose2D', position=middle),
                 size_x=x1 - x0, size_y=y1 - y0)
    results = [make('vision_msgs/msg/ObjectHypothesisWithPose', pose=_no_pose(), hypothesis=make(
        'vision_msgs/msg/ObjectHypothesis', class_id=word, score=float(score))) for word, score in hypotheses]
    return make('vision_msgs/msg/Detection2D', header=head, id=name, bbox=place, results=results)


@functools.cache
def _no_pose():
    """Make the pose that stands for none, as ROS makes it: no turn."""
    upright = make('geometry_msgs/msg/Quaternion', w=1.0)
    return make('geometry_msgs/msg/PoseWithCovariance', pose=make('geometry_msgs/msg/Pose', orientation=upright))


def stamp_of(message, receive_ns):
    """Give a message's stamp in nanoseconds; when it was recorded, where it is not stamped."""
    return message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec or receive_ns


def as_ros2(message, msgtype):
    """Turn a message of ROS 1 into the same of ROS 2, field by field; what ROS 2 lacks, such as header.seq, goes.

    :param message: rosbags' message.
    :param msgtype: its type.
    :returns: a message of :func:`typestore`.
    :raises BadBag: if ROS 2 has no such type, or other fields.
    """
    store = typestore()
    if msgtype not in store.fielddefs:
        raise BadBag(f'expected a message type that ROS 2 has too, got {msgtype}')
    values = {}
    for name, (node, details) in store.fielddefs[msgtype][1]:
        old = {'d': 'D', 'k': 'K', 'r': 'R', 'p': 'P'}.get(name, name)
        if not hasattr(message, name) and not hasattr(message, old):
            raise BadBag(f'expected a field {name} in {msgtype}, which ROS 1 does not know')
        value = getattr(message, name) if hasattr(message, name) else getattr(message, old)
        if node.name == 'NAME':
            value = as_ros2(value, details)
        elif node.name in ('ARRAY', 'SEQUENCE') and details[0][0].name == 'NAME':
            value = [as_ros2(each, details[0][1]) for each in value]
        values[name] = value
    return make(msgtype, **values)


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
