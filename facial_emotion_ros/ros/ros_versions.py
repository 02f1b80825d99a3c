"""The few places where rclpy differs between Humble, Jazzy and what follows."""

import inspect

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

#: Jazzy and later tell a publisher when a subscription comes or goes; on Humble one must ask.
HAS_MATCHED_EVENTS = 'matched' in inspect.signature(PublisherEventCallbacks.__init__).parameters


def publisher_events(on_matched):
    """Make event callbacks with rclpy's warnings of mismatched QoS.

    :param on_matched: function of one argument, called when a subscription comes or goes, where that is known.
    :returns: PublisherEventCallbacks.
    """
    if HAS_MATCHED_EVENTS:
        return PublisherEventCallbacks(matched=on_matched)
    return PublisherEventCallbacks()


def silent_publisher_events():
    """Make event callbacks that handle nothing, so that the publisher gives the executor nothing to wait on."""
    return PublisherEventCallbacks(use_default_callbacks=False)
