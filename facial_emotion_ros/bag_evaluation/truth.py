"""What people say that faces in a recording show: intervals of a CSV file, or an annotation topic of the recording."""

import csv
import math
import os
from typing import NamedTuple

from facial_emotion_ros.bag_evaluation.face_log import (
    FaceLog,
    LoggedFace,
    box_of,
    hypotheses_of,
    match,
    meant_of,
    readable,
)
from facial_emotion_ros.bags.message_types import DETECTIONS, EXPRESSION, stamp_of
from facial_emotion_ros.emotions import EMOTIONS, EXPRESSION_WORDS, UNKNOWN
from facial_emotion_ros.errors import BadBag, BadDataset

#: Words that mean a class: its own name, and ROS4HRI's.
WORDS = dict({emotion: emotion for emotion in EMOTIONS}, **{word: emotion for emotion, word in
                                                           EXPRESSION_WORDS.items()})

#: Times above this are stamps (seconds since 1970), those below count from the recording's first image.
_STAMPS_FROM_S = 1e8

#: Times above this are no seconds, but stamps in another unit: the year 5138 is far away.
_SECONDS_TO_S = 1e11
_UNITS = {'milliseconds': 1000, 'microseconds': 1000000, 'nanoseconds': 1000000000}

#: An annotation of single images belongs to an image whose stamp is no further away than this.
NEAR_S = 0.05

#: Boxes that overlap by this share (intersection over union) are of one face.
MIN_OVERLAP = 0.3

#: Types that an annotation topic may have.
TYPES = (DETECTIONS, EXPRESSION)

_COLUMNS = ('start', 'end', 'face', 'emotion', 'valence', 'arousal')


class Truth(NamedTuple):
    """What a face shows: emotion (one of EMOTIONS, '' where only affect is told), valence and arousal in [-1, 1] or
    None; person: who it is, where the annotation says so, '' otherwise.
    """

    emotion: str = ''
    valence: float | None = None
    arousal: float | None = None
    person: str = ''


class NoTruth:
    """Nothing is known of what faces show.

    source: where truth comes from, '' here; has_boxes: whether it says where faces are.
    """

    source, has_boxes = '', False

    def of(self, frame, time_s, faces):
        """Give the truth of each face.

        :param frame: Frame.
        :param time_s: seconds since the recording's first image.
        :param faces: list of FaceEstimate.
        :returns: list of Truth or None, one a face; number of annotated faces that none of these is.
        """
        return [None] * len(faces), 0

    def unused(self):
        """Say what of it held for no image that was asked for; '' where all did, or that is not known."""
        return ''


