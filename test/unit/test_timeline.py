"""A timeline keeps the moments worth reviewing."""

import cv2
import numpy as np
import pytest
from bag_faces import face
from sample_timeline import summary_of

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.report import timeline as module
from facial_emotion_ros.recordings.report.report import report_html
from facial_emotion_ros.recordings.report.timeline import DISAGREEMENT, FLIP, WRONG, Timeline

IMAGE = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)


def timeline_of(*rows):
    """Timeline of one face: (time in s, emotion, true emotion or empty, further fields of the estimate)."""
    found = Timeline()
    for time_s, word, true, more in rows:
        found.add('/camera', time_s, IMAGE, [(face(word, **more), GroundTruth(true) if true else None)])
    return found


def test_sums_stay_the_same_when_steps_grow_with_the_recording():
    found = timeline_of(*((number * 1.0, EMOTIONS[number % 8], EMOTIONS[number % 3], {}) for number in range(3000)))
    steps = found.cameras['/camera'].faces['bcdfg'].steps
    assert len(steps) <= module.MAX_BINS and max(steps) * found.bin_s <= 3000 < module.MAX_BINS * found.bin_s
    assert sum(step.frames for step in steps.values()) == 3000 == len(found.cameras['/camera'].times_s)
    assert sum(step.emotions for step in steps.values()).tolist() == [375] * 8 + [0]
    assert sum(step.truth for step in steps.values())[:3].tolist() == [1000] * 3
    assert np.isclose(sum(step.scores.sum() for step in steps.values()), 3000)


@pytest.mark.parametrize('rates', [(10.0, 10.0), (30.0, 5.0)])
def test_time_in_view_is_without_absence_and_gaps_when_the_rate_of_images_varies(rates):
    found = Timeline()
    for begin_s, rate_hz, faces in ((0, rates[0], 'ab'), (3, rates[1], 'b'), (5, rates[1], 'ab'), (90, rates[1], 'a')):
        for number in range(round(2 * rate_hz) if begin_s else round(3 * rate_hz)):
            found.add('/camera', begin_s + number / rate_hz, IMAGE, [(face('happy', each), None) for each in faces])
    assert found.cameras['/camera'].seconds_in_view() == pytest.approx({'a': 7.0, 'b': 7.0})


def test_pictures_stay_few_when_many_come_and_go(monkeypatch):
    monkeypatch.setattr(module, 'MAX_PORTRAITS', 10)
    found = Timeline()
    for number in range(400):
        for step in range(3 if number % 10 else 40):
            found.add('/camera', number * 8.0 + step / 10, IMAGE, [(face(face_id=f'{number:05d}'), None)])
    camera = found.cameras['/camera']
    shown = [each for each in camera.faces.values() if each.portrait]
    assert len(shown) == 10 and all(each.frames == 40 for each in shown)
    assert {each.face_id for each in shown} == set(camera.portrayed)
    assert '376 others had' in report_html(summary_of(found), found)


def test_changes_and_errors_are_both_shown_when_a_face_changes_into_an_error():
    found = timeline_of((0.0, 'happy', 'happy', {}), (5.0, 'sad', 'happy', {}), (10.0, 'sad', '', {'agreement': 0.2}))
    kinds = [(each.kind, each.time_s) for each in found.moments()]
    assert kinds == [(WRONG, 5.0), (FLIP, 5.0), (DISAGREEMENT, 10.0)]
    assert 'estimated sad' in found.moments()[0].says and 'from happy to sad' in found.moments()[1].says


def test_unknown_is_neither_an_error_nor_a_change():
    found = timeline_of((0.0, 'happy', 'sad', {}), (5.0, UNKNOWN, 'sad', {}), (10.0, 'happy', '', {}))
    assert [(each.kind, each.time_s) for each in found.moments()] == [(WRONG, 0.0)]


def test_the_gravest_moments_are_kept_and_one_of_a_face_at_a_time():
    rows = [(number * 3.0, 'sad', 'happy', {'confidence': 0.5 + number / 100}) for number in range(30)]
    rows += [(300.0, 'sad', 'happy', {'confidence': 0.9}), (300.5, 'sad', 'happy', {'confidence': 0.97})]
    kept = timeline_of(*sorted(rows)).moments()
    assert len(kept) == module.MAX_MOMENTS and [each.time_s for each in kept if each.time_s >= 300] == [300.5]
    assert min(each.weight for each in kept) >= 0.7


@pytest.mark.parametrize(
    'box', [(10.0, 10.0, 50.0, 60.0), (-20.0, -5.0, 3.0, 4.0), (95.0, 70.0, 140.0, 120.0), (5.0, 5.0, 5.0, 5.0)]
)
def test_a_picture_is_made_wherever_the_face_lies(box):
    found = timeline_of((0.0, 'sad', 'happy', {'box': box}))
    picture = cv2.imdecode(np.frombuffer(found.moments()[0].picture, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.size
