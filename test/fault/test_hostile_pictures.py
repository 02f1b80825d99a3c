"""Small picture files of much work never stop the node: each is refused or costs no more than its pixels."""

import array
import resource
from functools import partial

import pytest

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.compressed_image import decode_compressed
from hostile_pictures import attacks, costly

#: What a node may take besides what it has when it answers small images: a decoder's 0.6 GB, and the picture itself.
MORE_MEMORY_MIB = 1200


@pytest.mark.parametrize('data', [pytest.param(data, id=what) for what, data in attacks()])
def test_an_attack_is_refused_before_it_is_decoded(data, monkeypatch):
    monkeypatch.setattr('facial_emotion_ros.perception.compressed_image.cv2.imdecode', None)
    with pytest.raises(BadImage, match='expected .*, got'):
        decode_compressed(data)


def memory_mib(process, name):
    """Return a line of a process's status in MiB: VmSize, or VmHWM for the most that was ever in memory."""
    with open('/proc/%d/status' % process.pid) as file:
        return [int(line.split()[1]) for line in file if line.startswith(name + ':')][0] / 1024.0


def test_the_node_answers_the_next_image_when_a_picture_attacks_it(start_node, peer, long_form, promise):
    from diagnostic_msgs.msg import DiagnosticStatus
    from vision_msgs.msg import Detection2DArray

    node = start_node(input__transport='compressed')
    camera, health = peer.compressed_camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    before = peer.first_answer(camera, heard, health)
    limit = int((memory_mib(node.process, 'VmSize') + MORE_MEMORY_MIB) * 1024 * 1024)
    resource.prlimit(node.process.pid, resource.RLIMIT_AS, (limit, limit))
    held_mib = memory_mib(node.process, 'VmHWM')
    counts = dict(before)
    for what, data, *shape in (attacks() + costly()) * (5 if long_form else 1):
        camera.shoot(data=array.array('B', data))
        counts['received'] += 1
        counts['processed' if shape else 'bad'] += 1
        assert peer.wait(partial(health.settled, counts['received']), 'the counters after ' + what) == counts, what
        last = camera.shoot()
        counts['received'] += 1
        counts['processed'] += 1
        peer.wait(
            lambda last=last: heard[-1].header == last,
            'the answer to a good image after ' + what,
            timeout_s=2.0 if long_form else 20.0,
        )
        assert [face.results[0].hypothesis.class_id for face in heard[-1].detections] == ['happy'], what
    taken_mib = memory_mib(node.process, 'VmHWM') - held_mib
    assert taken_mib < MORE_MEMORY_MIB
    assert 'Insufficient memory' not in node.output() and 'Traceback' not in node.output()
    assert health.parts()['input'].level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    if long_form:
        promise(
            'a hostile picture never stops the node',
            '%d refused, %d answered, a good image after each, at most '
            '%.0f MiB more memory' % (counts['bad'], counts['processed'] - before['processed'], taken_mib),
            bound='2 s; %d MiB' % MORE_MEMORY_MIB,
            n='%d pictures' % (counts['received'] - before['received']),
        )