class Intervals(NoTruth):
    """Truth of a CSV file: from when to when a face, or any, shows what."""

    def __init__(self, path):
        """Read the file.

        :param path: CSV with a line of names: start, end, and emotion or valence and arousal; face may be there: an id
            as in frames.csv, or any (or empty). Times are seconds since the recording's first image, or stamps in
            seconds since 1970.
        :raises BadDataset: if a line cannot be read, with its number.
        """
        self.source, self._rows, self._used = os.path.basename(path), [], set()
        try:
            with open(path, newline='', encoding='utf-8-sig') as file:
                rows = csv.DictReader(file)
                names = [name.strip().lower() for name in rows.fieldnames or []]
                rows.fieldnames = names
                if not {'start', 'end'} <= set(names) or not ({'emotion', 'valence'} & set(names)):
                    hint = '; separate them by commas' if ';' in ''.join(names) else ''
                    raise BadDataset(f'{path}: expected a first line that names the columns start, end and emotion (or '
                                     f'valence, arousal), got {",".join(names) or "nothing"}{hint}')
                for row in rows:
                    if not any((cell or '').strip() for cell in row.values() if not isinstance(cell, list)):
                        continue  # what a spreadsheet leaves of an empty line
                    self._rows.append(self._row(row, f'{path}, line {rows.line_num}'))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadDataset(f'{path}: expected a CSV file of intervals in UTF-8, it cannot be read ({error})'
                             ) from error
        if not self._rows:
            raise BadDataset(f'{path}: expected a line for each interval below the first, got none')

    @property
    def counts_from_an_image(self):
        """Whether a time counts from a recording's first image: whose, the file does not say."""
        return any(row[0] <= _STAMPS_FROM_S for row in self._rows)

    def of(self, frame, time_s, faces):
        """As NoTruth does; of several intervals that hold, one that names the face comes first, then the first."""
        stamp_s = frame.stamp_ns / 1e9
        places = [place for place, row in enumerate(self._rows)
                  if row[0] <= (stamp_s if row[0] > _STAMPS_FROM_S else time_s) < row[1]]
        self._used.update(places)
        holding, found = [self._rows[place] for place in places], []
        for face in faces:
            named = [row for row in holding if row[2] == face.face_id] or [row for row in holding if not row[2]]
            found.append(named[0][3] if named else None)
        return found, 0

    def unused(self):
        """As NoTruth does."""
        rest = [row for place, row in enumerate(self._rows) if place not in self._used]
        if not rest:
            return ''
        return (f'{self.source}: {len(rest)} of {len(self._rows)} intervals hold for no image, the first of them from '
                f'{rest[0][0]:.12g} to {rest[0][1]:.12g} s')

    def refuse_milliseconds(self, length_s):
        """Refuse times that count from the first image and are, as it looks, no seconds.

        :param length_s: of the recording; 0 where that is not known.
        :raises BadDataset: with what to do.
        """
        last_s = max(row[1] for row in self._rows)
        begins = any(length_s < row[0] <= _STAMPS_FROM_S for row in self._rows)
        if length_s > 0 and begins and 50 * length_s < last_s <= 1100 * length_s + 1000:
            raise BadDataset(f'{self.source}: expected times in seconds, got some up to {last_s:.12g} for a recording '
                             f'of {length_s:.1f} s, which look like milliseconds; divide them by 1000 (if they are '
                             'seconds, leave out what lies beyond the end)')

    def _row(self, row, where):
        values = {name: (row.get(name) or '').strip() for name in _COLUMNS}
        start, end = (_number(values[name], f'{where}: {name}', 'a time in seconds') for name in ('start', 'end'))
        if end > _SECONDS_TO_S:
            raise BadDataset(f'{where}: expected times in seconds, got {values["end"]}, which looks like a stamp in '
                             f'{_unit_of(end)}; divide all times by {_UNITS[_unit_of(end)]:,}')
        if end <= start:
            raise BadDataset(f'{where}: expected an end after the start, got {values["start"]} to {values["end"]}')
        face = '' if values['face'].lower() in ('', 'any', '*') else values['face']
        valence, arousal = (_affect(values[name], f'{where}: {name}') for name in ('valence', 'arousal'))
        emotion = _emotion(values['emotion'], where) if values['emotion'] else ''
        if not emotion and valence is None and arousal is None:
            raise BadDataset(f'{where}: expected an emotion, or valence and arousal, got neither')
        return start, end, face, Truth(emotion, valence, arousal)


