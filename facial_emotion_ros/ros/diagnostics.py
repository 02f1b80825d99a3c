"""Publish the node's health on /diagnostics, and log when images stop and when they arrive again."""

import math
import platform
import time
from typing import Any, List, Mapping, Optional, Tuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from facial_emotion_ros.emotion.operating_points import point_words
from facial_emotion_ros.ros import health
from facial_emotion_ros.ros.image_input import TOPIC, present_source
from facial_emotion_ros.ros.image_source import UNKNOWN_NAME, publisher_names, tracked_topic
from facial_emotion_ros.ros.logs import EVERY_60_S, BurstLog
from facial_emotion_ros.system.power import PowerMeter, power_health

#: Simulated time is paused if /clock has not changed for this long, and for this many of its steps.
_STANDS_S, _STANDS_STEPS = 1.0, 3
#: Fast DDS lists the publishers of a killed process for 20 s: two of the same name count as two cameras only later.
_LEASE_S = 30.0


class Diagnostics:
    """Publish one status each for input, inference and, with power.report, power."""

    def __init__(self, node: Any):
        """Create the publisher.

        :param node: EmotionNode.
        """
        self._node, self._is_humans = node, node.value('input.mode') == 'humans'
        #: Whether the input has been reported as silent.
        self.is_silent = False
        self._log = BurstLog(node.get_logger())
        self._several_since_s: Optional[float] = None
        self._clock = _ClockWatch()
        #: Topic of the images or lists of faces: as passed to rclpy, and its full name.
        self._given = tracked_topic(node.value('output.humans_prefix')) if self._is_humans else TOPIC
        self._camera = node.resolve_topic_name(self._given)
        self._power = PowerMeter(node.value('power.root')) if node.value('power.report') else None
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def publish(self, state: str, counts: Mapping[str, Any], image_input: Any, pipeline: Any, fault: str) -> None:
        """Publish the current health.

        :param state: see :func:`facial_emotion_ros.ros.health.input_health`.
        :param counts: snapshot of LatestSlot.
        :param image_input: ImageInput or HriInput; None while the node is not active.
        :param pipeline: EmotionPipeline, or None.
        :param fault: what failed; '' if nothing did.
        """
        node, now_s = self._node, time.monotonic()
        topic, publishers = self._watched(image_input)
        cameras = self._several_cameras(publishers, now_s)
        input_health = health.input_health(
            now_s,
            counts,
            topic,
            image_input.since_s if image_input else None,
            publishers,
            node.value('input.timeout_s'),
            state,
            image_input.why_unread() if image_input else '',
            cameras,
            self._clock.stands(now_s),
        )
        self._log_silence(input_health)
        if cameras and input_health[0] == health.WARN:
            node.get_logger().warning(input_health[1], **EVERY_60_S)
        parts = [('input', input_health), ('inference', self._inference(now_s, state, counts, pipeline, fault))]
        if self._power:
            parts.append(('power', power_health(self._power.read(now_s))))
        array = DiagnosticArray()
        array.header.stamp = node.get_clock().now().to_msg()
        for part, (level, message, values) in parts:
            status = DiagnosticStatus(
                level=bytes([level]),
                name='%s: %s' % (node.get_fully_qualified_name(), part),
                message=message,
                hardware_id=platform.node() if part == 'power' else self._camera,
            )
            status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
            array.status.append(status)
        self._publisher.publish(array)

    def watch_clock(self) -> None:
        """Check the node's clock; to be called several times per second."""
        self._clock.look(self._node.get_clock(), time.monotonic())

    def _watched(self, image_input: Any) -> Tuple[str, List[str]]:
        """Return the input's topic and publishing nodes, also while the node is not active."""
        if image_input:
            return image_input.topic, image_input.publishers()
        if self._is_humans:
            return self._camera, publisher_names(self._node.get_publishers_info_by_topic(self._given))
        source, publishers = present_source(self._node)
        return source.topic, publisher_names(publishers)

    def _inference(self, now_s, state, counts, pipeline, fault):
        level, message, values = health.inference_health(
            now_s,
            counts,
            pipeline.provider if pipeline else '',
            pipeline.degraded if pipeline else '',
            self._node.value('diagnostics.hang_timeout_s'),
            state == 'active',
        )
        if pipeline:
            bundle = pipeline.esr_bundle
            values['model'] = '%s %s' % (bundle.name, bundle.version)
            values['sha256'] = bundle.sha256
            values['operating_point'] = point_words(pipeline.engine.point)
            values['left_out'] = pipeline.finder.left_out
        return (health.ERROR, fault, values) if fault else (level, message, values)

    def _several_cameras(self, names: List[str], now_s: float) -> List[str]:
        """Return the publishers of the image if they are several cameras, else [].

        A killed camera stays in the graph for a while, beside its successor of the same name.
        """
        if len(names) < 2:
            self._several_since_s = None
            return []
        self._several_since_s = self._several_since_s or now_s
        differ = len(set(names) - {UNKNOWN_NAME}) > 1
        return names if differ or now_s - self._several_since_s > _LEASE_S else []

    def _log_silence(self, condition):
        """Log, once each, that images have stopped and that they arrive again."""
        level, message, values = condition
        if level == health.ERROR and not self.is_silent:
            self.is_silent = True
            self._log.warning(message)
        elif self.is_silent and values['silence_s'] <= self._node.value('input.timeout_s'):
            self.is_silent = False
            self._log.info('Receiving images again.')


class _ClockWatch:
    """Detect that simulated time has stopped: a pause, or the end of a recording."""

    def __init__(self) -> None:
        self._time_ns, self._since_s, self._step_s, self._has_run = 0, math.inf, 0.0, False

    def look(self, clock: Any, now_s: float) -> None:
        """Read the node's clock at a monotonic time."""
        time_ns = clock.now().nanoseconds if clock.ros_time_is_active else 0
        if time_ns != self._time_ns:
            self._has_run = 0 not in (time_ns, self._time_ns)
            self._step_s = max(now_s - self._since_s, 0.0)
            self._time_ns, self._since_s = time_ns, now_s

    def stands(self, now_s: float) -> bool:
        """Return whether simulated time has run, and then stopped for a while."""
        return self._has_run and now_s - self._since_s > max(_STANDS_S, _STANDS_STEPS * self._step_s)


def _text(value):
    if isinstance(value, float):
        return '%.4g' % value if math.isfinite(value) else ''
    return str(value)
