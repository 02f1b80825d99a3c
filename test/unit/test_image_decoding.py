"""Every good image is read pixel for pixel; every bad one is refused before a pixel is touched."""

import array

import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.image_decoding import (
    ENCODINGS,
    MAX_SIDE_PX,
    UsedBits,
    check_image,
    decode_image,
    light_range,
)

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)

# Two pixels, red and green (or dark and light), and what comes out.
PIXELS = {
    'bgr8': (bytes([0, 0, 255, 0, 255, 0]), [RED, GREEN]),
    'rgb8': (bytes([255, 0, 0, 0, 255, 0]), [RED, GREEN]),
    '8UC3': (bytes([0, 0, 255, 0, 255, 0]), [RED, GREEN]),
    'bgra8': (bytes([0, 0, 255, 7, 0, 255, 0, 0]), [RED, GREEN]),
    'rgba8': (bytes([255, 0, 0, 7, 0, 255, 0, 0]), [RED, GREEN]),
    '8UC1': (bytes([3, 250]), [(3, 3, 3), (250, 250, 250)]),
    'mono8': (bytes([3, 250]), [(3, 3, 3), (250, 250, 250)]),
    'mono16': (bytes([9, 3, 1, 250]), [(3, 3, 3), (250, 250, 250)]),
    'bgr16': (bytes([1, 0, 2, 0, 3, 255, 4, 0, 5, 255, 6, 0]), [RED, GREEN]),
    'rgb16': (bytes([1, 255, 2, 0, 3, 0, 4, 0, 5, 255, 6, 0]), [RED, GREEN]),
    # Y, U and V of saturated red and green in BT.601 would need two colours for one pair: dark and light gray here.
    'uyvy': (bytes([128, 16, 128, 235]), [(0, 0, 0), (255, 255, 255)]),
    'yuv422': (bytes([128, 16, 128, 235]), [(0, 0, 0), (255, 255, 255)]),
    'yuyv': (bytes([16, 128, 235, 128]), [(0, 0, 0), (255, 255, 255)]),
    'yuv422_yuy2': (bytes([16, 128, 235, 128]), [(0, 0, 0), (255, 255, 255)]),
}

#: Site of each colour in the first two rows of a Bayer pattern.
BAYER = {
    'bayer_rggb8': ('RG', 'GB'),
    'bayer_bggr8': ('BG', 'GR'),
    'bayer_gbrg8': ('GB', 'RG'),
    'bayer_grbg8': ('GR', 'BG'),
}
BAYER_16 = [encoding.replace('8', '16') for encoding in BAYER]

#: Encodings with rows of colour behind those of brightness, and how many bytes those are beside them.
PLANES = {'nv12': 0.5, 'nv21': 0.5, 'nv24': 2.0}


def padded(row, padding):
    """Return two rows alike, with padding after each that is no pixel."""
    return (row + b'\xaa' * padding) * 2


def test_every_encoding_has_an_example_when_one_is_added():
    assert set(PIXELS) | set(BAYER) | set(BAYER_16) | set(PLANES) == set(ENCODINGS)


@pytest.mark.parametrize('padding', [0, 1, 3, 64])
@pytest.mark.parametrize('encoding', sorted(PIXELS))
def test_pixels_are_right_when_rows_are_padded_or_not(encoding, padding):
    row, expected = PIXELS[encoding]
    image = decode_image(padded(row, padding), 2, 2, len(row) + padding, encoding)
    assert image.tolist() == [[list(pixel) for pixel in expected]] * 2
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


@pytest.mark.parametrize('order, is_bigendian', [('<u2', False), ('>u2', True), ('<u2', 0), ('>u2', 1)])
def test_high_byte_is_taken_when_sixteen_bits_have_either_byte_order(order, is_bigendian):
    values = np.array([[0x00FF, 0x0100, 0x8000, 0xFFFF, 0x1234, 0x7F80]], np.uint16)
    high = [0, 1, 0x80, 0xFF, 0x12, 0x7F]
    image = decode_image(values.astype(order).tobytes(), 1, 6, 12, 'mono16', is_bigendian)
    assert image[0, :, 0].tolist() == high
    image = decode_image(values.astype(order).tobytes(), 1, 2, 12, 'bgr16', is_bigendian)
    assert image.ravel().tolist() == high
    image = decode_image(values.astype(order).tobytes(), 1, 2, 12, 'rgb16', is_bigendian)
    assert image.ravel().tolist() == [0x80, 1, 0, 0x7F, 0x12, 0xFF]


