"""What a topic of a recording says of faces, kept small: a few dozen bytes a face, for hours of them must fit."""

from array import array
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS


class LoggedFace(NamedTuple):
    """One face of one message: box x0 y0 x1 y1 in px; emotion of EMOTIONS, '' for none; score of it; valence, arousal
    and person as in Truth.
    """

    box: tuple
    emotion: str
    score: float
    valence: float
    arousal: float
    person: str


class FaceLog:
    """Messages with the faces that they tell of, found by their stamp."""

    def __init__(self):
        """Begin without messages."""
        self._stamps, self._receives, self._firsts = array('q'), array('q'), array('q', [0])
        self._numbers, self._emotions, self._persons = array('f'), array('b'), array('l')
        self._names, self._order = {'': 0}, None

    def __len__(self):
        """Count the messages."""
        return len(self._stamps)

    def add(self, stamp_ns, receive_ns, faces):
        """Take a message: faces is a list of LoggedFace, whose valence and arousal may be None."""
        for face in faces:
            self._numbers.extend(face.box)
            self._numbers.extend(np.nan if value is None else value
                                 for value in (face.score, face.valence, face.arousal))
            self._emotions.append(EMOTIONS.index(face.emotion) if face.emotion else -1)
            self._persons.append(self._names.setdefault(face.person, len(self._names)))
        self._stamps.append(stamp_ns)
        self._receives.append(receive_ns)
        self._firsts.append(len(self._emotions))
        self._order = None

    def near(self, stamp_ns, within_s):
        """Find the message whose stamp is next to an image's.

        :param stamp_ns: of the image.
        :param within_s: no further away than this.
        :returns: (list of LoggedFace, receive_ns); None where there is no such message.
        """
        place = np.searchsorted(self._sorted(), stamp_ns)
        rows = [self._order[each] for each in (place - 1, place) if 0 <= each < len(self._order)]
        gaps = [abs(self._stamps[row] - stamp_ns) for row in rows]
        if not gaps or min(gaps) > within_s * 1e9:
            return None
        row = rows[gaps.index(min(gaps))]
        return self._faces(row), self._receives[row]

    def before(self, stamp_ns):
        """Find the last message of a stamp or earlier, as `near` gives it; None where there is none."""
        place = int(np.searchsorted(self._sorted(), stamp_ns, 'right')) - 1
        return None if place < 0 else (self._faces(self._order[place]), self._receives[self._order[place]])

    def _sorted(self):
        if self._order is None:
            stamps = np.frombuffer(self._stamps, np.int64) if self._stamps else np.empty(0, np.int64)
            self._order = np.argsort(stamps, kind='stable')
            self._sorted_stamps = stamps[self._order]
        return self._sorted_stamps

    def _faces(self, row):
        names = list(self._names)
        faces = []
        for each in range(self._firsts[row], self._firsts[row + 1]):
            *box, score, valence, arousal = (float(number) for number in self._numbers[7 * each:7 * each + 7])
            emotion = EMOTIONS[self._emotions[each]] if self._emotions[each] >= 0 else ''
            faces.append(LoggedFace(tuple(box), emotion, score, *(None if np.isnan(value) else value
                                                                 for value in (valence, arousal)),
                                    names[self._persons[each]]))
        return faces


def match(boxes, others, least):
    """Pair boxes that lie on each other, the closest first.

    :param boxes, others: lists of x0, y0, x1, y1.
    :param least: intersection over union of a pair.
    :returns: list of (place in boxes, place in others).
    """
    pairs = sorted(((overlap(box, other), -row, -column) for row, box in enumerate(boxes)
                    for column, other in enumerate(others)), reverse=True)
    found, rows, columns = [], set(), set()
    for share, row, column in pairs:
        if share >= least and row not in rows and column not in columns:
            found.append((-row, -column))
            rows.add(row)
            columns.add(column)
    return found


def overlap(one, other):
    """Give the intersection over union of two boxes x0, y0, x1, y1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)


def box_of(detection):
    """Give x0, y0, x1, y1 of a vision_msgs/Detection2D, of today's or an older vision_msgs."""
    center = getattr(detection.bbox.center, 'position', detection.bbox.center)
    half_width, half_height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
    return center.x - half_width, center.y - half_height, center.x + half_width, center.y + half_height


def hypotheses_of(detection):
    """Give (class, score) of each hypothesis of a vision_msgs/Detection2D, of today's or an older vision_msgs."""
    rows = (getattr(each, 'hypothesis', each) for each in detection.results)
    return [(str(getattr(each, 'class_id', getattr(each, 'id', ''))), float(each.score)) for each in rows]


def stamp_of(message, receive_ns):
    """Give a message's stamp in nanoseconds; when it was recorded, where it is not stamped."""
    return message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec or receive_ns
