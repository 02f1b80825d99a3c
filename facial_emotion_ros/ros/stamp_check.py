"""When images were taken and how old they are, as far as their stamps can be believed; odd stamps are counted."""

import time
from collections import namedtuple

from facial_emotion_ros.image_stamps import AHEAD_S, PAST_S, StreamTime

#: An image: when it was taken, in seconds on a clock of its stream; whether what was seen before must be forgotten; how
#: old it was when its turn came, None where that is unknown; when it was taken in ns by the node's clock, None where
#: its stamp is odd.
CheckedImage = namedtuple('CheckedImage', 'time_s begins_anew late_s stamp_ns')

_REASONS = {
    'unstamped': 'its age is unknown, and the time of arrival counts; have the driver stamp images',
    'frozen': 'its age is unknown, and the time of arrival counts; have the driver stamp each image',
}


class StampCheck:
    """Used by the worker's thread alone. Streams are told apart by keys."""

    def __init__(self, node, tally):
        """Begin.

        :param node: rclpy node, for its clock.
        :param tally: FrameTally that books odd stamps.
        """
        self._clock = node.get_clock()
        self._tally = tally
        self._streams = {}

    def take(self, header, key=''):
        """Look at the stamp of the image in work, and book it where it is odd.

        :param header: std_msgs/Header.
        :param key: whose image it is, where several take turns.
        :returns: CheckedImage.
        """
        stamp_ns = header.stamp.sec * 1000000000 + header.stamp.nanosec
        now_ns = self._clock.now().nanoseconds
        image = self._streams.setdefault(key, StreamTime()).take(stamp_ns, time.monotonic())
        ahead_s = (stamp_ns - now_ns) * 1e-9
        oddity, reason = image.oddity, _REASONS.get(image.oddity, '')
        if oddity == 'backwards':
            reason = ('by %.1f s, so the faces before are forgotten; a recording began again, or a clock was set'
                      if image.begins_anew else
                      'by %.3f s; images come out of order, or the clock of the camera is corrected') % image.back_s
        elif not oddity and ahead_s > AHEAD_S:
            oddity, reason = 'future', self._why_ahead(ahead_s, now_ns)
        elif not oddity and -ahead_s > PAST_S:
            oddity, reason = 'past', (
                'by %.0f s, so its age is unknown; have the driver stamp by the clock of ROS, not by its uptime, and '
                'give a recording its /clock and this node use_sim_time' % -ahead_s)
        if oddity:
            self._tally.odd_stamp(oddity, time.monotonic(), reason)
        is_known = oddity in ('', 'past', 'backwards')
        return CheckedImage(image.time_s, image.begins_anew, max(-ahead_s, 0.0) if is_known else None,
                            None if oddity else stamp_ns)

    def age_s(self, image):
        """Return how long ago an image was taken.

        :param image: CheckedImage.
        :returns: seconds; None where its stamp is odd.
        """
        if image.stamp_ns is None:
            return None
        return max((self._clock.now().nanoseconds - image.stamp_ns) * 1e-9, 0.0)

    def keep(self, keys):
        """Forget all streams but these.

        :param keys: of `take`.
        """
        for lost in set(self._streams) - set(keys):
            del self._streams[lost]

    def _why_ahead(self, ahead_s, now_ns):
        if self._clock.ros_time_is_active and not now_ns:
            return 'use_sim_time is true, but no time has come on /clock; play it, or set use_sim_time to false'
        return 'by %.1f s; compare the clocks of camera and node, and use_sim_time' % ahead_s