@pytest.mark.parametrize('order, is_bigendian', [('<u2', False), ('>u2', True)])
@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('encoding, channels', [('mono16', 1), ('rgb16', 3), ('bgr16', 3)])
def test_the_bits_that_a_camera_uses_make_the_picture(bits, encoding, channels, order, is_bigendian):
    values = np.linspace(0, (1 << bits) - 1, 8 * channels).astype(order)
    image = decode_image(values.tobytes(), 2, 4, 8 * channels, encoding, is_bigendian, used_bits=UsedBits().of)
    if encoding == 'rgb16':
        image = image[:, :, ::-1]
    expected = np.linspace(0, 255, 8 * channels)
    assert np.abs((image[:, :, 0] if channels == 1 else image).ravel() - expected).max() <= 1


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_of_ten_bits_gives_what_eight_bits_give(pattern):
    mosaic = np.random.default_rng(1).integers(0, 256, (6, 8), np.uint8)
    values = mosaic.astype('<u2') << 2 | 3
    values[0, 0], mosaic[0, 0] = 1023, 255
    image = decode_image(values.tobytes(), 6, 8, 16, 'bayer_%s16' % pattern, used_bits=UsedBits().of)
    assert (image == decode_image(mosaic.tobytes(), 6, 8, 8, 'bayer_%s8' % pattern)).all()


@pytest.mark.parametrize('bits, shown', [(8, 255), (10, 255), (11, 127), (16, 3), (3, 255)])
def test_a_given_number_of_bits_decides_and_what_is_brighter_is_white(bits, shown):
    values = np.array([[0, 1023]], '<u2')
    image = decode_image(values.tobytes(), 1, 2, 4, 'mono16', used_bits=lambda *arguments: bits)
    assert image[0, :, 0].tolist() == [0, shown]


def test_used_bits_rise_at_once_and_fall_when_darkness_lasts():
    used = UsedBits()
    assert [used.of('mono16', brightest) for brightest in (0, 1023, 1024, 4095, 4096, 20000)] == [
        10,
        10,
        12,
        12,
        14,
        16,
    ]
    assert used.of('rgb16', 900) == 10, 'each encoding has its own'
    assert {used.of('mono16', 700) for _ in range(200)} == {16}, 'a light that goes out'
    assert used.of('mono16', 40000) == 16
    assert [used.of('mono16', 700 if count else 3000) for count in range(300)] == 299 * [16] + [12]
    assert used.of('mono16', 65535) == 16


def test_light_range_finds_the_darkest_and_the_brightest_pixel():
    image = np.full((480, 640, 3), 7, np.uint8)
    assert light_range(image) == (7, 7)
    image[:, 320:, 1] = 90
    assert light_range(image) == (7, 90) and light_range(image[:1, 319:321]) == (7, 90)


def bt_601(y, u, v):
    """Return the colour of one pixel as the standard has it. Source: ITU-R BT.601, limited range."""
    light, blue, red = (y - 16) / 219.0, (u - 128) / 224.0, (v - 128) / 224.0
    colors = (light + 1.772 * blue, light - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587, light + 1.402 * red)
    return [min(max(255.0 * color, 0.0), 255.0) for color in colors]


