"""Parameters as a user of `ros2 param` meets them."""

import os
import sys

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import ListParameters
from rclpy.parameter import Parameter

from graph_peer import REPOSITORY


def test_a_setting_is_refused_with_a_reason_when_it_does_not_fit(shared_node, peer):
    for name, value, words in (
        ('inference.threads', 3, 'read-only'),
        ('inference.bundle', 'other', 'read-only'),
        ('input.max_age_s', -1.0, ''),
        ('input.max_age_s', float('nan'), 'nan'),
        ('input.max_age_s', 'soon', ''),
        ('input.reliability', 'sometimes', 'one of auto, reliable, best_effort'),
    ):
        answer = peer.set_parameter(Parameter(name, value=value))
        assert not answer.successful and answer.reason and words in answer.reason, (name, value)


def test_descriptors_tell_range_type_and_use_when_asked(shared_node, peer):
    age, threads, bundle = peer.describe(['input.max_age_s', 'inference.threads', 'inference.bundle'])
    assert (age.floating_point_range[0].from_value, age.floating_point_range[0].to_value) == (0.0, 3600.0)
    assert age.type == ParameterType.PARAMETER_DOUBLE and not age.read_only and 'expired' in age.description
    assert (threads.integer_range[0].from_value, threads.integer_range[0].to_value) == (1, 64)
    assert threads.read_only and bundle.read_only and bundle.type == ParameterType.PARAMETER_STRING


def test_a_file_and_a_name_that_set_nothing_are_warned_of_and_a_whole_number_is_taken_for_a_float(
    start_node, peer, tmp_path
):
    shipped = os.path.join(REPOSITORY, 'config', 'emotion_node.yaml')
    ours, others = tmp_path / 'ours.yaml', tmp_path / 'nav2_params.yaml'
    ours.write_text('/**/emotion_node: {ros__parameters: {input.idle_release_s: 4, input.max_age: 3}}')
    others.write_text('amcl: {ros__parameters: {alpha1: 0.2}}\nrobot: {bt: {ros__parameters: {a: 1}}}')
    files = [word for path in (shipped, ours, others) for word in ('--params-file', path)]
    node = start_node('-r', '__ns:=/robot', *files, autostart=False)
    node.wait_for(r'\[WARN\].*Parameter file %s sets nothing .*/\*\*/emotion_node, got /amcl, /robot/bt\. ' % others)
    node.wait_for(r'\[WARN\].*input.max_age is unknown.*did you mean input.max_age_s\?')
    assert peer.get_parameters(['input.idle_release_s'], '/robot/emotion_node')[0].double_value == 4.0
    assert node.output().count('[WARN]') == 2 and '[ERROR]' not in node.output(), node.output()


def test_parameters_are_listed_at_any_moment_while_outputs_are_opened_that_declare_more(node_here, peer):
    node_here(autostart=False)
    client = peer.client(ListParameters, '/emotion_node/list_parameters')
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the thread that opens them gets its turn in the middle of a list
    try:
        configured = peer.start_change_state('configure')
        while not configured.done():
            peer.wait(client.call_async(ListParameters.Request()).done, 'an answer')
    finally:
        sys.setswitchinterval(interval_s)
    assert configured.result().success
