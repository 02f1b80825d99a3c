"""emotion_node that fails as the environment says: FAULTS=3:BadModel,5:RuntimeError,7:hang by frame.

A hang lasts until the file that WAKE names exists; busy works on the image for ever; freeze keeps Python's lock for a
minute, and freeze_at_end does so when the node is destroyed. A number with a @ counts the images that arrive
(@1:RuntimeError): there the subscription's callback throws, before the frame reaches the worker; one with a < counts
those that rclpy takes from the middleware, which throws there. Everything else is the real thing.
"""

import builtins
import ctypes
import os
import sys
import time

from rclpy import executors

from facial_emotion_ros.core import errors
from facial_emotion_ros.pipeline import emotion_pipeline
from facial_emotion_ros.ros import emotion_node, node, worker

FAULTS = dict(item.split(':') for item in os.environ['FAULTS'].split(','))


def fail(name):
    """Raise the error of that name, ours or Python's."""
    raise getattr(errors, name, getattr(builtins, name, None))('injected fault')


class FaultyPipeline(emotion_pipeline.EmotionPipeline):
    """Raises what FAULTS names when its frame comes, counted from 1."""

    frames = 0

    def estimate(self, image, stamp_s=None, until_s=None):
        """Raise, or do what the real one does."""
        FaultyPipeline.frames += 1
        name = FAULTS.get(str(self.frames))
        if name == 'hang':
            while not os.path.exists(os.environ['WAKE']):
                time.sleep(0.05)
            estimates = super().estimate(image, stamp_s, until_s)
            print('The hung frame came back with %d faces.' % len(estimates), flush=True)
            return estimates
        while name == 'busy':
            super().estimate(image, stamp_s)
        if name == 'freeze':
            ctypes.PyDLL(None).sleep(60)
        elif name:
            fail(name)
        return super().estimate(image, stamp_s, until_s)


class FaultyWorker(worker.FrameWorker):
    """Raises what FAULTS names when its image arrives."""

    arrived = 0

    def offer(self, message):
        """Raise, or do what the real one does."""
        FaultyWorker.arrived += 1
        name = FAULTS.get('@%d' % self.arrived)
        if name:
            fail(name)
        super().offer(message)


class FaultyNode(node.EmotionNode):
    """Freezes in the end, where FAULTS says so."""

    def destroy_node(self):
        """Freeze, as a middleware that deadlocks, or do what the real one does."""
        if 'freeze_at_end' in FAULTS.values():
            ctypes.PyDLL(None).sleep(60)
        super().destroy_node()


def take(executor, subscription, taken=[], real=executors.Executor._take_subscription):  # noqa: B006
    """Raise what FAULTS names when rclpy takes its image, or do what the real one does."""
    if subscription.topic_name == '/image':
        taken.append(subscription)
        if '<%d' % len(taken) in FAULTS:
            fail(FAULTS['<%d' % len(taken)])
    return real(executor, subscription)


executors.Executor._take_subscription = take
node.EmotionNode = FaultyNode
emotion_pipeline.EmotionPipeline = FaultyPipeline
worker.FrameWorker = FaultyWorker
sys.exit(emotion_node.main())
