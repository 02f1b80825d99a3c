"""Which topic images are taken from, as the graph names its publishers. Imports nothing of ROS."""

from typing import Any, Callable, Iterable, List, NamedTuple, Sequence

#: Types as the graph names them.
RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
#: image_transport appends this to the topic of compressed images.
SUFFIX = '/compressed'
#: In place of the name of a node that the graph does not know: a plain DDS participant, or a node that just started.
UNKNOWN_NAME = 'a node without a name'

_WORDS = {RAW: 'raw', COMPRESSED: 'compressed'}

#: Returns objects with `topic_type` for the publishers of a topic, as Node.get_publishers_info_by_topic.
PublishersOf = Callable[[str], Sequence[Any]]


class ImageSource(NamedTuple):
    """A topic and the type of its images."""

    topic: str
    type_name: str


def sources(topic: str, transport: str) -> List[ImageSource]:
    """List where images may come from.

    :param topic: the image topic, or its compressed sibling.
    :param transport: parameter input.transport: 'auto', 'raw' or 'compressed'.
    :returns: the preferred one first.
    """
    raw = [ImageSource(topic, RAW)] if transport != 'compressed' else []
    compressed = [ImageSource(topic + SUFFIX, COMPRESSED), ImageSource(topic, COMPRESSED)]
    if transport == 'raw':
        return raw
    return compressed[::-1] + raw if topic.endswith(SUFFIX) else raw + compressed


def tracked_topic(humans_prefix: str) -> str:
    """Return the topic that lists the faces of ROS4HRI, as it is given to rclpy: not resolved.

    :param humans_prefix: parameter output.humans_prefix.
    """
    return humans_prefix.rstrip('/') + '/faces/tracked'


def choose_source(candidates: Iterable[ImageSource], publishers: PublishersOf, present: ImageSource) -> ImageSource:
    """Choose the first source that someone publishes.

    :param candidates: of `sources`.
    :param publishers: of a topic.
    :param present: the source so far, which stays where nobody publishes any.
    """
    for source in candidates:
        if any(each.topic_type == source.type_name for each in publishers(source.topic)):
            return source
    return present


def why_unread(topic: str, transport: str, publishers: PublishersOf) -> str:
    """Say why no image arrives although somebody may publish: only other types, or nothing, on several topics.

    :param topic: the image topic.
    :param transport: parameter input.transport.
    :param publishers: of a topic.
    :returns: cause and cure without a final dot; '' where there is nothing to say.
    """
    wanted = sources(topic, transport)
    for name in (topic, topic + SUFFIX):
        types = sorted(set(each.topic_type for each in publishers(name)))
        if not types or any(ImageSource(name, each) in wanted for each in types):
            continue
        cure = 'expected %s' % ' or '.join((RAW, COMPRESSED))
        for known in (RAW, COMPRESSED):
            if known in types:
                cure = 'set input.transport to auto or %s (transport:=%s)' % (_WORDS[known], _WORDS[known])
        return 'input.transport is %s, but %s is of type %s; %s' % (transport, name, ', '.join(types), cure)
    names = list(dict.fromkeys(source.topic for source in wanted))
    if len(names) > 1 and not any(publishers(name) for name in names):
        return 'nothing publishes on %s; start the camera or correct the topic' % ' or '.join(names)
    return ''


def publisher_names(publishers: Iterable[Any]) -> List[str]:
    """Return the full names of publishers' nodes, sorted; UNKNOWN_NAME for one that the graph does not name (yet).

    :param publishers: objects with `node_name` and `node_namespace`.
    """
    names = ['%s/%s' % (each.node_namespace.rstrip('/'), each.node_name) for each in publishers]
    return sorted(UNKNOWN_NAME if 'NODE_NAME_UNKNOWN' in name else name for name in names)
