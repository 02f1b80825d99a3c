"""Run one network over a recording: estimate faces, collect statistics, and write tables and videos."""

import os
import time
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core import visualization
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.emotion.temporal_filter import TemporalFilter
from facial_emotion_ros.inference.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_tracker import FaceTracker
from facial_emotion_ros.perception.image_rotation import rotated_boxes
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline, TrackedImage
from facial_emotion_ros.recordings.batch.result_store import LocalStore
from facial_emotion_ros.recordings.evaluation.camera_run import CameraRun
from facial_emotion_ros.recordings.evaluation.face_blur import FaceBlur
from facial_emotion_ros.recordings.evaluation.ground_truth import NullGroundTruth
from facial_emotion_ros.recordings.evaluation.options import DETECTOR, ESR, Options
from facial_emotion_ros.recordings.evaluation.raters import Raters, RaterSums
from facial_emotion_ros.recordings.evaluation.recorded_detections import Recorded
from facial_emotion_ros.recordings.evaluation.tables import FRAMES, TIMINGS, CsvTable, ParquetTable, frame_rows
from facial_emotion_ros.recordings.evaluation.videos import AnnotatedVideos
from facial_emotion_ros.recordings.io.frames import Frame
from facial_emotion_ros.recordings.people.face_views import FaceViews
from facial_emotion_ros.recordings.report.timeline import Timeline

#: Timed steps; all but the last run ahead in other threads.
STEPS = ('read', 'decode', 'detect', 'estimate')


class BegunImage(NamedTuple):
    """An image whose faces are found but not yet estimated.

    time_s: seconds since the recording's first image; tracked: None for an unreadable image; took_ms: time to find its
    faces; degrees: rotation for detection.
    """

    frame: Frame
    run: CameraRun
    time_s: float
    tracked: TrackedImage | None
    took_ms: float = 0.0
    degrees: int = 0

    @property
    def due(self) -> TrackedImage | None:
        """Its faces, if they are to be estimated."""
        return self.tracked if self.tracked is not None and self.tracked.is_due else None


def open_pipeline(esr: str, options: Options, detector: FaceDetector | None = None) -> EmotionPipeline:
    """Load the models of an evaluation.

    :param esr: name or path of the network's bundle; '' for the node's default.
    :param options: options of the evaluation.
    :param detector: loaded detector; None loads the one of the options.
    :raises BadModel: if a bundle is refused.
    :raises BadParameter: if it lacks the operating point.
    """
    return EmotionPipeline(
        _exactly(esr) if esr else ESR,
        detector or (_exactly(options.detector) if options.detector else DETECTOR),
        tracker=FaceTracker(options.max_age_s, remember_s=options.remember_s),
        smoothing=TemporalFilter(**options.smoothing()),
        providers=options.plan(),
        max_faces=options.max_faces,
        long_side_px=options.long_side_px,
        every_n=options.every_n,
        estimate_every_n=options.estimate_every_n,
        rotate_deg=options.rotate_deg,
        operating_point=options.operating_point,
    )


