"""JPEGs with bit errors: answered, counted, named; the log stays short, and nobody else's lines are lost."""

import array
import os
import re
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.compressed_image import decode_compressed
from graph_peer import packed, scene

HERE = os.path.dirname(os.path.abspath(__file__))
LINES = 5000


def damaged_pictures(count):
    """Return files with flipped bits that are decoded, and of which the decoder complains."""
    whole, draws, found = packed(scene(), '.jpg').tobytes(), np.random.RandomState(0), []
    begin = whole.rindex(b'\xff\xda') + 14
    while len(found) < count:
        content, heard = bytearray(whole), []
        for place in draws.randint(begin, len(content) - 2, 30):
            turned = content[place] ^ 1 << draws.randint(8)
            if 255 not in (turned, content[place], content[place - 1]):
                content[place] = turned
        try:
            decode_compressed(bytes(content), on_damage=heard.append)
        except BadImage:
            continue
        if heard:
            found.append(array.array('B', content))
    return found


def test_damage_is_counted_and_named_and_no_line_is_lost_when_turned_bits_flood(start_faulty, peer, long_form, promise):
    node = start_faulty(
        os.path.join(HERE, 'chatty_node.py'),
        *'--ros-args -p input.transport:=compressed -p diagnostics.period_s:=0.1'.split(),
        LINES_TO_PRINT=str(LINES),
    )
    camera, health = peer.compressed_camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    assert health.values('input')['corrupt'] == '0'
    began_s, count = time.monotonic(), 2000 if long_form else 20
    pictures = damaged_pictures(20)
    for number in range(count):
        last = camera.shoot(data=pictures[number % len(pictures)])
        peer.wait(lambda last=last: heard[-1].header == last, 'the answer to damaged picture %d' % number)
    after = peer.wait(lambda: health.settled(before['received'] + count), 'the counters')
    assert after['processed'] == before['processed'] + count and health.values('input')['corrupt'] == str(count)
    status = health.parts()['input']
    assert status.level == DiagnosticStatus.WARN
    assert re.search('damaged pixels arrived .* ago: Corrupt JPEG data: .*; look for bit errors', status.message)
    # After faces of damaged pixels, the tracker may hesitate.
    peer.wait(
        lambda: [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy'],
        'the answer to a whole picture',
        each=camera.shoot,
    )
    assert peer.counts_from_now(health)['bad'] == 0 and health.values('input')['corrupt'] == str(count)
    wanted = ['line %06d of a native library' % number for number in range(LINES)]
    peer.wait(
        lambda: sorted(line for line in node.output().splitlines() if 'native library' in line) == wanted,
        'the lines of others',
        each=camera.shoot,
    )
    said = [line for line in node.output().splitlines() if 'Corrupt JPEG data' in line]
    assert all('[WARN]' in line and 'damaged pixels' in line for line in said)
    assert 1 <= len(said) <= 1 + (time.monotonic() - began_s) / 5
    if long_form:
        promise(
            'bit errors in JPEGs are counted and named',
            'all answered and counted, %d lines of log, %d lines of a native library whole' % (len(said), LINES),
            bound='one line in 5 s',
            n='%d pictures' % count,
        )
