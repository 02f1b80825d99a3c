"""Choose the image topic and type, raw or compressed, by their publishers in the ROS graph. Does not import ROS."""

from typing import Any, Callable, Iterable, List, NamedTuple, Sequence

#: Type names in the ROS graph.
RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
#: Suffix of the topic of compressed images, see image_transport.
SUFFIX = '/compressed'
#: Shown for a publisher without node name in the graph: a plain DDS participant, or a node that has just started.
UNKNOWN_NAME = 'a node without a name'

_WORDS = {RAW: 'raw', COMPRESSED: 'compressed'}

#: Like Node.get_publishers_info_by_topic: topic -> objects with `topic_type`.
PublishersOf = Callable[[str], Sequence[Any]]


class ImageSource(NamedTuple):
    """A topic and the type of its images."""

    topic: str
    type_name: str


def sources(topic: str, transport: str) -> List[ImageSource]:
    """List the possible sources of images.

    :param topic: the image topic, with or without '/compressed'.
    :param transport: parameter input.transport: 'auto', 'raw' or 'compressed'.
    :returns: the preferred one first.
    """
    raw = [ImageSource(topic, RAW)] if transport != 'compressed' else []
    compressed = [ImageSource(topic + SUFFIX, COMPRESSED), ImageSource(topic, COMPRESSED)]
    if transport == 'raw':
        return raw
    return compressed[::-1] + raw if topic.endswith(SUFFIX) else raw + compressed


def tracked_topic(humans_prefix: str) -> str:
    """Return the unresolved name of the ROS4HRI topic that lists the tracked faces.

    :param humans_prefix: parameter output.humans_prefix.
    """
    return humans_prefix.rstrip('/') + '/faces/tracked'


def choose_source(candidates: Iterable[ImageSource], publishers: PublishersOf, present: ImageSource) -> ImageSource:
    """Choose the first source that has a publisher.

    :param candidates: from `sources`.
    :param publishers: returns those of a topic.
    :param present: the current source, which stays if no source has a publisher.
    """
    for source in candidates:
        if any(each.topic_type == source.type_name for each in publishers(source.topic)):
            return source
    return present


def why_unread(topic: str, transport: str, publishers: PublishersOf) -> str:
    """Explain missing images: only other types are published, or nothing on any of several topics.

    :param topic: the image topic.
    :param transport: parameter input.transport.
    :param publishers: returns those of a topic.
    :returns: cause and what to do, without a final dot; '' if none of this is the case.
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
    """Return the sorted full names of the publishers' nodes; UNKNOWN_NAME where the graph has no name (yet).

    :param publishers: objects with `node_name` and `node_namespace`.
    """
    names = ['%s/%s' % (each.node_namespace.rstrip('/'), each.node_name) for each in publishers]
    return sorted(UNKNOWN_NAME if 'NODE_NAME_UNKNOWN' in name else name for name in names)
