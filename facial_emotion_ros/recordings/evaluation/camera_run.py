"""The images of one camera on their way through the pipeline: time base, changes of emotion, sums."""

import re
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.image_times import StreamTime
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline, TrackedImage
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import SufficientStatistics, add
from facial_emotion_ros.recordings.io.frames import Frame

#: Each stretch of time has its own sums. Where there would be more stretches than this, two become one.
MAX_STRETCHES, FIRST_STRETCH_S = 120, 2.0

#: A stamp that leaps this much further than the time of recording shows a clock that was set, not time that passed.
_JUMP_S = 10.0

#: Causes of unreadable images that are counted separately.
_MAX_CAUSES = 10

#: A gap is a time without an image that is longer than this, and than so many of the usual steps.
_LEAST_GAP_S, _GAP_STEPS = 1.0, 3

#: Steps are the same where they differ by less, for frames.csv rounds to microseconds.
_SAME_STEP_S = 1e-5

#: Gaps that are listed, the longest first.
_GAPS_LISTED = 10


def longest_step_s(usual_s: float) -> float:
    """Give the longest time from one image to the next that is no gap, in seconds.

    :param usual_s: median of these times.
    """
    return max(_LEAST_GAP_S, _GAP_STEPS * usual_s) + _SAME_STEP_S


def durations_of(times_s: np.ndarray) -> np.ndarray:
    """Give the time for which each image of a camera stands: until the next one.

    Before a gap, and at the end, it is as long as that of the image before it; where that is not known, the usual step.

    :param times_s: (N,) float64, in seconds, not falling.
    :returns: (N,) float64, in seconds.
    """
    steps = np.diff(times_s)
    usual_s = float(np.median(steps)) if len(steps) else 0.0
    lengths_s = np.append(steps, np.inf)
    known = lengths_s <= longest_step_s(usual_s)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(latest < 0, usual_s, lengths_s[latest])


