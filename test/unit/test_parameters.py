"""The parameter table, and that YAML and documentation say the same."""

import ast
import glob
import os
import re

import pytest
from places import read

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.ros import parameter_files, parameters
from facial_emotion_ros.ros.live_parameters import NAMES
from facial_emotion_ros.ros.parameter_checks import qos_faults, unknown_names, unknown_overrides, unused_files

ROWS = {row.name: row for row in parameters.TABLE}


@pytest.mark.parametrize(
    'name, value, expected, refused',
    [
        ('input.max_age_s', 2.5, 2.5, None),
        ('input.max_age_s', 2, 2.0, None),
        ('input.max_age_s', 0.0, 0.0, None),
        ('input.max_age_s', 3600.0, 3600.0, None),
        ('input.max_age_s', -0.1, None, 'a float from 0.0 to 3600.0 (s), but is -0.1'),
        ('input.max_age_s', 3600.1, None, 'from 0.0 to 3600.0'),
        ('input.max_age_s', float('nan'), None, 'but is nan'),
        ('input.max_age_s', float('inf'), None, 'but is inf'),
        ('input.max_age_s', '2', None, "but is '2'"),
        ('input.max_age_s', True, None, 'but is True'),
        ('diagnostics.freeze_timeout_s', 0.0, 0.0, None),
        ('diagnostics.freeze_timeout_s', 1, 1.0, None),
        ('diagnostics.freeze_timeout_s', 0.01, None, 'must be 0.0 or a float from 1.0 to 3600.0 (s), but is 0.01'),
        ('bond.heartbeat_period_s', 1e-9, None, '0.0 or a float from 0.01 to 60.0 (s)'),
        ('inference.threads', 4, 4, None),
        ('inference.threads', 0, None, 'an integer from 1 to 64'),
        ('inference.threads', 1.0, None, 'an integer'),
        ('inference.threads', True, None, 'an integer'),
        (
            'inference.providers',
            ('CUDAExecutionProvider', 'CPUExecutionProvider'),
            ['CUDAExecutionProvider', 'CPUExecutionProvider'],
            None,
        ),
        ('inference.providers', [], None, 'a list of strings'),
        ('inference.providers', [1], None, 'a list of strings'),
        ('inference.providers', 'CPUExecutionProvider', None, 'a list of strings'),
        ('input.lazy', False, False, None),
        ('input.lazy', 'false', None, 'true or false'),
        ('input.lazy', 0, None, 'true or false'),
        ('input.reliability', 'best_effort', 'best_effort', None),
        ('input.reliability', 'BEST_EFFORT', None, 'one of auto, reliable, best_effort'),
        ('output.humans_prefix', '', '', None),
        ('output.humans_prefix', '/front/humans/', '/front/humans/', None),
        ('output.humans_prefix', 'humans', 'humans', None),
        ('output.humans_prefix', None, None, 'a topic name'),
        ('output.humans_prefix', '/2humans', None, "a topic name like '/humans'"),
        ('output.humans_prefix', '/my robot', None, "but is '/my robot'"),
        ('output.humans_prefix', '/', None, 'a topic name'),
        ('input.reliability', 'x' * 1000, None, 'x... (1002 characters)'),
        ('output.humans_prefix', '//humans', None, 'a topic name'),
        ('output.humans_prefix', '/humans\n', None, 'a topic name'),
    ],
)
def test_a_value_is_taken_or_refused_with_the_reason_when_checked(name, value, expected, refused):
    if refused is None:
        taken = parameters.check_value(ROWS[name], value)
        assert taken == expected and type(taken) is type(expected)
    else:
        with pytest.raises(BadParameter) as reported:
            parameters.check_value(ROWS[name], value)
        assert name in str(reported.value) and refused in str(reported.value)


def test_what_has_no_effect_with_crops_is_listed_when_it_is_set():
    values = {row.name: row.default for row in parameters.TABLE}
    assert parameters.without_effect(values) == []
    values.update({'tracker.min_iou': 0.5, 'output.opendr': True, 'inference.deadline_ms': 30.0, 'input.rate_hz': 5.0})
    assert parameters.without_effect(values) == ['tracker.min_iou', 'output.opendr']


def test_every_default_passes_its_own_check_when_the_table_is_read():
    for parameter in parameters.TABLE:
        assert parameters.check_value(parameter, parameter.default) == parameter.default, parameter.name
    assert len({parameter.name for parameter in parameters.TABLE}) == len(parameters.TABLE)


@pytest.mark.parametrize(
    'given, strangers',
    [
        (['autostart', 'input.max_age_s'], []),
        (['use_sim_time', 'qos_overrides./affect.publisher.depth'], []),
        (['input.max_age'], [('input.max_age', 'input.max_age_s')]),
        (['zebra'], [('zebra', '')]),
        (['qos_overrides./image.subscription.durability'], []),
        (
            ['qos_overrides./image.subscription.reliability'],
            [('qos_overrides./image.subscription.reliability', 'input.reliability')],
        ),
    ],
)
def test_names_nobody_reads_are_found_when_given(given, strangers):
    assert unknown_names(given, [row.name for row in parameters.TABLE]) == strangers


