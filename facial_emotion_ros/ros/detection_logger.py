"""Log the arrival of `detections` during replay of a recording: image stamp, arrival time, number of faces.

`python -m facial_emotion_ros.ros.detection_logger --output FILE ...`; evaluation.node_run starts it.
"""

import argparse
import csv
import sys
import time
from typing import Any, List, Optional, Sequence

from facial_emotion_ros.ros.command_line import not_negative, split_arguments
from facial_emotion_ros.ros.stop_signals import end_at_once
from facial_emotion_ros.system.memory import keep_big_buffers

#: Columns: stamp of the image, system time at which its detections arrived, number of faces.
COLUMNS = ('stamp_ns', 'arrived_ns', 'faces')


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line without ROS arguments."""
    parser = argparse.ArgumentParser(prog='detection_logger', description=__doc__.partition('\n')[0])
    parser.add_argument('--output', required=True, metavar='FILE', help='CSV file for the arrivals')
    parser.add_argument('--camera', default='image', metavar='TOPIC', help='image topic; ends when its publisher ends')
    parser.add_argument(
        '--quiet', type=not_negative, default=2.0, metavar='S', help='end this long after the last image and detections'
    )
    return parser.parse_args(arguments)


def make_node(options: argparse.Namespace) -> Any:
    """Create the node; rclpy is imported here, after the signal handlers are installed.

    :param options: from parse().
    """
    from rclpy.clock import Clock, ClockType
    from rclpy.node import Node
    from vision_msgs.msg import Detection2DArray

    from facial_emotion_ros.ros.qos import output_qos

    class DetectionLogger(Node):
        """Log detections; `done` after the last ones."""

        def __init__(self):
            super().__init__('detection_logger', start_parameter_services=False, enable_rosout=False)
            self.done, self._rows, self._played, self._latest_s = False, [], False, time.monotonic()
            self._system_clock = Clock(clock_type=ClockType.SYSTEM_TIME)
            self._camera = self.resolve_topic_name(options.camera)
            self.create_subscription(Detection2DArray, 'detections', self._take, output_qos(depth=200))
            self.create_timer(0.1, self._check_end, clock=Clock(clock_type=ClockType.STEADY_TIME))

        def finish(self, _interrupted):
            """Write the file."""
            with open(options.output, 'w', newline='') as file:
                csv.writer(file).writerows([COLUMNS] + self._rows)
            return 0

        def _take(self, message):
            arrived_ns, stamp = self._system_clock.now().nanoseconds, message.header.stamp
            self._rows.append((stamp.sec * 10**9 + stamp.nanosec, arrived_ns, len(message.detections)))
            self._latest_s = time.monotonic()

        def _check_end(self):
            if self.count_publishers(self._camera):
                self._played, self._latest_s = True, time.monotonic()
            self.done = self._played and time.monotonic() - self._latest_s >= options.quiet

    return DetectionLogger()


def main(args: Optional[List[str]] = None) -> int:
    """Log until the images have ended and the last detections have arrived.

    :param args: command line; None for sys.argv.
    :returns: exit status.
    """
    end_at_once()
    keep_big_buffers()
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else args)
    options = parse(ours)
    from facial_emotion_ros.ros.process import run_until_done

    return run_until_done('detection_logger', lambda: make_node(options), for_ros)


if __name__ == '__main__':
    sys.exit(main())
