"""From an image to an estimate for each face: the whole product without ROS."""

import copy
from dataclasses import replace

import numpy as np

from facial_emotion_ros.crop_memory import CropMemory
from facial_emotion_ros.doubts import DoubtRules
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.face_crop import cut_planes
from facial_emotion_ros.face_detector import open_detector
from facial_emotion_ros.face_estimate import FaceEstimate, Reading
from facial_emotion_ros.face_finder import FaceFinder
from facial_emotion_ros.face_tracker import FaceTracker
from facial_emotion_ros.image import check_image
from facial_emotion_ros.model_bundle import opened_bundle
from facial_emotion_ros.precision_choice import bundle_for
from facial_emotion_ros.smoothing import FaceSmoothing


class EmotionPipeline:
    """Detector, tracker, crops, ESR, doubts and smoothing in a row.

    >>> import cv2
    >>> from facial_emotion_ros.pipeline import EmotionPipeline
    >>> pipeline = EmotionPipeline()
    >>> for face in pipeline.estimate(cv2.imread('picture.jpg')):
    ...     print(face.emotion, face.confidence, face.valence, face.arousal, face.box)

    One object serves one stream in one thread: tracker and smoothing remember the frames before. Its parts `finder`,
    `tracker`, `doubts` and `smoothing` may be adjusted or replaced between two images.
    """

    def __init__(
        self,
        esr='esr_9_ferplus',
        detector='centerface',
        min_score=None,
        long_side_px=480,
        threads=1,
        providers=(CPU,),
        max_faces=0,
        tracker=None,
        smoothing=None,
        doubts=None,
        every_n=1,
        continue_score=0.25,
        reuse_below=0.0,
        anytime=False,
    ):
        """Load both models.

        :param esr: ModelBundle, path of one, or name of an embedded one. Of a path or name, the bundle in eight bits
            beside it is taken where the plan asks for that or, by default, the processor is faster so; see
            :func:`.precision_choice.bundle_for`.
        :param detector: the same for the detector, or any object with `detect(image) -> Faces`.
        :param min_score: least detector score of a face in [0, 1]; None for the detector's own default.
        :param long_side_px: the image's long side as the detector sees it, in pixels.
        :param threads: threads of one operator, at least 1.
        :param providers: ONNX Runtime execution providers in order of preference; or a ProviderPlan, which brings its
            own threads. Both models share it: a provider that fails one of them is left by both, and told once.
        :param max_faces: only that many largest faces are tracked and read; 0 for all.
        :param tracker: FaceTracker; None for one with its defaults.
        :param smoothing: FaceSmoothing; None for one with its defaults. Pictures on their own are not smoothed.
        :param doubts: DoubtRules that make an emotion unknown; None for the measured ones.
        :param every_n: faces are detected in every n-th image of a stream and followed in between; see FaceFinder.
        :param continue_score: boxes of less than `min_score`, down to this, may continue a face; see FaceFinder.
        :param reuse_below: a face of a stream whose crop differs by less than so many levels of 255 from the one that
            was read (mean of the absolute differences) is not read again; 0 reads every face.
        :param anytime: let `estimate` answer with fewer branches where time is short; see AnytimeNetwork.
        :raises BadParameter: for a value outside its range.
        :raises BadModel: if a bundle is refused.
        """
        plan = ProviderPlan.of(providers, threads)
        self.engine = EsrEngine(bundle_for(esr, plan), plan, anytime=anytime)
        if not hasattr(detector, 'detect'):
            bundle = opened_bundle(bundle_for(detector, plan))
            options = {} if min_score is None else {'min_score': min_score}
            detector = open_detector(bundle, long_side_px=long_side_px, providers=plan, **options)
        self.detector = detector
        self.tracker = FaceTracker() if tracker is None else tracker
        self.smoothing = FaceSmoothing() if smoothing is None else smoothing
        self.doubts = DoubtRules() if doubts is None else doubts
        self.reuse_below = reuse_below
        #: Called with the words 'reading emotions' when `estimate` has its faces and begins to read them.
        self.on_stage = lambda _stage: None
        self._finding = (max_faces, every_n, continue_score)
        self._memory = CropMemory()
        self.finder = FaceFinder(detector, self.tracker, *self._finding)

    def for_another_stream(self):
        """Make a pipeline for another camera, with tracker and smoothing of its own, and the same models in memory.

        :returns: EmotionPipeline; only one of both may be at work at a time.
        """
        other = copy.copy(self)
        other.tracker, other.smoothing, other._memory = FaceTracker(), FaceSmoothing(), CropMemory()
        other.finder = FaceFinder(self.detector, other.tracker, *self._finding)
        return other

    @property
    def esr_bundle(self):
        """The ESR's ModelBundle."""
        return self.engine.bundle

    @property
    def detector_bundle(self):
        """The detector's ModelBundle; None for a detector that has none."""
        return getattr(self.detector, 'bundle', None)

    @property
    def provider(self):
        """The execution provider that the ESR really runs on."""
        return self.engine.provider

    @property
    def reused(self):
        """How many faces were read, and how many were not since they looked the same: two numbers."""
        return self._memory.read, self._memory.reused

    @property
    def degraded(self):
        """Why a model does not run on the provider that was asked for; '' when it does."""
        return self.engine.degraded or getattr(self.detector, 'degraded', '')

    def detect(self, image):
        """Find faces only, for an :meth:`estimate` of the same image later: another thread may do that ahead.

        :param image: (H, W, 3) uint8 BGR.
        :returns: Faces.
        :raises BadImage: if the image is no such array.
        :raises BadModel: if the detector gives something that is not finite or of another shape.
        """
        return self.finder.detect(check_image(image))

    def estimate(self, image, stamp_s=None, until_s=None, detected=None):
        """Find every face and read it.

        :param image: (H, W, 3) uint8 BGR.
        :param stamp_s: when the image was taken, in seconds of any clock; faces then keep their ids from call to call.
            None for a picture on its own.
        :param until_s: when the answer shall be there, by time.monotonic(), where the pipeline is an anytime one.
        :param detected: what :meth:`detect` gave for this image of a stream; None detects where that is due.
        :returns: list of FaceEstimate by falling area of the box; empty where there is no face.
        :raises BadImage: if the image is no such array.
        :raises BadModel: if a model gives something that is not finite or of another shape.
        """
        image = check_image(image)
        found = self.finder.find_alone(image) if stamp_s is None else self.finder.find(image, stamp_s, detected)
        if stamp_s is not None:
            self.smoothing.keep(self.tracker.live_ids)
        if not found.ids:
            return []
        self.on_stage('reading emotions')
        crops = cut_planes(image, found.boxes, self.engine.geometry, found.landmarks)
        if stamp_s is None:
            ensemble = self.engine.estimate(crops, until_s)
        else:
            ensemble = self._memory.estimate(self.engine, found.ids, crops, self.reuse_below, until_s)
        return [self._estimate_one(image, found, ensemble, row, stamp_s) for row in range(len(found.ids))]

    def warm_up(self):
        """Run both models once, so that the first image is not the slow one."""
        size = self.engine.geometry.size_px
        self.detector.detect(np.zeros((480, 640, 3), np.uint8))
        self.engine.run(np.zeros((1, 3, size, size), np.float32))

    def reset(self):
        """Forget the faces of the frames before; ids go on and are not used again."""
        self.finder.reset()
        self._memory.forget()
        self.smoothing.keep(())

    def _estimate_one(self, image, found, ensemble, row, stamp_s):
        box = tuple(float(edge) for edge in found.boxes[row])
        raw = _reading(ensemble, row)
        doubts = self.doubts.of_face(image, box, found.landmarks[row], raw.confidence, raw.agreement)
        if doubts:
            raw = replace(raw, emotion=UNKNOWN)
        smooth = raw
        if stamp_s is not None:
            smooth, doubts = self.smoothing.smooth(found.ids[row], raw, doubts, stamp_s)
        return FaceEstimate(face_id=found.ids[row], box=box, box_score=float(found.scores[row]),
                            landmarks=found.landmarks[row], doubts=doubts, raw=raw, **vars(smooth))


def _reading(ensemble, row):
    scores = dict((emotion, float(score)) for emotion, score in zip(EMOTIONS, ensemble.scores[row]))
    emotion = EMOTIONS[int(ensemble.scores[row].argmax())]
    return Reading(emotion=emotion, scores=scores, valence=float(ensemble.valence[row]),
                   arousal=float(ensemble.arousal[row]), confidence=scores[emotion],
                   agreement=float(ensemble.agreement[row]))