def yuv_message(encoding, y, u, v, padding):
    """Lay out the planes of an image by the definition of its encoding, with padding after each row.

    :returns: (bytes, step).
    """
    junk = b'\xaa' * padding
    height, width = y.shape
    if encoding in PLANES:
        every = 1 if encoding == 'nv24' else 2
        colors = np.stack([v, u] if encoding == 'nv21' else [u, v], 2)[::every, ::every]
        step = width + padding
        # A row of nv24's colours is two steps long.
        return (
            b''.join(row.tobytes() + junk for row in y)
            + b''.join(row.tobytes() + junk * (2 if every == 1 else 1) for row in colors)
        ), step
    rows = []
    for row in range(height):
        for left in range(0, width, 2):
            pair = (u[row, left], y[row, left], v[row, left], y[row, left + 1])
            rows.append(bytes(pair if encoding in ('uyvy', 'yuv422') else (pair[1], pair[0], pair[3], pair[2])))
        rows.append(junk)
    return b''.join(rows), 2 * width + padding


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', ['uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24'])
def test_colors_are_those_of_the_standard_when_an_image_is_yuv(encoding, padding):
    random = np.random.RandomState(7)
    y, u, v = random.randint(0, 256, (3, 6, 8)).astype(np.uint8)
    y = np.maximum(y, 16)  # less than black: what it means is the decoder's affair
    if encoding != 'nv24':  # neighbours share their colours
        down = slice(None, None, 2) if encoding in PLANES else slice(None)
        u, v = (np.repeat(plane[down, ::2], 2, 1) for plane in (u, v))
        if encoding in PLANES:
            u, v = np.repeat(u, 2, 0), np.repeat(v, 2, 0)
    pixels, step = yuv_message(encoding, y, u, v, padding)
    image = decode_image(pixels, 6, 8, step, encoding)
    expected = [[bt_601(*map(float, (y[row, col], u[row, col], v[row, col]))) for col in range(8)] for row in range(6)]
    assert np.abs(image - np.array(expected)).max() <= 2.0


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', sorted(BAYER))
def test_each_pixel_keeps_the_color_of_its_site_when_an_image_is_a_bayer_mosaic(encoding, padding):
    mosaic = np.random.RandomState(3).randint(0, 256, (7, 9)).astype(np.uint8)
    image = decode_image(b''.join(row.tobytes() + b'\xaa' * padding for row in mosaic), 7, 9, 9 + padding, encoding)
    for row in range(1, 6):
        for col in range(1, 8):
            color = 'BGR'.index(BAYER[encoding][row % 2][col % 2])
            assert image[row, col, color] == mosaic[row, col]
    color = {'B': 10, 'G': 120, 'R': 230}
    plain = np.array([[color[BAYER[encoding][row % 2][col % 2]] for col in range(6)] for row in range(4)], np.uint8)
    assert (decode_image(plain.tobytes(), 4, 6, 6, encoding) == (10, 120, 230)).all()


@pytest.mark.parametrize('encoding', ['bgr8', 'mono8'])
@pytest.mark.parametrize('is_bigendian', [True, 255, None])
def test_byte_order_does_not_matter_when_a_channel_is_one_byte(encoding, is_bigendian):
    row, expected = PIXELS[encoding]
    assert decode_image(row, 1, 2, len(row), encoding, is_bigendian)[0].tolist() == [list(pixel) for pixel in expected]


@pytest.mark.parametrize(
    'buffer',
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: array.array('B', data),
        lambda data: np.frombuffer(data, np.uint8),
        lambda data: np.frombuffer(data, np.uint8).reshape(2, -1),
        lambda data: array.array('b', [0] * len(data)),
    ],
)
def test_any_buffer_of_bytes_is_read_when_given(buffer):
    image = decode_image(buffer(bytes(range(12))), 2, 2, 6, 'bgr8')
    assert image.shape == (2, 2, 3)


@pytest.mark.parametrize('encoding', sorted(PIXELS))
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
    if encoding not in PIXELS or encoding in ('uyvy', 'yuyv', 'yuv422', 'yuv422_yuy2'):
        height, width = height + height % 2 + 2, width + width % 2 + (2 if width < MAX_SIDE_PX else 0)
    step = width * len(PIXELS[encoding][0]) // 2 if encoding in PIXELS else width * (1 + (encoding in BAYER_16))
    pixels = bytes(int(height * step * (1 + PLANES.get(encoding, 0))))
    assert decode_image(pixels, height, width, step, encoding).shape == (height, width, 3)


GOOD = {'pixels': bytes(2 * 12), 'height': 2, 'width': 4, 'step': 12, 'encoding': 'bgr8', 'is_bigendian': 0}
HUGE = (1 << 32) - 1