@pytest.mark.parametrize(
    'name, found',
    [
        ('/affect.publisher.depth', []),
        ('/afect.publisher.depth', ['/affect.publisher.depth']),
        ('/zebra.x', ['']),
        ('/image.subscription.reliability', []),
    ],
)
def test_an_override_that_no_topic_has_is_found_with_the_most_similar_one(name, found):
    prefix = 'qos_overrides.'
    assert unknown_overrides([prefix + name, 'autostart'], [prefix + '/affect.publisher.depth']) == [
        (prefix + name, near and prefix + near) for near in found
    ]


@pytest.mark.parametrize(
    'policy, value, words',
    [
        ('reliability', 'best_effort', None),
        ('reliability', 'RELIABLE', None),
        ('durability', 'transient_local', None),
        ('history', 'keep_all', None),
        ('depth', 5, None),
        ('liveliness', 'automatic', None),
        ('liveliness', 'manual', 'one of automatic, manual_by_topic'),
        ('deadline', 500000000, None),
        ('deadline', 0.5, 'an integer from 0 to 9223372036854775807, but is 0.5'),
        ('liveliness_lease_duration', '1 s', 'an integer from 0 to 9223372036854775807'),
        (
            'reliability',
            'sometimes',
            "one of reliable, best_effort, best_available, system_default, but is 'sometimes'",
        ),
        ('durability', 1, 'one of volatile'),
        ('history', 'keep_none', 'one of keep_last, keep_all'),
        ('depth', -1, 'an integer from 0 to 2147483647, but is -1'),
        ('depth', 'deep', "but is 'deep'"),
        ('depth', True, 'True'),
        ('depth', 5000000000, 'an integer from 0 to 2147483647, but is 5000000000'),
        ('deadline', 9223372036854775807, None),
    ],
)
def test_a_qos_override_is_refused_by_its_name_when_no_topic_can_have_it(policy, value, words):
    name = 'qos_overrides./affect.publisher.' + policy
    faults = [str(fault) for fault in qos_faults({name: value, 'input.max_age_s': -1.0})]
    assert len(faults) == (words is not None)
    assert all(name in fault and words in fault for fault in faults)


def test_the_shipped_yaml_is_the_table_when_compared():
    assert read('config', 'emotion_node.yaml') == parameter_files.as_yaml(), (
        'write it anew: python3 -m facial_emotion_ros.ros.parameter_files yaml > config/emotion_node.yaml'
    )


def test_the_shipped_yaml_sets_nothing_and_holds_every_default_when_its_comments_are_taken_away():
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    text = read('config', 'emotion_node.yaml')
    assert yaml.safe_load(text) is None, 'what it sets wins over SetParameter of a launch file'
    reported = yaml.safe_load(re.sub('(?m)^#(?=/|  )', '', text))
    assert reported == {'/**': {'ros__parameters': {row.name: row.default for row in parameters.TABLE}}}


@pytest.mark.parametrize(
    'content, node, unused',
    [
        ('/**: {ros__parameters: {a: 1}}', '/robot/emotion_node', None),
        ('emotion_node: {ros__parameters: {a: 1}}', '/emotion_node', None),
        ('emotion_node: {ros__parameters: {a: 1}}', '/robot/emotion_node', ['/emotion_node']),
        ('/**/emotion_node: {ros__parameters: {a: 1}}', '/emotion_node', None),
        ('/**/emotion_node: {ros__parameters: {a: 1}}', '/a/robot/emotion_node', None),
        ('/*/emotion_node: {ros__parameters: {a: 1}}', '/robot/emotion_node', None),
        ('/*/emotion_node: {ros__parameters: {a: 1}}', '/emotion_node', ['/*/emotion_node']),
        ('/robot/**: {ros__parameters: {a: 1}}', '/robot/emotion_node', None),
        ('robot: {emotion_node: {ros__parameters: {a: 1}}}', '/robot/emotion_node', None),
        ('{amcl: {ros__parameters: {a: 1}}, emotion_node: {ros__parameters: {a: 1}}}', '/emotion_node', None),
        (
            '{amcl: {ros__parameters: {a: 1}}, robot: {amcl: {ros__parameters: {a: 1}}}}',
            '/emotion_node',
            ['/amcl', '/robot/amcl'],
        ),
        ('# nothing', '/emotion_node', None),
        ('[1]', '/emotion_node', None),
        ('{:', '/emotion_node', None),
    ],
)
def test_a_parameter_file_is_unused_when_no_section_is_for_the_node(tmp_path, content, node, unused):
    pytest.importorskip('yaml', reason='PyYAML is not installed')
    path = tmp_path / 'parameters.yaml'
    path.write_text(content)
    found = unused_files(['emotion_node', '--ros-args', '--params-file', str(path), '-p', 'a:=1'], node)
    assert found == ([(str(path), unused)] if unused else [])


def test_the_documentation_holds_the_table_when_compared():
    assert parameter_files.as_markdown() in read('docs', 'parameters.md'), (
        'put the output of `python3 -m facial_emotion_ros.ros.parameter_files markdown` into docs/parameters.md'
    )


def test_every_parameter_is_read_when_the_node_s_code_is_searched():
    # These two groups are handed over whole, as arguments.
    said = {name for name in NAMES if name.startswith(('smoothing.', 'unknown.'))}
    for path in glob.glob(os.path.join(os.path.dirname(parameters.__file__), '*.py')):
        if os.path.basename(path) != 'parameters.py':
            with open(path, encoding='utf-8') as stream:
                said.update(
                    node.value
                    for node in ast.walk(ast.parse(stream.read()))
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                )
    assert [parameter.name for parameter in parameters.TABLE if parameter.name not in said] == []
