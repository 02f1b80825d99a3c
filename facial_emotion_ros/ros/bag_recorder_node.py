"""The node of the executable record_bag: subscribes to what is to be recorded, when and as it is published."""

import re
import sys
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from facial_emotion_ros.errors import BadBag
from facial_emotion_ros.ros.bag_topics import message_class, recorded_qos, recording_qos
from facial_emotion_ros.ros.recording_profile import COMPRESSED, pattern_of

#: Time between two looks at the graph, and until what came is safe from a crash.
_LOOK_S, _SETTLE_S = 0.25, 2.0

#: A topic that is only the next best is taken when it was seen in so many looks, and no better one.
_LOOKS = 4

#: How long the end may take for what still waits to be written.
_REST_S = 1.0

#: Messages that wait for the first time on /clock; what comes beyond is lost, and counted.
_KEPT_EARLY = 1000


class BagRecorder(Node):
    """Records until it is stopped, or its time is over."""

    def __init__(self, recording, entries, seconds=0.0):
        """
        Begin to look for the topics.

        :param recording: RecordingFile.
        :param entries: of recording_profile.read_profile().
        :param seconds: be done after this time; 0 for never.
        """
        super().__init__('bag_recorder', start_parameter_services=False)
        self._recording = recording
        #: For each entry the expressions of its names, the best first.
        self._entries = [[re.compile(pattern_of(self._whole_name(name)) + r'\Z') for name in entry]
                         for entry in entries]
        self._subscriptions_by_topic, self._refused, self._looks = {}, set(), {}
        self._early, self._taken, self._lost = [], 0, 0
        self._fault = None
        self.done = False
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK_S, self._look, clock=steady)
        self.create_timer(_SETTLE_S, lambda: self._safely(self._recording.settle), clock=steady)
        if seconds:
            self.create_timer(seconds, self._end, clock=steady)
        self.get_logger().info('Recording into %s: %s.' % (recording.path, ', '.join(
            ' or '.join(self._whole_name(name) for name in entry) for entry in entries)))

    def finish(self, interrupted):
        """
        Close the recording, and say what is in it.

        :param interrupted: whether a signal ended it, which is the usual end.
        :returns: exit status.
        """
        self._take_the_rest()
        self._write_early()
        self._safely(self._recording.close)
        counts = self._recording.counts
        for topic in sorted(counts):
            self.get_logger().info('%s: %d messages.' % (topic, counts[topic]))
        if self._lost:
            self.get_logger().warning('%d messages were lost: no time came on /clock.' % self._lost)
        if not sum(counts.values()):
            self.get_logger().warning('Nothing was recorded: nobody published these topics; `ros2 topic list` shows '
                                      'which there are.')
        if self._fault is not None:
            print('record_bag: %s' % self._fault, file=sys.stderr, flush=True)
            return 1
        self.get_logger().info('Recorded %d messages on %d topics into %s.' % (
            sum(counts.values()), len(counts), self._recording.path))
        return 0

    def _take_the_rest(self):
        """Write what has come, and waits in the queues of the subscriptions."""
        until_s, taken = time.monotonic() + _REST_S, -1
        while self._fault is None and taken < self._taken and time.monotonic() < until_s:
            taken = self._taken
            for _ in range(len(self._subscriptions_by_topic) + _LOOKS):
                self.executor.spin_once(timeout_sec=0.01)

    def _whole_name(self, name):
        """Put a name through namespace and remappings; what belongs to an image follows that."""
        if name.endswith(COMPRESSED):
            return self._whole_name(name[:-len(COMPRESSED)]) + COMPRESSED
        if name == 'camera_info' and self.resolve_topic_name(name) == self.resolve_topic_name(name, only_expand=True):
            return self.resolve_topic_name('image').rpartition('/')[0] + '/camera_info'
        if '*' not in name:
            return self.resolve_topic_name(name)
        return name if name.startswith('/') else self.get_namespace().rstrip('/') + '/' + name

    def _look(self):
        """Subscribe to what is published by now, and to what is offered otherwise than before."""
        if self._fault is not None:
            return
        there = {name: types for name, types in self.get_topic_names_and_types()
                 if name not in self._refused and self.count_publishers(name)}
        for number, expressions in enumerate(self._entries):
            for topic in self._chosen(number, expressions, there):
                self._follow(topic, there[topic][0])

    def _chosen(self, number, expressions, there):
        """Choose the topics of an entry: all that match the first of its expressions that any matches."""
        for rank, expression in enumerate(expressions):
            topics = sorted(filter(expression.match, there))
            if not topics:
                continue
            looks = self._looks[number, rank] = self._looks.get((number, rank), 0) + 1
            taken = any(topic in self._subscriptions_by_topic for topic in topics)
            other = [topic for topic in self._subscriptions_by_topic if topic not in topics
                     and any(each.match(topic) for each in expressions)]
            # What was taken stays, even where a better one appears: no image is recorded twice.
            return topics if taken or not other and (rank == 0 or looks >= _LOOKS) else []
        return []

    def _follow(self, topic, msgtype):
        """Subscribe to a topic, or again when its publishers ask for that."""
        offers = [each.qos_profile for each in self.get_publishers_info_by_topic(topic)]
        if not offers:
            return
        qos = recording_qos(offers, msgtype)
        kind = (qos.reliability, qos.durability)
        known = self._subscriptions_by_topic.get(topic)
        if known is not None and known[0] == kind:
            return
        message_type = message_class(msgtype)
        try:
            if message_type is None:
                raise BadBag('its type %s is not installed here; install the package %s and source it' % (
                    msgtype, msgtype.partition('/')[0]))
            self._recording.add(topic, msgtype, recorded_qos(offers))
        except BadBag as fault:
            if not self._recording.is_open:  # the disk is to blame, not the topic
                self._fault, self.done = fault, True
                return
            self._refused.add(topic)
            self.get_logger().warning('%s is not recorded: %s.' % (topic, fault))
            return
        if known is not None:
            self.destroy_subscription(known[1])
        subscription = self.create_subscription(message_type, topic, lambda cdr: self._take(topic, cdr), qos, raw=True)
        self._subscriptions_by_topic[topic] = (kind, subscription)
        self.get_logger().info('Recording %s (%s, %s).' % (topic, msgtype, qos.reliability.name.lower().replace(
            '_', ' ')))

    def _take(self, topic, cdr):
        """Write a message with the time that it came."""
        self._taken += 1
        now_ns = self.get_clock().now().nanoseconds
        if not now_ns:  # simulated time that has not begun
            if len(self._early) < _KEPT_EARLY:
                self._early.append((topic, cdr))
            else:
                self._lost += 1
            return
        self._write_early()
        self._safely(lambda: self._recording.write(topic, now_ns, cdr))

    def _write_early(self):
        """Write what came before the time did."""
        now_ns, early = self.get_clock().now().nanoseconds, self._early
        self._early = []
        for topic, cdr in early if now_ns else ():
            self._safely(lambda topic=topic, cdr=cdr: self._recording.write(topic, now_ns, cdr))
        if not now_ns:
            self._lost += len(early)

    def _safely(self, act):
        """Do something to the recording; when it has failed, do no more, and be done."""
        if self._fault is None:
            try:
                act()
            except BadBag as fault:
                self._fault, self.done = fault, True

    def _end(self):
        self.done = True
