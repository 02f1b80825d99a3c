"""emotion_node with a pipeline that fails as the environment says: FAULTS=3:BadModel,5:RuntimeError,7:hang by frame.

Everything but the pipeline's answer is the real thing.
"""

import builtins
import os
import sys
import time

from facial_emotion_ros import errors, pipeline
from facial_emotion_ros.ros import emotion_node


class FaultyPipeline(pipeline.EmotionPipeline):
    """Raises what FAULTS names when its frame comes, counted from 1."""

    faults = dict(item.split(':') for item in os.environ['FAULTS'].split(','))
    frames = 0

    def estimate(self, image, stamp_s=None):
        """Raise, or do what the real one does."""
        FaultyPipeline.frames += 1
        name = self.faults.get(str(self.frames))
        if name == 'hang':
            time.sleep(60.0)
        elif name:
            raise getattr(errors, name, getattr(builtins, name, None))('injected fault')
        return super().estimate(image, stamp_s)


pipeline.EmotionPipeline = FaultyPipeline
sys.exit(emotion_node.main())
