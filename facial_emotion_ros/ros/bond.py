"""The node's side of a bond: heartbeats for a lifecycle manager such as Nav2's, which treats a silent node as dead.

They are published by the executor, not by bondpy, whose thread would continue while the executor is blocked, and which
starts a thread for each heartbeat of the manager. Like Nav2's nodes, this one survives the manager, so it ignores the
manager's heartbeats.

Source: bond_core (bond/msg/Status, bondcpp), navigation2 (nav2_util::LifecycleNode, nav2_lifecycle_manager).
"""

import uuid
from typing import Any, Optional

from rclpy.clock import Clock, ClockType

from facial_emotion_ros.ros import qos

#: Announced timeout, as in Nav2's nodes; informative only: the manager's bond_timeout decides.
_TIMEOUT_S = 4.0


class Bond:
    """Heartbeats from creation until `close`, which tells the manager that the node is no longer active."""

    def __init__(self, node: Any, status_type: Any, period_s: float):
        """Publish the first heartbeat.

        :param node: rclpy node; its name without the namespace is the id of the bond.
        :param status_type: bond.msg.Status.
        :param period_s: time between two heartbeats.
        """
        self._node = node
        self._status = status_type(
            id=node.get_name(),
            instance_id=str(uuid.uuid4()),
            active=True,
            heartbeat_timeout=_TIMEOUT_S,
            heartbeat_period=period_s,
        )
        self._publisher = node.create_publisher(status_type, 'bond', qos.output_qos(5))
        self._timer = node.create_timer(period_s, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._beat()

    def close(self) -> None:
        """Break the bond; to be called once."""
        self._node.destroy_timer(self._timer)
        self._status.active = False
        self._beat()
        self._node.destroy_publisher(self._publisher)

    def _beat(self):
        self._status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._status)


def open_bond(node: Any) -> Optional[Bond]:
    """Open a bond, if a lifecycle manager may expect one.

    :param node: EmotionNode.
    :returns: None with autostart (no manager), with bond.heartbeat_period_s 0, and without the package bond, which is
        logged.
    """
    period_s = node.value('bond.heartbeat_period_s')
    if period_s == 0.0 or node.value('autostart'):
        return None
    try:
        from bond.msg import Status
    except ImportError:
        node.get_logger().info(
            'No bond with a lifecycle manager, since the package bond is not installed. With Nav2, install it, or set '
            'bond_timeout of the lifecycle manager to 0.0.'
        )
        return None
    return Bond(node, Status, period_s)
