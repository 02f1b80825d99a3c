"""Message definitions for rosbags, and functions that create and convert messages."""

import functools
import glob
import os
from collections.abc import Iterable, Sequence
from typing import Any

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.core.resources import find_shared

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
EXPRESSION = 'hri_msgs/msg/Expression'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
FFMPEG_PACKET = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'
COMPRESSED_VIDEO = 'foxglove_msgs/msg/CompressedVideo'
THEORA = 'theora_image_transport/msg/Packet'

#: Image message types, from lossless to lossy.
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE, FFMPEG_PACKET, COMPRESSED_VIDEO, THEORA)

#: Definitions of video message types, for recordings that do not contain them.
_OF_VIDEO = {
    FFMPEG_PACKET: 'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n'
    'bool is_bigendian\nuint8[] data',
    COMPRESSED_VIDEO: 'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format',
    THEORA: 'std_msgs/Header header\nuint8[] data\nint32 b_o_s\nint32 e_o_s\nint64 granulepos\nint64 packetno',
}


def require_rosbags() -> None:
    """Raise BadBag, with the command that installs it, if rosbags is not installed."""
    try:
        import rosbags  # noqa: F401
    except ImportError as error:
        raise BadBag(
            'reading and writing recordings needs the Python package rosbags, which is not installed: '
            'pip install rosbags (Python 3.10 and up)'
        ) from error


@functools.cache
def typestore() -> Any:
    """Return the message definitions of ROS 2 Jazzy, of video packets, and of this package's `messages` folder.

    :returns: rosbags Typestore, shared by all callers: do not change it.
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
    for msgtype, text in _OF_VIDEO.items():
        found.update(get_types_from_msg(text, msgtype))
    store.register(found)
    return store


def make(msgtype: str, **values: Any) -> Any:
    """Create a message of :func:`typestore` with the given fields, all others at their defaults."""
    return typestore().types[msgtype](
        **{name: values[name] if name in values else _default(kind) for name, kind in typestore().fielddefs[msgtype][1]}
    )


def stamp(nanoseconds: int) -> Any:
    """Create a builtin_interfaces/Time from nanoseconds."""
    return make('builtin_interfaces/msg/Time', sec=int(nanoseconds // 10**9), nanosec=int(nanoseconds % 10**9))


def header(nanoseconds: int, frame_id: str = '') -> Any:
    """Create a std_msgs/Header."""
    return make('std_msgs/msg/Header', stamp=stamp(nanoseconds), frame_id=frame_id)


def make_image(head: Any, pixels: Any) -> Any:
    """Create a sensor_msgs/Image.

    :param head: std_msgs/Header.
    :param pixels: (H, W, 3) uint8 BGR.
    """
    height, width = pixels.shape[:2]
    return make(
        IMAGE, header=head, height=height, width=width, encoding='bgr8', step=3 * width, data=pixels.reshape(-1)
    )


def detection(head: Any, name: str, box: Sequence[float], hypotheses: Iterable[tuple[str, float]]) -> Any:
    """Create a vision_msgs/Detection2D of a face.

    :param head: std_msgs/Header.
    :param name: face id.
    :param box: x0, y0, x1, y1 in px.
    :param hypotheses: (class id, score) pairs.
    """
    x0, y0, x1, y1 = box
    middle = make('vision_msgs/msg/Point2D', x=(x0 + x1) / 2, y=(y0 + y1) / 2)
    place = make(
        'vision_msgs/msg/BoundingBox2D',
        center=make('vision_msgs/msg/Pose2D', position=middle),
        size_x=x1 - x0,
        size_y=y1 - y0,
    )
    results = [
        make(
            'vision_msgs/msg/ObjectHypothesisWithPose',
            pose=_no_pose(),
            hypothesis=make('vision_msgs/msg/ObjectHypothesis', class_id=word, score=float(score)),
        )
        for word, score in hypotheses
    ]
    return make('vision_msgs/msg/Detection2D', header=head, id=name, bbox=place, results=results)


@functools.cache
def _no_pose():
    """Create the default pose of ROS: no rotation."""
    upright = make('geometry_msgs/msg/Quaternion', w=1.0)
    return make('geometry_msgs/msg/PoseWithCovariance', pose=make('geometry_msgs/msg/Pose', orientation=upright))


def stamp_of(message: Any, receive_ns: int) -> int:
    """Return a message's stamp in nanoseconds, or the time of recording if its stamp is 0."""
    taken = message.header.stamp if hasattr(message, 'header') else message.timestamp
    return taken.sec * 10**9 + taken.nanosec or receive_ns


def as_ros2(message: Any, msgtype: str) -> Any:
    """Convert a ROS 1 message to ROS 2, field by field; fields that ROS 2 lacks, such as header.seq, are dropped.

    :param message: rosbags message.
    :param msgtype: its type.
    :returns: message of :func:`typestore`.
    :raises BadBag: if ROS 2 lacks this type, or has fields that the message lacks.
    """
    store = typestore()
    if msgtype not in store.fielddefs:
        raise BadBag(f'expected a message type that exists in ROS 2, got {msgtype}')
    values = {}
    for name, (node, details) in store.fielddefs[msgtype][1]:
        old = {'d': 'D', 'k': 'K', 'r': 'R', 'p': 'P'}.get(name, name)
        if not hasattr(message, name) and not hasattr(message, old):
            raise BadBag(f'expected a field {name} in {msgtype}, which the ROS 1 message does not have')
        value = getattr(message, name) if hasattr(message, name) else getattr(message, old)
        if node.name == 'NAME':
            value = as_ros2(value, details)
        elif node.name in ('ARRAY', 'SEQUENCE') and details[0][0].name == 'NAME':
            value = [as_ros2(each, details[0][1]) for each in value]
        values[name] = value
    return make(msgtype, **values)


def _default(kind):
    """Return a field's default: zero, '', or empty."""
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
