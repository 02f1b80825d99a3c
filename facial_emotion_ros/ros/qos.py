"""Quality of service of every topic, and the choice of the input's reliability."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

#: Parameters `qos_overrides.<topic>.publisher.<policy>` exist for these policies of our outputs.
OUTPUT_OVERRIDES = QoSOverridingOptions(
    (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))

#: Of the image subscription the durability alone. Its reliability is the parameter input.reliability, which is live:
#: an override is read-only once it is declared, and would hold for each later subscription.
INPUT_OVERRIDES = QoSOverridingOptions((QoSPolicyKind.DURABILITY,))


def output_qos(depth=10):
    """Return the profile of what we publish: reliable, so that readers of either kind are served.

    :param depth: messages kept for a reader that is late; 1 where only the newest one is of use.
    :returns: a new QoSProfile, since overrides change it in place.
    """
    return _profile(depth, ReliabilityPolicy.RELIABLE)


def latched_qos():
    """Return the profile of what is published once and kept for later readers."""
    return _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def input_qos(reliability):
    """Return the profile of the image subscription: the newest image only.

    :param reliability: 'reliable' or 'best_effort'.
    :returns: a QoSProfile.
    """
    policy = ReliabilityPolicy.RELIABLE if reliability == 'reliable' else ReliabilityPolicy.BEST_EFFORT
    return _profile(1, policy)


def choose_reliability(setting, offers, present=''):
    """Choose the reliability of the image subscription.

    Reliable is asked for only where every publisher offers it, because a publisher of best effort would not be heard
    at all; with no publisher yet, best effort hears whichever comes first.

    :param setting: 'auto', 'reliable' or 'best_effort' (parameter input.reliability).
    :param offers: ReliabilityPolicy of every publisher of the topic.
    :param present: what the subscription has now, '' for none: kept while no publisher is there.
    :returns: 'reliable' or 'best_effort'.
    """
    if setting != 'auto':
        return setting
    offers = list(offers)
    if not offers:
        return present or 'best_effort'
    return 'reliable' if all(offer == ReliabilityPolicy.RELIABLE for offer in offers) else 'best_effort'


def _profile(depth, reliability, durability=DurabilityPolicy.VOLATILE):
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)
