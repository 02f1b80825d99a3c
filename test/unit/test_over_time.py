"""Figures of faces over time: that they measure what they say, on a few images."""

import base64
import os

import cv2
import numpy as np
import pytest
from in_process import kept_models  # noqa: F401
from places import SAMPLES

from facial_emotion_ros.cli import evaluate_over_time
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.evaluation import tracking_metrics
from facial_emotion_ros.evaluation.camera import (
    detection_interval,
    identity_metrics,
    occlusion_fit,
    rejection_metrics,
    resting_bias,
)
from facial_emotion_ros.evaluation.camera.occluders import HELD_OUT_SHAPES
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_appearance import MEAN
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_tracker import FaceTracker
from facial_emotion_ros.perception.occlusion import FEATURES, WEIGHTS
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

pytest.importorskip('torch', reason='torch is not installed: it is needed for training and evaluation only')


def test_faces_that_do_not_cross_keep_their_ids():
    for walk in (tracking_metrics.Walk(3, 15, 0.8, False), tracking_metrics.Walk(1, 10, 2.0, False)):
        for described in (False, True):
            switches, named = tracking_metrics.count_switches(walk, seeds=2, length_s=20.0, described=described)
            assert switches == 0 and named > 0.9 * 2 * 20 * walk.faces * walk.rate_hz * 0.9


def test_switches_are_counted_when_a_tracker_forgets():
    class Forgetful(FaceTracker):
        def update(self, *arguments):
            self.clear()
            return super().update(*arguments)

    walk = tracking_metrics.Walk(2, 10, 0.8, False)
    switches, named = tracking_metrics.count_switches(walk, seeds=1, length_s=3.0, tracker_type=Forgetful)
    assert switches == named - 2 > 20


def test_persons_with_a_resting_bias_are_read_rightly_at_rest_when_it_is_corrected():
    scores = np.full((8, 8), 0.2 / 7)
    np.fill_diagonal(scores, 0.8)
    without, corrected = (
        resting_bias.simulate(scores, np.arange(8), 3.6, constant_s, persons=3) for constant_s in (0.0, 30.0)
    )
    assert without.rest < 0.3 < 0.9 < corrected.rest and corrected.expressions > without.expressions - 0.05
    said = list(resting_bias.lines(scores, np.arange(8), persons=1))
    assert len(said) == 2 + len(resting_bias.CONSTANTS_S) * len(resting_bias.BIASES) + 7
    assert said[-1].split() == ['contempt', '100.0%', '0.0%', 'of', '1']


def test_degraded_faces_are_unknown_and_clear_ones_are_not():
    image = cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))[:256, 96:352]
    face = LabelledFace('astronaut', image, EMOTIONS.index('happy'), (128.0, 117.0), 108.0)
    found = rejection_metrics.observe(EmotionPipeline(long_side_px=256), [face], degraded=1)
    assert [row.rejection_reasons for row in found['clear']] == [()] and found['clear'][0].right
    rejected = {name: rows[0].rejection_reasons for name, rows in found.items() if rows}
    assert rejected['blurred by 6%'] == ('blurred',) and rejected['face of 20 px'] == ('small',)
    assert rejected['cut by 40% on the left'] == ('cut',) and rejected['blurred by 2% of the face'] == ()
    for name, reason in (
        ('5% of the light, noise', 'dark'),
        ('fog, 10% of the contrast', 'low_contrast'),
        ('overexposed 4 times', 'overexposed'),
        ('mask', 'occluded'),
        ('scarf', 'occluded'),
    ):
        assert name not in rejected or reason in rejected[name], name
    assert {'mask', 'overexposed 4 times'} <= set(rejected)
    told = rejection_metrics.text(found)
    assert 'clear' in told and 'unknown.min_agreement' in told and 'blurred by 6%' in told


