"""Read the faces of a detection topic into compact arrays (a few dozen bytes per face), and match boxes."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.perception.face_tracker import intersection_over_union
from facial_emotion_ros.recordings.io.bag_file import BagFile, BagMessage
from facial_emotion_ros.recordings.io.message_types import stamp_of

#: Minimum IoU of boxes of the same face.
_MIN_OVERLAP = 0.3

Box = tuple[float, float, float, float]


class LoggedFace(NamedTuple):
    """One face of a message: box x0 y0 x1 y1 in px; emotion of EMOTIONS or '', and its score; valence, arousal and
    person as in GroundTruth.
    """

    box: Box
    emotion: str
    score: float
    valence: float | None
    arousal: float | None
    person: str


class FaceLog:
    """The faces of a topic, indexed by stamp; frame_ids: all header.frame_id in it, '' included."""

    def __init__(self, bag: BagFile, topic: str, faces_of: Callable[[Any], Iterable[LoggedFace]]):
        """Read the topic; faces whose box or score is not finite are skipped.

        :param bag: open recording.
        :param topic: name of a topic whose messages have a header.
        :param faces_of: function from decoded message to faces.
        """
        self._stamps, self._receives, self._firsts = array('q'), array('q'), array('q', [0])
        self._numbers, self._emotions, self._persons, self._frames = array('f'), array('b'), array('l'), array('l')
        words = {'': 0}
        for message, fields in readable(bag, topic):
            for face in faces_of(fields):
                if not np.isfinite([*face.box, face.score]).all():
                    continue
                affect = (np.nan if value is None else value for value in (face.valence, face.arousal))
                self._numbers.extend([*face.box, face.score, *affect])
                self._emotions.append(EMOTIONS.index(face.emotion) if face.emotion else -1)
                self._persons.append(words.setdefault(face.person, len(words)))
            self._frames.append(words.setdefault(fields.header.frame_id, len(words)))
            self._stamps.append(stamp_of(fields, message.receive_ns))
            self._receives.append(message.receive_ns)
            self._firsts.append(len(self._emotions))
        self._words = list(words)
        self._order = np.argsort(self._stamps, kind='stable')
        self._sorted = np.array(self._stamps, np.int64)[self._order]
        self.frame_ids = {self._words[each] for each in set(self._frames)}

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._stamps)

    def near(self, stamp_ns: int, within_s: float, frame_id: str = '') -> tuple[list[LoggedFace], int] | None:
        """Find the message with the nearest stamp.

        :param stamp_ns: stamp of the image.
        :param within_s: maximum distance.
        :param frame_id: of the image; messages with another one are skipped. '' for any.
        :returns: (faces, receive_ns), or None.
        """
        first, end = np.searchsorted(self._sorted, [stamp_ns - within_s * 1e9, stamp_ns + within_s * 1e9])
        rows = [
            row
            for row in self._order[first : end + 1]
            if not frame_id or self._words[self._frames[row]] in ('', frame_id)
        ]
        gaps = [abs(self._stamps[row] - stamp_ns) for row in rows]
        if not gaps or min(gaps) > within_s * 1e9:
            return None
        row = rows[gaps.index(min(gaps))]
        return self._faces(row), self._receives[row]

    def before(self, stamp_ns: int) -> tuple[list[LoggedFace], int] | None:
        """Find the last message with this stamp or an earlier one; returns like `near`."""
        place = int(np.searchsorted(self._sorted, stamp_ns, 'right')) - 1
        return None if place < 0 else (self._faces(self._order[place]), self._receives[self._order[place]])

    def _faces(self, row):
        return [self._face(each) for each in range(self._firsts[row], self._firsts[row + 1])]

    def _face(self, row):
        x0, y0, x1, y1, score, *affect = (float(number) for number in self._numbers[7 * row : 7 * row + 7])
        emotion = EMOTIONS[self._emotions[row]] if self._emotions[row] >= 0 else ''
        valence, arousal = (None if np.isnan(value) else value for value in affect)
        return LoggedFace((x0, y0, x1, y1), emotion, score, valence, arousal, self._words[self._persons[row]])


def match(boxes: Sequence[Box], others: Sequence[Box]) -> list[tuple[int, int]]:
    """Match overlapping boxes one to one, with the largest sum of IoU.

    :param boxes, others: boxes x0, y0, x1, y1.
    :returns: (index in boxes, index in others) of each pair.

    Source: Bernardin and Stiefelhagen, EURASIP Journal on Image and Video Processing 2008 (CLEAR MOT).
    """
    if not boxes or not others:
        return []
    overlaps = intersection_over_union(np.array(boxes, np.float64), np.array(others, np.float64))
    overlaps[overlaps < _MIN_OVERLAP] = 0
    if max((overlaps > 0).sum(axis).max() for axis in (0, 1)) <= 1:  # unambiguous
        return [(int(row), int(column)) for row, column in np.argwhere(overlaps)]
    from scipy.optimize import linear_sum_assignment  # here, as importing it takes a third of a second

    pairs = zip(*linear_sum_assignment(overlaps, maximize=True))
    return [(int(row), int(column)) for row, column in pairs if overlaps[row, column]]


def readable(bag: BagFile, topic: str) -> Iterator[tuple[BagMessage, Any]]:
    """Iterate over (BagMessage, decoded message) of a topic; those that cannot be decoded are counted in `bag.faults`.

    :param bag: open recording.
    :param topic: name of the topic.
    """
    lost, first = 0, ''
    for message in bag.messages([topic]):
        try:
            fields = message.read()
        except BadBag as error:
            lost, first = lost + 1, first or str(error)
            continue
        yield message, fields
    if lost:
        fault = f'{topic}: {lost} message{"s" if lost > 1 else ""} could not be read: {first}'
        if fault not in bag.faults:
            bag.faults.append(fault)


def box_of(detection: Any) -> Box:
    """Return x0, y0, x1, y1 of a Detection2D, of current or older vision_msgs."""
    center = getattr(detection.bbox.center, 'position', detection.bbox.center)
    half_width, half_height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
    return center.x - half_width, center.y - half_height, center.x + half_width, center.y + half_height


def hypotheses_of(detection: Any) -> list[tuple[str, float]]:
    """Return (class, score) of each hypothesis of a Detection2D, of current or older vision_msgs."""
    rows = (getattr(each, 'hypothesis', each) for each in detection.results)
    return [(str(getattr(each, 'class_id', getattr(each, 'id', ''))), float(each.score)) for each in rows]


def best_hypothesis(hypotheses: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """Choose the hypothesis that is a face's emotion.

    Our node publishes the chosen one first; due to hysteresis it need not have the highest score. If the other scores
    are not in descending order, another node has listed the classes in a fixed order, and the highest score is taken.

    :param hypotheses: (class, score), without affect.
    :returns: (class, score); ('', 0.0) if there is none.
    """
    if not hypotheses:
        return '', 0.0
    first, scores = hypotheses[0], [score for _, score in hypotheses[1:]]
    falls = all(one >= other for one, other in zip(scores, scores[1:]))
    return first if first[0] == UNKNOWN or (falls and first[1] > 0) else max(hypotheses, key=lambda each: each[1])
