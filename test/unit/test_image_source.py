"""Which topic images are taken from, by what is published."""

from collections import namedtuple

import pytest

from facial_emotion_ros.ros.image_source import (
    COMPRESSED,
    RAW,
    UNKNOWN_NAME,
    choose_source,
    publisher_names,
    sources,
    why_unread,
)

End = namedtuple('End', 'topic_type node_name node_namespace')
CAMERA, JPEG = '/camera/image_raw', '/camera/image_raw/compressed'


def graph(**types):
    """Return a function of a topic that lists its publishers: raw, jpeg, twice for types of CAMERA and below it."""
    topics = {CAMERA: types.get('raw', ()), JPEG: types.get('jpeg', ()), JPEG + '/compressed': types.get('twice', ())}
    return lambda topic: [End(each, 'driver', '/') for each in topics.get(topic, ())]


@pytest.mark.parametrize(
    'transport, topic, published, expected',
    [
        ('auto', CAMERA, {}, (CAMERA, RAW)),
        ('auto', CAMERA, {'raw': [RAW]}, (CAMERA, RAW)),
        ('auto', CAMERA, {'jpeg': [COMPRESSED]}, (JPEG, COMPRESSED)),
        ('auto', CAMERA, {'raw': [RAW], 'jpeg': [COMPRESSED]}, (CAMERA, RAW)),
        ('auto', CAMERA, {'raw': [COMPRESSED]}, (CAMERA, COMPRESSED)),
        ('auto', CAMERA, {'raw': ['theora/Packet'], 'jpeg': [COMPRESSED]}, (JPEG, COMPRESSED)),
        ('auto', JPEG, {}, (JPEG, COMPRESSED)),
        ('auto', JPEG, {'jpeg': [COMPRESSED]}, (JPEG, COMPRESSED)),
        ('auto', JPEG, {'jpeg': [RAW]}, (JPEG, RAW)),
        ('compressed', CAMERA, {}, (JPEG, COMPRESSED)),
        ('compressed', CAMERA, {'raw': [RAW]}, (JPEG, COMPRESSED)),
        ('compressed', CAMERA, {'raw': [RAW], 'jpeg': [COMPRESSED]}, (JPEG, COMPRESSED)),
        ('compressed', CAMERA, {'raw': [COMPRESSED]}, (CAMERA, COMPRESSED)),
        ('compressed', JPEG, {'jpeg': [COMPRESSED]}, (JPEG, COMPRESSED)),
        ('compressed', JPEG, {'twice': [COMPRESSED]}, (JPEG + '/compressed', COMPRESSED)),
        ('raw', CAMERA, {'jpeg': [COMPRESSED]}, (CAMERA, RAW)),
        ('raw', CAMERA, {'raw': [COMPRESSED]}, (CAMERA, RAW)),
    ],
)
def test_the_source_is_what_is_published_when_the_transport_allows_it(transport, topic, published, expected):
    candidates = sources(topic, transport)
    assert tuple(choose_source(candidates, graph(**published), candidates[0])) == expected


def test_the_source_stays_when_nobody_publishes_for_a_while():
    candidates = sources(CAMERA, 'auto')
    chosen = choose_source(candidates, graph(jpeg=[COMPRESSED]), candidates[0])
    assert choose_source(candidates, graph(), chosen) == chosen


@pytest.mark.parametrize(
    'transport, topic, published, words',
    [
        ('raw', CAMERA, {}, ''),
        ('raw', CAMERA, {'raw': [RAW]}, ''),
        (
            'raw',
            CAMERA,
            {'jpeg': [COMPRESSED]},
            '%s is of type %s; set input.transport to auto or compressed' % (JPEG, COMPRESSED),
        ),
        ('raw', JPEG, {'jpeg': [COMPRESSED]}, 'is raw, but %s is of type' % JPEG),
        (
            'compressed',
            CAMERA,
            {'raw': [RAW]},
            '%s is of type %s; set input.transport to auto or raw (transport:=raw)' % (CAMERA, RAW),
        ),
        ('auto', CAMERA, {}, 'nothing publishes on %s or %s; start the camera' % (CAMERA, JPEG)),
        ('auto', CAMERA, {'jpeg': [COMPRESSED]}, ''),
        ('auto', CAMERA, {'raw': ['stereo_msgs/msg/DisparityImage']}, 'DisparityImage; expected %s or' % RAW),
    ],
)
def test_what_is_published_instead_is_said_when_nobody_publishes_what_is_read(transport, topic, published, words):
    said = why_unread(topic, transport, graph(**published))
    assert words in said if words else said == ''


def test_publishers_are_named_in_full():
    ends = [End(RAW, 'b', '/robot'), End(RAW, 'a', '/'), End(RAW, '_NODE_NAME_UNKNOWN_', '_NODE_NAMESPACE_UNKNOWN_')]
    assert publisher_names(ends) == ['/a', '/robot/b', UNKNOWN_NAME]
