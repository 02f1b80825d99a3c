"""One network on its way through a recording: answers, sums, and the files that it writes."""

import os
from array import array

import numpy as np

from facial_emotion_ros import drawing
from facial_emotion_ros.bag_evaluation.camera_run import CameraRun
from facial_emotion_ros.bag_evaluation.films import Films
from facial_emotion_ros.bag_evaluation.options import DETECTOR, ESR
from facial_emotion_ros.bag_evaluation.story import Story
from facial_emotion_ros.bag_evaluation.tables import COLUMNS, TIMING_COLUMNS, CsvTable, ParquetTable, rows_of
from facial_emotion_ros.execution_providers import ProviderPlan
from facial_emotion_ros.face_tracker import MIN_IOU, FaceTracker
from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.pipeline import EmotionPipeline

#: What an image takes, by step. All but the last are done ahead, in a thread of their own.
STEPS = ('read', 'decode', 'detect', 'estimate')


class Judge:
    """Runs one network over the images of all cameras.

    runs: {camera: CameraRun}; story: Story; notes: what was left out on purpose; written: names of the files that are
    complete.
    """

    def __init__(self, esr, output, options, cameras, detector=None):
        """Load the network and begin the files.

        :param esr: name or path of its bundle; '' for the node's.
        :param output: folder for its files, which is there.
        :param options: Options.
        :param cameras: topics of the cameras.
        :param detector: a detector that is loaded already; None loads the one of the options.
        :raises BadModel: if a bundle is refused.
        :raises OSError: if the folder cannot be written to.
        """
        plan = ProviderPlan(threads=options.threads, engine=options.engine)
        detector = detector or (_very(options.detector) if options.detector else DETECTOR)
        self.pipeline = EmotionPipeline(
            _very(esr) if esr else ESR, detector, tracker=FaceTracker(options.max_age_s), providers=plan,
            max_faces=options.max_faces, long_side_px=options.long_side_px, every_n=options.every_n)
        self.output, self.story, self.notes = output, Story(), []
        self.runs, self._cameras, self._options = {}, cameras, options
        self.recorded, self.written, self.max_age_s = None, set(), options.max_age_s
        self.times_ms = {step: array('f') for step in STEPS}
        self._sinks = {}
        try:
            self._open()
        except BaseException:
            self.discard()
            raise

    def _open(self):
        path = os.path.join(self.output, '')
        self._sinks['frames.csv'] = CsvTable(path + 'frames.csv', COLUMNS)
        self._sinks['timings.csv'] = CsvTable(path + 'timings.csv', TIMING_COLUMNS)
        try:
            self._sinks['frames.parquet'] = ParquetTable(path + 'frames.parquet')
        except ImportError:
            self.notes.append('frames.parquet is left out: pyarrow is not installed (pip install pyarrow)')
        if self._options.write_bag:
            from facial_emotion_ros.bag_evaluation.annotated_bag import AnnotatedBag

            self._sinks['annotated'] = AnnotatedBag(path + 'annotated', self.pipeline.esr_bundle,
                                                    len(self._cameras) > 1)
        if self._options.video:
            self._sinks['film'] = Films(self.output, self._cameras)

    def take(self, frame, truth, first):
        """Answer an image, and write and count the answer.

        :param frame: Frame.
        :param truth: NoTruth or one of its kind.
        :param first: the recording's first Frame.
        :raises OSError: if the disk does not take it.
        """
        run = self.runs.get(frame.camera)
        if run is None:
            pipeline = self.pipeline if not self.runs else self.pipeline.for_another_stream()
            pipeline.tracker.adjust(self._options.max_age_s, MIN_IOU)
            run = self.runs[frame.camera] = CameraRun(pipeline, first, self._options.max_age_s)
        if frame.image is None:
            run.lose(frame)
            return
        estimates, took_ms = run.answer(frame)
        truths, missed = truth.of(frame, run.time_s, estimates)
        faces = list(zip(estimates, truths))
        run.count(faces, missed, truth.has_boxes)
        if self.recorded is not None:
            self.recorded.compare(frame, estimates)
        self._show(frame, run.time_s, faces)
        steps_ms = (*(1e3 * each for each in (frame.read_s, frame.decode_s, frame.found_s)), took_ms)
        for step, value in zip(STEPS, steps_ms):
            self.times_ms[step].append(value)
        self._add(frame, run, faces, steps_ms)

    def _add(self, frame, run, faces, steps_ms):
        """Write the answer into all files."""
        rows = rows_of(frame, run.time_s, faces)
        for name in ('frames.csv', 'frames.parquet'):
            if name in self._sinks:
                self._sinks[name].add(rows)
        self._sinks['timings.csv'].add([(frame.camera, frame.number, *(round(value, 3) for value in steps_ms))])
        if 'annotated' in self._sinks:
            self._sinks['annotated'].add(frame, faces, run.pipeline.tracker.live_ids)

    def close(self):
        """Finish the files.

        :raises OSError: if the disk does not take one.
        """
        for name, sink in self._sinks.items():
            sink.close()
            self.written |= sink.names if isinstance(sink, Films) else {name}
            self.notes += sink.notes if isinstance(sink, Films) else []
        self._sinks = {}

    def discard(self):
        """Delete what was begun."""
        for sink in self._sinks.values():
            sink.discard()
        self._sinks = {}

    def milliseconds(self):
        """Give p50 and p95 of each step, in milliseconds: a dict of dicts."""
        # Where faces are not looked for ahead, the last step finds them.
        return {step: {'p50': float(np.percentile(values, 50)), 'p95': float(np.percentile(values, 95))}
                for step, values in ((step, np.frombuffer(each, np.float32)) for step, each in self.times_ms.items()
                                     if any(each))}

    def _show(self, frame, time_s, faces):
        """Let the pictures be made that leave this program: with blurred faces, if that is wished."""
        image, estimates = frame.image, [estimate for estimate, _ in faces]
        if self._options.blur_faces:
            image = drawing.blur_faces(image, [estimate.box for estimate in estimates])
        self.story.add(frame.camera, max(time_s, 0.0), image, faces, lambda: drawing.draw_estimates(image, estimates))
        if 'film' in self._sinks:
            self._sinks['film'].add(frame.camera, drawing.draw_estimates(image, estimates), time_s)


def _very(name):
    """Open the very bundle that is named, and not its like in eight bits."""
    return ModelBundle.open(resolve_bundle(name))
