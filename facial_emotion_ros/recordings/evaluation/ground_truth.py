"""What the faces of a recording show by human annotation: intervals of a CSV file, or a topic of the recording."""

import csv
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

from facial_emotion_ros.core.emotions import EMOTIONS, EXPRESSION_WORDS, UNKNOWN
from facial_emotion_ros.core.errors import BadBag, BadDataset
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.recordings.evaluation.face_log import (
    LoggedFace,
    best_hypothesis,
    box_of,
    hypotheses_of,
    match,
    read_log,
)
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.frames import Frame
from facial_emotion_ros.recordings.io.message_types import DETECTIONS, EXPRESSION

#: Words for a class: its own name, and ROS4HRI's.
WORDS = {emotion: emotion for emotion in EMOTIONS} | {word: emotion for emotion, word in EXPRESSION_WORDS.items()}

#: Times above this are stamps (seconds since 1970), those below count from the recording's first image.
STAMPS_FROM_S = 1e8

#: Times above this are no seconds, but stamps in another unit: the year 5138 is far away.
_SECONDS_TO_S = 1e11
_UNITS = {'milliseconds': 1000, 'microseconds': 1000000, 'nanoseconds': 1000000000}

#: An annotation of a single image belongs to the image whose stamp is no further away than this.
_NEAR_S = 0.05

#: Types of an annotation topic.
_TYPES = (DETECTIONS, EXPRESSION)

#: Hypotheses that are no classes.
_NO_CLASSES = ('valence', 'arousal', 'agreement')

_COLUMNS = ('start', 'end', 'face', 'emotion', 'valence', 'arousal')


class GroundTruth(NamedTuple):
    """What a face shows: emotion (of EMOTIONS, '' where only affect is known), valence and arousal in [-1, 1] or None;
    person: who it is, '' where that is not annotated.
    """

    emotion: str = ''
    valence: float | None = None
    arousal: float | None = None
    person: str = ''


class NullGroundTruth:
    """No ground truth; the others derive from it.

    source: name of the file or topic, '' here; has_boxes: whether it has face boxes; counts_from_an_image: whether its
    times count from the recording's first image, and so hold for any recording.
    """

    source, has_boxes, counts_from_an_image = '', False, False

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """Give the ground truth of each face.

        :param frame: the image.
        :param time_s: seconds since the recording's first image.
        :param faces: estimates of the image.
        :returns: one GroundTruth or None for each face; number of annotated faces that none of these is.
        """
        return [None] * len(faces), 0

    def unused(self) -> str:
        """Name annotations that held for no image so far; '' where there are none, or that is not known."""
        return ''


