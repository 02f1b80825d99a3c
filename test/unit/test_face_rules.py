"""Every live parameter of faces reaches the pipeline before the next image, in its own place."""

from collections import OrderedDict

import numpy as np
import pytest

from facial_emotion_ros.face_detector import Faces
from facial_emotion_ros.face_finder import FaceFinder
from facial_emotion_ros.face_tracker import FaceTracker
from facial_emotion_ros.ros import parameters
from facial_emotion_ros.ros.face_rules import NAMES, FaceRules
from facial_emotion_ros.smoothing import FaceSmoothing


class NoFaces:
    """A detector that finds nothing."""

    min_score = 0.5

    def detect(self, image):
        """Return no faces."""
        return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


class Parts:
    """The parts of a pipeline that rules are handed over to."""

    def __init__(self):
        self.tracker, self.smoothing, self.doubts = FaceTracker(), FaceSmoothing(), None
        self.finder = FaceFinder(NoFaces(), self.tracker)
        self.reuse_below = 0.0

    def state(self):
        """Return all settings, by where they ended."""
        own = [('tracker', self.tracker), ('finder', self.finder), ('smoothing', self.smoothing),
               ('doubts', self.doubts), ('pipeline', self)]
        return OrderedDict((part + name, value) for part, each in own for name, value in sorted(vars(each).items())
                           if isinstance(value, (bool, int, float)))


def defaults():
    """Return name -> default of the parameters that are handed over."""
    return {row.name: row.default for row in parameters.TABLE if row.name in NAMES}


def test_every_live_parameter_of_faces_is_handed_over_and_is_live():
    others = ('detector.every_n', 'inference.reuse_below')
    rows = {row.name: row for row in parameters.TABLE
            if row.name.split('.')[0] in ('tracker', 'smoothing', 'unknown') or row.name in others}
    assert {name for name, row in rows.items() if row.live} == set(NAMES)
    assert set(rows) - set(NAMES) == {'tracker.first_face'}, 'the one that a tracker is made with'


@pytest.mark.parametrize('name', NAMES)
def test_just_its_own_setting_changes_when_a_parameter_is_set(name):
    values, parts = defaults(), Parts()
    rules = FaceRules(lambda asked: values[asked])
    rules.hand_over(parts)
    before = parts.state()
    default = values[name]
    values[name] = (not default) if isinstance(default, bool) else default + 1 if isinstance(default, int) \
        else round(default * 0.75, 6) or 3.0
    rules.hand_over(parts)
    after = parts.state()
    changed = [each for each in before if before[each] != after[each]]
    assert len(changed) == 1 and after[changed[0]] == values[name]
    assert name.split('.')[1].strip('_') in changed[0], changed


def test_nothing_is_touched_when_nothing_was_set():
    values, parts = defaults(), Parts()
    rules = FaceRules(lambda asked: values[asked])
    rules.hand_over(parts)
    doubts = parts.doubts
    rules.hand_over(parts)
    assert parts.doubts is doubts


def test_defaults_are_those_of_the_pipelines_parts():
    values, parts = defaults(), Parts()
    values['detector.every_n'] = 1  # the node detects in every second image, a pipeline in every one
    FaceRules(lambda asked: values[asked]).hand_over(parts)
    fresh = Parts()
    fresh.doubts = type(parts.doubts)()
    assert parts.state() == fresh.state()
