"""Node of media_source: publish the sample, pictures, a video or a webcam as camera images."""

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from facial_emotion_ros.demo.frame_sources import open_source
from facial_emotion_ros.ros.demo.parameters import MEDIA_SOURCE, declared_values
from facial_emotion_ros.ros.logs import NodeLog
from facial_emotion_ros.ros.messages import image_message
from facial_emotion_ros.ros.qos import wait_for_arrival

#: History depth, one or two seconds: a video should arrive complete at slow reliable subscribers.
KEPT_IMAGES = 20

#: Longer file names are cut at the start: emotion_node refuses a frame_id of more than 256 characters.
NAME_LENGTH = 200

#: Time between two log lines while waiting for a subscriber.
WAITING_LINE_S = 5.0


class MediaSource(Node):
    """Publish the frames of a source on `image` at its rate; `done` at its end."""

    def __init__(self) -> None:
        """Open the source and start.

        :raises BadParameter: for an invalid parameter.
        :raises BadImage: if the source cannot be decoded.
        """
        super().__init__('media_source')
        self._python_log = NodeLog(self.get_logger())
        self._settings = settings = declared_values(self, MEDIA_SOURCE)
        names = ('kind', 'path', 'camera', 'seconds_each', 'width', 'height', 'max_side_px')
        self._source = source = open_source(
            rate_hz=settings['rate_hz'], **{name: settings['source.' + name] for name in names}
        )
        for name, reason in source.skipped:
            self.get_logger().warning('%s is skipped: %s; replace the file.' % (name, reason))
        for name, damage in source.damaged:
            self.get_logger().warning(
                '%s is shown, but may be damaged: its decoder reports %s; replace the file.' % (name, damage)
            )
        reliable = settings['reliability'] == 'reliable'
        self._publisher = self.create_publisher(
            Image,
            'image',
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=KEPT_IMAGES,
                reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            ),
        )
        self._waits = settings['wait_for_subscriber']
        self._sent = 0
        self._started_s = self._logged_s = time.monotonic()
        self.done = False
        # Steady: jumps of the system clock and paused simulation time do not stop the stream.
        self._timer = self.create_timer(1.0 / source.rate_hz, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        wait = ' once there is a subscriber' if self._waits else ''
        self.get_logger().info(
            'Playing %s at %.4g images per second on %s%s.'
            % (source.title, source.rate_hz, self._publisher.topic_name, wait)
        )

    def finish(self, interrupted: bool) -> int:
        """Stop, and wait until reliable subscribers have received all images.

        :param interrupted: whether a signal ended it early.
        :returns: exit status.
        """
        self._source.close()
        self._python_log.close()
        if not interrupted:
            self._timer.cancel()
            wait_for_arrival([self._publisher])
            skipped = len(self._source.skipped)
            self.get_logger().info(
                'Done: %d images of %s in %.1f s%s.'
                % (
                    self._sent,
                    self._source.title,
                    time.monotonic() - self._started_s,
                    ', %d damaged files skipped' % skipped if skipped else '',
                )
            )
        return 0

    def _tick(self):
        now_s = time.monotonic()
        if self._waits:
            if self._publisher.get_subscription_count() == 0:
                if now_s - self._logged_s >= WAITING_LINE_S:
                    self._logged_s = now_s
                    self.get_logger().info('Waiting for a subscriber of %s.' % self._publisher.topic_name)
                return
            self._waits, self._started_s = False, now_s
        duration_s = self._settings['duration_s']
        if duration_s and now_s - self._started_s >= duration_s:
            self.done = True
            return
        frame = self._source.read()
        if frame is None and self._settings['loop']:
            self._source.rewind()
            frame = self._source.read()
        if frame is None:
            self.done = True
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings['frame_id'])
        if self._settings['name_in_frame_id'] and frame.name:
            header.frame_id += '/' + frame.name[-NAME_LENGTH:]
        self._publisher.publish(image_message(header, frame.image))
        self._sent += 1
