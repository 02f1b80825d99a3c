"""Parameters as a user of `ros2 param` meets them."""

import os

import pytest
from rcl_interfaces.msg import ParameterType
from rclpy.parameter import Parameter

from graph_peer import REPOSITORY


@pytest.mark.parametrize('parameter, words', [
    (Parameter('inference.threads', value=3), 'read-only'),
    (Parameter('inference.bundle', value='other'), 'read-only'),
    (Parameter('input.max_age_s', value=-1.0), ''),
    (Parameter('input.max_age_s', value=float('nan')), 'nan'),
    (Parameter('input.max_age_s', value='soon'), ''),
    (Parameter('input.reliability', value='sometimes'), 'one of auto, reliable, best_effort'),
])
def test_a_setting_is_refused_with_a_reason_when_it_does_not_fit(shared_node, peer, parameter, words):
    answer = peer.set_parameter(parameter)
    assert not answer.successful and answer.reason and words in answer.reason


def test_descriptors_tell_range_type_and_use_when_asked(shared_node, peer):
    age, threads, bundle = peer.describe(['input.max_age_s', 'inference.threads', 'inference.bundle'])
    assert (age.floating_point_range[0].from_value, age.floating_point_range[0].to_value) == (0.0, 3600.0)
    assert age.type == ParameterType.PARAMETER_DOUBLE and not age.read_only and 'expired' in age.description
    assert (threads.integer_range[0].from_value, threads.integer_range[0].to_value) == (1, 64)
    assert threads.read_only and bundle.read_only and bundle.type == ParameterType.PARAMETER_STRING


def test_the_shipped_file_is_taken_without_a_warning_when_given(start_node, peer):
    node = start_node('--params-file', os.path.join(REPOSITORY, 'config', 'emotion_node.yaml'))
    node.wait_for('Active: ')
    assert '[WARN]' not in node.output() and '[ERROR]' not in node.output()


def test_a_parameter_file_is_warned_of_when_all_of_it_is_for_other_nodes(start_node, tmp_path):
    ours, others = tmp_path / 'ours.yaml', tmp_path / 'nav2_params.yaml'
    ours.write_text('/**/emotion_node: {ros__parameters: {input.timeout_s: 4.0}}')
    others.write_text('amcl: {ros__parameters: {alpha1: 0.2}}\nrobot: {bt: {ros__parameters: {a: 1}}}')
    node = start_node('-r', '__ns:=/robot', '--params-file', ours, '--params-file', others, autostart=False)
    node.wait_for(r"\[WARN\].*Parameter file %s sets nothing .*/\*\*/emotion_node, got /amcl, /robot/bt\. " % others)
    assert node.output().count('[WARN]') == 1, node.output()


def test_an_unknown_name_is_warned_of_and_a_whole_number_is_taken_for_a_float_when_given(start_node, peer):
    node = start_node(input__max_age=3, input__timeout_s=4, autostart=False)
    node.wait_for(r'\[WARN\].*input.max_age is unknown.*did you mean input.max_age_s\?')
    assert peer.get_parameters(['input.timeout_s'])[0].double_value == 4.0
