"""A GPU that is not there, or fails at work: the CPU takes over within one image, once, and one warning says so.

The GPU is a stand-in (test/stand_in_provider.py) where this machine has none; test/ros/test_providers.py reads the
warnings' words.
"""

import os
from functools import partial

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from graph_peer import REPOSITORY

CUDA, TENSORRT = 'CUDAExecutionProvider', 'TensorrtExecutionProvider'
STAND_IN_NODE = os.path.join(REPOSITORY, 'test', 'ros', 'stand_in_node.py')
#: (what the stand-ins do, providers asked for, how many warnings, whether the GPU works at first); a run is one
#: network's for one image, and configuring takes two.
CASES = [
    (CUDA + '=start', [CUDA], 1, False),
    (CUDA + '=7', [CUDA], 1, True),
    (CUDA + '=nan', [CUDA], 1, False),
    (CUDA + '=open', [CUDA], 1, False),
    ('%s=open %s=9' % (TENSORRT, CUDA), [TENSORRT, CUDA], 2, True),
    (CUDA + '=1', [CUDA], 1, False),
    (CUDA + '=3,4,5', [CUDA], 1, True),
    (CUDA + '=6,7,8,9,10', [CUDA], 1, True),
    (CUDA + '=15', [CUDA], 1, True),
    ('%s=4 %s=open' % (TENSORRT, CUDA), [TENSORRT, CUDA], 1, True),
]
SHORT = CASES[1:3]


def check_takeover(node, peer, images, warnings, works_at_first):
    """Shoot, and assert that each image is answered and the CPU takes over for good."""
    camera, health = peer.camera(), peer.health()
    heard, providers = peer.listen(Detection2DArray, 'detections'), []
    peer.wait(camera.watched_reliably, 'a subscription')

    def answered(number):
        providers.append(health.values('inference').get('provider', ''))
        return len(heard) == number

    for number in range(1, images + 1):
        camera.shoot()
        peer.wait(partial(answered, number), 'answer %d' % number)
        assert heard[-1].detections, 'no face in image %d' % number
    counts = peer.counts_from_now(health)
    assert (counts['processed'], counts['failed']) == (images, 0)
    providers.append(health.values('inference')['provider'])
    seen = [name for name, before in zip(providers, [''] + providers) if name not in ('', before)]
    assert seen in (['CPUExecutionProvider'], [seen[0], 'CPUExecutionProvider'][: 1 + works_at_first]), seen
    lines = [line for line in node.output().splitlines() if '[WARN]' in line]
    assert len(lines) == warnings, lines
    assert health.parts()['inference'].level == DiagnosticStatus.WARN
    assert 'Traceback' not in node.output() and '[ERROR]' not in node.output()


@pytest.mark.timeout(1200)
def test_every_image_is_answered_and_the_cpu_takes_over_once_when_a_gpu_fails(
    start_faulty, peer, tmp_path, long_form, promise
):
    cases, images = (CASES, 30) if long_form else (SHORT, 5)
    for configuration, providers, warnings, works_at_first in cases:
        node = start_faulty(
            STAND_IN_NODE,
            *'--ros-args -p diagnostics.period_s:=0.1 -p input.timeout_s:=30.0 -p inference.face_batch:=2'.split(),
            *['-p', 'detector.every_n:=1', '-p', 'inference.engine_cache:=%s' % (tmp_path / 'engines')],
            *['-p', 'inference.providers:=%s' % (providers + ['CPUExecutionProvider'])],
            STAND_IN=configuration,
        )
        node.wait_for('Active: ')
        check_takeover(node, peer, images, warnings, works_at_first)
        assert node.end()[0] == 0
    if long_form:
        promise(
            'a failing GPU degrades',
            'each of %d images answered, the failing one too; on the CPU for good, one '
            'warning for each provider' % (images * len(cases)),
            bound='within one image, one warning, no flapping',
            n='%d failures at start or at work (stand-ins)' % len(cases),
        )
