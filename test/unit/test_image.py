"""Every good image is read pixel for pixel; every bad one is refused before a pixel is touched."""

import array

import numpy as np
import pytest

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.image import ENCODINGS, MAX_SIDE_PX, check_image, decode_image

try:
    from hypothesis import given, settings
    from hypothesis import strategies as some
except ImportError:
    given = None

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)

# Two pixels, red and green (or dark and light), and what comes out.
PIXELS = {
    'bgr8': (bytes([0, 0, 255, 0, 255, 0]), [RED, GREEN]),
    'rgb8': (bytes([255, 0, 0, 0, 255, 0]), [RED, GREEN]),
    '8UC3': (bytes([0, 0, 255, 0, 255, 0]), [RED, GREEN]),
    'bgra8': (bytes([0, 0, 255, 7, 0, 255, 0, 0]), [RED, GREEN]),
    'rgba8': (bytes([255, 0, 0, 7, 0, 255, 0, 0]), [RED, GREEN]),
    'mono8': (bytes([3, 250]), [(3, 3, 3), (250, 250, 250)]),
    'mono16': (bytes([9, 3, 1, 250]), [(3, 3, 3), (250, 250, 250)]),
}


def padded(row, padding):
    """Return two rows alike, with padding after each that is no pixel."""
    return (row + b'\xaa' * padding) * 2


def test_every_encoding_has_an_example_when_one_is_added():
    assert set(PIXELS) == set(ENCODINGS)


@pytest.mark.parametrize('padding', [0, 1, 3, 64])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_pixels_are_right_when_rows_are_padded_or_not(encoding, padding):
    row, expected = PIXELS[encoding]
    image = decode_image(padded(row, padding), 2, 2, len(row) + padding, encoding)
    assert image.tolist() == [[list(pixel) for pixel in expected]] * 2
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


def test_high_byte_is_taken_when_mono16_has_either_byte_order():
    values = np.array([[0x00FF, 0x0100, 0x8000, 0xFFFF]], np.uint16)
    for order, is_bigendian in (('<u2', False), ('>u2', True), ('<u2', 0), ('>u2', 1)):
        image = decode_image(values.astype(order).tobytes(), 1, 4, 8, 'mono16', is_bigendian)
        assert image[0, :, 0].tolist() == [0, 1, 0x80, 0xFF]


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8'])
@pytest.mark.parametrize('is_bigendian', [True, 255, None])
def test_byte_order_does_not_matter_when_a_channel_is_one_byte(encoding, is_bigendian):
    row, expected = PIXELS[encoding]
    assert decode_image(row, 1, 2, len(row), encoding, is_bigendian)[0].tolist() == [list(pixel) for pixel in expected]


@pytest.mark.parametrize('buffer', [
    bytes, bytearray, memoryview, lambda data: array.array('B', data), lambda data: np.frombuffer(data, np.uint8),
    lambda data: np.frombuffer(data, np.uint8).reshape(2, -1), lambda data: array.array('b', [0] * len(data))])
def test_any_buffer_of_bytes_is_read_when_given(buffer):
    image = decode_image(buffer(bytes(range(12))), 2, 2, 6, 'bgr8')
    assert image.shape == (2, 2, 3)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_image_is_its_own_memory_when_the_driver_reuses_its_buffer(encoding):
    row, expected = PIXELS[encoding]
    data = array.array('B', row * 2)
    image = decode_image(data, 2, 2, len(row), encoding)
    for index in range(len(data)):
        data[index] = 77
    assert image[1].tolist() == [list(pixel) for pixel in expected]
    image[:] = 5
    assert set(data) == {77}


@pytest.mark.parametrize('height, width', [(1, 1), (1, 5000), (5000, 1), (480, 640), (1, MAX_SIDE_PX)])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_shape_is_right_when_the_size_is_unusual(encoding, height, width):
    step = width * len(PIXELS[encoding][0]) // 2
    assert decode_image(bytes(height * step), height, width, step, encoding).shape == (height, width, 3)


GOOD = {'pixels': bytes(2 * 12), 'height': 2, 'width': 4, 'step': 12, 'encoding': 'bgr8', 'is_bigendian': 0}
HUGE = (1 << 32) - 1

