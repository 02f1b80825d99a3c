"""The node on each engine, and with a deadline, as somebody sees it who reads its topics."""

import pytest
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.inference.openvino_backend import OPENVINO, openvino_version

CPU = 'CPUExecutionProvider'


def answer_of(node, peer):
    """Wait for an answer with a face, and return it and the provider in the diagnostics."""
    node.wait_for('Active: ')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.first_answer(camera, heard, health)
    provider = peer.wait(lambda: health.values('inference').get('provider', ''), 'the provider')
    return heard[-1], provider


@pytest.mark.skipif(not openvino_version(), reason='openvino is not installed: it is optional')
def test_openvino_runs_the_node(start_node, peer):
    node = start_node(inference__engine='openvino', inference__precision='fp32')
    answer, provider = answer_of(node, peer)
    assert answer.detections and provider == OPENVINO
    assert 'esr_9_ferplus 0' in node.output() and '[WARN]' not in node.output()


def test_auto_logs_its_choice_and_remembers_it_for_the_bundles_of_the_precision(start_node, peer, tmp_path):
    settings = {'inference__precision': 'fp32', 'inference__engine_cache': tmp_path / 'engines'}
    node = start_node(inference__engine='auto', **settings)
    answer, provider = answer_of(node, peer)
    assert answer.detections and provider in (CPU, OPENVINO)
    assert 'Engine %s, the fastest for one face: ' % provider in node.output()
    assert [path.name for path in (tmp_path / 'engines').iterdir()] == ['engine_choices.json']
    assert 'Configured: esr_9_ferplus 0' in node.output() and ' and centerface on ' in node.output()


def test_every_image_is_answered_with_a_deadline_that_cannot_be_met(start_node, peer):
    node = start_node(inference__precision='int8', inference__deadline_ms=0.1)
    answer, provider = answer_of(node, peer)
    assert answer.detections and provider == CPU
    scores = [each.hypothesis.score for each in answer.detections[0].results if each.hypothesis.class_id != 'unknown']
    assert len(scores) == 8 and sum(scores) == pytest.approx(1, abs=1e-3)
    assert 'Configured: esr_9_ferplus_int8 ' in node.output() and ' and centerface_int8 on ' in node.output()
