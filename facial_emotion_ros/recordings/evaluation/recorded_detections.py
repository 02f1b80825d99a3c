"""Compare our estimates with detections recorded along with the images, by our node or another one."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadBag, BadParameter
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.recordings.evaluation.annotated_bag import VISION_INFO
from facial_emotion_ros.recordings.evaluation.face_log import (
    FaceLog,
    LoggedFace,
    best_hypothesis,
    box_of,
    hypotheses_of,
    match,
    readable,
)
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.frames import Frame
from facial_emotion_ros.recordings.io.message_types import DETECTIONS

#: Detections have the stamp of their image, which other nodes may round.
_NEAR_S = 0.002

#: Number of messages of a topic that are searched for emotions.
_SEARCHED = 50


def find_recorded(bag: BagFile, named: str, besides: Sequence[str] = ()) -> str:
    """Find a topic of detections with emotions.

    :param bag: open recording.
    :param named: topic chosen by the user; '' to search.
    :param besides: topics to ignore (annotations).
    :returns: name of the topic, or ''.
    :raises BadBag: if the named topic has no detections.
    :raises BadParameter: if it cannot be a topic.
    """
    topics = [each.name for each in bag.topics.values() if each.msgtype == DETECTIONS]
    if named:
        if named not in topics:
            kind = BadBag if named.startswith('/') else BadParameter
            raise kind(
                f'expected a topic of {DETECTIONS} to compare with, got {named}; the recording has '
                f'{", ".join(topics) or "none"}'
            )
        return named
    scores = {topic: _scores(bag, topic) for topic in topics if topic not in besides}
    found = [topic for topic in scores if scores[topic]]
    # Topics whose scores are all 1 may be annotations; smoothed `detections` are preferred to `detections/raw`.
    return min(found, key=lambda name: (set(scores[name]) == {1.0}, name.endswith('/raw'), name), default='')


class Recorded:
    """Recorded detections of a topic, and their agreement with our estimates."""

    def __init__(self, bag: BagFile, topic: str):
        """Read the topic.

        :param bag: open recording.
        :param topic: topic of Detection2DArray.
        """
        self.topic = topic
        self._log = FaceLog(bag, topic, lambda fields: [_face_of(each) for each in fields.detections])
        self.network = _network_of(bag, topic)
        self._pairs = self._same = self._theirs = self._ours = 0
        self._latencies_ms, self._gaps, self._is_certain = array('f'), 0.0, True

    def compare(self, frame: Frame, estimates: Sequence[FaceEstimate]) -> None:
        """Compare with our estimates for an image."""
        found = self._log.near(frame.stamp_ns, _NEAR_S, frame.frame_id)
        if found is None:
            return
        faces, receive_ns = found
        self._latencies_ms.append((receive_ns - frame.stamp_ns) / 1e6)
        self._theirs += len(faces)
        self._is_certain = self._is_certain and all(face.score == 1 for face in faces)
        self._ours += len(estimates)
        for ours, theirs in match([each.box for each in estimates], [each.box for each in faces]):
            self._pairs += 1
            self._same += (faces[theirs].emotion or UNKNOWN) == estimates[ours].emotion
            self._gaps += abs(faces[theirs].score - estimates[ours].confidence)

    def figures(self) -> dict[str, Any]:
        """Return the figures; None if there is nothing to compare."""
        p50, p95 = np.percentile(self._latencies_ms, [50, 95]).tolist() if self._latencies_ms else (None, None)
        return {
            'topic': self.topic,
            'network': self.network,
            'messages': len(self._log),
            'images': len(self._latencies_ms),
            'n': self._pairs,
            'agreement': self._same / self._pairs if self._pairs else None,
            'confidence_gap': self._gaps / self._pairs if self._pairs else None,
            'certain': bool(self._theirs) and self._is_certain,
            'faces_theirs': self._theirs,
            'faces_ours': self._ours,
            'latency_ms_p50': p50,
            'latency_ms_p95': p95,
        }


def _network_of(bag, topic):
    """Return the network and operating point of a topic's node, from its vision_info; '' if that is not recorded."""
    beside = bag.topics.get(f'{topic.rpartition("detections")[0]}vision_info')
    if beside is None or beside.msgtype != VISION_INFO:
        return ''
    return '; '.join(dict.fromkeys(fields.method for _, fields in readable(bag, beside.name)))


def _scores(bag, topic):
    """Return the scores of the emotions in a topic's first messages."""
    found = []
    for number, (_, fields) in enumerate(readable(bag, topic)):
        pairs = [pair for each in fields.detections for pair in hypotheses_of(each)]
        found += [score for word, score in pairs if word in EMOTIONS]
        if number >= _SEARCHED or (pairs and not found):
            break
    return found


def _face_of(detection):
    word, score = best_hypothesis(hypotheses_of(detection))
    return LoggedFace(box_of(detection), word if word in EMOTIONS else '', score, None, None, '')
