"""What a topic of a recording says of faces, kept small: a few dozen bytes a face, for hours of them must fit."""

from array import array
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.errors import BadBag
from facial_emotion_ros.face_tracker import intersection_over_union


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
        self._names, self._frames, self._order = {'': 0}, array('l'), None
        self._spelled = ['']

    def __len__(self):
        """Count the messages."""
        return len(self._stamps)

    @property
    def frame_ids(self):
        """The header.frame_id of its messages, a set; '' for those that have none."""
        return {self._spelled[each] for each in set(self._frames)}

    def add(self, stamp_ns, receive_ns, faces, frame_id=''):
        """Take a message: faces is a list of LoggedFace, whose valence and arousal may be None.

        Faces with numbers that are none are left out.
        """
        for face in faces:
            if not np.isfinite([*face.box, face.score]).all():
                continue
            self._numbers.extend(face.box)
            self._numbers.extend(np.nan if value is None else value
                                 for value in (face.score, face.valence, face.arousal))
            self._emotions.append(EMOTIONS.index(face.emotion) if face.emotion else -1)
            self._persons.append(self._number_of(face.person))
        self._frames.append(self._number_of(frame_id))
        self._stamps.append(stamp_ns)
        self._receives.append(receive_ns)
        self._firsts.append(len(self._emotions))
        self._order = None

    def near(self, stamp_ns, within_s, frame_id=''):
        """Find the message whose stamp is next to an image's.

        :param stamp_ns: of the image.
        :param within_s: no further away than this.
        :param frame_id: of the image; a message of another one does not count. '' takes any.
        :returns: (list of LoggedFace, receive_ns); None where there is no such message.
        """
        stamps = self._sorted()
        first, end = np.searchsorted(stamps, [stamp_ns - within_s * 1e9, stamp_ns + within_s * 1e9])
        rows = [row for row in self._order[first:end + 1]
                if not frame_id or self._spelled[self._frames[row]] in ('', frame_id)]
        gaps = [abs(self._stamps[row] - stamp_ns) for row in rows]
        if not gaps or min(gaps) > within_s * 1e9:
            return None
        row = rows[gaps.index(min(gaps))]
        return self._faces(row), self._receives[row]

    def before(self, stamp_ns):
        """Find the last message of a stamp or earlier, as `near` gives it; None where there is none."""
        place = int(np.searchsorted(self._sorted(), stamp_ns, 'right')) - 1
        return None if place < 0 else (self._faces(self._order[place]), self._receives[self._order[place]])

    def _number_of(self, word):
        if word not in self._names:
            self._names[word] = len(self._spelled)
            self._spelled.append(word)
        return self._names[word]

    def _sorted(self):
        if self._order is None:
            stamps = np.frombuffer(self._stamps, np.int64) if self._stamps else np.empty(0, np.int64)
            self._order = np.argsort(stamps, kind='stable')
            self._sorted_stamps = stamps[self._order]
        return self._sorted_stamps

    def _faces(self, row):
        faces = []
        for each in range(self._firsts[row], self._firsts[row + 1]):
            *box, score, valence, arousal = (float(number) for number in self._numbers[7 * each:7 * each + 7])
            emotion = EMOTIONS[self._emotions[each]] if self._emotions[each] >= 0 else ''
            faces.append(LoggedFace(tuple(box), emotion, score, *(None if np.isnan(value) else value
                                                                 for value in (valence, arousal)),
                                    self._spelled[self._persons[each]]))
        return faces


def match(boxes, others, least):
    """Pair boxes that lie on each other, the closest first.

    :param boxes, others: lists of x0, y0, x1, y1.
    :param least: intersection over union of a pair, above 0.
    :returns: list of (place in boxes, place in others).
    """
    if not boxes or not others:
        return []
    overlaps = intersection_over_union(np.array(boxes, np.float64), np.array(others, np.float64))
    pairs = []
    for place in np.argsort(-overlaps, axis=None, kind='stable'):
        row, column = divmod(int(place), len(others))
        if overlaps[row, column] < least:
            break
        if all(row != each and column != other for each, other in pairs):
            pairs.append((row, column))
    return pairs


def readable(bag, topic):
    """Read the messages of a topic that can be decoded; that others cannot, is told among the recording's faults.

    :param bag: BagFile, open.
    :param topic: its name.
    :returns: iterator of (BagMessage, decoded message).
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
        told = f'{topic}: {lost} message{"s" if lost > 1 else ""} could not be read: {first}'
        if told not in bag.faults:
            bag.faults.append(told)


def box_of(detection):
    """Give x0, y0, x1, y1 of a vision_msgs/Detection2D, of today's or an older vision_msgs."""
    center = getattr(detection.bbox.center, 'position', detection.bbox.center)
    half_width, half_height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
    return center.x - half_width, center.y - half_height, center.x + half_width, center.y + half_height


def hypotheses_of(detection):
    """Give (class, score) of each hypothesis of a vision_msgs/Detection2D, of today's or an older vision_msgs."""
    rows = (getattr(each, 'hypothesis', each) for each in detection.results)
    return [(str(getattr(each, 'class_id', getattr(each, 'id', ''))), float(each.score)) for each in rows]


def meant_of(hypotheses):
    """Tell which hypothesis of a face is its answer.

    It is the first one, as our node writes them: with hysteresis that need not be the one of the highest score. Others
    may list all classes in an order of their own, which is seen by scores that do not fall: then it is the highest.

    :param hypotheses: list of (word, score), without affect.
    :returns: (word, score); ('', 0.0) where there is none.
    """
    if not hypotheses:
        return '', 0.0
    first, scores = hypotheses[0], [score for _, score in hypotheses[1:]]
    falls = all(one >= other for one, other in zip(scores, scores[1:]))
    return first if first[0] == UNKNOWN or (falls and first[1] > 0) else max(hypotheses, key=lambda each: each[1])
