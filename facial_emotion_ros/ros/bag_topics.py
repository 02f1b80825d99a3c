"""What a recording tells of a topic, in rclpy's words and back: the message's class, quality of service, stamps."""

import importlib
import struct

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

#: Messages kept for a reader that is behind: of images fewer, for each holds a megabyte or more.
_KEPT_IMAGES, _KEPT = 20, 200

#: Bytes of any serialized message, which begins with its byte order, and of one that goes on with a stamp.
LEAST, LEAST_STAMPED = 4, 12

_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')


def message_class(msgtype):
    """Import the class of a message.

    :param msgtype: such as 'sensor_msgs/msg/Image'.
    :returns: the class, or None where no package of that name is installed here.
    """
    package, _, name = msgtype.partition('/msg/')
    try:
        return getattr(importlib.import_module(package + '.msg'), name, None)
    except ImportError:
        return None


def has_header(message_type):
    """Tell whether a message begins with a std_msgs/Header.

    :param message_type: class of the message.
    """
    fields = message_type.get_fields_and_field_types()
    return next(iter(fields.values()), '') == 'std_msgs/Header'


def stamp_of(cdr):
    """Read the stamp of a serialized message that begins with a header.

    :param cdr: bytes.
    :returns: nanoseconds.
    """
    sec, nanosec = struct.unpack_from(_stamp_format(cdr), cdr, 4)
    return sec * 10 ** 9 + nanosec


def with_stamp(cdr, nanoseconds):
    """Give a serialized message that begins with a header another stamp.

    :param cdr: bytes; its other parts stay what they are.
    :param nanoseconds: the new stamp.
    :returns: bytes.
    """
    stamp = struct.pack(_stamp_format(cdr), nanoseconds // 10 ** 9, nanoseconds % 10 ** 9)
    return b''.join((cdr[:4], stamp, cdr[12:]))


def _stamp_format(cdr):
    """Give the layout of a stamp by the byte order, which the second byte of CDR tells."""
    return '<iI' if cdr[1] & 1 else '>iI'


def playing_qos(recorded, msgtype):
    """Choose the profile that a recorded topic is published with.

    :param recorded: rosbags' Qos of its publisher then, None where it is unknown.
    :param msgtype: of the topic.
    :returns: QoSProfile: as recorded; reliable and volatile where that is unknown, so that readers of either
        reliability are served.
    """
    reliability, durability, depth = ('', '', 1) if recorded is None else (
        recorded.reliability.name, recorded.durability.name, max(1, recorded.depth))
    latched = durability == 'TRANSIENT_LOCAL'
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        # What a reader is late for must not be lost; what is kept for later readers is as many as then.
        depth=depth if latched else max(depth, _kept(msgtype)),
        reliability=ReliabilityPolicy.BEST_EFFORT if reliability == 'BEST_EFFORT' else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def recording_qos(offers, msgtype):
    """Choose the profile of a subscription that hears every publisher of a topic, as reliably as all of them offer.

    :param offers: list of QoSProfile, of the publishers.
    :param msgtype: of the topic.
    :returns: QoSProfile.
    """
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=_kept(msgtype),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def recorded_qos(offers):
    """Write down what publishers offer, for a recording.

    :param offers: list of QoSProfile.
    :returns: list of rosbags' Qos.
    """
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    def word(kind, policy):
        return getattr(kind, policy.name, kind.UNKNOWN)

    def span(duration):
        return QosTime(*divmod(duration.nanoseconds, 10 ** 9))

    return [Qos(word(QosHistory, each.history), each.depth, word(QosReliability, each.reliability),
                word(QosDurability, each.durability), span(each.deadline), span(each.lifespan),
                word(QosLiveliness, each.liveliness), span(each.liveliness_lease_duration),
                each.avoid_ros_namespace_conventions) for each in offers]


def _kept(msgtype):
    return _KEPT_IMAGES if msgtype in _IMAGES else _KEPT