BAD = [
    # what is wrong, changes, words of the refusal
    ('height 0', {'height': 0}, 'height'),
    ('height 0 and no bytes', {'height': 0, 'pixels': b''}, 'height'),
    ('height negative', {'height': -2}, 'height'),
    ('height huge', {'height': HUGE}, 'height'),
    ('height no number', {'height': '2'}, 'integer as height'),
    ('height a fraction', {'height': 2.0}, 'integer as height'),
    ('height None', {'height': None}, 'integer as height'),
    ('width 0', {'width': 0}, 'width'),
    ('width 0 and step 0', {'width': 0, 'step': 0, 'pixels': b''}, 'width'),
    ('width negative', {'width': -4}, 'width'),
    ('width huge', {'width': HUGE}, 'width'),
    ('width that lies', {'width': 5}, 'step of at least 15'),
    ('more pixels than any camera has', {'height': 9000, 'width': 9000, 'step': 27000}, '67108864 pixels at most'),
    ('everything huge', {'height': HUGE, 'width': HUGE, 'step': HUGE}, 'height'),
    ('width, step and bytes overflow 32 bit', {'width': MAX_SIDE_PX, 'step': HUGE}, 'bytes'),
    ('step 0', {'step': 0}, 'step of at least 12'),
    ('step 0 and no bytes', {'step': 0, 'pixels': b''}, 'step of at least 12'),
    ('step negative', {'step': -12}, 'step of at least 12'),
    ('step one too small', {'step': 11, 'pixels': bytes(22)}, 'step of at least 12'),
    ('step of another encoding', {'step': 4, 'pixels': bytes(8)}, 'step of at least 12'),
    ('step too large for the bytes', {'step': 13}, 'expected 26 bytes'),
    ('step huge', {'step': HUGE}, 'bytes'),
    ('step no number', {'step': 'twelve'}, 'integer as step'),
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
    ('rgb16 with a step of rgb8', {'encoding': 'rgb16'}, 'step of at least 24'),
    (
        'bgr16 with an odd byte order',
        {'encoding': 'bgr16', 'step': 24, 'pixels': bytes(48), 'is_bigendian': 255},
        'is_bigendian',
    ),
    ('bayer too low', {'encoding': 'bayer_rggb8', 'step': 4, 'pixels': bytes(8)}, 'at least 3 as height'),
    ('bayer too narrow', {'encoding': 'bayer_rggb8', 'height': 4, 'width': 2}, 'at least 3 as width'),
    ('bayer with three channels', {'encoding': 'bayer_grbg8', 'height': 4, 'step': 4, 'pixels': bytes(48)}, 'got 48'),
    ('yuv422 of odd width', {'encoding': 'yuv422', 'width': 3}, 'multiple of 2 as width'),
    ('yuyv with a step of mono8', {'encoding': 'yuyv', 'step': 4, 'pixels': bytes(8)}, 'step of at least 8'),
    ('uyvy with step 0', {'encoding': 'uyvy', 'step': 0, 'pixels': b''}, 'step of at least 8'),
    ('yuv422_yuy2 one byte short', {'encoding': 'yuv422_yuy2', 'step': 8, 'pixels': bytes(15)}, 'got 15'),
    ('nv12 of odd height', {'encoding': 'nv12', 'height': 3}, 'multiple of 2 as height'),
    ('nv12 of odd width', {'encoding': 'nv12', 'width': 5}, 'multiple of 2 as width'),
    ('nv12 without its colours', {'encoding': 'nv12', 'step': 4, 'pixels': bytes(8)}, '2 rows of 4, and 4 of colour'),
    ('nv21 one byte too many', {'encoding': 'nv21', 'step': 4, 'pixels': bytes(13)}, 'expected 12 bytes'),
    ('nv24 with the colours of nv12', {'encoding': 'nv24', 'step': 4, 'pixels': bytes(12)}, 'expected 24 bytes'),
    ('nv24 with a huge step', {'encoding': 'nv24', 'step': HUGE}, 'bytes'),
    ('nv12, everything huge', {'encoding': 'nv12', 'height': MAX_SIDE_PX, 'step': HUGE}, 'bytes'),
    ('half floats', {'encoding': '16FC3'}, 'depth'),
    ('doubles', {'encoding': '64FC1'}, 'depth'),
]


def test_good_image_is_read_when_nothing_is_changed():
    assert decode_image(**GOOD).shape == (2, 4, 3)


@pytest.mark.parametrize('wrong, changes, words', BAD, ids=[row[0] for row in BAD])
def test_refused_with_the_reason_when(wrong, changes, words):
    with pytest.raises(BadImage) as refusal:
        decode_image(**dict(GOOD, **changes))
    assert words in str(refusal.value) and 'got' in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_fallback_is_called_when_a_color_encoding_is_not_known():
    picture = np.full((2, 4, 3), 9, np.uint8)
    image = decode_image(fallback=lambda: picture, **dict(GOOD, encoding='yuv444', step=8, pixels=bytes(16)))
    assert np.array_equal(image, picture) and not np.shares_memory(image, picture)


