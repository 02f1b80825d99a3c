"""State of one camera during an evaluation: time base, tracking across images, sufficient statistics."""

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

#: Statistics are kept per stretch of time, at first of this length; if there are too many, adjacent ones are merged.
MAX_STRETCHES, FIRST_STRETCH_S = 120, 2.0

#: A stamp that jumps this much further than the time of recording means that the clock was set.
_JUMP_S = 10.0

#: Maximum number of causes of unreadable images counted separately.
_MAX_CAUSES = 10

#: A gap is a step between images longer than both this and this multiple of the median step.
_LEAST_GAP_S, _GAP_STEPS = 1.0, 3

#: Tolerance for equal steps, as frames.csv rounds to microseconds.
_SAME_STEP_S = 1e-5

#: Number of gaps listed.
_GAPS_LISTED = 10


def longest_step_s(usual_s: float) -> float:
    """Return the longest step between images that is not a gap, in s, given the median step."""
    return max(_LEAST_GAP_S, _GAP_STEPS * usual_s) + _SAME_STEP_S


def durations_of(times_s: np.ndarray) -> np.ndarray:
    """Return the duration of each image of a camera: the time until the next one.

    Before a gap and at the end, it is that of the image before; if that is unknown, the median step.

    :param times_s: (N,) float64, in s, ascending.
    :returns: (N,) float64, in s.
    """
    steps = np.diff(times_s)
    usual_s = float(np.median(steps)) if len(steps) else 0.0
    lengths_s = np.append(steps, np.inf)
    known = lengths_s <= longest_step_s(usual_s)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(latest < 0, usual_s, lengths_s[latest])


class Cadence:
    """Frame rate and gaps of a camera; takes 8 bytes per image."""

    def __init__(self):
        """Start without images."""
        self._times_s = array('d')

    def add(self, time_s: float) -> None:
        """Add the time of the next image, in s since the recording's first image."""
        self._times_s.append(time_s)

    @property
    def step_s(self) -> float | None:
        """Median step between images, in s; None for fewer than two images."""
        steps = np.diff(self._times_s)
        return float(np.median(steps)) if len(steps) else None

    def figures(self) -> dict[str, Any]:
        """Compute rate and gaps.

        :returns: rate_hz: of the median step, or None; steps_s: without gaps, the steps in s not exceeded by 10% of the
            images and in 90% of the time, or None; gaps: {count, seconds (in all), longest: [{start_s, seconds}] by
            descending length}.
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

    stretches: {index: SufficientStatistics}, each of stretch_s seconds; jumps: number of clock jumps in the stamps;
    still: images with the same stamp as the one before; late: images with a slightly earlier stamp; cadence: Cadence of
    all images; persons: names seen, by the ground truth; losses: {cause: (count, first message)} of unreadable images;
    damaged: (count, first message) of images with damaged pixels.
    """

    def __init__(self, pipeline: EmotionPipeline, first: Frame, max_age_s: float = 1.0):
        """Start before the first image.

        :param pipeline: pipeline of this camera alone.
        :param first: the recording's first image, of any camera.
        :param max_age_s: as in the tracker; a new face id after a longer absence is not an id switch.
        """
        self._max_age_s, self.cadence = max_age_s, Cadence()
        self.pipeline, self._first = pipeline, first._replace(image=None)
        self.stretch_s = FIRST_STRETCH_S
        self.stretches: dict[int, SufficientStatistics] = {}
        self.losses: dict[str, tuple[int, str]] = {}
        self.persons: set[str] = set()
        self.jumps, self.still, self.late, self.damaged = 0, 0, 0, (0, '')
        # Integer nanoseconds: a running sum of floats would accumulate rounding errors.
        self._stream, self._stream_ns, self._time_ns = StreamTime(), 0, 0
        #: Time of the last counted image, in s since the recording's first image.
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
        """Offset in s from receive times to stamps; 0 if both are of the same clock."""
        shift_s = (self._first.stamp_ns - self._first.receive_ns) / 1e9
        return shift_s if abs(shift_s) > _JUMP_S else 0.0

    def find(self, frame: Frame) -> TrackedImage:
        """Find the faces of the next readable image with EmotionPipeline.find; earlier images may be counted later."""
        assert frame.image is not None
        return self.pipeline.find(frame.image, self.advance(frame), frame.found)

    def lose(self, frame: Frame, time_s: float) -> None:
        """Count an unreadable image.

        :param frame: the image.
        :param time_s: its time, from :meth:`advance`.
        """
        self._at(time_s).count('bad_frames')
        # Messages of the same cause differ in their numbers.
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
        """Add the estimates of the next image to the statistics.

        :param time_s: its time, from :meth:`advance`.
        :param faces: estimates, each with its ground truth or None.
        :param missed: number of annotated faces without a match.
        :param matched: number of faces matched with an annotated box; None for ground truth without boxes.
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
        """Sum the statistics of all stretches."""
        return add(self.stretches.values())

    def _follow(self, sums, estimate, truth):
        """Count new faces, changes of emotion, and id switches."""
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
        """Advance time to the next image by its stamp, or by the time of recording after a clock jump.

        :returns: the image's time in s since the recording's first image, exact to the nanosecond.
        """
        if frame.damage:
            self.damaged = (self.damaged[0] + 1, self.damaged[1] or frame.damage)
        before = self._first if self._last is None else self._last
        recorded_ns = max(frame.receive_ns - before.receive_ns, 0)
        image = self._stream.take(frame.stamp_ns, (frame.receive_ns - self._first.receive_ns) / 1e9)
        if self._last is None:  # a camera's first stamp may precede the recording's first
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
        """Return the statistics of the stretch that contains a time, merging stretches if there are too many."""
        self.time_s = time_s
        while self.time_s / self.stretch_s >= MAX_STRETCHES:
            self.stretch_s *= 2
            merged: dict[int, list[SufficientStatistics]] = {}
            for place, sums in self.stretches.items():
                merged.setdefault(place // 2, []).append(sums)
            self.stretches = {place: add(parts) for place, parts in merged.items()}
        return self.stretches.setdefault(int(max(self.time_s, 0.0) / self.stretch_s), SufficientStatistics())
