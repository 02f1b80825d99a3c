"""Ground truth by human annotation, from a file of intervals or a topic of the recording."""

import os
from collections.abc import Sequence
from typing import Any

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.core.errors import BadBag, BadParameter
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.recordings.evaluation.annotation_files import (
    ENDINGS,
    SAME_S,
    GroundTruth,
    affect_of,
    doubt,
    doubt_of_end,
    emotion_of,
    is_annotation_file,
    is_stamp,
    read_intervals,
    refuse_milliseconds,
)
from facial_emotion_ros.recordings.evaluation.face_log import (
    FaceLog,
    LoggedFace,
    best_hypothesis,
    box_of,
    hypotheses_of,
    match,
)
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.frames import Frame
from facial_emotion_ros.recordings.io.message_types import DETECTIONS, EXPRESSION

#: Maximum distance of an annotation's stamp from that of its image.
_NEAR_S = 0.05

#: An interval may end this much after the last image.
_END_S = 1.0

#: Message types of annotation topics.
_TYPES = (DETECTIONS, EXPRESSION)

#: Hypotheses that are not classes.
_NO_CLASSES = ('valence', 'arousal', 'agreement')


class NullGroundTruth:
    """No ground truth; base class of the others.

    source: name of the file or topic, '' here; has_boxes: whether it has face boxes; counts_from_an_image: whether it
    has times relative to the first image, which fit any recording.
    """

    source, has_boxes, counts_from_an_image = '', False, False

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """Return the ground truth of each face.

        :param frame: the image.
        :param time_s: seconds since the recording's first image.
        :param faces: estimates in the image.
        :returns: GroundTruth or None per face, and the number of annotated faces without a match.
        """
        return [None] * len(faces), 0

    def matched(self, found: Sequence[GroundTruth | None]) -> int | None:
        """Count the faces that match an annotated box.

        :param found: first result of :meth:`of`.
        :returns: None for ground truth without boxes.
        """
        return sum(each is not None for each in found) if self.has_boxes else None

    def unused(self) -> str:
        """Describe annotations that were not used for any image; '' if there are none, or this is unknown."""
        return ''

    def beyond(self, length_s: float) -> str:
        """Describe annotations that begin in the recording and end after it; '' if there are none.

        :param length_s: length of the recording, from first to last image.
        """
        return ''


class Intervals(NullGroundTruth):
    """Ground truth from a file of intervals."""

    def __init__(self, path: str):
        """Read the file.

        :param path: see :func:`.annotation_files.read_intervals`.
        :raises BadDataset: if a line cannot be read.
        """
        self.source = os.path.basename(path)
        self._rows, self._left_out, self._has_unit = read_intervals(path)
        self._used: set[int] = set()
        self._decided: set[int] = set()
        self.counts_from_an_image = any(not is_stamp(row[0]) for row in self._rows)

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """See NullGroundTruth; intervals that name the face take precedence, then file order."""
        stamp_s = frame.stamp_ns / 1e9
        places = [
            place
            for place, row in enumerate(self._rows)
            if row[0] - SAME_S < (stamp_s if is_stamp(row[0]) else time_s) <= row[1] - SAME_S
        ]
        self._used.update(places)
        found: list[GroundTruth | None] = []
        for face in faces:
            named = [place for place in places if self._rows[place][2] == face.face_id]
            found.append(self._decide([*named, *(place for place in places if not self._rows[place][2])]))
        return found, 0

    def _decide(self, places: Sequence[int]) -> GroundTruth | None:
        """Take emotion, valence and arousal each from the first row that has it: tools keep them in separate tiers."""
        values: list[Any] = []
        for side, nothing in (('emotion', ''), ('valence', None), ('arousal', None)):
            first = next((each for each in places if getattr(self._rows[each][3], side) != nothing), None)
            values.append(nothing if first is None else getattr(self._rows[first][3], side))
            self._decided |= set() if first is None else {first}
        return GroundTruth(*values) if places else None

    def unused(self) -> str:
        """See NullGroundTruth."""
        rest = [row for place, row in enumerate(self._rows) if place not in self._used]
        texts = [f'{self.source}: {self._left_out}'] if self._left_out else []
        if rest:
            asked = '' if self._has_unit else doubt([row[0] for row in rest], len(self._rows))
            texts.append(
                f'{self.source}: {len(rest)} of {len(self._rows)} intervals contain no image, the first of them from '
                f'{rest[0][0]:.12g} to {rest[0][1]:.12g} s{asked}'
            )
        idle = sorted(self._used - self._decided)
        if idle:
            first = self._rows[idle[0]]
            texts.append(
                f'{self.source}: {len(idle)} of {len(self._rows)} intervals are unused, because their face was not '
                f'seen or another interval takes precedence; the first of them from {first[0]:.12g} to '
                f'{first[1]:.12g} s' + (f', of {first[2]}' if first[2] else '')
            )
        return '; '.join(texts)

    def beyond(self, length_s: float) -> str:
        """See NullGroundTruth."""
        late = [
            row
            for place, row in enumerate(self._rows)
            if place in self._used and not is_stamp(row[0]) and row[1] > length_s + _END_S
        ]
        last_s = max((row[1] for row in late), default=0.0)
        end = 'interval ends' if len(late) == 1 else 'intervals end'
        asked = '' if self._has_unit else doubt_of_end([time for row in self._rows for time in row[:2]], length_s)
        return f'{self.source}: {len(late)} {end} after the recording, at {last_s:.12g} s{asked}' if late else ''

    def refuse_milliseconds(self, length_s: float) -> None:
        """See :func:`.annotation_files.refuse_milliseconds`."""
        if not self._has_unit:
            refuse_milliseconds([row[0] for row in self._rows], [row[1] for row in self._rows], length_s, self.source)