@pytest.mark.parametrize(
    'encoding, changes',
    [
        ('yuv444', {'step': 8, 'pixels': bytes(16)}),
        # Half as many rows again, twice as many, or none besides, according to the driver.
        ('nv16', {'step': 4, 'pixels': bytes(12)}),
        ('NV21', {'step': 4, 'pixels': bytes(12)}),
        ('i420', {'step': 4, 'pixels': bytes(24)}),
        ('nv42', {'step': 4, 'pixels': bytes(8)}),
    ],
)
def test_fallback_is_called_when_step_and_length_can_be_right(encoding, changes):
    picture = np.zeros((2, 4, 3), np.uint8)
    assert decode_image(fallback=lambda: picture, **dict(GOOD, encoding=encoding, **changes)).shape == (2, 4, 3)


@pytest.mark.parametrize(
    'encoding, changes, words',
    [
        ('yuv444', {'step': 0, 'pixels': b''}, 'step of at least 4'),
        ('yuv444', {'step': 3, 'pixels': bytes(6)}, 'got 3'),
        ('yuv444', {'step': -8}, 'step of at least 4'),
        ('yuv444', {'step': 8, 'pixels': b''}, 'got 0'),
        ('yuv444', {'step': 8, 'pixels': bytes(15)}, 'got 15'),
        ('yuv444', {'step': 8, 'pixels': bytes(17)}, 'got 17'),
        ('yuv444', {'step': HUGE}, 'bytes'),
        ('yuv444', {'pixels': None}, 'buffer of bytes'),
        ('yuv411', {'step': 4, 'pixels': bytes(12)}, 'got 12'),
        ('nv16', {'step': 4, 'pixels': bytes(7)}, 'expected 8 bytes or more'),
        ('nv16', {'step': 3}, 'got 3'),
        ('x' * 1000, {'step': 3}, 'got 3'),
    ],
)
def test_refused_without_asking_the_converter_when_step_or_length_is_wrong(encoding, changes, words):
    def fallback():
        raise AssertionError('asked')

    with pytest.raises(BadImage) as refusal:
        decode_image(fallback=fallback, **dict(GOOD, encoding=encoding, **changes))
    assert words in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize('encoding', ['bgr8', '32FC1', '16UC1'])
def test_fallback_is_not_called_when_the_encoding_is_known_or_no_picture(encoding):
    def fallback():
        raise AssertionError('asked')

    try:
        decode_image(fallback=fallback, **dict(GOOD, encoding=encoding))
    except BadImage:
        assert encoding != 'bgr8'


@pytest.mark.parametrize(
    'answer', [None, np.zeros((2, 4), np.uint8), np.zeros((4, 2, 3), np.uint8), np.zeros((2, 4, 3), np.float32)]
)
def test_refused_when_the_converter_gives_something_else(answer):
    with pytest.raises(BadImage, match='got'):
        decode_image(fallback=lambda: answer, **dict(GOOD, encoding='nv16'))


@pytest.mark.parametrize(
    'image, words',
    [
        (None, 'was the file read'),
        ([[1, 2, 3]], 'got list'),
        ('a.jpg', 'got str'),
        (np.zeros((0, 4, 3), np.uint8), 'shape (0, 4, 3)'),
        (np.zeros((4, 0, 3), np.uint8), 'shape (4, 0, 3)'),
        (np.zeros((4, 4), np.uint8), 'shape (4, 4)'),
        (np.zeros((4, 4, 1), np.uint8), 'shape (4, 4, 1)'),
        (np.zeros((4, 4, 4), np.uint8), 'shape (4, 4, 4); convert gray or BGRA with cv2.cvtColor'),
        (np.zeros((1, MAX_SIDE_PX + 1, 3), np.uint8), f'sides of 1 to {MAX_SIDE_PX} pixels, got shape'),
        (np.zeros((1, 4, 4, 3), np.uint8), 'shape (1, 4, 4, 3)'),
        (np.zeros((4, 4, 3), np.float32), 'got float32'),
        (np.zeros((4, 4, 3), np.int8), 'got int8'),
        (np.zeros((4, 4, 3), bool), 'got bool'),
        (np.zeros((), np.uint8), 'shape ()'),
    ],
)
def test_array_is_refused_when_it_is_no_picture(image, words):
    with pytest.raises(BadImage) as refusal:
        check_image(image)
    assert words in str(refusal.value)


def test_array_is_handed_back_when_it_is_a_picture_and_copied_once_when_opencv_would_copy_it_in_each_call():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert check_image(image) is image
    for other in (
        image[:, ::-1],
        image[..., ::-1],
        np.asfortranarray(image),
        np.broadcast_to(image[..., :1], (4, 4, 3)),
    ):
        copy = check_image(other)
        assert copy.flags.c_contiguous and (copy == other).all()
