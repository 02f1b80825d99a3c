"""Quality of service (QoS) of every topic, events for incompatible QoS, and the reliability of the image input."""

import inspect
import time
from typing import Any, Callable, Dict, Iterable

from rclpy.duration import Duration, Infinite
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

_OUTPUT_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
#: Policies of our outputs with parameters `qos_overrides.<topic>.publisher.<policy>`.
OUTPUT_OVERRIDES = QoSOverridingOptions(_OUTPUT_POLICIES)

#: The same for the topic whose liveliness others may monitor; durations are in nanoseconds.
WATCHED_OVERRIDES = QoSOverridingOptions(
    _OUTPUT_POLICIES + (QoSPolicyKind.LIVELINESS, QoSPolicyKind.LIVELINESS_LEASE_DURATION, QoSPolicyKind.DEADLINE)
)

#: Of the image subscription, only the durability: a declared override is read-only and would apply to every later
#: subscription, but the reliability must follow the live parameter input.reliability.
INPUT_OVERRIDES = QoSOverridingOptions((QoSPolicyKind.DURABILITY,))

#: Iron and later notify a publisher when a subscription appears or disappears; Humble has to be polled.
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters

#: Longer than the 3 s (Fast DDS's heartbeat) in which a lost message is sent again, as when the shared memory was full.
_ARRIVAL_S = 4.0


def output_qos(depth: int = 10) -> QoSProfile:
    """Return the profile of our publishers: reliable, which is compatible with subscribers of either reliability.

    :param depth: messages kept for a slow subscriber; 1 if only the newest one is useful.
    :returns: a new QoSProfile, since overrides modify it in place.
    """
    return _profile(depth, ReliabilityPolicy.RELIABLE)


def latched_qos(depth: int = 1) -> QoSProfile:
    """Return the profile of topics that are published on change and kept for later subscribers (transient local).

    :param depth: newest messages kept, for later subscribers and to be sent again when lost.
    """
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def input_qos(reliability: str) -> QoSProfile:
    """Return the profile of the image subscription: the newest image only.

    :param reliability: 'reliable' or 'best_effort'.
    """
    return _profile(1, ReliabilityPolicy.RELIABLE if reliability == 'reliable' else ReliabilityPolicy.BEST_EFFORT)


def wait_for_arrival(publishers: Iterable[Any]) -> None:
    """Wait, at most 4 s, until reliable subscribers have received all: at process exit, unsent messages are lost."""
    until_s = time.monotonic() + _ARRIVAL_S
    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=max(0.0, until_s - time.monotonic())))


def choose_reliability(setting: str, offers: Iterable[ReliabilityPolicy], present: str = '') -> str:
    """Choose the reliability of the image subscription.

    Reliable only if every publisher offers it, since a best-effort publisher would not connect. Without a publisher,
    best effort, which connects to any.

    :param setting: parameter input.reliability: 'auto', 'reliable' or 'best_effort'.
    :param offers: policy of every publisher of the topic.
    :param present: reliability of the current subscription, '' for none; kept while there is no publisher.
    :returns: 'reliable' or 'best_effort'.
    """
    if setting != 'auto':
        return setting
    offers = list(offers)
    if not offers:
        return present or 'best_effort'
    return 'reliable' if all(offer == ReliabilityPolicy.RELIABLE for offer in offers) else 'best_effort'


def publisher_events(on_matched: Callable[[], Any], on_incompatible: Callable[[str], Any]) -> PublisherEventCallbacks:
    """Create the event callbacks of a publisher.

    :param on_matched: called when a subscription appears or disappears, if rclpy reports this.
    :param on_incompatible: called with the policy's name when a subscription requests more than is offered.
    """
    events: Dict[str, Any] = {'matched': lambda _event: on_matched()} if HAS_MATCHED_EVENTS else {}
    return PublisherEventCallbacks(incompatible_qos=_with_policy_name(on_incompatible), **events)


def subscription_events(on_incompatible: Callable[[str], Any]) -> SubscriptionEventCallbacks:
    """Create the event callbacks of a subscription.

    :param on_incompatible: called with the policy's name when a publisher offers less than is requested.
    """
    return SubscriptionEventCallbacks(incompatible_qos=_with_policy_name(on_incompatible))


def is_liveliness_manual(profile: QoSProfile) -> bool:
    """Return whether a publisher with this profile must assert its liveliness; a lease of 0 is infinite."""
    return (
        profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
        and Duration() < profile.liveliness_lease_duration < Infinite
    )


def no_publisher_events() -> PublisherEventCallbacks:
    """Create no event callbacks, not even the default ones, so that the executor does not wait on this publisher."""
    return PublisherEventCallbacks(use_default_callbacks=False)


def _with_policy_name(callback):
    return lambda event: callback(str(qos_policy_name_from_kind(event.last_policy_kind)).replace('_QOS_POLICY', ''))


def _profile(depth, reliability, durability=DurabilityPolicy.VOLATILE):
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)