class Annotations(NullGroundTruth):
    """Ground truth from a topic of the recording."""

    def __init__(self, bag: BagFile, topic: str, several_cameras: bool = False):
        """Read the topic.

        :param bag: open recording.
        :param topic: name of the topic. Detection2DArray: annotated boxes for the image with the same stamp;
            Expression: applies to any face until the next message.
        :param several_cameras: whether boxes must name their camera by frame_id.
        :raises BadBag: if the topic does not exist or has another type, or cameras cannot be distinguished.
        :raises BadParameter: if the name cannot be a topic.
        :raises BadDataset: if it contains a class that is none of WORDS.
        """
        known = bag.topics.get(topic)
        if known is None or known.msgtype not in _TYPES:
            there = ', '.join(each.name for each in bag.topics.values() if each.msgtype in _TYPES) or 'none'
            came = f'which is a {known.msgtype}' if known else 'which is not recorded'
            kind = BadBag if known or topic.startswith('/') else BadParameter
            raise kind(
                f'expected an annotation topic ({" or ".join(_TYPES)}) or a file ({", ".join(ENDINGS)}), got {topic}, '
                f'{came}; topics of these types: {there}'
            )
        self.source, self._holds = topic, known.msgtype == EXPRESSION
        self.has_boxes, faces_of = not self._holds, _expression if self._holds else _boxes
        self._log = FaceLog(bag, topic, lambda fields: faces_of(fields, topic))
        if several_cameras and self.has_boxes and '' in self._log.frame_ids:
            raise BadBag(
                f'expected a header.frame_id in each annotation of {topic}, because there are several cameras, '
                'got some without; choose their camera with --topic'
            )

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """See NullGroundTruth; faces are matched with annotated boxes of the same frame_id by overlap."""
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

    :param text: topic of the recording, path of a file of intervals, or '' for none.
    :param bag: open recording.
    :param several_cameras: whether several cameras are evaluated.
    :returns: Intervals, Annotations or NullGroundTruth.
    :raises BadBag: if the topic has no annotations.
    :raises BadDataset: if the file cannot be read.
    """
    if not text:
        return NullGroundTruth()
    if text in bag.topics or not is_annotation_file(text):
        return Annotations(bag, text, several_cameras)
    truth = Intervals(text)
    truth.refuse_milliseconds(bag.duration_s)
    return truth


def _boxes(message, topic):
    found = []
    for detection in message.detections:
        hypotheses = hypotheses_of(detection)
        values = dict(hypotheses)
        valence, arousal = (affect_of(values.get(side), f'{topic}: {side}') for side in ('valence', 'arousal'))
        word, score = best_hypothesis([each for each in hypotheses if each[0] not in _NO_CLASSES])
        emotion = emotion_of(word, topic) if word and word != UNKNOWN else ''
        person = str(getattr(detection, 'id', ''))
        found.append(LoggedFace(box_of(detection), emotion, score, valence, arousal, person))
    return found


def _expression(message, topic):
    word = message.expression
    if not word and not message.confidence:
        return []
    valence, arousal = (affect_of(getattr(message, side), f'{topic}: {side}') for side in ('valence', 'arousal'))
    emotion = emotion_of(word, topic) if word else ''
    return [LoggedFace((0, 0, 0, 0), emotion, message.confidence, valence, arousal, '')]