def test_the_rule_for_covered_mouths_is_fitted_on_what_was_collected():
    image = cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))
    face = LabelledFace('astronaut', image, EMOTIONS.index('happy'), (224.0, 117.0), 108.0)
    detector = FaceDetector(ModelBundle.open(embedded_bundle('centerface')))
    found = occlusion_fit.collect(detector, [face, face])
    assert {name: rows.shape[1] for name, rows in found.items()} == dict.fromkeys(
        ('clear', 'varied', 'covered') + HELD_OUT_SHAPES, FEATURES
    )
    assert len(found['clear']) == 2 < len(found['covered'])
    shares = occlusion_fit.covered_shares(found, WEIGHTS)
    assert shares['clear'] == 0 and shares['covered'] > 0.7 and shares['fingers'] == 1


def test_a_fitted_rule_tells_kinds_apart_and_comes_back_from_its_text():
    draw = np.random.default_rng(0).normal
    found = {
        'clear': draw(0, 1, (600, FEATURES)),
        'varied': draw(0, 1, (600, FEATURES)),
        'covered': draw(0.3, 1, (900, FEATURES)),
    }
    fitted, others = occlusion_fit.halves(found)
    weights = occlusion_fit.fit(fitted)
    shares = occlusion_fit.covered_shares(others, weights)
    assert shares['clear'] < 0.03 and shares['varied'] < 0.03 and shares['covered'] > 0.9
    text = ''.join(line.strip(" '") for line in occlusion_fit.as_text(weights).splitlines())
    again = np.frombuffer(base64.b64decode(text), '<f2')
    assert again.shape == WEIGHTS.shape and np.abs(again - weights).max() < 0.01


def test_the_likeness_of_persons_and_the_mean_face_are_measured():
    faces = []
    for name, middle, box_px in (('astronaut', (224.0, 117.0), 108.0), ('president', (424.0, 243.0), 191.0)):
        image = cv2.imread(os.path.join(SAMPLES, f'{name}.jpg'))
        faces.append(LabelledFace(name, image, 0, middle, box_px))
    detector = FaceDetector(ModelBundle.open(embedded_bundle('centerface_int8')))
    as_they_are, changed = identity_metrics.collect(detector, faces)
    assert as_they_are.shape == changed.shape == (2, MEAN.size)
    told = list(identity_metrics.lines(as_they_are, changed))
    assert told[0] == '2 faces, AUROC 1.0000' and '100.0%, other person 0.0000%' in told[2]
    text = ''.join(line.strip(" '") for line in told[5:])
    mean = np.frombuffer(base64.b64decode(text), np.uint8) / 2048
    assert np.abs(mean - identity_metrics.mirrored_mean(as_they_are)).max() < 0.001
    mirrored = np.flip(mean.reshape(6, 6, 8), 1)[:, :, (4 - np.arange(8)) % 8]
    assert np.allclose(mirrored.ravel(), mean)


def test_it_is_said_when_the_detector_found_no_face():
    blank = LabelledFace('blank', np.zeros((64, 64, 3), np.uint8), 0, (32.0, 32.0), 20.0)
    found = rejection_metrics.observe(EmotionPipeline(), [blank], degraded=1)
    assert 'The detector found no face' in rejection_metrics.text(found)


def test_boxes_between_detections_are_measured_when_faces_move(monkeypatch):
    monkeypatch.setitem(detection_interval.STREAMS, 'short', (15, 0.6, 1.0))
    detector = FaceDetector(ModelBundle.open(embedded_bundle('centerface')))
    detection_ms, (row,) = detection_interval.measure('short', detector, steps=(3,))
    assert row['n'] == 3 and row['detections'] == 3 and row['ids'] >= 3
    assert 0.8 < row['mean'] < 1 and row['p5'] < row['mean'] and row['ms'] < detection_ms


def test_the_command_refuses_what_it_cannot_measure(tmp_path, capsys):
    for what in ('unknown', 'occlusion'):
        with pytest.raises(SystemExit):
            evaluate_over_time.main([what])
    assert evaluate_over_time.main(['unknown', '--dataset', str(tmp_path / 'absent.npz')]) == 1
    assert 'absent.npz' in capsys.readouterr().err


def test_the_command_prints_a_line_for_each_walk(monkeypatch, capsys):
    monkeypatch.setattr(tracking_metrics, 'count_switches', lambda walk, described=False: (walk.faces, 100))
    assert evaluate_over_time.main(['ids']) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(tracking_metrics.WALKS)
    assert np.all([walk.faces > 1 for walk in tracking_metrics.WALKS])
