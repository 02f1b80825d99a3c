"""What the tests of this folder read from a node: answers and diagnostics with the moment at which they came."""

import time
from typing import Any, NamedTuple

import numpy as np

from graph_peer import quality


class Heard(NamedTuple):
    """A message; when it came on the monotonic clock, and how old its stamp was then, in s."""

    message: Any
    at_s: float
    age_s: float

    @property
    def frame(self):
        """Its frame_id."""
        return self.message.header.frame_id


def listen(peer, message_type, topic, depth=10):
    """Subscribe.

    :returns: list that every message is appended to as Heard.
    """
    heard = []

    def hear(message):
        stamp = message.header.stamp
        age_ns = peer.node.get_clock().now().nanoseconds - stamp.sec * 1000000000 - stamp.nanosec
        heard.append(Heard(message, time.monotonic(), age_ns * 1e-9))

    peer.node.create_subscription(message_type, topic, hear, quality(depth=depth))
    return heard


def part_of(heard, part):
    """Return one part of diagnostics.

    :param heard: Heard of a DiagnosticArray.
    :param part: 'input' or 'inference'.
    :returns: DiagnosticStatus.
    """
    return [status for status in heard.message.status if status.name.endswith(': ' + part)][0]


def values_of(heard, part):
    """Return the values of one part of diagnostics as a dict of str."""
    return dict((pair.key, pair.value) for pair in part_of(heard, part).values)


def p99(values):
    """Return the value that at most 1% exceed."""
    return float(np.percentile(values, 99, method='inverted_cdf'))
