"""emotion_node whose work on an image takes as long as a file says. Usage: paced_node.py FOLDER --ros-args ...

FOLDER/pace holds `real`; `fast`, where both networks give at once what they gave before for an input of that shape;
a number, which is how many seconds every image takes longer; or `hang`, which lasts until it holds something else.
While there is a FOLDER/count, the next image writes what Python holds into FOLDER/objects.json and removes it.
Everything else is the real thing.
"""

import collections
import gc
import json
import os
import sys
import time

import onnxruntime

FOLDER = sys.argv.pop(1)


def pace():
    """Read how fast to be."""
    with open(os.path.join(FOLDER, 'pace')) as file:
        return file.read().strip()


class RememberingSession:
    """A session that can give its former outputs in no time."""

    def __init__(self, *arguments, **options):
        """Open the real one."""
        self._session = REAL_SESSION(*arguments, **options)
        self._remembered = {}

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self._session, name)

    def run(self, outputs, feed):
        """Run, or remember."""
        key = tuple(outputs) + tuple(array.shape for array in feed.values())
        if pace() != 'fast' or key not in self._remembered:
            self._remembered[key] = self._session.run(outputs, feed)
        return [array.copy() for array in self._remembered[key]]


def count_objects():
    """Write how many objects of each type, and how many blocks of memory, Python holds."""
    gc.collect()
    objects = gc.get_objects()
    types = collections.Counter('%s.%s' % (type(each).__module__, type(each).__name__) for each in objects)
    held = {'blocks': sys.getallocatedblocks(), 'objects': len(objects), 'types': types}
    path = os.path.join(FOLDER, 'objects.json')
    with open(path + '.part', 'w') as file:
        json.dump(held, file)
    os.replace(path + '.part', path)


REAL_SESSION = onnxruntime.InferenceSession
onnxruntime.InferenceSession = RememberingSession

from facial_emotion_ros.pipeline import emotion_pipeline  # noqa: E402
from facial_emotion_ros.ros import emotion_node  # noqa: E402


class PacedPipeline(emotion_pipeline.EmotionPipeline):
    """Takes its time."""

    def estimate(self, image, stamp_s=None, until_s=None):
        """Wait as the file says, then do what the real one does."""
        request = os.path.join(FOLDER, 'count')
        if os.path.exists(request):
            count_objects()
            os.remove(request)
        while pace() == 'hang':
            time.sleep(0.02)
        if pace() not in ('real', 'fast'):
            time.sleep(float(pace()))
        return super().estimate(image, stamp_s, until_s)


emotion_pipeline.EmotionPipeline = PacedPipeline
sys.exit(emotion_node.main())
