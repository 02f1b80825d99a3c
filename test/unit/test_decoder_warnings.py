"""What decoders complain of is known and counted, never printed; what others print meanwhile is not lost."""

import ctypes
import logging
import os
import re
import threading

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.demo.frame_sources import open_source
from facial_emotion_ros.perception import decoder_warnings
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.decoder_warnings import DAMAGE, DamageLog, capture, decode
from facial_emotion_ros.perception.image_files import read_picture

pytestmark = pytest.mark.skipif(decoder_warnings._C is None, reason='this C library is not glibc: its stderr is fixed')

HERE = os.path.dirname(os.path.abspath(__file__))
PORTRAIT = cv2.resize(
    cv2.imread(os.path.join(os.path.dirname(os.path.dirname(HERE)), 'samples', 'astronaut.jpg')), (320, 240)
)
WHOLE = cv2.imencode('.jpg', PORTRAIT)[1].tobytes()
#: Bytes behind the last pixels: more than any camera's padding, so that every libjpeg sees them as damage.
TOO_MUCH_SAID = re.compile('Corrupt JPEG data: (500|49.) extraneous bytes before marker 0xd9$')
TOO_MUCH = WHOLE[:-2] + b'\x55' * 500 + WHOLE[-2:]


def flipped(seed, bits=30):
    """Return the picture with some bits of its pixels turned, markers and length left as they are."""
    draws, content = np.random.RandomState(seed), bytearray(WHOLE)
    begin = WHOLE.rindex(b'\xff\xda') + 14
    for place in draws.randint(begin, len(content) - 2, bits):
        turned = content[place] ^ 1 << draws.randint(8)
        if 255 not in (turned, content[place], content[place - 1]):
            content[place] = turned
    return bytes(content)


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch):
    """Count from 0 in each test."""
    monkeypatch.setattr(DAMAGE, 'count', 0)


def test_bit_errors_are_named_and_nothing_is_printed_when_a_jpeg_is_decoded(capfd):
    heard = []
    pictures = [decode_compressed(flipped(seed), on_damage=heard.append) for seed in range(20)]
    assert all(picture.shape == PORTRAIT.shape for picture in pictures)
    assert len(heard) > 10 and all(line.startswith('Corrupt JPEG data: ') for line in heard)
    decode_compressed(TOO_MUCH, on_damage=heard.append)
    assert TOO_MUCH_SAID.match(heard[-1])
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
    'content',
    [
        WHOLE,
        cv2.imencode('.png', PORTRAIT)[1].tobytes(),
        WHOLE[:-2] + b'\0\0\0\0' + WHOLE[-2:],
        WHOLE[:2] + b'\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07' + WHOLE[20:],
    ],
    ids=['jpeg', 'png', 'padding of a camera', 'unknown colour transform'],
)
def test_nothing_is_counted_or_printed_when_the_pixels_are_right(content, capfd):
    heard = []
    assert decode_compressed(content, on_damage=heard.append).shape == PORTRAIT.shape
    assert heard == [] and capfd.readouterr() == ('', '')


def test_lines_of_others_arrive_whole_when_pictures_are_damaged(capfd):
    library, over = ctypes.CDLL(None), threading.Event()
    library.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    printed = {'native': 0, 'python': 0}

    def print_natively(line):
        library.fputs(line, ctypes.c_void_p.in_dll(library, 'stderr'))

    def print_from_python(line):
        os.write(2, line)

    def chatter(name, write):
        while not over.is_set():
            printed[name] += 1
            write(b'%s %06d end\n' % (name.encode(), printed[name]))

    writers = [
        threading.Thread(target=chatter, args=each)
        for each in (('native', print_natively), ('python', print_from_python))
    ]
    for writer in writers:
        writer.start()
    heard = sum(bool(decode(TOO_MUCH, cv2.IMREAD_COLOR)[1]) for _ in range(100))
    over.set()
    for writer in writers:
        writer.join()
    decode(WHOLE, cv2.IMREAD_COLOR)  # brings a line that came at the last moment
    lines = capfd.readouterr().err.splitlines()
    assert heard == 100
    assert sorted(lines) == [
        '%s %06d end' % (name, number) for name, count in printed.items() for number in range(1, count + 1)
    ]


def test_each_warning_is_counted_once_when_several_threads_decode(capfd):
    heard = []

    def work():
        for _ in range(50):
            heard.append(decode(TOO_MUCH, cv2.IMREAD_COLOR)[1])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(heard) and capfd.readouterr() == ('', '')


