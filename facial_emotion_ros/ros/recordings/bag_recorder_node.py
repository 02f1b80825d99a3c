"""Node of record_bag: subscribe to topics when they appear, with their publishers' QoS, and record them."""

import re
import sys
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.ros.image_input import camera_info_topic
from facial_emotion_ros.ros.recordings.bag_topics import message_class, recorded_qos, recording_qos
from facial_emotion_ros.ros.recordings.recording_file import RecordingFile
from facial_emotion_ros.ros.recordings.recording_profile import COMPRESSED, pattern_of

#: Period of checking the graph, and of flushing the file, in case of a crash.
_CHECK_S, _FLUSH_S = 0.25, 2.0

#: Number of checks without an entry's first choice until its second is recorded, and without a publisher until the
#: subscription to a topic of a pattern, such as that of a face, is destroyed.
_CHECKS = 4

#: Maximum time at the end to write queued messages.
_DRAIN_S = 1.0

#: Maximum number of messages kept until the first time on /clock; further ones are lost, and counted.
_KEPT_EARLY = 1000


class BagRecorder(Node):
    """Record until stopped, or until the time is over."""

    def __init__(self, recording: RecordingFile, entries: Sequence[Sequence[str]], seconds: float = 0.0):
        """Start to look for the topics.

        :param recording: output.
        :param entries: from recording_profile.read_profile().
        :param seconds: `done` after this time; 0 for never.
        """
        super().__init__('bag_recorder', start_parameter_services=False)
        self._recording = recording
        names = [[self._full_name(name) for name in entry] for entry in entries]
        #: Patterns of each entry's alternative topics, the preferred one first.
        self._entries = [[re.compile(pattern_of(name) + r'\Z') for name in entry] for entry in names]
        #: Patterns with a *: their topics appear and disappear.
        self._of_many = [pattern for entry in self._entries for pattern in entry if '[^/]+' in pattern.pattern]
        #: Topic -> its QoS and subscription.
        self._recorded: Dict[str, Tuple[Any, Any]] = {}
        #: Recorded topic of these -> number of checks without a publisher.
        self._absent: Dict[str, int] = {}
        self._refused: Set[str] = set()
        self._seen: Dict[Tuple[int, int], int] = {}
        self._early: List[Tuple[str, bytes]] = []
        self._taken = self._lost = 0
        self._fault: Optional[BadBag] = None
        self.done = False
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_CHECK_S, self._check_graph, clock=steady)
        self.create_timer(_FLUSH_S, lambda: self._try(self._recording.flush), clock=steady)
        if seconds:
            self.create_timer(seconds, self._end, clock=steady)
        wanted = ', '.join(' or '.join(entry) for entry in names)
        self.get_logger().info('Recording into %s: %s.' % (recording.path, wanted))

    def finish(self, interrupted: bool) -> int:
        """Close the recording, and log what is in it.

        :param interrupted: whether a signal ended it, as usual.
        :returns: exit status.
        """
        self._drain()
        self._write_early()
        self._try(self._recording.close)
        counts, log = self._recording.counts, self.get_logger()
        total = sum(counts.values())
        for topic in sorted(counts):
            log.info('%s: %d messages.' % (topic, counts[topic]))
        if self._lost:
            log.warning('%d messages were lost: no time was received on /clock.' % self._lost)
        if not total:
            log.warning('Nothing was recorded: these topics had no messages; `ros2 topic list` shows existing ones.')
        if self._fault is not None:
            print('record_bag: %s' % self._fault, file=sys.stderr, flush=True)
            return 1
        log.info('Recorded %d messages on %d topics into %s.' % (total, len(counts), self._recording.path))
        return 0

    def _drain(self):
        """Write messages that are still queued in the subscriptions."""
        executor: Any = self.executor
        until_s, taken = time.monotonic() + _DRAIN_S, -1
        while self._fault is None and taken < self._taken and time.monotonic() < until_s:
            taken = self._taken
            for _ in range(len(self._recorded) + _CHECKS):
                executor.spin_once(timeout_sec=0.01)

    def _full_name(self, name):
        """Resolve a name by namespace and remappings; camera_info and compressed images follow the image."""
        if name.endswith(COMPRESSED):
            return self._full_name(name[: -len(COMPRESSED)]) + COMPRESSED
        if name == 'camera_info':
            return camera_info_topic(self)
        if '*' not in name:
            return self.resolve_topic_name(name)
        return name if name.startswith('/') else self.get_namespace().rstrip('/') + '/' + name

    def _check_graph(self):
        """Subscribe to new topics, and again to those whose QoS has changed; unsubscribe from those of lost faces.

        Topics without a pattern stay subscribed. Thousands of subscriptions would slow down the executor.
        """
        if self._fault is not None:
            return
        present = {
            name: types
            for name, types in self.get_topic_names_and_types()
            if name not in self._refused and self.count_publishers(name)
        }
        for number, patterns in enumerate(self._entries):
            for topic in self._chosen(number, patterns, present):
                self._subscribe(topic, present[topic][0])
        gone = [topic for topic in self._recorded if topic not in present]
        gone = [topic for topic in gone if any(pattern.match(topic) for pattern in self._of_many)]
        self._absent = {topic: self._absent.get(topic, 0) + 1 for topic in gone}
        for topic in gone:
            if self._absent[topic] >= _CHECKS:
                self.destroy_subscription(self._recorded.pop(topic)[1])

    def _chosen(self, number, patterns, present):
        """Choose an entry's topics: all that match the first of its patterns with any match."""
        for rank, pattern in enumerate(patterns):
            topics = sorted(filter(pattern.match, present))
            if not topics:
                continue
            seen = self._seen[number, rank] = self._seen.get((number, rank), 0) + 1
            taken = any(topic in self._recorded for topic in topics)
            other = any(topic not in topics and any(each.match(topic) for each in patterns) for topic in self._recorded)
            # The choice stays, even if a preferred topic appears later, so that no image is recorded twice.
            return topics if taken or not other and (rank == 0 or seen >= _CHECKS) else []
        return []

    def _subscribe(self, topic, msgtype):
        offers = [each.qos_profile for each in self.get_publishers_info_by_topic(topic)]
        if not offers:
            return
        qos = recording_qos(offers, msgtype)
        kind = (qos.reliability, qos.durability)
        known = self._recorded.get(topic)
        if known is not None and known[0] == kind:
            return
        message_type = message_class(msgtype)
        try:
            if message_type is None:
                package = msgtype.partition('/')[0]
                raise BadBag('its type %s is not installed; install the package %s and source it' % (msgtype, package))
            self._recording.add(topic, msgtype, recorded_qos(offers))
        except BadBag as error:
            if not self._recording.is_open:  # an error of the disk, not of the topic
                self._fault, self.done = error, True
                return
            self._refused.add(topic)
            self.get_logger().warning('%s is not recorded: %s.' % (topic, error))
            return
        if known is not None:
            self.destroy_subscription(known[1])
        subscription = self.create_subscription(message_type, topic, lambda cdr: self._take(topic, cdr), qos, raw=True)
        self._recorded[topic] = (kind, subscription)
        reliability = qos.reliability.name.lower().replace('_', ' ')
        self.get_logger().info('Recording %s (%s, %s).' % (topic, msgtype, reliability))

    def _take(self, topic, cdr):
        """Write a message with the time of its arrival."""
        self._taken += 1
        now_ns = self.get_clock().now().nanoseconds
        if now_ns:
            self._write_early()
            self._try(lambda: self._recording.write(topic, now_ns, cdr))
        elif len(self._early) < _KEPT_EARLY:  # simulated time has not started
            self._early.append((topic, cdr))
        else:
            self._lost += 1

    def _write_early(self):
        """Write messages that arrived before simulated time started."""
        now_ns, early = self.get_clock().now().nanoseconds, self._early
        self._early = []
        for topic, cdr in early if now_ns else ():
            self._try(lambda topic=topic, cdr=cdr: self._recording.write(topic, now_ns, cdr))
        if not now_ns:
            self._lost += len(early)

    def _try(self, action):
        """Call an action of the recording; after a failure, no more."""
        if self._fault is None:
            try:
                action()
            except BadBag as error:
                self._fault, self.done = error, True

    def _end(self):
        self.done = True
