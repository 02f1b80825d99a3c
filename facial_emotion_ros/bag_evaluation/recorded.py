"""Emotions that were recorded along with the images, by our node or another one, beside what we read now."""

from array import array

import numpy as np

from facial_emotion_ros.bag_evaluation.face_log import (
    FaceLog,
    LoggedFace,
    box_of,
    hypotheses_of,
    match,
    meant_of,
    readable,
)
from facial_emotion_ros.bags.message_types import DETECTIONS, stamp_of
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.errors import BadBag

#: An answer belongs to an image of the very stamp; clocks of other nodes may round it.
_NEAR_S = 0.002
_MIN_OVERLAP = 0.3

#: So many messages are looked at to see whether a topic tells emotions.
_LOOKED_AT = 50


def find_recorded(bag, named, besides=''):
    """Find a topic of detections that tell emotions.

    :param bag: BagFile, open.
    :param named: the topic, where it is known; '' looks for one.
    :param besides: a topic that does not count: the annotation.
    :returns: its name, or '' where there is none.
    :raises BadBag: if the named one is none.
    """
    topics = [each.name for each in bag.topics.values() if each.msgtype == DETECTIONS]
    if named:
        if named not in topics:
            raise BadBag(f'expected a topic of {DETECTIONS} to compare with, got {named}; the recording has '
                         f'{", ".join(topics) or "none"}')
        return named
    # `detections` before `detections/raw`: the smoothed answer is what the node tells.
    for topic in sorted(topics, key=lambda name: (name.endswith('/raw'), name)):
        if topic != besides and _tells_emotions(bag, topic):
            return topic
    return ''


class Recorded:
    """What a topic told of each image, and how far ours agrees with it."""

    def __init__(self, bag, topic):
        """Read the topic.

        :param bag: BagFile, open.
        :param topic: of Detection2DArray.
        """
        self.topic, self._log = topic, FaceLog()
        self._pairs = self._same = self._theirs = 0
        self._ours, self._latencies_ms, self._gaps = 0, array('f'), 0.0
        for message, fields in readable(bag, topic):
            faces = [LoggedFace(box_of(each), *_told(each), None, None, '') for each in fields.detections]
            self._log.add(stamp_of(fields, message.receive_ns), message.receive_ns, faces, fields.header.frame_id)

    def compare(self, frame, estimates):
        """Compare with our answer to an image.

        :param frame: Frame.
        :param estimates: list of FaceEstimate.
        """
        told = self._log.near(frame.stamp_ns, _NEAR_S, frame.frame_id)
        if told is None:
            return
        faces, receive_ns = told
        self._latencies_ms.append((receive_ns - frame.stamp_ns) / 1e6)
        self._theirs += len(faces)
        self._ours += len(estimates)
        for ours, theirs in match([each.box for each in estimates], [each.box for each in faces], _MIN_OVERLAP):
            self._pairs += 1
            self._same += (faces[theirs].emotion or UNKNOWN) == estimates[ours].emotion
            self._gaps += abs(faces[theirs].score - estimates[ours].confidence)

    def figures(self):
        """Give what came out: a dict, with None where nothing can be said."""
        ages = np.frombuffer(self._latencies_ms, np.float32) if self._latencies_ms else None
        return {
            'topic': self.topic, 'messages': len(self._log), 'images': len(self._latencies_ms), 'n': self._pairs,
            'agreement': self._same / self._pairs if self._pairs else None,
            'confidence_gap': self._gaps / self._pairs if self._pairs else None,
            'faces_theirs': self._theirs, 'faces_ours': self._ours,
            'latency_ms_p50': float(np.percentile(ages, 50)) if ages is not None else None,
            'latency_ms_p95': float(np.percentile(ages, 95)) if ages is not None else None}


def _tells_emotions(bag, topic):
    for number, (_, fields) in enumerate(readable(bag, topic)):
        words = [word for each in fields.detections for word, _ in hypotheses_of(each)]
        if words:
            return any(word in EMOTIONS for word in words)
        if number >= _LOOKED_AT:
            break
    return False


def _told(detection):
    word, score = meant_of(hypotheses_of(detection))
    return (word if word in EMOTIONS else ''), score