BAD = [
    # what is wrong, changes, words of the refusal
    ('height 0', {'height': 0}, 'height'),
    ('height 0 and no bytes', {'height': 0, 'pixels': b''}, 'height'),
    ('height negative', {'height': -2}, 'height'),
    ('height huge', {'height': HUGE}, 'height'),
    ('height no number', {'height': '2'}, 'whole number as height'),
    ('height a fraction', {'height': 2.0}, 'whole number as height'),
    ('height None', {'height': None}, 'whole number as height'),
    ('width 0', {'width': 0}, 'width'),
    ('width 0 and step 0', {'width': 0, 'step': 0, 'pixels': b''}, 'width'),
    ('width negative', {'width': -4}, 'width'),
    ('width huge', {'width': HUGE}, 'width'),
    ('width that lies', {'width': 5}, 'step of at least 15'),
    ('everything huge', {'height': HUGE, 'width': HUGE, 'step': HUGE}, 'height'),
    ('width, step and bytes overflow 32 bit', {'width': MAX_SIDE_PX, 'step': HUGE}, 'bytes'),
    ('step 0', {'step': 0}, 'step of at least 12'),
    ('step 0 and no bytes', {'step': 0, 'pixels': b''}, 'step of at least 12'),
    ('step negative', {'step': -12}, 'step of at least 12'),
    ('step one too small', {'step': 11, 'pixels': bytes(22)}, 'step of at least 12'),
    ('step of another encoding', {'step': 4, 'pixels': bytes(8)}, 'step of at least 12'),
    ('step too large for the bytes', {'step': 13}, 'expected 26 bytes'),
    ('step huge', {'step': HUGE}, 'bytes'),
    ('step no number', {'step': 'twelve'}, 'whole number as step'),
    ('no bytes', {'pixels': b''}, 'got 0'),
    ('one byte short', {'pixels': bytes(23)}, 'got 23'),
    ('one byte too many', {'pixels': bytes(25)}, 'got 25'),
    ('one row short', {'pixels': bytes(12)}, 'got 12'),
    ('one row too many', {'pixels': bytes(36)}, 'got 36'),
    ('last row without its padding', {'step': 16, 'pixels': bytes(28)}, 'expected 32 bytes'),
    ('pixels None', {'pixels': None}, 'buffer of bytes'),
    ('pixels a list', {'pixels': [0] * 24}, 'buffer of bytes'),
    ('pixels text', {'pixels': 'x' * 24}, 'buffer of bytes'),
    ('pixels of two bytes', {'pixels': array.array('H', [0] * 12)}, 'contiguous bytes'),
    ('pixels of eight bytes', {'pixels': np.zeros(24)}, 'contiguous bytes'),
    ('pixels not side by side', {'pixels': np.zeros(48, np.uint8)[::2]}, 'contiguous bytes'),
    ('pixels of objects', {'pixels': np.array([None] * 24)}, 'bytes'),
    ('encoding empty', {'encoding': ''}, 'install cv_bridge'),
    ('encoding unknown', {'encoding': 'xyz9'}, 'install cv_bridge'),
    ('encoding known, capitals', {'encoding': 'BGR8'}, 'expected one of bgr8'),
    ('encoding known, a space', {'encoding': 'bgr8 '}, 'expected one of bgr8'),
    ('encoding None', {'encoding': None}, 'encoding as text'),
    ('encoding bytes', {'encoding': b'bgr8'}, 'encoding as text'),
    ('encoding very long', {'encoding': 'x' * 100000}, 'expected one of'),
    ('encoding with a null', {'encoding': 'bgr8\0'}, 'expected one of'),
    ('encoding of depth', {'encoding': '32FC1'}, 'depth'),
    ('encoding of depth in mm', {'encoding': '16UC1'}, 'depth'),
    ('encoding of four unnamed channels', {'encoding': '8UC4'}, 'does not say what'),
    ('mono16 with a step of mono8', {'encoding': 'mono16', 'step': 4, 'pixels': bytes(8)}, 'step of at least 8'),
    ('mono16 with an odd byte order', {'encoding': 'mono16', 'is_bigendian': 2}, 'is_bigendian'),
    ('mono16 with no byte order', {'encoding': 'mono16', 'is_bigendian': None}, 'is_bigendian'),
    ('rgba8 with a step of rgb8', {'encoding': 'rgba8'}, 'step of at least 16'),
]


def test_good_image_is_read_when_nothing_is_changed():
    assert decode_image(**GOOD).shape == (2, 4, 3)


@pytest.mark.parametrize('wrong, changes, words', BAD, ids=[row[0] for row in BAD])
def test_refused_with_the_reason_when(wrong, changes, words):
    with pytest.raises(BadImage) as refusal:
        decode_image(**dict(GOOD, **changes))
    assert words in str(refusal.value) and 'got' in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_converter_of_the_caller_is_asked_when_a_color_encoding_is_not_known():
    picture = np.full((2, 4, 3), 9, np.uint8)
    image = decode_image(fallback=lambda: picture, **dict(GOOD, encoding='bayer_rggb8', step=4, pixels=bytes(8)))
    assert np.array_equal(image, picture) and not np.shares_memory(image, picture)


