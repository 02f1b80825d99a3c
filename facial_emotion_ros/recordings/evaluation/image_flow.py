"""Pipeline over a recording's images: detection ahead of time, tracking in order, estimation in batches."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from facial_emotion_ros.perception.face_stream import MAX_GAP_S
from facial_emotion_ros.recordings.evaluation.evaluator import BegunImage, RecordingEvaluator
from facial_emotion_ros.recordings.evaluation.ground_truth import NullGroundTruth
from facial_emotion_ros.recordings.evaluation.perception_pool import TOGETHER, PerceptionPool, timed
from facial_emotion_ros.recordings.io.frames import Frame

#: Images in the queue while a thread of this process detects ahead: some more than a batch.
_WAITING = 6


class DetectionTurns:
    """Predicts in which images a FaceFinder will detect, from the images in which it did."""

    def __init__(self, every_n: int):
        """Start without images.

        :param every_n: as for the FaceFinder.
        """
        self._every_n = every_n
        #: Per camera: number of an image in which the finder detects, and stamp of the last image.
        self._turns: dict[str, int] = {}
        self._stamps_ns: dict[str, int] = {}

    def interval(self, frame: Frame) -> int:
        """Return the number of images from one detection to the next.

        :param frame: the camera's next readable image.
        """
        stamp_ns = self._stamps_ns.get(frame.camera, frame.stamp_ns)
        self._stamps_ns[frame.camera] = frame.stamp_ns
        step_s = (frame.stamp_ns - stamp_ns) / 1e9
        return min(self._every_n, math.ceil(MAX_GAP_S / step_s)) if step_s > 0 else self._every_n

    def is_due(self, frame: Frame, interval: int) -> bool:
        """Predict whether the finder will detect in an image."""
        return (frame.number - self._turns.setdefault(frame.camera, frame.number)) % interval == 0

    def follow(self, frame: Frame, has_detected: bool) -> None:
        """Update the prediction with an image that the finder has processed."""
        if has_detected:
            self._turns[frame.camera] = frame.number


class _Image:
    """An image in the pipeline; shared: its handle for other processes."""

    def __init__(self, frame: Frame, shared: Any):
        self.frame, self.shared = frame, shared
        #: Number of images from one detection to the next.
        self.interval = 1
        #: Its faces, and the time that took, if they are detected ahead.
        self.detected: Future[Any] | None = None
        #: Result of each evaluator.
        self.begun: list[BegunImage] = []


class ImageFlow:
    """Passes the images of a recording to its evaluators, in order.

    Faces are detected ahead by a thread, or by the processes of a pool, which also estimate them. The images to detect
    in are predicted; after a wrong prediction, the finder detects by itself. Results do not depend on this, bit by bit.
    """

    def __init__(
        self,
        evaluators: Sequence[RecordingEvaluator],
        truth: NullGroundTruth,
        every_n: int,
        pool: PerceptionPool | None = None,
    ):
        """Start without images.

        :param evaluators: one per network.
        :param truth: ground truth of the recording.
        :param every_n: as for the FaceFinder; 0 disables detection ahead.
        :param pool: processes with the same networks in the same order, or None.
        """
        self._evaluators, self._truth, self._pool = evaluators, truth, pool
        self._turns = DetectionTurns(every_n) if every_n else None
        self._thread = ThreadPoolExecutor(1, 'detection')
        self._detecting, self._estimating = (pool.detecting, pool.estimating) if pool else (_WAITING, 0)
        self._first: list[Frame] = []
        self._coming: deque[_Image] = deque()
        self._found: list[_Image] = []
        self._pending: deque[tuple[list[_Image], list[Future[Any]]]] = deque()

    def take(self, frame: Frame) -> None:
        """Add the next image; this may finish earlier ones, see RecordingEvaluator.finish."""
        shared = self._pool.share(frame.image) if self._pool and frame.image is not None else None
        image = _Image(frame, shared)
        self._detect(image, is_new=True)
        if not self._first:
            self._first = [frame]
        self._coming.append(image)
        if len(self._coming) > self._detecting:
            self._find()
        if len(self._pending) > self._estimating:
            self._finish()

    def end(self) -> None:
        """Finish all images."""
        while self._coming:
            self._find()
        self._estimate()
        while self._pending:
            self._finish()

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _detect(self, image: _Image, is_new: bool = False) -> None:
        """Start detection in an image, if due."""
        pixels = image.frame.image
        if self._turns is None or pixels is None or image.detected is not None:
            return
        if is_new:
            image.interval = self._turns.interval(image.frame)
        if self._turns.is_due(image.frame, image.interval):
            detect = self._evaluators[0].pipeline.detect
            image.detected = (
                self._pool.detect(image.shared) if self._pool else self._thread.submit(timed, detect, pixels)
            )

    def _find(self) -> None:
        """Find the faces of the next image."""
        image = self._coming.popleft()
        frame = image.frame
        if image.detected is not None:
            if self._pool is None and not image.detected.done():
                self._help(image)
            faces, seconds = image.detected.result()
            frame = frame._replace(found=faces, found_s=seconds)
        image.begun = [evaluator.begin(frame, *self._first) for evaluator in self._evaluators]
        self._found.append(image)
        if len(self._found) == TOGETHER:
            self._estimate()
        if self._turns is not None and frame.image is not None:
            self._turns.follow(frame, self._evaluators[0].has_detected(frame.camera))
            for other in self._coming:
                if other.frame.camera == frame.camera:
                    self._detect(other)

    def _help(self, image: _Image) -> None:
        """Detect in this thread the last image that waits for the other thread, so that neither is idle."""
        for each in (*reversed(self._coming), image):
            if each.detected is not None and each.detected.cancel():
                each.detected = _now(self._evaluators[0].pipeline.detect, each.frame.image)
                return

    def _estimate(self) -> None:
        """Start the estimation of a batch of images."""
        images, self._found = self._found, []
        results: list[Future[Any]] = []
        for number, evaluator in enumerate(self._evaluators):
            due = [(image.shared, tracked) for image in images if (tracked := image.begun[number].due) is not None]
            if self._pool is not None and any(tracked.found.ids for _, tracked in due):
                results.append(self._pool.estimate(number, due))
            else:
                results.append(_now(evaluator.pipeline.estimate_tracked, [tracked for _, tracked in due]))
        self._pending.append((images, results))

    def _finish(self) -> None:
        """Finish the oldest batch of images."""
        images, results = self._pending.popleft()
        done = [
            (iter(faces), 1e3 * seconds / max(len(faces), 1)) for faces, seconds in (each.result() for each in results)
        ]
        for image in images:
            for evaluator, begun, (left, took_ms) in zip(self._evaluators, image.begun, done):
                is_due = begun.due is not None
                evaluator.finish(begun, next(left) if is_due else None, took_ms if is_due else 0.0, self._truth)
            if self._pool is not None:
                self._pool.free(image.shared)


def _now(function: Callable[[Any], Any], given: Any) -> Future[Any]:
    """Call a function in this thread; the result includes its duration, see :func:`.timed`."""
    done: Future[Any] = Future()
    done.set_result(timed(function, given))
    return done
