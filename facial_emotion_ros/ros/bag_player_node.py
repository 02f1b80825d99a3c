"""The node of the executable play_bag: publishes recorded messages, as bytes, at the intervals of the recording."""

import csv
import re
import sys
import threading
import time

from rclpy.clock import Clock as SystemClock
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from facial_emotion_ros.errors import BadBag, FacialEmotionError
from facial_emotion_ros.ros.bag_topics import (
    LEAST,
    LEAST_STAMPED,
    has_header,
    message_class,
    playing_qos,
    stamp_of,
    with_stamp,
)
from facial_emotion_ros.ros.qos import output_qos

#: How long the end waits until every reliable reader has what was sent.
ACKNOWLEDGE_S = 1.0

#: Readers exchange their subscription for a reliable one when they have seen this publisher: they have to be there for
#: so long before the first message.
_SETTLED_S = 0.5

#: Later than this, a message counts as late.
_LATE_S = 0.05

#: Time of a turn whose messages all came at once.
_LONE_S = 1.0

#: A longer silence is none: recordings are made while somebody sets the clock, too.
_LONGEST_S = 3600.0

LEDGER = ('topic', 'receive_ns', 'recorded_stamp_ns', 'stamp_ns', 'published_ns')


class _Track:
    """A topic that is played."""

    def __init__(self, publisher, stamped):
        self.publisher = publisher
        self.stamped = stamped
        self.sent = 0
        self.unreadable = 0


