"""A recording played live through the node: the measured ages and drops."""

import pytest

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

from facial_emotion_ros.core.errors import BadBag, FacialEmotionError  # noqa: E402
from facial_emotion_ros.recordings.evaluation.real_time_replay import measure_live  # noqa: E402
from facial_emotion_ros.recordings.io.sample_bag import CAMERA, write_sample_bag  # noqa: E402


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Return a function that records the beginning of the sample."""
    folder = tmp_path_factory.mktemp('bags')

    def record(transport, rate_hz, seconds):
        path = str(folder / ('%s_%g' % (transport, rate_hz)))
        if not (folder / path).exists():
            write_sample_bag(path, seconds=seconds, rate_hz=rate_hz, transport=transport, width=320, height=240)
        return path

    return record


def test_ages_and_answers_are_measured_when_a_recording_is_played_live(film):
    # The recording is older than that; the images that are played are not.
    record = measure_live(film('raw', 5.0, 2.0), CAMERA, {'input.max_age_s': 5.0}, quiet_s=1.0)
    assert (record['topic'], record['transport'], record['frames']) == (CAMERA, 'raw', 10)
    assert record['answered'] + record['dropped'] == 10 and record['answered'] >= 5
    assert record['with_faces'] == record['answered']
    assert 1.7 < record['seconds'] < 2.5
    assert 0 < record['age_p50_ms'] <= record['age_p99_ms'] <= record['age_max_ms'] < 2000
    assert 0 <= record['player_late_ms'] < 500
    assert 0 < record['cpu_ms'] and 0 < record['cpu_share'] < 4 and 50 < record['memory_mb'] < 4000


def test_drops_are_counted_when_images_come_faster_than_the_node_works(film):
    # Every image goes through the slower detector at full size: the node cannot keep up, and tells no lie about it.
    record = measure_live(
        film('compressed', 200.0, 1.0),
        CAMERA + '/compressed',
        {'detector.every_n': 1, 'detector.long_side_px': 1280, 'inference.precision': 'fp32'},
        quiet_s=1.0,
    )
    assert (record['transport'], record['frames'], record['answered'] + record['dropped']) == ('compressed', 200, 200)
    assert record['dropped'] > 50 and record['answered'] > 0


def test_the_node_s_log_is_shown_when_it_does_not_start(film):
    with pytest.raises(FacialEmotionError, match='(?s)play_bag: .*1 subscribers.*emotion_node.*no_such_bundle'):
        measure_live(film('raw', 5.0, 2.0), CAMERA, {'detector.bundle': 'no_such_bundle'}, patience_s=4.0)


def test_a_topic_is_refused_when_it_is_no_camera(film):
    with pytest.raises(BadBag, match="expected a camera, got '/annotation/faces'; it has " + CAMERA):
        measure_live(film('raw', 5.0, 2.0), '/annotation/faces')
