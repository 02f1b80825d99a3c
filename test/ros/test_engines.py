"""The node on each engine, and with a deadline, as somebody sees it who reads its topics."""

import pytest
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.openvino_model import OPENVINO, openvino_version
from facial_emotion_ros.precision_choice import int8_is_fast

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


def test_auto_tells_what_it_chose_and_remembers_it(start_node, peer, tmp_path):
    node = start_node(inference__engine='auto', inference__engine_cache=tmp_path / 'engines')
    answer, provider = answer_of(node, peer)
    assert answer.detections and provider in (CPU, OPENVINO)
    assert 'Engine %s, the fastest for one face: ' % provider in node.output()
    assert [path.name for path in (tmp_path / 'engines').iterdir()] == ['engine_choices.json']


@pytest.mark.parametrize('precision, name', [('fp32', 'esr_9_ferplus'), ('int8', 'esr_9_ferplus_int8'), ('auto', '')])
def test_the_precision_chooses_the_bundle(start_node, peer, precision, name):
    node = start_node(inference__precision=precision)
    answer, _ = answer_of(node, peer)
    expected = name or ('esr_9_ferplus_int8' if int8_is_fast() else 'esr_9_ferplus')
    assert answer.detections
    assert 'Configured: %s ' % expected in node.output()
    assert ' and %s on ' % ('centerface_int8' if expected.endswith('int8') else 'centerface') in node.output()


def test_every_image_is_answered_with_a_deadline_that_cannot_be_met(start_node, peer):
    node = start_node(inference__precision='int8', inference__deadline_ms=0.1)
    answer, provider = answer_of(node, peer)
    assert answer.detections and provider == CPU
    scores = [each.hypothesis.score for each in answer.detections[0].results if each.hypothesis.class_id != 'unknown']
    assert len(scores) == 8 and sum(scores) == pytest.approx(1, abs=1e-3)


def test_what_does_not_go_together_is_refused_with_a_sentence(start_node, peer):
    node = start_node(inference__precision='fp32', inference__deadline_ms=20.0)
    node.wait_for('`quantize`')
    assert 'Traceback' not in node.output() and peer.state() == 'unconfigured'
    node = start_node('-r', '__node:=other', inference__precision='bf16')
    node.wait_for('expected the engine openvino')
    assert 'Traceback' not in node.output()
