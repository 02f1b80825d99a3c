"""A lifecycle manager that never tires: what a cycle takes, it gives back; what the state forbids is refused."""

import json

import pytest
from vision_msgs.msg import Detection2DArray

from graph_peer import scene
from process_figures import descriptors, memory_kib, threads

CYCLE = ('configure', 'activate', 'deactivate', 'cleanup')
#: state -> transitions that it forbids; 99 exists nowhere.
FORBIDDEN = {
    'unconfigured': ('activate', 'deactivate', 'cleanup', 99),
    'inactive': ('configure', 'deactivate', 99),
    'active': ('configure', 'activate', 'cleanup', 99),
}
#: Cycles until allocators and middleware have what they keep.
WARM = 3


def count(node, peer, camera):
    """Return what Python holds in the node, at the next image."""
    (node.folder / 'count').touch()
    peer.wait(lambda: not (node.folder / 'count').exists(), 'a count', each=camera.shoot, every_s=0.3)
    return json.loads((node.folder / 'objects.json').read_text())


@pytest.mark.timeout(1800)
def test_nothing_is_kept_and_nothing_forbidden_is_done_when_the_lifecycle_is_cycled(
    paced_node, peer, long_form, promise
):
    cycles = 200 if long_form else 5
    node = paced_node('real', diagnostics__period_s=1.0)
    assert peer.change_state('deactivate') and peer.change_state('cleanup')
    pid = node.process.pid
    heard, camera = peer.listen(Detection2DArray, 'detections'), peer.camera(picture=scene(160, 120))
    refused = []

    def refuse_all(state):
        assert peer.state() == state
        for transition in FORBIDDEN[state]:
            assert not peer.change_state(transition), '%s was not refused while %s' % (transition, state)
            refused.append(transition)

    def settled():
        """Wait for threads and files of which three looks in a row tell the same; return them."""
        looks = []
        return peer.wait(
            lambda: len(looks) >= 3 and looks[-1] == looks[-2] == looks[-3] and looks[-1],
            'a number of threads and files that stays',
            each=lambda: looks.append((threads(pid), descriptors(pid))),
            every_s=0.2,
        )

    held, objects, refusing = [], [], 2
    for cycle in range(cycles + WARM):
        if cycle < refusing:
            refuse_all('unconfigured')
        assert peer.change_state('configure')
        if cycle < refusing:
            refuse_all('inactive')
        assert peer.change_state('activate')
        del heard[:]
        peer.wait(lambda: heard, 'an answer in cycle %d' % cycle, each=camera.shoot, every_s=0.3)
        if cycle < refusing:
            refuse_all('active')
        if cycle >= WARM - 1:
            objects.append(count(node, peer, camera))
        assert peer.change_state('deactivate') and peer.change_state('cleanup')
        # An ended thread, and a closed file, may still be on their way out.
        if len(held) < WARM:
            usual = settled()
        else:
            peer.wait(
                lambda usual=usual: (threads(pid), descriptors(pid)) == usual,
                'the threads and files of cycle %d, %s; now %s' % (WARM, usual, (threads(pid), descriptors(pid))),
            )
        held.append(usual + (memory_kib(pid),))
    assert len(refused) >= 20
    # rclpy's callback groups keep a weak reference to whatever was in them, and coverage, where it measures, some
    # methods for each thread that there was.
    grown = dict(
        (name, number - objects[1]['types'].get(name, 0))
        for name, number in objects[-1]['types'].items()
        if name not in ('weakref.ReferenceType', 'builtins.method')
    )
    assert max(grown.values()) < cycles - 1, dict((name, number) for name, number in grown.items() if number > 0)
    growth_kib = held[-1][2] - held[WARM - 1][2]
    assert growth_kib < 10 * 1024, [kib for _, _, kib in held]
    assert 'Traceback' not in node.output() and '[ERROR]' not in node.output()
    if long_form:
        promise(
            'lifecycle is safe',
            '%d threads and %d file descriptors before and after, memory grew by %.1f MiB, '
            '%d forbidden transitions refused' % (held[-1][:2] + (growth_kib / 1024, len(refused))),
            bound='constant, constant, 10 MiB, 20',
            n='%d cycles' % cycles,
        )
