"""A malformed image never stops the node: a table, fuzzed fields and files, and a node that gets them all."""

import random
from functools import partial

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.compressed_image import decode_compressed
from facial_emotion_ros.perception.image_decoding import ENCODINGS, decode_image
from malformed_images import HUGE, LAYOUTS, fields, malformed

#: Mutations of one good image.
MUTATIONS = 100


def decode(image):
    """Decode the fields of an image."""
    return decode_image(
        image['data'], image['height'], image['width'], image['step'], image['encoding'], image['is_bigendian']
    )


def test_every_image_of_the_table_is_refused_with_a_reason_and_the_good_one_is_not():
    assert set(LAYOUTS) == set(ENCODINGS)
    for encoding in LAYOUTS:
        assert decode(fields(encoding, padding=12)).shape == (8, 8, 3)
    for what, image in malformed():
        with pytest.raises(BadImage, match='expected .*, got'):
            decode(image)
            pytest.fail('read: ' + what)


def mutated(image, draw):
    """Return fields with up to three of them wrong, or none."""
    image = dict(image)
    for _ in range(draw.randrange(4)):
        name = draw.choice(['height', 'width', 'step', 'encoding', 'is_bigendian', 'data', 'data'])
        if name == 'encoding':
            image[name] = draw.choice(list(LAYOUTS) + ['', '32FC1', 'i420', 'jpeg', 'bgr8\0'])
        elif name == 'data':
            data = image[name]
            image[name] = draw.choice(
                [data[: draw.randrange(len(data) + 1)], data + data[: draw.randrange(9)], data * 2, data[:0]]
            )
        else:
            image[name] = draw.choice(
                [
                    *(0, 1, 2, 3, 255, HUGE, 1 << 31, -1, -(1 << 31), 1 << 70),
                    image[name] + draw.randrange(-4, 5),
                    image[name] * 2,
                    image[name] // 2,
                    draw.randrange(1 << 32),
                ]
            )
    return image


def damaged(octets, draw):
    """Return a file with some bytes exchanged, taken out or put in, or none."""
    octets = bytearray(octets)
    for _ in range(draw.randrange(6)):
        place = draw.randrange(len(octets) or 1)
        kind = draw.randrange(4)
        if kind == 0 and octets:
            octets[min(place, len(octets) - 1)] = draw.choice([0, 255, draw.randrange(256)])
        elif kind == 1:
            del octets[place : place + draw.choice([1, 2, 9, 1 << 30])]
        elif kind == 2:
            octets[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
        elif len(octets) > 24:  # where the headers of both kinds say how large the picture is
            octets[place % 200 % len(octets)] = draw.randrange(256)
    return bytes(octets)


def check(shape, read, *arguments):
    """Decode, and assert that it is a picture of the stated size, or refused.

    :returns: whether it was a picture.
    """
    try:
        image = read(*arguments)
    except BadImage as refusal:
        assert 'expected' in str(refusal)
        return False
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.ndim == 3 and image.shape[2] == 3
    assert shape is None or image.shape[:2] == shape
    return True


@pytest.mark.timeout(7200)
def test_pixels_or_a_refusal_come_out_when_images_are_fuzzed(long_form, promise):
    executions = 2000000 if long_form else 20000
    outcomes, draw = {True: 0, False: 0}, random.Random(5)
    pictures = np.random.RandomState(5).randint(0, 256, (9, 7, 3)).astype(np.uint8)
    files = [cv2.imencode(ending, pictures)[1].tobytes() for ending in ('.jpg', '.png')]
    for _ in range(executions // MUTATIONS):
        encoding = draw.choice(sorted(LAYOUTS))
        good = fields(encoding, draw.randint(1, 12), draw.randint(1, 12), draw.randint(0, 5))
        for turn in range(MUTATIONS):
            if turn % 4:
                image = mutated(good, draw)
                outcomes[check((image['height'], image['width']), decode, image)] += 1
            else:
                octets = damaged(files[turn // 4 % 2], draw)
                outcomes[check(None, decode_compressed, octets)] += 1
    assert sum(outcomes.values()) >= executions and min(outcomes.values()) > executions // 50, outcomes
    if long_form:
        promise(
            'a malformed image never stops the node: fuzzed',
            '%d read, %d refused, nothing else' % (outcomes[True], outcomes[False]),
            bound='a picture of the stated size, or BadImage',
            n='%d executions' % sum(outcomes.values()),
        )


def memory_mib(process):
    """Return a process's own memory in MiB: neither files nor what it shares with others for transport."""
    with open('/proc/%d/status' % process.pid) as file:
        return [int(line.split()[1]) for line in file if line.startswith('RssAnon:')][0] / 1024.0


@pytest.mark.timeout(7200)
def test_every_malformed_image_is_counted_when_good_ones_come_between(start_node, peer, long_form, promise):
    from diagnostic_msgs.msg import DiagnosticStatus
    from vision_msgs.msg import Detection2DArray

    from graph_peer import scene

    good, bad_for_each = (1000, 10) if long_form else (6, 10)
    cases = malformed()
    node = start_node(tracker__max_age_s=5.0)
    camera, health = peer.camera(picture=scene(200, 160)), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)

    def answers(header):
        return heard[-1].header == header

    received, bad, growth_from = before['received'], 0, 0.0
    draw = random.Random(1)
    for turn in range(good):
        for _ in range(bad_for_each):
            what, image = draw.choice(cases)
            camera.shoot(**image)
            received, bad = received + 1, bad + 1
            counts = peer.wait(partial(health.settled, received), 'the counters after ' + what)
            assert counts['bad'] == before['bad'] + bad, what
        received += 1
        peer.wait(partial(answers, camera.shoot()), 'the answer to a good image')
        if turn == good // 10:
            growth_from = memory_mib(node.process)
        del heard[:-1]
    counts = peer.wait(lambda: health.settled(received), 'the counters')
    growth = memory_mib(node.process) - growth_from
    assert counts == dict(before, received=received, bad=before['bad'] + bad, processed=before['processed'] + good)
    assert health.parts()['input'].level == DiagnosticStatus.WARN and peer.state() == 'active'
    assert 'Traceback' not in node.output() and '[ERROR]' not in node.output()
    if long_form:
        promise(
            'a malformed image never stops the node: live',
            '%d counted as bad, %d good ones answered, no death, memory grew by %.1f MiB' % (bad, good, growth),
            bound='all of them; 4 MiB',
            n='%d images' % (bad + good),
        )
        assert growth < 4.0
