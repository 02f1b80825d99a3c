"""Every good JPEG and PNG is read; every damaged, cut or oversized one is refused before it is unpacked."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception import compressed_image
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.image_decoding import MAX_SIDE_PX, UsedBits
from facial_emotion_ros.perception.image_headers import Header, check_png


def picture(height=24, width=40):
    """Return a picture whose left is red, whose right is blue, and whose first rows are dark."""
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 4 :, : width // 2] = (0, 0, 220)
    image[height // 4 :, width // 2 :] = (220, 0, 0)
    return image


def encoded(image, ending, *options):
    """Return a file as bytes."""
    return cv2.imencode(ending, image, list(options))[1].tobytes()


PNG = encoded(picture(), '.png')
JPEG = encoded(picture(), '.jpg', cv2.IMWRITE_JPEG_QUALITY, 95)


def chunk(kind, content):
    """Return a chunk of PNG."""
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content) & 0xFFFFFFFF)


def png_of_size(width, height):
    """Return a small PNG file that claims a size."""
    return (
        PNG[:8]
        + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(bytes(1000)))
        + chunk(b'IEND', b'')
    )


def jpeg_of_size(width, height):
    """Return a small JPEG file that claims a size."""
    place = JPEG.index(b'\xff\xc0')
    return JPEG[: place + 5] + struct.pack('>HH', height, width) + JPEG[place + 9 :]


@pytest.mark.parametrize('described', ['', 'png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8', 'nonsense'])
def test_pixels_are_right_when_a_png_is_read(described):
    assert np.array_equal(decode_compressed(PNG, described), picture())


#: With a restart after each two blocks of 16 x 16 pixels: two of them.
RESTARTS = encoded(picture(), '.jpg', cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)


@pytest.mark.parametrize(
    'data',
    [
        JPEG,
        RESTARTS,
        encoded(picture(), '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(picture(), '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        encoded(picture(), '.jpg', cv2.IMWRITE_JPEG_OPTIMIZE, 1),
        JPEG[:2] + b'\xff' * 9 + JPEG[2:],
        JPEG[:2] + b'\xff\xe1\0\x08\xff\xd9\xff\xda' + b'\0\0' + JPEG[2:],
        RESTARTS[:-2] + b'\xff\xd2\xff\xd9',
    ],
)
def test_pixels_are_right_within_its_loss_when_a_jpeg_is_read(data):
    image = decode_compressed(data, 'bgr8; jpeg compressed bgr8')
    assert image.shape == (24, 40, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
    assert np.abs(image[8:, 2:17].astype(int) - (0, 0, 220)).max() < 30
    assert np.abs(image[8:, 23:38].astype(int) - (220, 0, 0)).max() < 30


@pytest.mark.parametrize(
    'more',
    [
        b'\r\n',
        b'\n',
        bytes(700),
        b'\xff' * 64,
        b'\r\n--frame\r\n',
        JPEG,
        JPEG[:100],
        b'\0\0\0\x18ftypmp42' + b'\xff\xda' * 9,
        b'\xff\xd9',
    ],
)
@pytest.mark.parametrize('whole', [PNG, JPEG], ids=['png', 'jpeg'])
def test_the_first_picture_is_read_when_something_follows_it(whole, more):
    assert np.array_equal(decode_compressed(whole + more), decode_compressed(whole))


def test_texts_and_animations_are_not_unpacked_when_a_png_brings_them():
    bomb = chunk(b'zTXt', b'k\0\0' + zlib.compress(bytes(1 << 20), 9)) + chunk(b'acTL', struct.pack('>II', 1 << 30, 0))
    assert check_png(PNG[:33] + bomb * 9 + PNG[33:]) == check_png(PNG) == Header(24, 40, PNG)


def test_red_and_blue_are_swapped_when_the_format_says_so():
    swapped = encoded(picture()[:, :, ::-1], '.png')
    assert np.array_equal(decode_compressed(swapped, 'bgr8; png compressed rgb8'), picture())


@pytest.mark.parametrize(
    'image', [picture()[:, :, 2], np.dstack([picture(), picture()[:, :, 0]]), picture().astype(np.uint16) * 257]
)
def test_three_channels_of_a_byte_come_out_when_a_png_holds_others(image):
    found = decode_compressed(encoded(image, '.png'))
    assert found.shape == (24, 40, 3) and found.dtype == np.uint8
    assert found[20, 5, 2] == 220 and found[0, 0, 2] == 0


@pytest.mark.parametrize('bits', [10, 12, 16])
def test_the_bits_that_a_camera_uses_make_the_picture_when_a_png_holds_sixteen(bits):
    values = np.linspace(0, (1 << bits) - 1, 48).astype(np.uint16).reshape(6, 8)
    image = decode_compressed(cv2.imencode('.png', values)[1].tobytes(), 'mono16; png compressed', UsedBits().of)
    assert image.dtype == np.uint8 and image.shape == (6, 8, 3)
    assert np.abs(image[:, :, 0].ravel() - np.linspace(0, 255, 48)).max() <= 1


def test_the_picture_stays_as_it_lies_when_exif_asks_to_turn_it():
    turned = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    data = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(turned) + 2) + turned + JPEG[2:]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (40, 24, 3), 'no turn to ignore'
    assert decode_compressed(data).shape == (24, 40, 3)


@pytest.mark.parametrize(
    'buffer',
    [bytes, bytearray, memoryview, lambda data: array.array('B', data), lambda data: np.frombuffer(data, np.uint8)],
)
def test_any_buffer_of_bytes_is_read_when_given(buffer):
    assert decode_compressed(buffer(PNG)).shape == (24, 40, 3)


def flipped(data, place):
    """Return the data with one bit turned."""
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


BAD = [
    ('nothing', b'', 'got 0 bytes'),
    ('no picture', b'hello world, this is no picture', 'JPEG or PNG'),
    ('another kind', encoded(picture(), '.bmp'), 'JPEG or PNG'),
    ('no buffer', None, 'buffer of bytes'),
    ('text', 'x', 'buffer of bytes'),
    ('two bytes an item', array.array('H', [0] * 9), '2 bytes'),
    ('jpeg: head alone', JPEG[:3], 'was cut'),
    ('jpeg: head and end alone', JPEG[:3] + b'\xff\xd9', 'frame header'),
    ('jpeg: cut', JPEG[:-1], 'was cut'),
    ('jpeg: half', JPEG[: len(JPEG) // 2], 'was cut'),
    ('jpeg: header gone', JPEG[:4] + JPEG[-2:], 'was cut'),
    ('jpeg: nothing between header and end', JPEG[: JPEG.index(b'\xff\xda')] + JPEG[-2:], 'pixels before its end'),
    ('jpeg: no height', jpeg_of_size(40, 0), 'got 40 x 0'),
    ('jpeg: huge', jpeg_of_size(65535, 65535), 'got 65535 x 65535'),
    ('jpeg: many pixels', jpeg_of_size(32000, 32000), 'got 32000 x 32000'),
    ('jpeg: half and another', JPEG[:-40] + JPEG, 'second picture'),
    ('jpeg: half, an end and zeros', JPEG[:-40] + bytes(2), 'was cut'),
    ('jpeg: a stuffed byte turned into a marker', JPEG[:-2] + b'\xff\x04\xff\xd9', 'marker 04'),
    ('jpeg: a restart lost', RESTARTS.replace(b'\xff\xd0', b''), 'out of order'),
    ('jpeg: restarts exchanged', RESTARTS.replace(b'\xff\xd0', b'\xff\xd1'), 'out of order'),
    ('jpeg: a restart where there shall be none', JPEG[:-2] + b'\xff\xd0\xff\xd1\xff\xd9', 'with 0 restart markers'),
    ('jpeg: almost no pixels', JPEG[: JPEG.index(b'\xff\xda') + 15] + JPEG[-2:], 'without most'),
    (
        'jpeg: a scan of a component that is not there',
        JPEG.replace(b'\xff\xda\0\x0c\x03\x01', b'\xff\xda\0\x0c\x03\x09'),
        'components',
    ),
    ('jpeg: scans without end', JPEG[:-2] + JPEG[JPEG.index(b'\xff\xda') : -2] * 200 + JPEG[-2:], '100 scans'),
    ('png: head alone', PNG[:8], 'expected a complete PNG file'),
    ('png: cut', PNG[:-1], 'expected a complete PNG file'),
    ('png: half', PNG[: len(PNG) // 2], 'expected a complete PNG file'),
    ('png: no header', PNG[:8] + PNG[33:], 'expected a complete PNG file'),
    ('png: a bit of the size', flipped(PNG, 19), 'damaged chunk'),
    ('png: a bit of the pixels', flipped(PNG, 60), 'damaged chunk'),
    ('png: a bit of the end', flipped(PNG, len(PNG) - 1), 'damaged chunk'),
    ('png: a chunk of gigabytes', PNG[:8] + b'\xff\xff\xff\xff' + PNG[12:], 'expected a complete PNG file'),
    ('png: no pixels', png_of_size(0, 4), 'got 0 x 4'),
    ('png: huge', png_of_size(2**32 - 1, 2**32 - 1), 'got 4294967295'),
    ('png: a bomb', png_of_size(MAX_SIDE_PX, MAX_SIDE_PX), f'got {MAX_SIDE_PX} x {MAX_SIDE_PX}'),
    ('png: fewer pixels than it says', png_of_size(300, 200), 'complete picture'),
]


@pytest.mark.parametrize('wrong, data, words', BAD, ids=[row[0] for row in BAD])
def test_refused_with_the_reason_when(wrong, data, words):
    with pytest.raises(BadImage) as refusal:
        decode_compressed(data, 'jpeg')
    assert words in str(refusal.value) and 'got' in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize('data', [png_of_size(MAX_SIDE_PX, MAX_SIDE_PX), jpeg_of_size(60000, 60000)])
def test_nothing_is_unpacked_when_the_size_is_refused(data, monkeypatch):
    monkeypatch.setattr(compressed_image.cv2, 'imdecode', None)
    with pytest.raises(BadImage, match='pixels at most'):
        decode_compressed(data)


@pytest.mark.parametrize(
    'described',
    [
        '16UC1; compressedDepth',
        '32FC1; compressedDepth png',
        '16UC1; jpeg compressed ',
        '32FC1; png compressed',
        '16UC1',
        None,
        b'jpeg',
    ],
)
def test_refused_when_the_format_is_of_depth_or_no_text(described):
    with pytest.raises(BadImage, match='depth|text'):
        decode_compressed(PNG, described)


@pytest.mark.parametrize('data', [PNG, JPEG], ids=['png', 'jpeg'])
def test_only_bad_image_is_raised_when_bytes_are_damaged(data):
    random = np.random.RandomState(5)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.randint(0, len(data), random.randint(1, 5)):
            damaged[place] = random.randint(256)
        if random.rand() < 0.3:
            damaged = damaged[: random.randint(len(data))]
        try:
            assert decode_compressed(bytes(damaged)).ndim == 3
        except BadImage:
            refused += 1
    assert refused > 60
