"""The benchmark of the whole node, with real processes."""

import numpy as np
import pytest

from facial_emotion_ros.cli import benchmark
from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.evaluation.benchmark.streams import Stream, describe_stream, measure_stream
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.ros.benchmark_streams import draw_frames


@pytest.mark.parametrize(
    'stream',
    [
        Stream(320, 240, seconds=2.0, rate_hz=5.0),
        Stream(320, 240, seconds=2.0, rate_hz=4.0, faces=2, transport='compressed'),
    ],
)
def test_answers_ages_and_processor_time_are_measured(stream):
    record = measure_stream(stream)
    assert record['faces_seen'] == stream.faces
    assert 0 < record['fps'] <= stream.rate_hz * 1.3
    assert 0 <= record['dropped'] < record['of']
    assert 0 < record['age_p50_ms'] <= record['age_p99_ms'] <= record['age_max_ms']
    assert 0 < record['cpu_ms'] and 0 < record['cpu_share'] < 4
    assert 50 < record['memory_mb'] < 4000
    assert 'results/s' in describe_stream(record)


def test_a_node_that_does_not_start_is_reported_with_its_log():
    with pytest.raises(
        FacialEmotionError, match='(?s)no subscriber to the images within 8 s.*emotion_node.*no_such_bundle'
    ):
        measure_stream(
            Stream(160, 120, seconds=1.0, rate_hz=2.0), {'detector.bundle': 'no_such_bundle'}, patience_s=8.0
        )


def test_every_face_of_the_frames_is_found():
    pipeline = EmotionPipeline()
    for width, height, faces in ((640, 480, 1), (640, 480, 8), (1920, 1080, 4)):
        frames = draw_frames(width, height, faces, count=4)
        assert [frame.shape for frame in frames] == [(height, width, 3)] * 4
        assert np.abs(frames[0].astype(int) - frames[2]).max() > 50, 'faces move'
        assert len(pipeline.estimate(frames[0])) == faces


def test_a_parameter_without_a_value_is_refused(capsys):
    assert benchmark.main(['--streams', '--parameter', 'inference.engine']) == 2, 'before anything is measured'
    assert 'expected NAME=VALUE' in capsys.readouterr().err
