"""Subscribers of camera and node that are killed all the time, as `kill -9` does, and replaced.

Usage: killed_subscribers.py COUNT SHARE
COUNT subscribers are alive at a time, each for a third of a second to one second and a half; a SHARE of them is stopped
for 1.5 s first, as a starved one is: time enough for Fast DDS to give its shared-memory port up. Prints how many were
killed so far, until SIGINT.
"""

import ctypes
import os
import random
import signal
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from hri_msgs.msg import Expression, IdsList
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.type_support import check_for_type_support
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

#: Source: linux/prctl.h.
_PR_SET_PDEATHSIG = 1
TOPICS = [
    (Image, 'image'),
    (Image, 'emotion_node/debug/image'),
    (Detection2DArray, 'detections'),
    (Detection2DArray, 'affect'),
    (Expression, 'expression'),
    (IdsList, '/humans/faces/tracked'),
    (DiagnosticArray, '/diagnostics'),
]


def read():
    """Read everything until killed."""
    rclpy.init()
    node = Node('killed_subscriber', start_parameter_services=False, enable_rosout=False)
    for kind, topic in TOPICS:
        reliability = ReliabilityPolicy.BEST_EFFORT if kind is Image else ReliabilityPolicy.RELIABLE
        node.create_subscription(kind, topic, lambda message: None, QoSProfile(depth=10, reliability=reliability))
    rclpy.spin(node)


def main():
    """Start and kill subscribers until SIGINT."""
    count, stopped_share = int(sys.argv[1]), float(sys.argv[2])
    for kind, _ in TOPICS:
        check_for_type_support(kind)  # once, before the forks: a subscriber then starts in no time
    ended, due_s, killed = [], {}, 0
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    while not ended:
        while len(due_s) < count:
            pid = os.fork()
            if pid == 0:
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                read()
                os._exit(1)
            due_s[pid] = time.monotonic() + random.uniform(0.3, 1.5)
        for pid in [pid for pid, at_s in due_s.items() if time.monotonic() > at_s]:
            if random.random() < stopped_share:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(1.5)
            kill(pid)
            del due_s[pid]
            killed += 1
            print(killed, flush=True)
        time.sleep(0.01)
    for pid in due_s:
        kill(pid)


def kill(pid):
    """Kill a child for good."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == '__main__':
    main()
