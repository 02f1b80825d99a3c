"""Node of play_bag: publish recorded messages, still serialized, at the intervals of the recording."""

import argparse
import csv
import re
import sys
import threading
import time
from typing import IO, Any, Dict, Optional

from rclpy.clock import Clock as SystemClock
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from facial_emotion_ros.core.errors import BadBag, FacialEmotionError
from facial_emotion_ros.ros.qos import output_qos, wait_for_arrival
from facial_emotion_ros.ros.recordings.bag_topics import (
    MIN_SIZE,
    MIN_SIZE_STAMPED,
    has_header,
    message_class,
    playing_qos,
    stamp_of,
    with_stamp,
)

#: Minimum age of subscriptions before the first message: emotion_node replaces its subscription by a reliable one when
#: it discovers this publisher.
_SETTLED_S = 0.5

#: A message published later than this counts as late.
_LATE_S = 0.05

#: Gap before the next loop if all messages have the same time.
_LOOP_GAP_S = 1.0

#: Longer gaps are skipped: the clock was set during the recording, or the machine was suspended.
_LONGEST_GAP_S = 3600.0

LEDGER = ('topic', 'receive_ns', 'recorded_stamp_ns', 'stamp_ns', 'published_ns')


class _Track:
    """A topic that is played, with its counters."""

    def __init__(self, publisher, stamped):
        self.publisher, self.stamped = publisher, stamped
        self.sent = self.unreadable = 0


