"""A JPEG whose data ends before its pixels do is refused; one that is really gray there is read."""

import os

import cv2
import numpy as np
import pytest
from places import ROOT

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.image_files import decode_picture

OPTIONS = [(), (cv2.IMWRITE_JPEG_QUALITY, 40), (cv2.IMWRITE_JPEG_QUALITY, 100), (cv2.IMWRITE_JPEG_OPTIMIZE, 1)]


def coded(image, *options):
    return cv2.imencode('.jpg', image, list(options))[1].tobytes()


def portrait(gray=False):
    with open(os.path.join(ROOT, 'samples', 'astronaut.jpg'), 'rb') as file:
        image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    image = cv2.resize(image, (320, 240))
    return image[:, :, 1].copy() if gray else image


@pytest.mark.parametrize('share', [0.2, 0.5, 0.9])
@pytest.mark.parametrize('gray', [False, True])
@pytest.mark.parametrize('options', OPTIONS)
def test_refused_when_the_data_is_cut_and_an_end_put_behind_it(options, gray, share):
    whole = coded(portrait(gray), *options)
    start = whole.index(b'\xff\xda')
    cut = whole[: start + int(share * (len(whole) - start))] + b'\xff\xd9'
    for read in (decode_compressed, decode_picture):
        assert read(whole) is not None
        with pytest.raises(BadImage, match='got a truncated JPEG file'):
            read(cut)


@pytest.mark.parametrize('more', [b'', b'\xff\xff', b'\0\0'])
@pytest.mark.parametrize('gray', [False, True])
@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('first_row, first_column', [(0, 0), (120, 0), (0, 160), (220, 200), (239, 319)])
def test_read_when_a_picture_really_ends_in_gray(options, gray, more, first_row, first_column):
    image = portrait(gray)
    image[first_row:, first_column:] = 128
    whole = coded(image, *options)
    whole = whole[:-2] + more + whole[-2:]
    assert np.array_equal(decode_compressed(whole)[:, :, 1], decode_picture(whole)[:, :, 1])


@pytest.mark.parametrize('height, width', [(1, 1), (1, 300), (300, 1), (17, 33), (8, 8)])
def test_read_when_a_gray_picture_is_tiny(height, width):
    assert decode_compressed(coded(np.full((height, width, 3), 128, np.uint8))).shape == (height, width, 3)
