"""The node's condition as diagnostic_msgs: two statuses, computed from now, so that silence shows."""

import math

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue


def diagnostics_message(stamp, node_name, hardware_id, parts):
    """Make one message of all parts.

    :param stamp: builtin_interfaces/Time of now.
    :param node_name: fully qualified name of the node.
    :param hardware_id: what the numbers are about, for example the model's name.
    :param parts: list of (part's name, (level, message, values)) with level 0 to 3 and values a dict.
    :returns: DiagnosticArray.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    for part, (level, message, values) in parts:
        status = DiagnosticStatus(level=bytes([level]), name='%s: %s' % (node_name, part), message=message,
                                  hardware_id=hardware_id)
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
        array.status.append(status)
    return array


def _text(value):
    if isinstance(value, float):
        return '%.4g' % value if math.isfinite(value) else ''
    return str(value)