def test_a_child_and_its_parent_hear_their_own_pictures_when_a_process_forks(capfd):
    assert decode(TOO_MUCH, cv2.IMREAD_COLOR)[1]
    (to_parent, by_child), (to_child, by_parent) = os.pipe(), os.pipe()

    def decode_and_wait():
        cv2.imdecode(np.frombuffer(TOO_MUCH, np.uint8), cv2.IMREAD_COLOR)
        os.write(by_child, b'decoded')
        os.read(to_child, 1)

    child = os.fork()
    if not child:
        os._exit(0 if capture(decode_and_wait)[1] else 1)
    os.read(to_parent, 7)
    heard = decode(WHOLE, cv2.IMREAD_COLOR)[1]
    os.write(by_parent, b'1')
    assert (os.waitpid(child, 0)[1], heard) == (0, '') and capfd.readouterr() == ('', '')


def test_pictures_are_decoded_all_the_same_when_no_file_descriptor_is_left(monkeypatch):
    def refuse(_flags):
        raise OSError('Too many open files')

    monkeypatch.setattr(decoder_warnings, '_shared', None)
    monkeypatch.setattr(os, 'pipe2', refuse)
    assert decode(WHOLE, cv2.IMREAD_COLOR)[0].shape == PORTRAIT.shape


def test_stderr_is_as_before_when_a_decoder_throws(capfd):
    with pytest.raises(cv2.error):
        capture(cv2.imdecode, np.zeros(0, np.uint8), cv2.IMREAD_COLOR)
    library = ctypes.CDLL(None)
    library.fputs(b'still there\n', ctypes.c_void_p.in_dll(library, 'stderr'))
    assert capfd.readouterr().err == 'still there\n'


def test_a_png_with_wrong_pixels_is_refused_without_a_word_on_stderr(capfd):
    from test_compressed_image import PNG, chunk

    with pytest.raises(BadImage):
        decode_compressed(PNG[:33] + chunk(b'IDAT', b'no compressed data') + chunk(b'IEND', b''))
    assert capfd.readouterr() == ('', '')


def test_the_log_stays_short_and_goes_on_when_damage_floods(caplog):
    log = DamageLog()
    for number in range(2000):
        log.add('picture_%d.jpg' % number, 'Corrupt JPEG data: bad Huffman code')
    assert log.count == 2000 and len(caplog.messages) == 12
    assert caplog.messages[0] == 'picture_0.jpg may be damaged, its decoder says: Corrupt JPEG data: bad Huffman code'
    assert caplog.messages[-1].endswith('(number 1000; the next one that is logged is number 10000)')


def test_a_file_is_named_when_it_is_damaged(tmp_path, caplog, capfd):
    (tmp_path / 'damaged.jpg').write_bytes(TOO_MUCH)
    (tmp_path / 'whole.jpg').write_bytes(WHOLE)
    read_picture(str(tmp_path / 'damaged.jpg'))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith('damaged.jpg may be damaged, its decoder says: Corrupt JPEG data: ')
    folder = open_source('images', str(tmp_path))
    ((name, said),) = folder.damaged
    assert name == 'damaged.jpg' and TOO_MUCH_SAID.match(said)
    for _ in iter(folder.read, None):
        pass
    assert folder.skipped == [] and len(caplog.messages) == 1 and capfd.readouterr() == ('', '')


@pytest.mark.parametrize('kind', ['video', 'camera'])
def test_a_video_is_named_and_stderr_is_quiet_when_its_frames_are_damaged(tmp_path, caplog, capfd, kind):
    path = str(tmp_path / 'film.avi')
    film = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (320, 240))
    if not film.isOpened():
        pytest.skip('this OpenCV has no MJPG encoder')
    for _ in range(20):
        film.write(PORTRAIT)
    film.release()
    with open(path, 'rb') as stream:
        content = bytearray(stream.read())
    for place in np.random.RandomState(0).randint(len(content) // 5, len(content) * 4 // 5, 100):
        content[place] ^= 4
    with open(path, 'wb') as stream:
        stream.write(content)
    capfd.readouterr()
    medium = open_source(kind, path)
    try:
        for _ in iter(medium.read, None):
            pass
    except BadImage:
        assert kind == 'camera'  # one that ends has broken off
    medium.close()
    assert medium._damage.count > 2 and 'film.avi may be damaged' in caplog.messages[0]
    assert len(caplog.messages) <= 12 and capfd.readouterr().err == ''
