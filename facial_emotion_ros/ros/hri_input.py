"""Subscriptions of input.mode humans: faces tracked by another ROS4HRI node, and their crops."""

import functools
import re
import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Set

from hri_msgs.msg import IdsList
from sensor_msgs.msg import Image

from facial_emotion_ros.ros import qos
from facial_emotion_ros.ros.hri_output import CropOutputs
from facial_emotion_ros.ros.image_input import SubscriberDemand
from facial_emotion_ros.ros.image_source import publisher_names, tracked_topic
from facial_emotion_ros.ros.latest_slot import LatestSlot
from facial_emotion_ros.ros.logs import EVERY_5_S

if TYPE_CHECKING:
    from facial_emotion_ros.ros.worker import CropWorker

#: Ids that are valid in a topic name; longer ones could exceed the middleware's limit for the whole name.
_ID = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,31}\Z')
#: Maximum number of ids in a log line.
_QUOTED = 3


class _Face:
    """One face and the subscription to its crop."""

    def __init__(self, demand: SubscriberDemand):
        self.demand = demand
        self.subscription: Any = None
        self.reliability = ''
        self.since_s: Optional[float] = None


class HriInput:
    """Subscribe to <prefix>/faces/tracked, and to a face's crop while its expression has subscribers."""

    def __init__(self, node: Any, outputs: CropOutputs, worker: 'CropWorker', slot: LatestSlot):
        """Subscribe to the list of faces.

        :param node: EmotionNode.
        :param outputs: their subscribers determine which crops are needed.
        :param worker: receives the crops.
        :param slot: counts ignored ids.
        """
        self._node, self._outputs, self._worker, self._slot = node, outputs, worker, slot
        self._faces: Dict[str, _Face] = {}
        self._enabled = True
        self._prefix = node.value('output.humans_prefix').rstrip('/')
        self._listed = tracked_topic(self._prefix)
        #: Full name of the topic that lists the faces.
        self.topic = node.resolve_topic_name(self._listed)
        # Best effort connects to publishers of either reliability; the next list replaces a lost one.
        self._tracked = node.create_subscription(IdsList, self._listed, self._take_list, qos.input_qos('best_effort'))

    @property
    def since_s(self) -> Optional[float]:
        """Monotonic time of the oldest subscription to a crop; None without one."""
        times_s = [face.since_s for face in self._faces.values() if face.since_s is not None]
        return min(times_s) if times_s else None

    def follow(self, now_s: float, enabled: bool = True) -> None:
        """Adapt the subscriptions to subscribers and parameters.

        :param now_s: monotonic time.
        :param enabled: False: unsubscribe from all crops.
        """
        self._enabled = enabled
        if not enabled:
            self._forget(self._faces)
        for face_id, face in self._faces.items():
            if face.demand.wanted(now_s, enabled, face.subscription is not None):
                self._subscribe(face_id, face, now_s)
            else:
                self._unsubscribe(face)

    def publishers(self) -> List[str]:
        """Return the names of the nodes that list faces now."""
        return publisher_names(self._node.get_publishers_info_by_topic(self._listed))

    def why_unread(self) -> str:
        """Return '': unlike for images, there is only one type of topic."""
        return ''

    def close(self) -> None:
        """Unsubscribe from all topics."""
        self._forget(self._faces)
        self._node.destroy_subscription(self._tracked)

    def _take_list(self, message):
        """Follow exactly the faces that are listed now."""
        if not self._enabled:
            return
        ids = self._accepted(message.ids)
        self._forget(set(self._faces) - ids)
        for face_id in ids - set(self._faces):
            demand = SubscriberDemand(self._node, functools.partial(self._outputs.count_subscribers, face_id))
            self._faces[face_id] = _Face(demand)
        self._outputs.follow_faces(ids)
        self.follow(time.monotonic(), self._enabled)

    def _accepted(self, listed: Iterable[str]) -> Set[str]:
        """Choose the faces to follow: valid ids, at most input.max_faces."""
        valid: List[str] = []
        invalid: List[str] = []
        for face_id in dict.fromkeys(listed):
            (valid if _ID.match(face_id) else invalid).append(face_id)
        limit = self._node.value('input.max_faces')
        valid.sort(key=lambda face_id: face_id not in self._faces)  # stable: new ones in the order of the list
        if invalid:
            quoted = ', '.join(repr(face_id[:40]) for face_id in invalid[:_QUOTED])
            quoted += ', ...' if len(invalid) > _QUOTED else ''
            self._ignore(len(invalid), 'expected ids of up to 32 letters, digits and _, got %s' % quoted)
        if len(valid) > limit:
            self._ignore(len(valid) - limit, 'expected at most %d (input.max_faces), got %d' % (limit, len(valid)))
        return set(valid[:limit])

    def _ignore(self, count, reason):
        self._slot.count('refused_ids', count, reason)
        self._node.get_logger().warning('Ignored %d of the faces on %s: %s.' % (count, self.topic, reason), **EVERY_5_S)

    def _forget(self, ids):
        for face_id in list(ids):
            self._unsubscribe(self._faces.pop(face_id))
            self._worker.drop(face_id)

    def _subscribe(self, face_id, face, now_s):
        """Subscribe to a face's crop; again if its publishers or the parameter require another reliability."""
        topic = '%s/faces/%s/cropped' % (self._prefix, face_id)
        offers = [each.qos_profile.reliability for each in self._node.get_publishers_info_by_topic(topic)]
        reliability = qos.choose_reliability(self._node.value('input.reliability'), offers, face.reliability)
        if reliability == face.reliability:
            return
        since_s = now_s if face.subscription is None else face.since_s
        self._unsubscribe(face)
        face.subscription = self._node.create_subscription(
            Image, topic, functools.partial(self._worker.offer_crop, face_id), qos.input_qos(reliability)
        )
        face.reliability, face.since_s = reliability, since_s

    def _unsubscribe(self, face):
        if face.subscription is not None:
            self._node.destroy_subscription(face.subscription)
            face.subscription, face.since_s, face.reliability = None, None, ''
