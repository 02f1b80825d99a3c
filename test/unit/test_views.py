"""RViz's configuration and Foxglove's layout: well formed, and about topics and fields that there are."""

import importlib
import json
import re

import pytest
from places import read

#: Our topics that a view may show, by the table of docs/topics.md.
TYPES = {
    '/image': 'sensor_msgs/Image',
    '/emotion_node/debug/image': 'sensor_msgs/Image',
    '/detections': 'vision_msgs/Detection2DArray',
    '/detections/raw': 'vision_msgs/Detection2DArray',
    '/affect': 'vision_msgs/Detection2DArray',
    '/expression': 'hri_msgs/Expression',
    '/diagnostics': 'diagnostic_msgs/DiagnosticArray',
}


LAYOUT = json.loads(read('config', 'foxglove_layout.json'))


def test_every_topic_of_a_view_is_documented_with_its_type():
    documented = dict(re.findall(r'^\| `([^`]+)` \| (\w+/\w+) \|', read('docs', 'topics.md'), re.MULTILINE))
    documented = {
        name.replace('~', '/emotion_node') if name[0] == '~' else '/' + name.lstrip('/'): kind
        for name, kind in documented.items()
    }
    assert TYPES == {name: documented.get(name) for name in TYPES}


def test_rviz_shows_the_annotated_image_when_its_file_is_read():
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    shown = yaml.safe_load(read('config', 'facial_emotion.rviz'))['Visualization Manager']['Displays']
    topics = {display['Topic']['Value']: display for display in shown}
    assert set(topics) <= set(TYPES) and topics['/emotion_node/debug/image']['Enabled']
    for topic, display in topics.items():
        assert display['Class'] == 'rviz_default_plugins/Image' and TYPES[topic] == 'sensor_msgs/Image'
        assert display['Topic']['Reliability Policy'] in ('Reliable', 'Best Effort')
        assert display['Topic']['Durability Policy'] == 'Volatile', 'our outputs are not latched'


def panels_of(tree):
    """Return the panels of a layout's tree, in order."""
    if isinstance(tree, str):
        return [tree]
    assert tree['direction'] in ('row', 'column') and 0 < tree['splitPercentage'] < 100
    return panels_of(tree['first']) + panels_of(tree['second'])


def test_foxglove_places_every_panel_once_when_its_layout_is_read():
    assert sorted(panels_of(LAYOUT['layout'])) == sorted(LAYOUT['configById'])
    kinds = {panel.split('!')[0] for panel in LAYOUT['configById']}
    assert {'Image', 'Plot', 'StateTransitions', 'DiagnosticSummary'} <= kinds
    assert LAYOUT['configById']['Image!faces']['imageMode']['imageTopic'] == '/emotion_node/debug/image'


def message_paths():
    """List the message paths of all panels that follow values over time."""
    return [path['value'] for panel in LAYOUT['configById'].values() for path in panel.get('paths', ())]


@pytest.mark.parametrize('path', message_paths())
def test_foxglove_follows_a_field_that_there_is_when_its_path_is_walked(path):
    topic = max((name for name in TYPES if path.startswith(name + '.')), key=len)
    package, kind = TYPES[topic].split('/')
    message = pytest.importorskip(package + '.msg', reason='%s is not installed: scripts/setup does that' % package)
    fields = getattr(message, kind).get_fields_and_field_types()
    steps = path[len(topic) + 1 :].split('.')
    for number, step in enumerate(steps, 1):
        name, index = re.match(r'(\w+?)(\[\d+\])?\Z', step).groups()
        found = fields[name]
        assert found.startswith('sequence<') == bool(index), path
        found = found[len('sequence<') : -1] if index else found
        if number == len(steps):
            assert found in ('double', 'float', 'string'), path
        else:
            package, kind = found.split('/')
            fields = getattr(importlib.import_module(package + '.msg'), kind).get_fields_and_field_types()


def test_affect_is_followed_in_the_order_in_which_it_is_published():
    pytest.importorskip('hri_msgs.msg', reason='hri_msgs is not installed: scripts/setup does that')
    from test_ros_messages import Header, face, reading

    from facial_emotion_ros.emotion.message_fields import affect_hypotheses
    from facial_emotion_ros.ros.messages import faces_message

    names = [
        row.hypothesis.class_id
        for row in faces_message(Header(), [face(reading())], affect_hypotheses).detections[0].results
    ]
    paths = LAYOUT['configById']['Plot!affect']['paths']
    assert {path['label']: path['value'] for path in paths} == {
        name: '/affect.detections[0].results[%d].hypothesis.score' % place for place, name in enumerate(names)
    }