class BagPlayer(Node):
    """Play a recording in a thread; `done` at its end."""

    def __init__(self, bag: Any, options: argparse.Namespace):
        """Create the publishers and start.

        :param bag: an open BagFile.
        :param options: from bag_player.parse().
        """
        super().__init__('bag_player', start_parameter_services=False)
        self._bag, self._options = bag, options
        self._clock_publisher: Any = self.create_publisher(Clock, '/clock', output_qos()) if options.clock else None
        self._system_clock = SystemClock()
        self._tracks: Dict[str, _Track] = {}
        self._ledger: Optional[IO[str]] = None
        self._fault: Optional[Exception] = None
        self.done = False
        self._late, self._latest_s = 0, 0.0
        self._next_tick_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='player')
        try:
            self._open_topics()
            self._ledger = open(options.ledger, 'w', newline='') if options.ledger else None
            self._thread.start()
        except (BadBag, OSError) as error:
            self._fault, self.done = error, True

    def finish(self, interrupted: bool) -> int:
        """Stop, and wait until reliable subscribers have received all messages.

        :param interrupted: whether a signal ended it early.
        :returns: exit status.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._ledger is not None:
            self._ledger.close()
        if not interrupted and self._fault is None:
            wait_for_arrival(track.publisher for track in self._tracks.values())
        name, log = self._bag.name, self.get_logger()
        for fault in dict.fromkeys(self._bag.faults):
            log.warning('%s: %s.' % (name, fault))
        if isinstance(self._fault, (FacialEmotionError, OSError)):
            print('play_bag: %s' % self._fault, file=sys.stderr, flush=True)
            return 1
        if self._fault is not None:
            raise self._fault
        unreadable = sum(track.unreadable for track in self._tracks.values())
        if unreadable:
            log.warning('%s: %d messages could not be read and were skipped.' % (name, unreadable))
        how = 'until it was stopped,' if interrupted else 'to the end,'
        sent = sum(track.sent for track in self._tracks.values())
        late = ', %d of them late, by %.2f s at most' % (self._late, self._latest_s) if self._late else ''
        log.info('%s: %s played %d messages on %d topics%s.' % (name, how, sent, len(self._tracks), late))
        return 0

    def _open_topics(self):
        """Create a publisher for each chosen topic whose message type is installed."""
        chosen = self._chosen_topics()
        self._check_remap(set(chosen) | ({'/clock'} if self._clock_publisher else set()))
        for name, topic in sorted(chosen.items()):
            message_type = message_class(topic.msgtype)
            if message_type is None:
                self.get_logger().warning(
                    '%s is skipped: its type %s is not installed; to play it, install the package %s and source it.'
                    % (name, topic.msgtype, topic.msgtype.partition('/')[0])
                )
                continue
            publisher = self.create_publisher(message_type, name, playing_qos(topic.qos, topic.msgtype))
            self._tracks[name] = _Track(publisher, has_header(message_type))
        if not self._tracks:
            content = ', '.join('%s (%s)' % (name, topic.msgtype) for name, topic in sorted(self._bag.topics.items()))
            raise BadBag('%s: expected a topic that can be played, got %s' % (self._bag.name, content or 'none'))

    def _chosen_topics(self):
        topics = self._bag.topics
        missing = [name for name in self._options.topics if name not in topics]
        if missing:
            raise BadBag(
                '%s: expected the topic %s, but it has %s; choose another with --topics'
                % (self._bag.name, ', '.join(missing), ', '.join(sorted(topics)) or 'none')
            )
        names = set(self._options.topics or topics) - ({'/clock'} if self._clock_publisher else set())
        return {name: topic for name, topic in topics.items() if name in names}

    def _check_remap(self, played):
        """Refuse a --remap rule for a topic that is not played: it would have no effect."""
        for rule in self._options.remap:
            name = rule.partition(':=')[0]
            # Only topic names: ROS itself checks words like __ns and node-specific rules.
            if (
                re.match(r'/?[A-Za-z]\w*(/\w+)*\Z', name)
                and self.resolve_topic_name(name, only_expand=True) not in played
            ):
                raise BadBag(
                    '%s: expected --remap of a played topic, got %s; played topics: %s'
                    % (self._bag.name, name, ', '.join(sorted(played)) or 'none')
                )

    def _run(self):
        """Play; `finish` reports exceptions in the main thread."""
        try:
            if self._wait_for_subscribers():
                names = ', '.join(track.publisher.topic_name for track in self._tracks.values())
                self.get_logger().info('Playing %s: %s.' % (self._bag.name, names))
                while self._play_once():
                    pass
        except Exception as error:
            self._fault = error
        finally:
            self.done = True

    def _wait_for_subscribers(self):
        """Wait for the subscribers of --wait-for.

        :returns: whether to play; False when stopped.
        :raises FacialEmotionError: if there are too few within --patience.
        """
        until_s, ready_since_s = time.monotonic() + self._options.patience, None
        cameras = [self._tracks[name] for name in self._bag.cameras() if name in self._tracks]
        awaited = [track.publisher for track in cameras or self._tracks.values()]
        while self._options.wait_for and not self._stop.wait(0.02):
            now_s = time.monotonic()
            if not any(each.get_subscription_count() >= self._options.wait_for for each in awaited):
                ready_since_s = None
            elif ready_since_s is None:
                ready_since_s = now_s
            if ready_since_s is not None and now_s - ready_since_s >= _SETTLED_S:
                break
            if now_s >= until_s:
                names = ' or '.join(each.topic_name for each in awaited)
                raise FacialEmotionError(
                    '%s: expected %d subscribers of %s within %g s, got fewer; start them, or raise --patience'
                    % (self._bag.name, self._options.wait_for, names, self._options.patience)
                )
            if self._clock_publisher is not None and now_s >= self._next_tick_s:
                self._tick(self._bag.start_ns + int(self._options.start * 1e9), now_s)
        return not self._stop.is_set()

    def _play_once(self):
        """Play from the start to the end.

        :returns: whether to play it again.
        """
        began_s = due_s = 0.0
        before_ns = None
        count = 0
        for message in self._bag.messages(tuple(self._tracks), self._options.start):
            cdr = self._serialized(message)
            if cdr is None:
                continue
            if before_ns is None:
                began_s = due_s = time.monotonic()
            else:
                due_s += self._gap_s(message.receive_ns - before_ns)
            before_ns = message.receive_ns
            if not self._wait_until(due_s, message.receive_ns):
                return False
            self._publish(message, cdr)
            count += 1
        if before_ns is None:
            start = ' after %g s' % self._options.start if self._options.start else ''
            raise BadBag(
                '%s: expected messages on %s%s, got none; choose other topics or an earlier start'
                % (self._bag.name, ', '.join(self._tracks), start)
            )
        # The next loop starts when the next message would have been due.
        gap_s = (due_s - began_s) / (count - 1) if due_s > began_s else _LOOP_GAP_S
        return self._options.loop and self._wait_until(due_s + gap_s, before_ns + int(gap_s * self._options.rate * 1e9))

    def _gap_s(self, recorded_ns):
        """Return the time to wait between two messages; 0 if the clock was set."""
        if recorded_ns > _LONGEST_GAP_S * 1e9:
            self.get_logger().warning(
                'Skipped %.0f s without a message: the clock was set, or the machine slept.' % (recorded_ns / 1e9)
            )
            return 0.0
        return max(0, recorded_ns) / 1e9 / self._options.rate

    def _serialized(self, message):
        """Return a message in ROS 2 serialization; None, with one warning per topic, if it cannot be read."""
        track = self._tracks[message.topic]
        try:
            cdr = message.cdr
            size = MIN_SIZE_STAMPED if track.stamped else MIN_SIZE
            if len(cdr) < size:
                raise BadBag('expected %d bytes or more, got %d: it is damaged' % (size, len(cdr)))
            return cdr
        except BadBag as error:
            track.unreadable += 1
            if track.unreadable == 1:
                self.get_logger().warning('%s: a message is skipped: %s.' % (message.topic, error))
            return None

    def _wait_until(self, due_s, receive_ns):
        """Wait until a message is due, while publishing /clock.

        :returns: False when stopped.
        """
        while not self._stop.is_set():
            now_s = time.monotonic()
            if self._clock_publisher is not None and now_s >= self._next_tick_s:
                self._tick(receive_ns - int(max(0.0, due_s - now_s) * self._options.rate * 1e9), now_s)
            if now_s >= due_s:
                if now_s - due_s > _LATE_S:
                    self._late, self._latest_s = self._late + 1, max(self._latest_s, now_s - due_s)
                return True
            self._stop.wait((min(due_s, self._next_tick_s) if self._clock_publisher is not None else due_s) - now_s)
        return False

    def _tick(self, bag_ns, now_s):
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = divmod(bag_ns, 10**9)
        self._clock_publisher.publish(clock)
        self._next_tick_s = now_s + 1.0 / self._options.clock

    def _publish(self, message, cdr):
        track = self._tracks[message.topic]
        recorded_ns = stamp_ns = stamp_of(cdr) if track.stamped else 0
        published_ns = self._system_clock.now().nanoseconds
        if self._options.stamp_now and recorded_ns:
            # Keeps the age that it had when it was recorded.
            cdr = with_stamp(cdr, recorded_ns + published_ns - message.receive_ns)
            stamp_ns = stamp_of(cdr)
        if self._ledger is not None and track.stamped:
            rows = csv.writer(self._ledger)
            if not self._ledger.tell():
                rows.writerow(LEDGER)
            rows.writerow((message.topic, message.receive_ns, recorded_ns, stamp_ns, published_ns))
            self._ledger.flush()  # other processes read it meanwhile
        track.publisher.publish(cdr)
        track.sent += 1
