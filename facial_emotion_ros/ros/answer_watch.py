"""Listens to a node's answers while a recording is played, and notes which images were answered, and when.

`python -m facial_emotion_ros.ros.answer_watch --output FILE ...`; bag_evaluation.live starts it.
"""

import argparse
import csv
import sys
import time

from facial_emotion_ros.process_memory import keep_big_buffers
from facial_emotion_ros.ros.ros_arguments import split_arguments
from facial_emotion_ros.ros.stop_signals import end_at_once

#: What is noted of an answer: the stamp of its image, the system's time when it came, and how many faces it tells of.
ANSWERS = ('stamp_ns', 'arrived_ns', 'faces')


def parse(arguments):
    """Read the command line without what follows --ros-args.

    :param arguments: list of str.
    :returns: argparse.Namespace.
    """
    parser = argparse.ArgumentParser(prog='answer_watch', description=__doc__.partition('\n')[0])
    parser.add_argument('--output', required=True, metavar='FILE', help='CSV file of the answers')
    parser.add_argument('--camera', default='image', metavar='TOPIC', help='the images; without publisher, they ended')
    parser.add_argument('--quiet', type=float, default=2.0, metavar='S',
                        help='end when the images have ended, and no answer has come for so long')
    return parser.parse_args(arguments)


def make_watch(options):
    """Make the node.

    :param options: of parse().
    :returns: a node as ending_process.run_until_done takes it.
    """
    from rclpy.clock import Clock, ClockType
    from rclpy.node import Node
    from vision_msgs.msg import Detection2DArray

    from facial_emotion_ros.ros.qos import output_qos

    class AnswerWatch(Node):
        """Notes answers, and is done when the last one has come."""

        def __init__(self):
            super().__init__('answer_watch', start_parameter_services=False, enable_rosout=False)
            self.done, self._answers, self._played, self._heard_s = False, [], False, time.monotonic()
            self._clock, self._camera = Clock(clock_type=ClockType.SYSTEM_TIME), self.resolve_topic_name(options.camera)
            self.create_subscription(Detection2DArray, 'detections', self._hear, output_qos(depth=200))
            self.create_timer(0.1, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

        def finish(self, _interrupted):
            """Write what was heard."""
            with open(options.output, 'w', newline='') as file:
                csv.writer(file).writerows([ANSWERS] + self._answers)
            return 0

        def _hear(self, message):
            arrived_ns, stamp = self._clock.now().nanoseconds, message.header.stamp
            self._answers.append((stamp.sec * 10 ** 9 + stamp.nanosec, arrived_ns, len(message.detections)))
            self._heard_s = time.monotonic()

        def _look(self):
            if self.count_publishers(self._camera):
                self._played, self._heard_s = True, time.monotonic()
            self.done = self._played and time.monotonic() - self._heard_s >= options.quiet

    return AnswerWatch()


def main(args=None):
    """
    Listen until the images have ended and the last answer has come.

    :param args: command line; None takes the process's own.
    :returns: exit status.
    """
    end_at_once()
    keep_big_buffers()
    from facial_emotion_ros.ros.ending_process import run_until_done
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else list(args))
    options = parse(ours)
    return run_until_done('answer_watch', lambda: make_watch(options), for_ros)


if __name__ == '__main__':
    sys.exit(main())
