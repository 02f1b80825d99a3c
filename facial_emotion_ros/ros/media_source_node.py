"""The node of the executable media_source: plays the sample, pictures, a video or a webcam as a camera of the robot."""

import time

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from facial_emotion_ros.media import open_medium
from facial_emotion_ros.ros.demo_parameters import MEDIA_SOURCE, declare
from facial_emotion_ros.ros.messages import image_message

#: Images kept for reliable subscribers that are behind: a second or two of a film, since a film should arrive whole.
KEPT_IMAGES = 20

#: How long the end waits until every subscriber has what was sent.
ACKNOWLEDGE_S = 2.0

#: Time between two log lines while nobody has subscribed.
WAITING_LINE_S = 5.0


class MediaSource(Node):
    """Publishes the frames of a medium on `image`, at the medium's pace, and is done at its end."""

    def __init__(self):
        """
        Open the medium and start.

        :raises BadParameter: a parameter does not fit.
        :raises BadImage: what shall be played cannot be decoded.
        """
        super().__init__('media_source')
        settings = declare(self, MEDIA_SOURCE)
        self._loop, self._duration_s = settings['loop'], settings['duration_s']
        self._frame_id, self._name_in_frame_id = settings['frame_id'], settings['name_in_frame_id']
        self._medium = open_medium(
            settings['source.kind'], settings['source.path'], settings['source.camera'], settings['rate_hz'],
            settings['source.seconds_each'], settings['source.width'], settings['source.height'],
            settings['source.max_side_px'])
        for name, reason in self._medium.skipped:
            self.get_logger().warning('%s is left out: %s; replace the file if it should be shown.' % (name, reason))
        reliable = settings['reliability'] == 'reliable'
        self._publisher = self.create_publisher(Image, 'image', QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=KEPT_IMAGES,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT))
        self._waits = settings['wait_for_subscriber']
        self._sent = 0
        self._started_s = self._told_s = time.monotonic()
        self.done = False
        # Steady: neither a jump of the wall clock nor paused simulation time stops the film.
        self._timer = self.create_timer(1.0 / self._medium.rate_hz, self._tick,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info('Playing %s at %.4g images per second on %s%s.' % (
            self._medium.title, self._medium.rate_hz, self._publisher.topic_name,
            ', once someone has subscribed' if self._waits else ''))

    def finish(self, interrupted):
        """
        Stop sending, and wait until reliable subscribers have everything.

        :param interrupted: whether a signal ended it before its time.
        :returns: exit status.
        """
        self._medium.close()
        if not interrupted:
            self._timer.cancel()
            self._publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))
            left_out = len(self._medium.skipped)
            self.get_logger().info('Done: %d images of %s in %.1f s%s.' % (
                self._sent, self._medium.title, time.monotonic() - self._started_s,
                ', %d damaged left out' % left_out if left_out else ''))
        return 0

    def _tick(self):
        now_s = time.monotonic()
        if self._waits:
            if self._publisher.get_subscription_count() == 0:
                if now_s - self._told_s >= WAITING_LINE_S:
                    self._told_s = now_s
                    self.get_logger().info('Nobody has subscribed to %s yet; waiting.' % self._publisher.topic_name)
                return
            self._waits, self._started_s = False, now_s
        if self._duration_s and now_s - self._started_s >= self._duration_s:
            self.done = True
            return
        frame = self._medium.read()
        if frame is None and self._loop:
            self._medium.rewind()
            frame = self._medium.read()
        if frame is None:
            self.done = True
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        if self._name_in_frame_id and frame.name:
            header.frame_id = '%s/%s' % (self._frame_id, frame.name)
        self._publisher.publish(image_message(header, frame.image))
        self._sent += 1