class Intervals(NullGroundTruth):
    """Ground truth of a CSV file: from when to when a face, or any face, shows what."""

    def __init__(self, path: str):
        """Read the file.

        :param path: CSV with a header line: start, end, and emotion or valence and arousal; optionally face: an id as
            in frames.csv, or any (or empty). Times are seconds since the recording's first image, or stamps in seconds
            since 1970.
        :raises BadDataset: if a line cannot be read, with its number.
        """
        self.source = os.path.basename(path)
        self._rows: list[tuple[float, float, str, GroundTruth]] = []
        self._used: set[int] = set()
        try:
            with open(path, newline='', encoding='utf-8-sig') as file:
                self._read(csv.DictReader(file), path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadDataset(
                f'{path}: expected a CSV file of intervals in UTF-8, it cannot be read ({error})'
            ) from error
        if not self._rows:
            raise BadDataset(f'{path}: expected a line for each interval below the first, got none')
        self.counts_from_an_image = any(row[0] <= STAMPS_FROM_S for row in self._rows)

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """See NullGroundTruth; of several intervals, one that names the face comes first, then the first."""
        stamp_s = frame.stamp_ns / 1e9
        places = [
            place
            for place, row in enumerate(self._rows)
            if row[0] <= (stamp_s if row[0] > STAMPS_FROM_S else time_s) < row[1]
        ]
        self._used.update(places)
        holding, found = [self._rows[place] for place in places], []
        for face in faces:
            named = [row for row in holding if row[2] == face.face_id] or [row for row in holding if not row[2]]
            found.append(named[0][3] if named else None)
        return found, 0

    def unused(self) -> str:
        """See NullGroundTruth."""
        rest = [row for place, row in enumerate(self._rows) if place not in self._used]
        if not rest:
            return ''
        return (
            f'{self.source}: {len(rest)} of {len(self._rows)} intervals hold for no image, the first of them from '
            f'{rest[0][0]:.12g} to {rest[0][1]:.12g} s'
        )

    def refuse_milliseconds(self, length_s: float) -> None:
        """Refuse relative times that look like milliseconds.

        :param length_s: of the recording; 0 where that is not known.
        :raises BadDataset: with what to do.
        """
        last_s = max(row[1] for row in self._rows)
        begins = any(length_s < row[0] <= STAMPS_FROM_S for row in self._rows)
        if length_s > 0 and begins and 50 * length_s < last_s <= 1100 * length_s + 1000:
            raise BadDataset(
                f'{self.source}: expected times in seconds, got some up to {last_s:.12g} for a recording '
                f'of {length_s:.1f} s, which look like milliseconds; divide them by 1000 (if they are '
                'seconds, leave out what lies beyond the end)'
            )

    def _read(self, rows, path):
        rows.fieldnames = names = [name.strip().lower() for name in rows.fieldnames or []]
        if not {'start', 'end'} <= set(names) or not ({'emotion', 'valence'} & set(names)):
            hint = '; separate them by commas' if ';' in ''.join(names) else ''
            raise BadDataset(
                f'{path}: expected a first line that names the columns start, end and emotion (or valence, arousal), '
                f'got {",".join(names) or "nothing"}{hint}'
            )
        for row in rows:
            # A spreadsheet leaves separators of an empty line.
            if any((cell or '').strip() for cell in row.values() if not isinstance(cell, list)):
                self._rows.append(self._row(row, f'{path}, line {rows.line_num}'))

    def _row(self, row, where):
        values = {name: (row.get(name) or '').strip() for name in _COLUMNS}
        start, end = (_number(values[name], f'{where}: {name}', 'a time in seconds') for name in ('start', 'end'))
        if end > _SECONDS_TO_S:
            unit = 'milliseconds' if end < 1e14 else 'microseconds' if end < 1e17 else 'nanoseconds'
            raise BadDataset(
                f'{where}: expected times in seconds, got {values["end"]}, which looks like a stamp in {unit}; '
                f'divide all times by {_UNITS[unit]:,}'
            )
        if end <= start:
            raise BadDataset(f'{where}: expected an end after the start, got {values["start"]} to {values["end"]}')
        face = '' if values['face'].lower() in ('', 'any', '*') else values['face']
        valence, arousal = (_affect(values[name], f'{where}: {name}') for name in ('valence', 'arousal'))
        emotion = _emotion(values['emotion'], where) if values['emotion'] else ''
        if not emotion and valence is None and arousal is None:
            raise BadDataset(f'{where}: expected an emotion, or valence and arousal, got neither')
        return start, end, face, GroundTruth(emotion, valence, arousal)


class Annotations(NullGroundTruth):
    """Ground truth of a topic of the recording."""

    def __init__(self, bag: BagFile, topic: str, several_cameras: bool = False):
        """Read the topic.

        :param bag: open.
        :param topic: its name. Detection2DArray: boxes and what each face shows, in the image of its stamp; Expression:
            holds for any face, until the next one.
        :param several_cameras: whether boxes must name their camera by frame_id.
        :raises BadBag: if the recording has no such topic, of such a type, or cameras cannot be distinguished.
        :raises BadDataset: if it holds a word that is none of WORDS.
        """
        known = bag.topics.get(topic)
        if known is None or known.msgtype not in _TYPES:
            there = ', '.join(each.name for each in bag.topics.values() if each.msgtype in _TYPES) or 'none'
            came = f'which is a {known.msgtype}' if known else 'which is not recorded'
            raise BadBag(
                f'expected an annotation topic ({" or ".join(_TYPES)}), or a CSV file (.csv), got {topic}, '
                f'{came}; topics of such a type: {there}'
            )
        self.source, self._holds = topic, known.msgtype == EXPRESSION
        self.has_boxes, faces_of = not self._holds, _expression if self._holds else _boxes
        self._log = read_log(bag, topic, lambda fields: faces_of(fields, topic))
        if several_cameras and self.has_boxes and '' in self._log.frame_ids:
            raise BadBag(
                f'expected a header.frame_id in each annotation of {topic}, for there are several cameras, '
                'got some without; say which camera they are of (--topic)'
            )

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """See NullGroundTruth; a face is the annotated one of the same frame_id that overlaps it."""
        if self._holds:
            logged = self._log.before(frame.stamp_ns)
        else:
            logged = self._log.near(frame.stamp_ns, _NEAR_S, frame.frame_id)
        found: list[GroundTruth | None] = [None] * len(faces)
        if logged is None:
            return found, 0
        truths = [GroundTruth(each.emotion, each.valence, each.arousal, each.person) for each in logged[0]]
        if self._holds:
            return [*truths[:1]] * len(faces) or found, 0
        pairs = match([each.box for each in logged[0]], [face.box for face in faces])
        for row, column in pairs:
            found[column] = truths[row]
        return found, len(truths) - len(pairs)


def open_truth(text: str, bag: BagFile, several_cameras: bool = False) -> NullGroundTruth:
    """Open ground truth.

    :param text: a topic of the recording, path of a CSV file, or '' for none.
    :param bag: open.
    :param several_cameras: whether images of several cameras are evaluated.
    :returns: Intervals, Annotations or NullGroundTruth.
    :raises BadBag: if the topic has no annotations.
    :raises BadDataset: if the file cannot be read.
    """
    if not text:
        return NullGroundTruth()
    if text in bag.topics or not text.lower().endswith('.csv'):
        return Annotations(bag, text, several_cameras)
    truth = Intervals(text)
    truth.refuse_milliseconds(bag.duration_s)
    return truth


def _boxes(message, topic):
    found = []
    for detection in message.detections:
        hypotheses = hypotheses_of(detection)
        values = dict(hypotheses)
        valence, arousal = (_checked(values.get(side), f'{topic}: {side}') for side in ('valence', 'arousal'))
        word, score = best_hypothesis([each for each in hypotheses if each[0] not in _NO_CLASSES])
        emotion = _emotion(word, topic) if word and word != UNKNOWN else ''
        person = str(getattr(detection, 'id', ''))
        found.append(LoggedFace(box_of(detection), emotion, score, valence, arousal, person))
    return found


def _expression(message, topic):
    word = message.expression
    if not word and not message.confidence:
        return []
    valence, arousal = (_checked(getattr(message, side), f'{topic}: {side}') for side in ('valence', 'arousal'))
    emotion = _emotion(word, topic) if word else ''
    return [LoggedFace((0, 0, 0, 0), emotion, message.confidence, valence, arousal, '')]


def _emotion(word, where):
    if word.lower() not in WORDS:
        raise BadDataset(f'{where}: expected one of {", ".join(WORDS)}, got {word!r}')
    return WORDS[word.lower()]


def _affect(text, where):
    return _checked(_number(text, where, 'a number in [-1, 1]'), where) if text else None


def _checked(number, where):
    if number is not None and not -1 <= number <= 1:
        raise BadDataset(f'{where}: expected a number in [-1, 1], got {number}')
    return None if number is None else float(number)


def _number(text, where, expected):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = '; write the decimal point as a point' if ',' in text else ''
        raise BadDataset(f'{where}: expected {expected}, got {text!r}{hint}')
    return number