class BagPlayer(Node):
    """Plays a recording in a thread of its own, and is done at its end."""

    def __init__(self, bag, options):
        """
        Open the topics and start.

        :param bag: an open BagFile.
        :param options: of bag_player.parse().
        """
        super().__init__('bag_player', start_parameter_services=False)
        self._bag, self._options = bag, options
        self._clock = self.create_publisher(Clock, '/clock', output_qos()) if options.clock else None
        self._system = SystemClock()
        self._tracks, self._ledger, self._fault, self.done = {}, None, None, False
        self._late = 0
        self._latest_s = self._next_tick_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='player')
        try:
            self._open_topics()
            self._ledger = open(options.ledger, 'w', newline='') if options.ledger else None
            self._thread.start()
        except (BadBag, OSError) as fault:
            self._fault, self.done = fault, True

    def finish(self, interrupted):
        """
        Stop playing, and wait until reliable readers have everything.

        :param interrupted: whether a signal ended it before its time.
        :returns: exit status.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._ledger is not None:
            self._ledger.close()
        if not interrupted and self._fault is None:
            until_s = time.monotonic() + ACKNOWLEDGE_S
            for track in self._tracks.values():
                track.publisher.wait_for_all_acked(Duration(seconds=max(0.0, until_s - time.monotonic())))
        for fault in dict.fromkeys(self._bag.faults):
            self.get_logger().warning('%s: %s.' % (self._bag.name, fault))
        if isinstance(self._fault, (FacialEmotionError, OSError)):
            print('play_bag: %s' % self._fault, file=sys.stderr, flush=True)
            return 1
        if self._fault is not None:
            raise self._fault
        unreadable = sum(track.unreadable for track in self._tracks.values())
        if unreadable:
            self.get_logger().warning('%s: %d messages could not be read, and were left out.' % (
                self._bag.name, unreadable))
        late = ', %d of them late, by %.2f s at most' % (self._late, self._latest_s) if self._late else ''
        self.get_logger().info('%s: %s played %d messages on %d topics%s.' % (
            self._bag.name, 'until it was stopped,' if interrupted else 'to the end,',
            sum(track.sent for track in self._tracks.values()), len(self._tracks), late))
        return 0

    def _open_topics(self):
        """Open a publisher for each topic that can be played."""
        chosen = self._chosen()
        self._expect_remapped(set(chosen) | ({'/clock'} if self._clock else set()))
        for name, topic in sorted(chosen.items()):
            track = self._open(topic)
            if track is not None:
                self._tracks[name] = track
        if not self._tracks:
            raise BadBag('%s: nothing of it can be played here: it holds %s' % (self._bag.name, ', '.join(
                '%s (%s)' % (name, topic.msgtype) for name, topic in sorted(self._bag.topics.items())) or 'no topic'))

    def _chosen(self):
        """Return the topics that shall be played, name -> Topic."""
        topics = self._bag.topics
        missing = [name for name in self._options.topics if name not in topics]
        if missing:
            raise BadBag('%s: expected the topic %s, but it holds %s; name another with --topics' % (
                self._bag.name, ', '.join(missing), ', '.join(sorted(topics)) or 'none'))
        return {name: topic for name, topic in topics.items()
                if name in (self._options.topics or topics) and not (name == '/clock' and self._clock)}

    def _expect_remapped(self, played):
        """Refuse a rule of --remap for a topic that is not played: it would be without effect."""
        for rule in self._options.remap:
            name = rule.partition(':=')[0]
            # Words like __ns, and names of certain nodes, are ROS's own affair.
            if re.match(r'/?[A-Za-z]\w*(/\w+)*\Z', name) and self.resolve_topic_name(
                    name, only_expand=True) not in played:
                raise BadBag('%s: expected --remap of a topic that is played, got %s; these are played: %s' % (
                    self._bag.name, name, ', '.join(sorted(played)) or 'none'))

    def _open(self, topic):
        """Open a publisher.

        :returns: _Track, or None where the message's type is not installed.
        """
        message_type = message_class(topic.msgtype)
        if message_type is None:
            self.get_logger().warning('%s is left out: its type %s is not installed here; install the package %s and '
                                      'source it, if it should be played.' % (
                                          topic.name, topic.msgtype, topic.msgtype.partition('/')[0]))
            return None
        publisher = self.create_publisher(message_type, topic.name, playing_qos(topic.qos, topic.msgtype))
        return _Track(publisher, has_header(message_type))

    def _run(self):
        """Play; what fails is told by the main thread."""
        try:
            if self._wait_for_readers():
                self.get_logger().info('Playing %s: %s.' % (self._bag.name, ', '.join(
                    track.publisher.topic_name for track in self._tracks.values())))
                while self._play_once():
                    pass
        except Exception as fault:
            self._fault = fault
        finally:
            self.done = True

    def _wait_for_readers(self):
        """Wait as long as --wait-for says.

        :returns: whether to play, and not to stop.
        :raises FacialEmotionError: if nobody comes.
        """
        until_s, there_since_s = time.monotonic() + self._options.patience, None
        cameras = [self._tracks[name] for name in self._bag.cameras() if name in self._tracks]
        awaited = [track.publisher for track in cameras or self._tracks.values()]
        while self._options.wait_for and not self._stop.wait(0.02):
            now_s = time.monotonic()
            if not any(each.get_subscription_count() >= self._options.wait_for for each in awaited):
                there_since_s = None
            elif there_since_s is None:
                there_since_s = now_s
            if there_since_s is not None and now_s - there_since_s >= _SETTLED_S:
                break
            if now_s >= until_s:
                raise FacialEmotionError(
                    '%s: expected %d readers of %s within %g s, got fewer; start what reads it, or give it longer by '
                    '--patience' % (self._bag.name, self._options.wait_for, ' or '.join(
                        each.topic_name for each in awaited), self._options.patience))
            if self._clock is not None and now_s >= self._next_tick_s:
                self._tick(self._bag.start_ns + int(self._options.start * 1e9), now_s)
        return not self._stop.is_set()

    def _play_once(self):
        """Play from the start to the end.

        :returns: whether to play it again.
        """
        began_s = due_s = before_ns = None
        count = 0
        for message in self._bag.messages(tuple(self._tracks), self._options.start):
            cdr = self._bytes_of(message)
            if cdr is None:
                continue
            if before_ns is None:
                began_s = due_s = time.monotonic()
            else:
                due_s += self._interval_s(message.receive_ns - before_ns)
            before_ns = message.receive_ns
            if not self._wait_until(due_s, message.receive_ns):
                return False
            self._publish(message, cdr)
            count += 1
        if before_ns is None:
            raise BadBag('%s: no message is left to play on %s%s; choose other topics or an earlier start' % (
                self._bag.name, ', '.join(self._tracks),
                ' after %g s' % self._options.start if self._options.start else ''))
        # The next turn begins when a next message would have been due.
        gap_s = (due_s - began_s) / (count - 1) if due_s > began_s else _LONE_S
        return self._options.loop and self._wait_until(
            due_s + gap_s, before_ns + int(gap_s * self._options.rate * 1e9))

    def _interval_s(self, recorded_ns):
        """Say how long to wait between two messages: not at all where the clock was set back, nor for ever."""
        if recorded_ns > _LONGEST_S * 1e9:
            self.get_logger().warning('%.0f s without a message are left out: the clock was set, or all slept.' % (
                recorded_ns / 1e9))
            return 0.0
        return max(0, recorded_ns) / 1e9 / self._options.rate

    def _bytes_of(self, message):
        """Return a message as ROS 2 serializes it; None, and a warning once a topic, where it cannot be."""
        track = self._tracks[message.topic]
        try:
            cdr = message.cdr
            least = LEAST_STAMPED if track.stamped else LEAST
            if len(cdr) < least:
                raise BadBag('expected %d bytes or more, got %d: it is damaged' % (least, len(cdr)))
            return cdr
        except BadBag as fault:
            track.unreadable += 1
            if track.unreadable == 1:
                self.get_logger().warning('%s: a message is left out: %s.' % (message.topic, fault))
            return None

    def _wait_until(self, due_s, receive_ns):
        """Wait until a message is due, and tell the time meanwhile.

        :returns: False when the player shall stop.
        """
        while not self._stop.is_set():
            now_s = time.monotonic()
            if self._clock is not None and now_s >= self._next_tick_s:
                self._tick(receive_ns - int(max(0.0, due_s - now_s) * self._options.rate * 1e9), now_s)
            if now_s >= due_s:
                if now_s - due_s > _LATE_S:
                    self._late, self._latest_s = self._late + 1, max(self._latest_s, now_s - due_s)
                return True
            self._stop.wait((min(due_s, self._next_tick_s) if self._clock is not None else due_s) - now_s)
        return False

    def _tick(self, bag_ns, now_s):
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = divmod(bag_ns, 10 ** 9)
        self._clock.publish(clock)
        self._next_tick_s = now_s + 1.0 / self._options.clock

    def _publish(self, message, cdr):
        track = self._tracks[message.topic]
        recorded_ns = stamp_ns = stamp_of(cdr) if track.stamped else 0
        published_ns = self._system.now().nanoseconds
        if self._options.stamp_now and recorded_ns:
            # As old as it was when it was recorded.
            stamp_ns = recorded_ns + published_ns - message.receive_ns
            cdr = with_stamp(cdr, stamp_ns)
        if self._ledger is not None and track.stamped:
            self._note(message, recorded_ns, stamp_ns, published_ns)
        track.publisher.publish(cdr)
        track.sent += 1

    def _note(self, *fields):
        """Write a line of the ledger; at once, for others may read along."""
        message, recorded_ns, stamp_ns, published_ns = fields
        lines = csv.writer(self._ledger)
        if not self._ledger.tell():
            lines.writerow(LEDGER)
        lines.writerow((message.topic, message.receive_ns, recorded_ns, stamp_ns, published_ns))
        self._ledger.flush()
