"""The few places where rclpy differs between Humble, Jazzy and what follows."""

import inspect
import re

from rclpy.qos import qos_policy_name_from_kind

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

#: Jazzy and later tell a publisher when a subscription comes or goes; on Humble one must ask.
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters


def publisher_events(on_matched, on_mismatch):
    """Make event callbacks of a publisher.

    :param on_matched: function without arguments, called when a subscription comes or goes, where that is known.
    :param on_mismatch: function of a policy's name, called when a subscription asks for more than is offered.
    :returns: PublisherEventCallbacks.
    """
    events = {'matched': lambda _event: on_matched()} if HAS_MATCHED_EVENTS else {}
    return PublisherEventCallbacks(incompatible_qos=_naming(on_mismatch), **events)


def subscription_events(on_mismatch):
    """Make event callbacks of a subscription.

    :param on_mismatch: function of a policy's name, called when a publisher offers less than is asked for.
    :returns: SubscriptionEventCallbacks.
    """
    return SubscriptionEventCallbacks(incompatible_qos=_naming(on_mismatch))


def silent_publisher_events():
    """Make event callbacks that handle nothing, so that the publisher gives the executor nothing to wait on."""
    return PublisherEventCallbacks(use_default_callbacks=False)


def is_of_ros(error):
    """Tell whether ROS itself has refused what it was given: arguments, names or parameter files."""
    return type(error).__module__.split('.')[0] in ('rclpy', '_rclpy_pybind11')


def sentence_of(error):
    """Return what ROS says of an error, without the places in its own code, in one line."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return '%s; look at the arguments, the parameter files and the ROS_ variables of the environment' % re.sub(
        r',? at (/|\./|\w)[^ ]*:\d+', '', text)


def _naming(on_mismatch):
    return lambda event: on_mismatch(str(qos_policy_name_from_kind(event.last_policy_kind)).replace('_QOS_POLICY', ''))
