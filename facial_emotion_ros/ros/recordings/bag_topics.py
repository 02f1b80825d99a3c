"""Convert recorded topics for rclpy: message classes, QoS, and stamps in serialized messages."""

import importlib
import struct
from typing import Any, List, Optional, Sequence

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from facial_emotion_ros.ros.recordings.recording_profile import IMAGE_TYPES

#: Queue length for slow subscribers, of images (a megabyte or more each) and of others.
_KEPT_IMAGES, _KEPT = 20, 200

#: Minimum size in bytes of a serialized message (CDR header), and of one that starts with a std_msgs/Header.
MIN_SIZE, MIN_SIZE_STAMPED = 4, 12


def message_class(msgtype: str) -> Optional[type]:
    """Import the class of a message.

    :param msgtype: such as 'sensor_msgs/msg/Image'.
    :returns: None if its package is not installed.
    """
    package, _, name = msgtype.partition('/msg/')
    try:
        return getattr(importlib.import_module(package + '.msg'), name, None)
    except ImportError:
        return None


def has_header(message_type: Any) -> bool:
    """Return whether a message class starts with a std_msgs/Header."""
    return next(iter(message_type.get_fields_and_field_types().values()), '') == 'std_msgs/Header'


def stamp_of(cdr: bytes) -> int:
    """Return the stamp, in nanoseconds, of a serialized message that starts with a header."""
    sec, nanosec = struct.unpack_from(_stamp_format(cdr), cdr, 4)
    return sec * 10**9 + nanosec


def with_stamp(cdr: bytes, nanoseconds: int) -> bytes:
    """Replace the stamp of a serialized message that starts with a header; seconds are clipped to 32 bits."""
    seconds = max(-(2**31), min(nanoseconds // 10**9, 2**31 - 1))
    stamp = struct.pack(_stamp_format(cdr), seconds, nanoseconds % 10**9)
    return b''.join((cdr[:4], stamp, cdr[12:]))


def _stamp_format(cdr):
    return '<iI' if cdr[1] & 1 else '>iI'  # the second byte of CDR has the byte order


def playing_qos(recorded: Any, msgtype: str) -> QoSProfile:
    """Choose the QoS profile for publishing a recorded topic.

    :param recorded: rosbags' Qos of its publisher; None if unknown.
    :param msgtype: of the topic.
    :returns: as recorded; reliable and volatile if unknown, which is compatible with either reliability.
    """
    reliability, durability, depth = ('', '', 1)
    if recorded is not None:
        reliability, durability, depth = recorded.reliability.name, recorded.durability.name, max(1, recorded.depth)
    latched = durability == 'TRANSIENT_LOCAL'
    # Slow subscribers must lose nothing; later subscribers get as many messages as when it was recorded.
    depth = depth if latched else max(depth, _kept(msgtype))
    return _profile(depth, reliability != 'BEST_EFFORT', latched)


def recording_qos(offers: Sequence[QoSProfile], msgtype: str) -> QoSProfile:
    """Choose the QoS profile for recording a topic: the strictest that all of its publishers offer.

    :param offers: of the publishers.
    :param msgtype: of the topic.
    """
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return _profile(_kept(msgtype), reliable, latched)


def recorded_qos(offers: Sequence[QoSProfile]) -> List[Any]:
    """Convert the publishers' QoS profiles to rosbags' Qos, for the recording's metadata."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    def word(kind, policy):
        return getattr(kind, policy.name, kind.UNKNOWN)

    def span(duration):
        return QosTime(*divmod(duration.nanoseconds, 10**9))

    return [
        Qos(
            word(QosHistory, each.history),
            each.depth,
            word(QosReliability, each.reliability),
            word(QosDurability, each.durability),
            span(each.deadline),
            span(each.lifespan),
            word(QosLiveliness, each.liveliness),
            span(each.liveliness_lease_duration),
            each.avoid_ros_namespace_conventions,
        )
        for each in offers
    ]


def _kept(msgtype):
    return _KEPT_IMAGES if msgtype in IMAGE_TYPES else _KEPT


def _profile(depth, reliable, latched):
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
