"""One camera of a recording on its way through the pipeline: its time, its faces' changes of mind, its sums."""

import re
import time

from facial_emotion_ros.bag_evaluation.totals import Totals, add
from facial_emotion_ros.emotions import UNKNOWN

#: A stretch of time has its own sums; so many stretches at most, then two become one.
MAX_STRETCHES, FIRST_STRETCH_S = 120, 2.0

#: A stamp that is so much further on than the recording itself is a clock that was set, not time that passed.
_JUMP_S = 10.0

#: Between two images of a face no more than this counts as time in which it was seen.
_MOST_S = 1.0

#: Whoever was out of sight for longer may come back under another id: no tracker promises more.
_AWAY_S = 1.0

#: So many causes of bad images are told apart.
_MAX_CAUSES = 10

#: What is remembered of faces that are gone.
_MAX_REMEMBERED = 1000


class CameraRun:
    """What is carried from image to image of one camera.

    totals(): sums over all of it; stretches: {place: Totals}, each stretch_s long; jumps: times that the stamps went
    back or leapt; losses: {cause: (count, the first of them in words)} of images that could not be read.
    """

    def __init__(self, pipeline, start_ns):
        """Begin.

        :param pipeline: EmotionPipeline of its own.
        :param start_ns: stamp of the recording's first image.
        """
        self.pipeline, self._start_ns = pipeline, start_ns
        self.stretch_s, self.stretches = FIRST_STRETCH_S, {}
        self.jumps, self.losses = 0, {}
        self._last, self.time_s = None, 0.0
        self._told, self._seen_s, self._tracks, self._of_person = {}, {}, set(), {}

    def lose(self, frame):
        """Count an image that cannot be read."""
        self._advance(frame)
        self._here().count('bad_frames')
        # One cause writes its numbers anew into every image: without them it is one.
        cause = re.sub('[0-9]+', '#', frame.fault)[:90]
        if cause not in self.losses and len(self.losses) >= _MAX_CAUSES:
            cause = 'others'
        count, first = self.losses.get(cause, (0, frame.fault))
        self.losses[cause] = (count + 1, first)

    def answer(self, frame):
        """Work on an image.

        :param frame: Frame that has one.
        :returns: list of FaceEstimate, and the milliseconds that they took; `time_s` is the image's time since the
            recording's first one.
        """
        self._advance(frame)
        began_s = time.perf_counter()
        estimates = self.pipeline.estimate(frame.image, self.time_s, detected=frame.found)
        return estimates, 1e3 * (time.perf_counter() - began_s)

    def count(self, faces, missed):
        """Take the answer to the last image into the sums.

        :param faces: list of (FaceEstimate, Truth or None).
        :param missed: annotated faces that none of these is.
        """
        sums = self._here()
        sums.count('frames')
        sums.count('frames_with_faces', bool(faces))
        sums.count('missed', missed)
        for estimate, truth in faces:
            sums.tell(estimate, truth)
            self._follow(sums, estimate, truth)
        if len(self._seen_s) > _MAX_REMEMBERED:
            self._forget_the_oldest()

    def totals(self):
        """Add all stretches up."""
        return add(self.stretches.values())

    def _follow(self, sums, estimate, truth):
        """Notice new faces, changes of mind, and people whose face got another id."""
        face_id = estimate.face_id
        if face_id not in self._seen_s:
            sums.count('tracks')
        else:
            sums.count('face_s', min(self.time_s - self._seen_s[face_id], _MOST_S))
        self._seen_s[face_id] = self.time_s
        if estimate.emotion != UNKNOWN:
            if self._told.get(face_id, estimate.emotion) != estimate.emotion:
                sums.count('flips')
            self._told[face_id] = estimate.emotion
        if truth is not None and truth.person:
            before, seen_s = self._of_person.get(truth.person, ('', self.time_s))
            if not before:
                sums.count('persons')
            elif before != face_id and self.time_s - seen_s <= _AWAY_S:
                sums.count('switches')
            self._of_person[truth.person] = (face_id, self.time_s)

    def _forget_the_oldest(self):
        for face_id in sorted(self._seen_s, key=self._seen_s.get)[:_MAX_REMEMBERED // 2]:
            del self._seen_s[face_id]
            self._told.pop(face_id, None)

    def _advance(self, frame):
        """Let time pass by the image's stamp; where the clock was set, by when it was recorded."""
        if self._last is None:
            self.time_s = max((frame.stamp_ns - self._start_ns) / 1e9, 0.0)
        else:
            step_s = (frame.stamp_ns - self._last.stamp_ns) / 1e9
            recorded_s = (frame.receive_ns - self._last.receive_ns) / 1e9
            if step_s < 0 or step_s > max(recorded_s, 0.0) + _JUMP_S:
                self.jumps += 1
                self.pipeline.reset()
                step_s = max(recorded_s, 0.0)
            self.time_s += step_s
        self._last = frame._replace(image=None)

    def _here(self):
        """Give the sums of the stretch that it is now."""
        while self.time_s / self.stretch_s >= MAX_STRETCHES:
            self.stretch_s *= 2
            merged = {}
            for place, sums in self.stretches.items():
                merged.setdefault(place // 2, []).append(sums)
            self.stretches = {place: add(parts) for place, parts in merged.items()}
        return self.stretches.setdefault(int(self.time_s / self.stretch_s), Totals())
