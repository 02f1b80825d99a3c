"""Which topic images are taken from, by what the graph says of its publishers. Nothing of ROS is imported."""

from typing import NamedTuple

#: Types as the graph names them.
RAW, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
#: Where image_transport puts compressed images.
SUFFIX = '/compressed'
#: Stands for the name of a node that the graph does not know: an end of DDS alone, or one that has just come.
UNKNOWN_NAME = 'a node without a name'

_WORDS = {RAW: 'raw', COMPRESSED: 'compressed'}


class ImageSource(NamedTuple):
    """A topic and the type of its images."""

    topic: str
    type_name: str


def sources(topic, transport):
    """List where images may come from.

    :param topic: the image topic, or that of its compressed sibling.
    :param transport: parameter input.transport: 'auto', 'raw' or 'compressed'.
    :returns: list of ImageSource, the preferred one first.
    """
    compressed = [ImageSource(topic + SUFFIX, COMPRESSED), ImageSource(topic, COMPRESSED)]
    if transport == 'raw':
        return [ImageSource(topic, RAW)]
    if topic.endswith(SUFFIX):
        compressed.reverse()
        return compressed + [ImageSource(topic, RAW)] * (transport == 'auto')
    return [ImageSource(topic, RAW)] * (transport == 'auto') + compressed


def choose_source(candidates, publishers, present):
    """Choose the first source that someone publishes.

    :param candidates: of `sources`.
    :param publishers: function of a topic: objects with `topic_type`, one for each of its publishers.
    :param present: ImageSource so far.
    :returns: ImageSource; `present` where nobody publishes any.
    """
    for source in candidates:
        if any(each.topic_type == source.type_name for each in publishers(source.topic)):
            return source
    return present


def why_unread(topic, transport, publishers):
    """Say what is published instead, where nobody publishes what is subscribed to, or that nothing is.

    :param topic: the image topic.
    :param transport: parameter input.transport.
    :param publishers: function of a topic: objects with `topic_type`, one for each of its publishers.
    :returns: a sentence without its end, with the cure; '' where there is nothing to say.
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


def publisher_names(publishers):
    """Name the nodes of publishers.

    :param publishers: objects with `node_name` and `node_namespace`.
    :returns: list of full names, in order; UNKNOWN_NAME for a node that the graph does not name (yet).
    """
    names = ['%s/%s' % (each.node_namespace.rstrip('/'), each.node_name) for each in publishers]
    return sorted(UNKNOWN_NAME if 'NODE_NAME_UNKNOWN' in name else name for name in names)
