"""The node's condition as diagnostic_msgs: two statuses, computed from now, so that silence shows."""

import math
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from facial_emotion_ros import health
from facial_emotion_ros.power import PowerMeter, power_health
from facial_emotion_ros.ros.image_input import image_topic
from facial_emotion_ros.ros.image_source import UNKNOWN_NAME
from facial_emotion_ros.ros.log_limits import RIVALS, BurstLimit

#: Fast DDS lists publishers of a process that was killed for 20 s; two of one name are two cameras when it is longer.
_LEASE_S = 30.0


class Diagnostics:
    """Publishes on /diagnostics, and logs what concerns whoever looks at the log alone: a camera that is silent."""

    def __init__(self, node):
        """Open the topic.

        :param node: rclpy node with our parameters.
        """
        self._node = node
        self.is_silent = False
        self._lines = BurstLimit()
        self._crowded_since_s = None
        self._power = PowerMeter(self._value('power.root')) if self._value('power.report') else None
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def publish(self, state, counts, image_input, pipeline, fault):
        """Tell how the node is now.

        :param state: see :func:`facial_emotion_ros.health.input_health`.
        :param counts: snapshot of a FrameTally.
        :param image_input: ImageInput or HumansInput; None while the node is not active.
        :param pipeline: EmotionPipeline; None while there is none.
        :param fault: what failed; '' where nothing did.
        """
        now_s = time.monotonic()
        publishers = image_input.publishers() if image_input else []
        rivals = self._rivals(publishers, now_s)
        reading = health.input_health(
            now_s, counts, image_input.topic if image_input else image_topic(self._node),
            image_input.since_s if image_input else None, publishers, counts['faults'], self._value('input.timeout_s'),
            state, image_input.why_unread() if image_input else '', rivals)
        self._tell_silence(reading)
        if rivals and reading[0] == health.WARN:
            self._node.get_logger().warning(reading[1], **RIVALS)
        thinking = health.inference_health(
            now_s, counts, pipeline.provider if pipeline else '', pipeline.degraded if pipeline else '',
            counts['faults'], self._value('diagnostics.hang_timeout_s'), state == 'active')
        if pipeline:
            bundle = pipeline.esr_bundle
            thinking[2].update(model='%s %s' % (bundle.name, bundle.version), sha256=bundle.sha256)
        if fault:
            thinking = (health.ERROR, fault, thinking[2])
        parts = [('input', reading), ('inference', thinking)]
        if self._power:
            parts.append(('power', power_health(self._power.read(now_s))))
        self._publisher.publish(diagnostics_message(
            self._node.get_clock().now().to_msg(), self._node.get_fully_qualified_name(),
            self._value('inference.bundle'), parts))

    def _rivals(self, names, now_s):
        """Return who publishes the image where they are several.

        A camera that was killed stays in the graph for a while, beside its successor of the same name.
        """
        if len(names) < 2:
            self._crowded_since_s = None
            return []
        self._crowded_since_s = self._crowded_since_s or now_s
        return names if len(set(names) - {UNKNOWN_NAME}) > 1 or now_s - self._crowded_since_s > _LEASE_S else []

    def _tell_silence(self, reading):
        """Log when images stop to come although someone listens, and when they come again; each once."""
        level, sentence, values = reading
        if level == health.ERROR and not self.is_silent:
            self.is_silent = True
            if self._lines.allows():
                self._node.get_logger().warning(sentence)
        elif self.is_silent and values['silence_s'] <= self._value('input.timeout_s'):
            self.is_silent = False
            if self._lines.allows():
                self._node.get_logger().info('Images come again.')

    def _value(self, name):
        return self._node.get_parameter(name).value


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