class Cadence:
    """How evenly a camera's images follow each other; 8 bytes an image."""

    def __init__(self):
        """Begin without images."""
        self._times_s = array('d')

    def add(self, time_s: float) -> None:
        """Take the time of the next image, in seconds since the recording's first one."""
        self._times_s.append(time_s)

    @property
    def step_s(self) -> float | None:
        """Median time from one image to the next, in seconds; None for fewer than two images."""
        steps = np.diff(self._times_s)
        return float(np.median(steps)) if len(steps) else None

    def figures(self) -> dict[str, Any]:
        """Compute rate and gaps.

        :returns: dict: rate_hz (of the median step; None where that is not known); steps_s: two steps in seconds, gaps
            aside, that a tenth of the images, and nine tenths of the time, do not exceed (None without any); and gaps,
            a dict of count, seconds (of all together) and longest: a list of {'start_s', 'seconds'}, the longest first.
        """
        steps, usual_s = np.diff(self._times_s), self.step_s
        is_gap = steps > longest_step_s(usual_s or 0.0)
        places, ranked = np.flatnonzero(is_gap), np.sort(steps[~is_gap])
        passed_s = ranked.cumsum()
        slow = np.searchsorted(passed_s, 0.9 * passed_s[-1]) if len(ranked) else 0
        longest = sorted(places, key=lambda place: (-steps[place], place))[:_GAPS_LISTED]
        return {
            'rate_hz': round(1 / usual_s, 3) if usual_s else None,
            'steps_s': [round(float(ranked[each]), 9) for each in (len(ranked) // 10, slow)] if len(ranked) else None,
            'gaps': {
                'count': len(places),
                'seconds': round(float(steps[places].sum()), 3),
                'longest': [
                    {'start_s': round(self._times_s[place], 3), 'seconds': round(float(steps[place]), 3)}
                    for place in longest
                ],
            },
        }


class CameraRun:
    """State of one camera from image to image.

    stretches: {number: SufficientStatistics}, each of stretch_s seconds; jumps: how often the stamps went far back or
    leapt; still: images with the stamp of the one before; late: images with a stamp a little before that; cadence:
    Cadence of all images; persons: names of those seen, where the ground truth has them; losses: {cause: (count, text
    of the first)} of images that could not be read; damaged: (count, text of the first) of images that were decoded
    with damaged pixels.
    """

    def __init__(self, pipeline: EmotionPipeline, first: Frame, max_age_s: float = 1.0):
        """Begin.

        :param pipeline: of this camera alone.
        :param first: the recording's first image, of whichever camera.
        :param max_age_s: as the tracker's: a person out of sight for longer may get another face id, which is no id
            switch.
        """
        self._max_age_s, self.cadence = max_age_s, Cadence()
        self.pipeline, self._first = pipeline, first._replace(image=None)
        self.stretch_s = FIRST_STRETCH_S
        self.stretches: dict[int, SufficientStatistics] = {}
        self.losses: dict[str, tuple[int, str]] = {}
        self.persons: set[str] = set()
        self.jumps, self.still, self.late, self.damaged = 0, 0, 0, (0, '')
        # Whole nanoseconds: a running sum of seconds would be below 1 where it should be 1.
        self._stream, self._stream_ns, self._time_ns = StreamTime(), 0, 0
        #: Time of the last image that was counted, in seconds since the recording's first one.
        self.time_s = 0.0
        self._last: Frame | None = None
        self._emotions: dict[str, str] = {}
        self._seen_s: dict[str, float] = {}
        self._of_person: dict[str, tuple[str, float]] = {}

    @property
    def first_stamp_ns(self) -> int:
        """Stamp of the recording's first image."""
        return self._first.stamp_ns

    @property
    def clock_shift_s(self) -> float:
        """Seconds from the clock of recording to that of the stamps; 0 where both are the same clock."""
        shift_s = (self._first.stamp_ns - self._first.receive_ns) / 1e9
        return shift_s if abs(shift_s) > _JUMP_S else 0.0

    def find(self, frame: Frame) -> TrackedImage:
        """Find the faces of the next image, if it could be read; images before it may be counted later.

        :returns: as of EmotionPipeline.find.
        """
        assert frame.image is not None
        return self.pipeline.find(frame.image, self.advance(frame), frame.found)

    def lose(self, frame: Frame, time_s: float) -> None:
        """Count an image that cannot be read.

        :param frame: the image.
        :param time_s: what :meth:`advance` said of it.
        """
        self._at(time_s).count('bad_frames')
        # Texts of one cause differ in their numbers from image to image.
        cause = re.sub('[0-9]+', '#', frame.fault)[:90]
        if cause not in self.losses and len(self.losses) >= _MAX_CAUSES:
            cause = 'others'
        count, first = self.losses.get(cause, (0, frame.fault))
        self.losses[cause] = (count + 1, first)

    def count(
        self,
        time_s: float,
        faces: Sequence[tuple[FaceEstimate, GroundTruth | None]],
        missed: int,
        matched: int | None = None,
    ) -> None:
        """Add the estimates of the next image to the sums.

        :param time_s: what :meth:`advance` said of it.
        :param faces: estimates, each with its ground truth where that is known.
        :param missed: number of annotated faces that none of these is.
        :param matched: number of faces that an annotated box lies on; None for ground truth without boxes.
        """
        sums = self._at(time_s)
        sums.count('frames')
        sums.count('frames_with_faces', bool(faces))
        if matched is not None:
            sums.count('matched', matched)
            sums.count('missed', missed)
        for estimate, truth in faces:
            sums.add_face(estimate, truth)
            self._follow(sums, estimate, truth)

    def totals(self) -> SufficientStatistics:
        """Add all stretches up."""
        return add(self.stretches.values())

    def _follow(self, sums, estimate, truth):
        """Count new faces, changes of emotion, and persons whose face got another id."""
        face_id = estimate.face_id
        if face_id not in self._seen_s:
            sums.count('tracks')
        else:
            sums.count('face_s', min(self.time_s - self._seen_s[face_id], self._max_age_s))
        self._seen_s[face_id] = self.time_s
        if estimate.emotion != UNKNOWN:
            if self._emotions.get(face_id, estimate.emotion) != estimate.emotion:
                sums.count('flips')
            self._emotions[face_id] = estimate.emotion
        if truth is not None and truth.person:
            before, seen_s = self._of_person.get(truth.person, ('', self.time_s))
            self.persons.add(truth.person)
            if before and before != face_id and round(self.time_s - seen_s, 9) <= self._max_age_s:
                sums.count('switches')
            self._of_person[truth.person] = (face_id, self.time_s)

    def advance(self, frame: Frame) -> float:
        """Let time pass by the next image's stamp; by the time of recording where the clock was set.

        :returns: its time, in seconds since the recording's first image, exact to the nanosecond.
        """
        if frame.damage:
            self.damaged = (self.damaged[0] + 1, self.damaged[1] or frame.damage)
        before = self._first if self._last is None else self._last
        recorded_ns = max(frame.receive_ns - before.receive_ns, 0)
        image = self._stream.take(frame.stamp_ns, (frame.receive_ns - self._first.receive_ns) / 1e9)
        if self._last is None:  # cameras may begin with a stamp before the recording's first
            step_ns = frame.stamp_ns - before.stamp_ns
            went_back = step_ns < -_JUMP_S * 1e9
        else:
            step_ns, went_back = image.time_ns - self._stream_ns, image.begins_anew
        if went_back or step_ns > recorded_ns + _JUMP_S * 1e9:
            self.jumps += 1
            self.pipeline.begin_anew()
            step_ns = recorded_ns
        self.still += image.oddity == 'frozen'
        self.late += image.oddity == 'backwards' and not image.begins_anew
        self._time_ns += step_ns
        time_s = self._time_ns / 1e9
        self.cadence.add(time_s)
        self._last, self._stream_ns = frame._replace(image=None), image.time_ns
        return time_s

    def _at(self, time_s):
        """Give the sums of the stretch of the next image that is counted."""
        self.time_s = time_s
        while self.time_s / self.stretch_s >= MAX_STRETCHES:
            self.stretch_s *= 2
            merged: dict[int, list[SufficientStatistics]] = {}
            for place, sums in self.stretches.items():
                merged.setdefault(place // 2, []).append(sums)
            self.stretches = {place: add(parts) for place, parts in merged.items()}
        return self.stretches.setdefault(int(max(self.time_s, 0.0) / self.stretch_s), SufficientStatistics())