class RecordingEvaluator:
    """Runs one network over the images of all cameras.

    store: of its files; runs: {camera: CameraRun}; timeline: Timeline of the report; recorded: Recorded, or None;
    raters: RaterSums, None without several raters; face_views: FaceViews, None without options.people; notes: for the
    user.
    """

    def __init__(
        self, esr: str, output: str, options: Options, cameras: list[str], detector: FaceDetector | None = None
    ):
        """Load the network and create the files.

        :param esr: name or path of its bundle; '' for the node's default.
        :param output: existing folder for its files.
        :param options: options of the evaluation.
        :param cameras: image topics.
        :param detector: loaded detector; None loads the one of the options.
        :raises BadModel: if a bundle is refused.
        :raises BadParameter: if it lacks the operating point.
        :raises OSError: if the folder is not writable.
        """
        self.pipeline = open_pipeline(esr, options, detector)
        self.store, self.options, self.timeline = LocalStore(output), options, Timeline()
        self.runs: dict[str, CameraRun] = {}
        self.recorded: Recorded | None = None
        self.raters: RaterSums | None = None
        self.face_views = FaceViews() if options.people else None
        self._blurs: dict[str, FaceBlur] = {}
        self.notes: list[str] = []
        self.times_ms = {step: array('f') for step in STEPS}
        self._sinks: dict[str, Any] = {}
        try:
            self._open(cameras)
        except BaseException:
            self.discard()
            raise

    def _open(self, cameras):
        path = os.path.join(self.store.folder, '')
        self._sinks['frames.csv'] = CsvTable(path + 'frames.csv', FRAMES)
        self._sinks['timings.csv'] = CsvTable(path + 'timings.csv', TIMINGS)
        try:
            self._sinks['frames.parquet'] = ParquetTable(path + 'frames.parquet', FRAMES)
        except ImportError:
            self.notes.append('frames.parquet is not written: pyarrow is not installed (pip install pyarrow)')
        if self.options.write_bag:
            from facial_emotion_ros.recordings.evaluation.annotated_bag import AnnotatedBag

            self._sinks['annotated'] = AnnotatedBag(path + 'annotated', self.pipeline.engine, len(cameras) > 1)
        if self.options.video:
            self._sinks['video'] = AnnotatedVideos(self.store.folder, cameras)

    def begin(self, frame: Frame, first: Frame) -> BegunImage:
        """Find the faces of an image; earlier images may still be unfinished.

        :param frame: the image.
        :param first: the recording's first image.
        """
        run = self.runs.get(frame.camera)
        if run is None:
            pipeline = self.pipeline.for_another_stream() if self.runs else self.pipeline
            run = self.runs[frame.camera] = CameraRun(pipeline, first, self.options.max_age_s)
        image = frame.image
        if image is None:
            return BegunImage(frame, run, run.advance(frame), None)
        if self.options.blur_faces and frame.found is None:  # faces without track or id are blurred, too
            began_s = time.perf_counter()
            frame = frame._replace(found=run.pipeline.detect(image), found_s=time.perf_counter() - began_s)
        began_s, degrees = time.perf_counter(), run.pipeline.orientation.degrees
        tracked = run.find(frame)
        return BegunImage(frame, run, tracked.stamp_s, tracked, 1e3 * (time.perf_counter() - began_s), degrees)

    def finish(
        self, begun: BegunImage, faces: Sequence[FaceEstimate] | None, took_ms: float, truth: NullGroundTruth
    ) -> None:
        """Smooth, write and count the faces of an image.

        :param begun: result of :meth:`begin`; images are finished in the same order.
        :param faces: result of EmotionPipeline.estimate_tracked; None if not due.
        :param took_ms: time to estimate them.
        :param truth: ground truth of the recording.
        :raises OSError: if writing fails.
        """
        frame, run, time_s, tracked, found_ms, _ = begun
        image = frame.image
        if image is None or tracked is None:
            run.lose(frame, time_s)
            return
        estimates = run.pipeline.finish(tracked, faces)
        truths, missed = truth.of(frame, time_s, estimates)
        pairs = list(zip(estimates, truths))
        run.count(time_s, pairs, missed, truth.matched(truths))
        if isinstance(truth, Raters):
            self.raters = self.raters or RaterSums(truth.names)
            for estimate, each in pairs:
                if each is not None:
                    self.raters.add(estimate, each.votes)
        if self.recorded is not None:
            self.recorded.compare(frame, estimates)
        if self.face_views is not None:
            self.face_views.add(frame.camera, time_s, image, estimates, tracked.degrees)
        self._draw(begun, pairs)
        steps_ms = (*(1e3 * each for each in (frame.read_s, frame.decode_s, frame.found_s)), found_ms + took_ms)
        for step, value in zip(STEPS, steps_ms):
            self.times_ms[step].append(value)
        self._write(begun, pairs, steps_ms)

    def has_detected(self, camera: str) -> bool:
        """Return whether the faces of a camera's last image were detected rather than tracked."""
        return self.runs[camera].pipeline.finder.has_detected

    def _write(self, begun, faces, steps_ms):
        frame = begun.frame
        rows = frame_rows(frame, begun.time_s, faces)
        for name in ('frames.csv', 'frames.parquet'):
            if name in self._sinks:
                self._sinks[name].add(rows)
        self._sinks['timings.csv'].add([(frame.camera, frame.number, *(round(value, 3) for value in steps_ms))])
        if 'annotated' in self._sinks:
            self._sinks['annotated'].add(frame, faces, begun.tracked.live_ids)

    def close(self) -> None:
        """Complete the files.

        :raises OSError: if writing fails.
        """
        for sink in self._sinks.values():
            sink.close()
        if 'video' in self._sinks:
            self.notes += self._sinks['video'].notes
            self.timeline.films = self._sinks['video'].films
        self._sinks = {}

    def discard(self) -> None:
        """Discard the files."""
        for sink in self._sinks.values():
            sink.discard()
        self._sinks = {}

    def step_times(self) -> dict[str, dict[str, float]]:
        """Return p50 and p95 of each step in ms, over the images that had it; without steps that none had.

        If faces are not detected ahead, the last step includes detection.
        """
        found = {step: np.frombuffer(values, np.float32) for step, values in self.times_ms.items()}
        times_ms = {step: values[values > 0] for step, values in found.items() if values.any()}
        return {
            step: {'p50': float(np.percentile(values, 50)), 'p95': float(np.percentile(values, 95))}
            for step, values in times_ms.items()
        }

    def _draw(self, begun, faces):
        """Draw the pictures for report and video, with blurred faces if the options say so."""
        frame, time_s, degrees = begun.frame, begun.time_s, begun.degrees
        image, estimates = frame.image, [estimate for estimate, _ in faces]
        if self.options.blur_faces:
            assert frame.found is not None
            size = image.shape[:2] if degrees in (0, 180) else image.shape[1::-1]
            found = rotated_boxes(frame.found.boxes, -degrees % 360, size)
            boxes = [*found, *(estimate.box for estimate in estimates)]
            image = self._blurs.setdefault(frame.camera, FaceBlur()).apply(image, np.array(boxes), time_s)
        self.timeline.add(
            frame.camera, max(time_s, 0.0), image, faces, lambda: visualization.draw_estimates(image, estimates)
        )
        if 'video' in self._sinks:
            self._sinks['video'].add(frame.camera, visualization.draw_estimates(image, estimates), time_s)


def _exactly(name):
    """Open the bundle of this name, without replacing it by its int8 variant."""
    return ModelBundle.open(resolve_bundle(name))