@pytest.mark.parametrize('encoding, changes', [
    ('yuv422', {'step': 8, 'pixels': bytes(16)}), ('bayer_grbg8', {'step': 4, 'pixels': bytes(8)}),
    # Half as many rows again, twice as many, or none besides, according to the driver.
    ('nv12', {'step': 4, 'pixels': bytes(12)}), ('NV21', {'step': 4, 'pixels': bytes(12)}),
    ('nv24', {'step': 4, 'pixels': bytes(24)}), ('nv12', {'step': 4, 'pixels': bytes(8)}),
])
def test_converter_of_the_caller_is_asked_when_step_and_length_can_be_right(encoding, changes):
    picture = np.zeros((2, 4, 3), np.uint8)
    assert decode_image(fallback=lambda: picture, **dict(GOOD, encoding=encoding, **changes)).shape == (2, 4, 3)


@pytest.mark.parametrize('encoding, changes, words', [
    ('yuv422', {'step': 0, 'pixels': b''}, 'step of at least 4'), ('yuv422', {'step': 3, 'pixels': bytes(6)}, 'got 3'),
    ('yuv422', {'step': -8}, 'step of at least 4'), ('yuv422', {'step': 8, 'pixels': b''}, 'got 0'),
    ('yuv422', {'step': 8, 'pixels': bytes(15)}, 'got 15'), ('yuv422', {'step': 8, 'pixels': bytes(17)}, 'got 17'),
    ('yuv422', {'step': HUGE}, 'bytes'), ('yuv422', {'pixels': None}, 'buffer of bytes'),
    ('bayer_grbg8', {'step': 4, 'pixels': bytes(12)}, 'got 12'),
    ('nv12', {'step': 4, 'pixels': bytes(7)}, 'expected 8 bytes or more'), ('nv12', {'step': 3}, 'got 3'),
    ('x' * 1000, {'step': 3}, 'got 3'),
])
def test_refused_without_asking_the_converter_when_step_or_length_is_wrong(encoding, changes, words):
    def fallback():
        raise AssertionError('asked')

    with pytest.raises(BadImage) as refusal:
        decode_image(fallback=fallback, **dict(GOOD, encoding=encoding, **changes))
    assert words in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize('encoding', ['bgr8', '32FC1', '16UC1'])
def test_converter_of_the_caller_is_not_asked_when_the_encoding_is_known_or_no_picture(encoding):
    def fallback():
        raise AssertionError('asked')

    try:
        decode_image(fallback=fallback, **dict(GOOD, encoding=encoding))
    except BadImage:
        assert encoding != 'bgr8'


@pytest.mark.parametrize('answer', [None, np.zeros((2, 4), np.uint8), np.zeros((4, 2, 3), np.uint8),
                                    np.zeros((2, 4, 3), np.float32)])
def test_refused_when_the_converter_gives_something_else(answer):
    with pytest.raises(BadImage, match='got'):
        decode_image(fallback=lambda: answer, **dict(GOOD, encoding='nv12'))


@pytest.mark.parametrize('image, words', [
    (None, 'was the file read'), ([[1, 2, 3]], 'got list'), ('a.jpg', 'got str'),
    (np.zeros((0, 4, 3), np.uint8), 'shape (0, 4, 3)'), (np.zeros((4, 0, 3), np.uint8), 'shape (4, 0, 3)'),
    (np.zeros((4, 4), np.uint8), 'shape (4, 4)'), (np.zeros((4, 4, 1), np.uint8), 'shape (4, 4, 1)'),
    (np.zeros((4, 4, 4), np.uint8), 'shape (4, 4, 4)'), (np.zeros((1, 4, 4, 3), np.uint8), 'shape (1, 4, 4, 3)'),
    (np.zeros((4, 4, 3), np.float32), 'got float32'), (np.zeros((4, 4, 3), np.int8), 'got int8'),
    (np.zeros((4, 4, 3), bool), 'got bool'), (np.zeros((), np.uint8), 'shape ()')])
def test_array_is_refused_when_it_is_no_picture(image, words):
    with pytest.raises(BadImage) as refusal:
        check_image(image)
    assert words in str(refusal.value)


def test_array_is_handed_back_when_it_is_a_picture():
    image = np.zeros((4, 4, 3), np.uint8)[:, ::-1]
    assert check_image(image) is image


if given is None:
    def test_only_bad_image_is_raised_when_fields_are_random():
        pytest.skip('hypothesis is not installed')
else:
    @settings(max_examples=300, deadline=None)
    @given(data=some.binary(max_size=200), height=some.integers(-2, 12) | some.integers(),
           width=some.integers(-2, 12) | some.integers(), step=some.integers(-2, 40) | some.integers(),
           encoding=some.sampled_from(ENCODINGS + ('32FC1', 'nv12')) | some.text(max_size=8),
           is_bigendian=some.integers(-1, 2), fits=some.booleans())
    def test_only_bad_image_is_raised_when_fields_are_random(data, height, width, step, encoding, is_bigendian, fits):
        if fits and 0 < height * step < 2000:
            data = (data + bytes(2000))[:height * step]
        try:
            image = decode_image(data, height, width, step, encoding, is_bigendian)
        except BadImage:
            return
        assert image.shape == (height, width, 3) and image.flags.c_contiguous
