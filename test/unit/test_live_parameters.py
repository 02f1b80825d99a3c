"""Every live parameter of faces reaches the pipeline before the next image, in its own place."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

from facial_emotion_ros.emotion.ensemble import OperatingPoint
from facial_emotion_ros.emotion.temporal_filter import TemporalFilter
from facial_emotion_ros.perception.face_detector import Faces
from facial_emotion_ros.perception.face_stream import FaceFinder
from facial_emotion_ros.perception.face_tracker import FaceTracker
from facial_emotion_ros.ros import parameters
from facial_emotion_ros.ros.live_parameters import NAMES, LiveParameters


class NoFaces:
    """A detector that finds nothing."""

    min_score = 0.5

    def detect(self, image):
        """Return no faces."""
        return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


class Parts:
    """The parts of a pipeline that rules are handed over to."""

    def __init__(self):
        self.tracker, self.smoothing, self.quality_gate = FaceTracker(), TemporalFilter(), None
        self.finder = FaceFinder(NoFaces(), self.tracker)
        self.reuse_below = 0.0
        self.engine = SimpleNamespace(point=OperatingPoint())
        self.operating_point = self.prior = ''
        self.rotate_deg = 0

    def rotate(self, degrees):
        """Note what is asked for."""
        self.rotate_deg = degrees

    def use_operating_point(self, name, prior):
        """Note what is asked for."""
        self.operating_point, self.prior = name, prior

    def state(self):
        """Return all settings, by where they ended."""
        own = [
            ('tracker', self.tracker),
            ('finder', self.finder),
            ('smoothing', self.smoothing),
            ('quality_gate', self.quality_gate),
            ('pipeline', self),
        ]
        return OrderedDict(
            (part + name, value)
            for part, each in own
            for name, value in sorted(vars(each).items())
            if isinstance(value, (bool, int, float, str))
        )


def defaults():
    """Return name -> default of the parameters that are handed over."""
    return {row.name: row.default for row in parameters.TABLE if row.name in NAMES}


def test_every_live_parameter_of_faces_is_handed_over_and_is_live():
    others = (
        'input.rotate_deg',
        'detector.every_n',
        'inference.reuse_below',
        'inference.operating_point',
        'inference.prior',
    )
    rows = {
        row.name: row
        for row in parameters.TABLE
        if row.name.split('.')[0] in ('tracker', 'smoothing', 'unknown') or row.name in others
    }
    assert {name for name, row in rows.items() if row.live} == set(NAMES)
    assert set(rows) - set(NAMES) == {'tracker.first_face'}, 'the one that a tracker is made with'


@pytest.mark.parametrize('name', NAMES)
def test_just_its_own_setting_changes_when_a_parameter_is_set(name):
    values, parts = defaults(), Parts()
    rules = LiveParameters(lambda asked: values[asked])
    rules.apply(parts)
    before = parts.state()
    default = values[name]
    values[name] = (
        (not default)
        if isinstance(default, bool)
        else default + 1
        if isinstance(default, int)
        else 'other'
        if isinstance(default, str)
        else round(default * 0.75, 6)
        if default > 0
        else 0.3
    )
    rules.apply(parts)
    after = parts.state()
    changed = [each for each in before if before[each] != after[each]]
    assert len(changed) == 1 and after[changed[0]] == values[name]
    assert name.split('.')[1].strip('_') in changed[0], changed


def test_bounds_are_the_operating_point_s_unless_they_are_set():
    values, parts = defaults(), Parts()
    parts.engine.point = OperatingPoint(min_confidence=0.31, min_agreement=0.62)
    rules = LiveParameters(lambda asked: values[asked])
    rules.apply(parts)
    assert (parts.quality_gate.min_confidence, parts.quality_gate.min_agreement) == (0.31, 0.62)
    values['unknown.min_confidence'] = 0.0
    rules.apply(parts)
    assert (parts.quality_gate.min_confidence, parts.quality_gate.min_agreement) == (0.0, 0.62)


def test_nothing_is_touched_when_nothing_was_set():
    values, parts = defaults(), Parts()
    rules = LiveParameters(lambda asked: values[asked])
    rules.apply(parts)
    quality_gate = parts.quality_gate
    rules.apply(parts)
    assert parts.quality_gate is quality_gate


def test_defaults_are_those_of_the_pipelines_parts():
    values, parts = defaults(), Parts()
    values['detector.every_n'] = 1  # the node detects in every second image, a pipeline in every one
    LiveParameters(lambda asked: values[asked]).apply(parts)
    fresh = Parts()
    fresh.quality_gate = type(parts.quality_gate)()
    assert parts.state() == fresh.state()
