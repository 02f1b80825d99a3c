"""The way of a recording's images: detected ahead, tracked one after the other, estimated together, and finished."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from facial_emotion_ros.recordings.evaluation.detection_ahead import DetectionAhead, DetectionTurns
from facial_emotion_ros.recordings.evaluation.evaluator import BegunImage, RecordingEvaluator
from facial_emotion_ros.recordings.evaluation.ground_truth import NullGroundTruth
from facial_emotion_ros.recordings.evaluation.perception_pool import TOGETHER, PerceptionPool
from facial_emotion_ros.recordings.io.frames import Frame


class _Image:
    """An image on its way."""

    def __init__(self, frame: Frame, shared: Any):
        self.frame, self.shared = frame, shared
        #: Number of images from one detection to the next.
        self.interval = 1
        #: Its faces, where another process detects them.
        self.detected: Future[Any] | None = None
        #: What each evaluator found.
        self.begun: list[BegunImage] = []


class ImageFlow:
    """Hands the images of a recording to its evaluators, in their order.

    ahead: function of a Frame with an image that is to be called in the thread that reads them, and gives its `found`;
    None for none.

    With a pool, other processes detect and estimate faces. Which image has its turn to be detected is guessed; where
    the guess was wrong, the finder detects by itself, and the guesses follow it. The results are the same to the last
    bit.
    """

    def __init__(
        self,
        evaluators: Sequence[RecordingEvaluator],
        truth: NullGroundTruth,
        every_n: int,
        pool: PerceptionPool | None = None,
    ):
        """Begin.

        :param evaluators: one for each network.
        :param truth: ground truth of the recording.
        :param every_n: as the FaceFinder's; 0 leaves detection to it.
        :param pool: processes with the same networks in the same order; None for none.
        """
        self._evaluators, self._truth, self._pool = evaluators, truth, pool
        self._thread: DetectionAhead | None = None
        self._turns: DetectionTurns | None = None
        self.ahead: Callable[[Frame], Any] | None = None
        if pool is not None:
            self.ahead = pool.share
            self._turns = DetectionTurns(every_n) if every_n else None
        elif every_n:
            self.ahead = self._thread = DetectionAhead(evaluators[0].pipeline.detect, every_n, len(evaluators))
        self._first: list[Frame] = []
        self._coming: deque[_Image] = deque()
        self._found: list[_Image] = []
        self._pending: deque[tuple[list[_Image], list[Future[Any]]]] = deque()

    def take(self, frame: Frame) -> None:
        """Take the next image; earlier ones may be finished then. See RecordingEvaluator.finish."""
        image = _Image(frame, None)
        if self._pool is not None:
            image = _Image(frame._replace(found=None, found_s=0.0), frame.found)
            self._detect(image, is_new=True)
        if not self._first:
            self._first = [image.frame]
        self._coming.append(image)
        detecting, estimating = (self._pool.detecting, self._pool.estimating) if self._pool else (0, 0)
        if len(self._coming) > detecting:
            self._find()
        if len(self._pending) > estimating:
            self._finish()
        if self._thread is not None and frame.image is not None:
            self._thread.follow(frame, self._evaluators[0].has_detected(frame.camera))

    def end(self) -> None:
        """Finish all images."""
        while self._coming:
            self._find()
        self._estimate()
        while self._pending:
            self._finish()

    def _detect(self, image: _Image, is_new: bool = False) -> None:
        """Have another process detect in an image, where that is due."""
        if self._pool is None or self._turns is None or image.frame.image is None or image.detected is not None:
            return
        if is_new:
            image.interval = self._turns.interval(image.frame)
        if self._turns.is_due(image.frame, image.interval):
            image.detected = self._pool.detect(image.shared)

    def _find(self) -> None:
        """Find the faces of the next image."""
        image = self._coming.popleft()
        frame = image.frame
        if image.detected is not None:
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

    def _estimate(self) -> None:
        """Begin to estimate the faces of some images."""
        images, self._found = self._found, []
        results: list[Future[Any]] = []
        for number, evaluator in enumerate(self._evaluators):
            due = [(image.shared, tracked) for image in images if (tracked := image.begun[number].due) is not None]
            if self._pool is not None and any(tracked.found.ids for _, tracked in due):
                results.append(self._pool.estimate(number, due))
            else:
                began_s = time.perf_counter()
                faces = evaluator.pipeline.estimate_tracked([tracked for _, tracked in due])
                results.append(Future())
                results[-1].set_result((faces, time.perf_counter() - began_s))
        self._pending.append((images, results))

    def _finish(self) -> None:
        """Finish the images that were estimated first."""
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
