"""The modules and the network that OpenDR exports beside its learner: what its demo and its nodes call."""

import cv2
import numpy as np
import pytest
import torch

from facial_emotion_ros.core.errors import BadImage, BadParameter
from facial_emotion_ros.training import ESR
from facial_emotion_ros.training.opendr import image_processing


@pytest.fixture
def film(tmp_path):
    """Return the path of a film of 60 frames at 30 Hz, each a little brighter than the one before."""
    path = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 30, (64, 48))
    for level in range(60):
        writer.write(np.full((48, 64, 3), 4 * level, np.uint8))
    writer.release()
    return path


def test_the_network_is_made_as_opendr_s_is():
    network = ESR('cpu', 2)
    emotions, affect, attention = network(torch.zeros(1, 3, 96, 96))
    assert [each.shape for each in emotions] == [(1, 8)] * 2 and [each.shape for each in affect] == [(1, 2)] * 2
    assert attention == 0 and network.get_ensemble_size() == 2 and not network.training


def test_frames_of_a_film_come_at_the_rate_that_was_set(film):
    image_processing.set_fps(5)
    assert image_processing.initialize_video_capture(film) and image_processing.is_video_capture_open()
    levels = []
    while True:
        frame, time_s = image_processing.get_frame()
        if frame is None:
            break
        levels.append(round(frame.mean() / 4))
    assert image_processing.release_video_capture() and not image_processing.is_video_capture_open()
    assert len(levels) == 10 and set(np.diff(levels)) == {6}
    with pytest.raises(BadImage, match='initialize_video_capture'):
        image_processing.get_frame()
    assert not image_processing.initialize_video_capture(film + '.absent')


def test_a_picture_is_written_read_and_converted(tmp_path):
    picture = np.zeros((8, 6, 3), np.uint8)
    picture[..., 0] = 200
    image_processing.write(picture, str(tmp_path / 'new'), 'blue.png')
    read = image_processing.read(str(tmp_path / 'new' / 'blue.png'))
    np.testing.assert_array_equal(read, picture)
    assert image_processing.read(str(tmp_path / 'new' / 'blue.png'), True).shape == (8, 6)
    assert image_processing.convert_bgr_to_rgb(read)[0, 0].tolist() == [0, 0, 200]
    gray = image_processing.convert_bgr_to_grey(read)
    np.testing.assert_array_equal(gray, image_processing.convert_rgb_to_grey(read[..., ::-1]))
    assert image_processing.convert_grey_to_bgr(gray).shape == (8, 6, 3)
    assert image_processing.resize(read, (3, 4)).shape == (4, 3, 3)
    assert image_processing.resize(read, f=2.0).shape == (16, 12, 3)
    with pytest.raises(BadImage, match='absent.png'):
        image_processing.read(str(tmp_path / 'absent.png'))
    with pytest.raises(BadImage, match='face.png'):
        image_processing.write(picture, str(tmp_path), 'no_ending')


def test_curves_are_drawn_into_a_file(tmp_path):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed: it is needed for plots only')
    from facial_emotion_ros.training.opendr import plotting

    curves = [[range(3), [1, 2, 3]], [range(3), [3, 2, 1]]]
    plotting.plot(
        curves,
        'Loss',
        ['a', 'b'],
        'Epoch',
        'Loss',
        str(tmp_path),
        'Loss_Branch_1',
        limits_axis_y=(0, 4, 1),
        upper_lower_data=[([2, 3, 4], [0, 1, 2]), ([4, 3, 2], [2, 1, 0])],
        verbose=False,
    )
    assert b'</svg>' in (tmp_path / 'Loss_Branch_1').read_bytes()
    plotting.plot(curves, file_path=str(tmp_path), file_name='loss.png', verbose=False)
    assert cv2.imread(str(tmp_path / 'loss.png')) is not None
    with pytest.raises(BadParameter, match='file_path'):
        plotting.plot(curves)
    with pytest.raises(BadParameter, match='svg, png or pdf'):
        plotting.plot(curves, file_path=str(tmp_path), file_name='loss.doc', verbose=False)