class Annotations(NoTruth):
    """Truth of a topic of the recording."""

    def __init__(self, bag, topic, several_cameras=False):
        """Read the topic.

        :param bag: BagFile, open.
        :param topic: its name: Detection2DArray tells boxes and what each face shows, in the image of its stamp; an
            Expression holds for any face, until the next one.
        :param several_cameras: whether boxes have to say, by their frame_id, which camera's they are.
        :raises BadBag: if the recording has no such topic, of such a type, or cameras cannot be told apart.
        :raises BadDataset: if it holds a word that is none of WORDS.
        """
        known = bag.topics.get(topic)
        if known is None or known.msgtype not in TYPES:
            there = ', '.join(each.name for each in bag.topics.values() if each.msgtype in TYPES) or 'none'
            came = f'which is a {known.msgtype}' if known else 'which is not recorded'
            raise BadBag(f'expected an annotation topic ({" or ".join(TYPES)}), or a CSV file (.csv), got {topic}, '
                         f'{came}; topics of such a type: {there}')
        self.source, self._holds, self._log = topic, known.msgtype == EXPRESSION, FaceLog()
        self.has_boxes = not self._holds
        for message, fields in readable(bag, topic):
            faces = _expression(fields, topic) if self._holds else _boxes(fields, topic)
            stamp_ns = stamp_of(fields, message.receive_ns)
            self._log.add(stamp_ns, message.receive_ns, faces, fields.header.frame_id)
        if several_cameras and self.has_boxes and '' in self._log.frame_ids:
            raise BadBag(f'expected a header.frame_id in each annotation of {topic}, for there are several cameras, '
                         'got some without; say which camera they are of (--topic)')

    def of(self, frame, time_s, faces):
        """As NoTruth does; a face is the annotated one whose box overlaps its own most, of the same frame_id."""
        told = (self._log.before(frame.stamp_ns) if self._holds
                else self._log.near(frame.stamp_ns, NEAR_S, frame.frame_id))
        if told is None:
            return [None] * len(faces), 0
        truths = [Truth(each.emotion, each.valence, each.arousal, each.person) for each in told[0]]
        if self._holds:
            return (truths or [None])[:1] * len(faces), 0
        pairs = match([each.box for each in told[0]], [face.box for face in faces], MIN_OVERLAP)
        found = [None] * len(faces)
        for row, column in pairs:
            found[column] = truths[row]
        return found, len(truths) - len(pairs)


def open_truth(text, bag, several_cameras=False):
    """Open ground truth.

    :param text: a topic of the recording (it begins with a slash and is recorded), path of a CSV file, or ''.
    :param bag: BagFile, open.
    :param several_cameras: whether images of several cameras are judged.
    :returns: Intervals, Annotations or NoTruth.
    :raises BadBag: for a topic that is none.
    :raises BadDataset: for a file that cannot be read.
    """
    if not text:
        return NoTruth()
    if text in bag.topics or not text.lower().endswith('.csv'):
        return Annotations(bag, text, several_cameras)
    truth = Intervals(text)
    truth.refuse_milliseconds(bag.duration_s)
    return truth


def _boxes(message, topic):
    found = []
    for detection in message.detections:
        hypotheses = hypotheses_of(detection)
        told = dict(hypotheses)
        word, score = meant_of([each for each in hypotheses if each[0] not in ('valence', 'arousal', 'agreement')])
        emotion = _emotion(word, topic) if word and word != UNKNOWN else ''
        affect = (_checked(told.get(side), f'{topic}: {side}') for side in ('valence', 'arousal'))
        person = str(getattr(detection, 'id', ''))
        found.append(LoggedFace(box_of(detection), emotion, score, *affect, person))
    return found


def _expression(message, topic):
    word = message.expression
    if not word and not message.confidence:
        return []
    affect = (_checked(getattr(message, side), f'{topic}: {side}') for side in ('valence', 'arousal'))
    return [LoggedFace((0, 0, 0, 0), _emotion(word, topic) if word else '', message.confidence, *affect, '')]


def _emotion(word, where):
    if word.lower() not in WORDS:
        raise BadDataset(f'{where}: expected one of {", ".join(WORDS)}, got {word!r}')
    return WORDS[word.lower()]


def _affect(text, where):
    if not text:
        return None
    return _checked(_number(text, where, 'a number in [-1, 1]'), where)


def _checked(number, where):
    if number is not None and not -1 <= number <= 1:
        raise BadDataset(f'{where}: expected a number in [-1, 1], got {number}')
    return None if number is None else float(number)


def _unit_of(stamp):
    return 'milliseconds' if stamp < 1e14 else 'microseconds' if stamp < 1e17 else 'nanoseconds'


def _number(text, where, expected):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = '; write the decimal point as a point' if ',' in text else ''
        raise BadDataset(f'{where}: expected {expected}, got {text!r}{hint}')
    return number
