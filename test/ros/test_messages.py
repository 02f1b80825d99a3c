"""vision_msgs and hri_msgs as they are installed here: upstream's types by hash, and whole after a journey as bytes."""

import importlib
import json
import os

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed: scripts/setup does that')

from ament_index_python.packages import get_package_prefix  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

#: Type hashes. Source: share/<package>/msg/<name>.json of upstream's packages for ROS 2 Jazzy.
UPSTREAM_HASHES = {
    'vision_msgs/Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'vision_msgs/Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'vision_msgs/ObjectHypothesisWithPose': '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'vision_msgs/ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'vision_msgs/BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'vision_msgs/Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'vision_msgs/Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'vision_msgs/VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
    'hri_msgs/Expression': '411b88e0604397d44775d8ec6a4bc69398fb0dfbfe864c33a40fa99ee85f1b00',
    'hri_msgs/IdsList': '7e0812d1ac945c98fd3e393568d581ad0ab567f37b24eff633eab778c1bfe62d',
    'tf2_msgs/TFMessage': 'e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087',
    'hri_msgs/NormalizedRegionOfInterest2D': '2e50c93f1ca166ee77af9a5424dc951ae4e452b740162a7f83c082d917dcaff5',
}

#: The words of hri_msgs/Expression. Source: REP-155.
EXPRESSION_WORDS = (
    'neutral angry sad happy surprised disgusted scared pleading vulnerable despaired guilty disappointed embarrassed '
    'horrified skeptical annoyed furious suspicious rejected bored tired asleep confused amazed excited'
).split()


def message_class(name):
    """Import a message class by its name in ROS, like 'hri_msgs/Expression'."""
    package, message = name.split('/')
    return getattr(importlib.import_module(package + '.msg'), message)


@pytest.fixture(scope='module')
def endpoints(ros_environment):
    """Publish every type on a graph of its own; give topic type -> what the graph says of its publisher."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('types', context=context)
    publishers = {name: node.create_publisher(message_class(name), 'types/' + name, 1) for name in UPSTREAM_HASHES}
    yield {name: node.get_publishers_info_by_topic(publisher.topic_name)[0] for name, publisher in publishers.items()}
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize('name, digest', sorted(UPSTREAM_HASHES.items()))
def test_the_hash_is_upstreams_in_the_installed_description_and_on_the_graph(endpoints, name, digest):
    package, message = name.split('/')
    full_name = '{}/msg/{}'.format(package, message)
    path = os.path.join(get_package_prefix(package), 'share', package, 'msg', message + '.json')
    with open(path, encoding='utf-8') as file:
        hashes = {each['type_name']: each['hash_string'] for each in json.load(file)['type_hashes']}
    assert hashes[full_name] == 'RIHS01_' + digest
    assert endpoints[name].topic_type == full_name
    if not hasattr(endpoints[name], 'topic_type_hash'):
        pytest.skip('this ROS distribution is older than type hashes')
    reported = endpoints[name].topic_type_hash
    assert (reported.version, bytes(reported.value).hex()) == (1, digest)


def test_expression_knows_every_word_when_its_constants_are_read():
    expression = message_class('hri_msgs/Expression')
    assert {word: getattr(expression, word.upper()) for word in EXPRESSION_WORDS} == {
        word: word for word in EXPRESSION_WORDS
    }


def filled(cls, number=1):
    """Make a message with something else than its defaults in every field.

    :param cls: message class.
    :param number: what the numbers count from.
    :returns: the message.
    """
    message = cls()
    for position, (field, kind) in enumerate(sorted(cls.get_fields_and_field_types().items()), number):
        plural = kind.startswith('sequence<')
        kind = kind[len('sequence<') : -1] if plural else kind
        if '[' in kind:
            value = [float(position + step) for step in range(int(kind.split('[')[1].rstrip(']')))]
        elif '/' in kind:
            value = filled(message_class(kind), position)
        elif kind == 'string':
            value = 'välue %d' % position
        else:
            value = position if 'int' in kind else position / 8  # exact as a 32-bit float
        setattr(message, field, [value, value] if plural else value)
    return message


@pytest.mark.parametrize('name', sorted(UPSTREAM_HASHES))
def test_a_message_is_whole_when_it_has_travelled_as_bytes(name):
    kind = message_class(name)
    for sent in (kind(), filled(kind)):
        assert deserialize_message(serialize_message(sent), kind) == sent
    assert repr(filled(kind)) != repr(kind())
