"""One camera of a recording on its way through the pipeline: its time, its faces' changes of mind, its sums."""

import re
import time

from facial_emotion_ros.bag_evaluation.cadence import Cadence
from facial_emotion_ros.bag_evaluation.totals import Totals, add
from facial_emotion_ros.emotions import UNKNOWN
from facial_emotion_ros.image_stamps import StreamTime

#: A stretch of time has its own sums; so many stretches at most, then two become one.
MAX_STRETCHES, FIRST_STRETCH_S = 120, 2.0

#: A stamp that is so much further on than the recording itself is a clock that was set, not time that passed.
_JUMP_S = 10.0

#: So many causes of bad images are told apart.
_MAX_CAUSES = 10

#: What is remembered of faces that are gone.
_MAX_REMEMBERED = 1000


class CameraRun:
    """What is carried from image to image of one camera.

    totals(): sums over all of it; stretches: {place: Totals}, each stretch_s long; jumps: times that the stamps went
    far back or leapt; still: images with the stamp of the one before; late: images with a stamp a little before that;
    cadence: Cadence of all its images; persons: names of those seen, where the truth has them; losses: {cause: (count,
    the first of them in words)} of images that could not be read.
    """

    def __init__(self, pipeline, first, max_age_s=1.0):
        """Begin.

        :param pipeline: EmotionPipeline of its own.
        :param first: the recording's first Frame, of whichever camera.
        :param max_age_s: as the tracker's: whoever is out of sight for longer may come back under another id, and was
            not seen in between.
        """
        self._max_age_s, self.cadence = max_age_s, Cadence()
        self.pipeline, self._first = pipeline, first._replace(image=None)
        self.stretch_s, self.stretches = FIRST_STRETCH_S, {}
        self.jumps, self.still, self.late, self.losses, self.persons = 0, 0, 0, {}, set()
        self._stream, self._stream_s, self._last, self.time_s = StreamTime(), 0.0, None, 0.0
        self._told, self._seen_s, self._of_person = {}, {}, {}

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

    def count(self, faces, missed, has_boxes=False):
        """Take the answer to the last image into the sums.

        :param faces: list of (FaceEstimate, Truth or None).
        :param missed: annotated faces that none of these is.
        :param has_boxes: whether the truth says where faces are.
        """
        sums = self._here()
        sums.count('frames')
        sums.count('frames_with_faces', bool(faces))
        if has_boxes:
            sums.count('matched', sum(truth is not None for _, truth in faces))
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
            sums.count('face_s', min(self.time_s - self._seen_s[face_id], self._max_age_s))
        self._seen_s[face_id] = self.time_s
        if estimate.emotion != UNKNOWN:
            if self._told.get(face_id, estimate.emotion) != estimate.emotion:
                sums.count('flips')
            self._told[face_id] = estimate.emotion
        if truth is not None and truth.person:
            before, seen_s = self._of_person.get(truth.person, ('', self.time_s))
            if len(self.persons) < _MAX_REMEMBERED:
                self.persons.add(truth.person)
            if before and before != face_id and self.time_s - seen_s <= self._max_age_s:
                sums.count('switches')
            self._of_person[truth.person] = (face_id, self.time_s)

    def _forget_the_oldest(self):
        for face_id in sorted(self._seen_s, key=self._seen_s.get)[:_MAX_REMEMBERED // 2]:
            del self._seen_s[face_id]
            self._told.pop(face_id, None)
        self._of_person = {person: told for person, told in self._of_person.items()
                           if self.time_s - told[1] <= self._max_age_s}

    def _advance(self, frame):
        """Let time pass by the image's stamp; where the clock was set, by when it was recorded."""
        before = self._first if self._last is None else self._last
        recorded_s = max((frame.receive_ns - before.receive_ns) / 1e9, 0.0)
        image = self._stream.take(frame.stamp_ns, (frame.receive_ns - self._first.receive_ns) / 1e9)
        if self._last is None:  # cameras may begin with a stamp before the recording's first
            step_s = (frame.stamp_ns - before.stamp_ns) / 1e9
            went_back = step_s < -_JUMP_S
        else:
            step_s, went_back = image.time_s - self._stream_s, image.begins_anew
        if went_back or step_s > recorded_s + _JUMP_S:
            self.jumps += 1
            self.pipeline.reset()
            step_s = recorded_s
        self.still += image.oddity == 'frozen'
        self.late += image.oddity == 'backwards' and not image.begins_anew
        self.time_s += step_s
        self.cadence.add(self.time_s)
        self._last, self._stream_s = frame._replace(image=None), image.time_s

    def _here(self):
        """Give the sums of the stretch that it is now."""
        while self.time_s / self.stretch_s >= MAX_STRETCHES:
            self.stretch_s *= 2
            merged = {}
            for place, sums in self.stretches.items():
                merged.setdefault(place // 2, []).append(sums)
            self.stretches = {place: add(parts) for place, parts in merged.items()}
        return self.stretches.setdefault(int(max(self.time_s, 0.0) / self.stretch_s), Totals())
