"""EmotionPipeline: from an image to an estimate for each face, without ROS."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import EmotionPrediction, FaceEstimate
from facial_emotion_ros.emotion.ensemble import EnsembleEstimates
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.estimate_cache import EstimateCache
from facial_emotion_ros.emotion.operating_points import choose_point
from facial_emotion_ros.emotion.quality_gate import QualityGate
from facial_emotion_ros.emotion.temporal_filter import TemporalFilter
from facial_emotion_ros.inference.execution_providers import CPU, Provider, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, opened_bundle
from facial_emotion_ros.inference.precision import bundle_for
from facial_emotion_ros.perception.face_crops import cut_planes
from facial_emotion_ros.perception.face_detector import FaceDetector, Faces
from facial_emotion_ros.perception.face_stream import FaceFinder, FoundFaces
from facial_emotion_ros.perception.face_tracker import FaceTracker
from facial_emotion_ros.perception.image_decoding import check_image
from facial_emotion_ros.perception.image_rotation import Orientation, rotated, rotated_back
from facial_emotion_ros.pipeline.estimate_interval import EstimateInterval

if TYPE_CHECKING:
    from facial_emotion_ros.inference.model_bundle import Path


class TrackedImage(NamedTuple):
    """An image of a stream with its detected or tracked faces; result of :meth:`EmotionPipeline.find`.

    :param image: (H, W, 3) uint8 BGR, rotated.
    :param stamp_s: acquisition time in seconds.
    :param degrees: by which it is rotated, clockwise.
    :param found: the faces, in pixels of the rotated image.
    :param live_ids: the tracker's live_ids.
    :param is_due: whether the faces are to be estimated; else their last estimates are repeated.
    """

    image: np.ndarray
    stamp_s: float
    degrees: int
    found: FoundFaces
    live_ids: List[str]
    is_due: bool


class EmotionPipeline:
    """Detector, tracker, crops, ESR, quality gate and temporal filter in sequence.

    >>> import cv2
    >>> from facial_emotion_ros import EmotionPipeline
    >>> pipeline = EmotionPipeline()
    >>> for face in pipeline.estimate(cv2.imread('picture.jpg')):
    ...     print(face.emotion, face.confidence, face.valence, face.arousal, face.box)

    One object serves one stream in one thread: tracker and temporal filter keep state between frames. `finder`,
    `tracker`, `quality_gate` and `smoothing` may be adjusted or replaced between two images.
    """

    def __init__(
        self,
        esr: 'Union[ModelBundle, Path]' = 'esr_9_ferplus',
        detector: Any = 'centerface',
        min_score: Optional[float] = None,
        long_side_px: int = 480,
        threads: int = 1,
        providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,),
        max_faces: int = 0,
        tracker: Optional[FaceTracker] = None,
        smoothing: Optional[TemporalFilter] = None,
        quality_gate: Optional[QualityGate] = None,
        every_n: int = 1,
        continue_score: float = 0.25,
        reuse_below: float = 0.0,
        anytime: bool = False,
        operating_point: str = '',
        prior: Union[str, Sequence[float]] = '',
        rotate_deg: int = 0,
        estimate_every_n: int = 1,
    ) -> None:
        """Load both models.

        :param esr: ModelBundle, path of one, or name of an embedded one. For a path or name, the int8 bundle beside it
            may be used, see :func:`precision.bundle_for`.
        :param detector: the same for the detector, or any object with `detect(image) -> Faces`.
        :param min_score: minimum detector score of a face in [0, 1]; None for the detector's default.
        :param long_side_px: the image is scaled to this long side for detection, in pixels.
        :param threads: threads of one operator, at least 1.
        :param providers: ONNX Runtime execution providers in order of preference; or a ProviderPlan, which has its own
            threads. A provider that fails for one model is not used for the other, either.
        :param max_faces: maximum number of faces: in a stream those already tracked come first, then the largest; 0 for
            all.
        :param tracker: None for the default.
        :param smoothing: None for the default. Single pictures are not smoothed.
        :param quality_gate: None for the default bounds and those of the operating point.
        :param every_n: detect faces in every n-th image of a stream and track them in between; see FaceFinder.
        :param continue_score: boxes with a score from this up to `min_score` may continue a face; see FaceFinder.
        :param reuse_below: a face's last estimate is reused while its crop differs from the last estimated one by less
            than this (mean absolute difference, in levels of 255); 0 estimates every face.
        :param anytime: let `estimate` use fewer branches to meet a deadline; see AnytimeNetwork.
        :param operating_point: name of one of the ESR bundle's operating points; '' for its default.
        :param prior: expected class frequencies, see :func:`.operating_points.choose_point`; '' for the point's.
        :param rotate_deg: rotate images clockwise first, by 0, 90, 180 or 270 degrees, for a camera mounted sideways or
            upside down; -1: find the angle at which faces are upright, again whenever none was for two seconds. Boxes
            and landmarks are in pixels of the image before rotation.
        :param estimate_every_n: estimate the faces in every n-th image of a stream and repeat the estimates in between;
            see EstimateInterval.
        :raises BadParameter: for a value outside its range.
        :raises BadModel: if a bundle is refused.
        """
        if not reuse_below >= 0:
            raise BadParameter('expected a reuse_below (difference of crops) of 0 or more, got %r' % (reuse_below,))
        plan = ProviderPlan.of(providers, threads)
        self.engine = EsrEngine(
            bundle_for(esr, plan), plan, anytime=anytime, operating_point=operating_point, prior=prior
        )
        if not hasattr(detector, 'detect'):
            bundle = opened_bundle(bundle_for(detector, plan))
            options: Dict[str, Any] = {} if min_score is None else {'min_score': min_score}
            detector = FaceDetector(bundle, long_side_px=long_side_px, providers=plan, **options)
        self.detector = detector
        self.smoothing = TemporalFilter() if smoothing is None else smoothing
        self._own_gate = quality_gate
        self.reuse_below = reuse_below
        #: Called with 'reading emotions' when `estimate` has found the faces.
        self.on_stage: Callable[[str], Any] = lambda _stage: None
        self._cache, self._interval = EstimateCache(), EstimateInterval(estimate_every_n)
        self._point = self.engine.point  # of the estimates in cache and interval
        tracker = FaceTracker() if tracker is None else tracker
        self.finder = FaceFinder(detector, tracker, max_faces, every_n, continue_score)
        #: The angle by which images are rotated.
        self.orientation = Orientation(rotate_deg)

    def for_another_stream(self) -> 'EmotionPipeline':
        """Return a pipeline for another camera: the same models and settings, no faces, and ids from the first again.

        Do not use both at the same time. They share the operating point.
        """
        other = copy.copy(self)
        other.smoothing = self.smoothing.for_another_stream()
        other._cache, other._interval = EstimateCache(), EstimateInterval(self._interval.every_n)
        other.finder = self.finder.for_another_stream()
        other.orientation = Orientation(self.orientation.setting)
        return other

    def rotate(self, degrees: int) -> None:
        """Change the angle by which images are rotated, see __init__; a different angle forgets all faces.

        :raises BadParameter: for an angle that is not allowed.
        """
        if degrees != self.orientation.setting:
            self.orientation.adjust(degrees)
            self.reset()

    def use_operating_point(self, name: str = '', prior: Union[str, Sequence[float]] = '') -> None:
        """Change the operating point from the next image on; see __init__.

        :raises BadParameter: for an unknown operating point or invalid prior; nothing is changed then.
        """
        self.engine.point = choose_point(self.engine.bundle.manifest, name, prior)

    @property
    def tracker(self) -> FaceTracker:
        """The finder's tracker."""
        return self.finder.tracker

    @tracker.setter
    def tracker(self, tracker: FaceTracker) -> None:
        self.finder.tracker = tracker

    @property
    def quality_gate(self) -> QualityGate:
        """The quality gate; if not set, or set to None, one with the operating point's bounds."""
        point = self.engine.point
        return self._own_gate or QualityGate(min_confidence=point.min_confidence, min_agreement=point.min_agreement)

    @quality_gate.setter
    def quality_gate(self, gate: Optional[QualityGate]) -> None:
        self._own_gate = gate

    @property
    def esr_bundle(self) -> ModelBundle:
        """The ESR's bundle."""
        return self.engine.bundle

    @property
    def detector_bundle(self) -> Optional[ModelBundle]:
        """The detector's bundle; None for a detector without one."""
        return getattr(self.detector, 'bundle', None)

    @property
    def provider(self) -> str:
        """The execution provider that runs the ESR."""
        return self.engine.provider

    @property
    def reused(self) -> Tuple[int, int]:
        """Number of estimated faces, and of reused estimates."""
        return self._cache.read, self._cache.reused

    @property
    def degraded(self) -> str:
        """Why a model does not run on the requested provider; '' if both do."""
        return self.engine.degraded or getattr(self.detector, 'degraded', '')

    def detect(self, image: np.ndarray) -> Faces:
        """Detect faces for a later :meth:`estimate` of the same image; another thread may call this ahead.

        Do not call it ahead with a `rotate_deg` of -1: images in between may change the angle.

        :param image: (H, W, 3) uint8 BGR.
        :returns: Faces, in pixels of the rotated image.
        :raises BadImage: for any other image.
        :raises BadModel: if the detector's outputs are not finite or have another shape.
        """
        return self.finder.detect(rotated(check_image(image), self.orientation.degrees))

    def estimate(
        self,
        image: np.ndarray,
        stamp_s: Optional[float] = None,
        until_s: Optional[float] = None,
        detected: Optional[Faces] = None,
    ) -> List[FaceEstimate]:
        """Find and estimate all faces.

        :param image: (H, W, 3) uint8 BGR.
        :param stamp_s: acquisition time in seconds of any clock; faces then keep their ids from call to call. None for
            a single picture.
        :param until_s: deadline of an anytime pipeline, by time.monotonic().
        :param detected: result of :meth:`detect` for this image of a stream; None to detect where that is due.
        :returns: by descending area of the box; empty without faces.
        :raises BadImage: for any other image.
        :raises BadParameter: for a stamp that is not finite.
        :raises BadModel: if a model's outputs are not finite or have another shape.
        """
        if stamp_s is None:
            degrees, turned, found = self.orientation.of_picture(check_image(image), self.finder.find_alone)
            faces = self.estimate_found(turned, found, until_s=until_s)
            return [rotated_back(face, degrees, turned) for face in faces]
        tracked = self.find(image, stamp_s, detected)
        try:
            if not tracked.is_due:
                return self.finish(tracked, None)
            faces = self.estimate_found(tracked.image, tracked.found, until_s=until_s, use_cache=True)
            return self.finish(tracked, faces)
        except BaseException:
            self._interval.begin_anew()  # there are no estimates to repeat
            raise

    def find(self, image: np.ndarray, stamp_s: float, detected: Optional[Faces] = None) -> TrackedImage:
        """Find the faces of the stream's next image: the first part of :meth:`estimate`, see there for the parameters.

        :meth:`finish` is to be called for every image, in the same order; :meth:`find` may be ahead by some images, and
        these may be estimated in any order.
        """
        image = check_image(image)
        if self.engine.point != self._point:
            self._point = self.engine.point
            self._cache.forget()
            self._interval.begin_anew()
        degrees = self.orientation.degrees
        turned = rotated(image, degrees)
        found = self.finder.find(turned, stamp_s, detected)
        if self.orientation.search(image, found.landmarks, stamp_s, self.detector):
            self.begin_anew()
            degrees = self.orientation.degrees
            turned = rotated(image, degrees)
            found = self.finder.find(turned, stamp_s)
        is_due = self._interval.is_due(found.ids, stamp_s)
        return TrackedImage(turned, stamp_s, degrees, found, self.tracker.live_ids, is_due)

    def estimate_tracked(self, tracked: Sequence[TrackedImage]) -> List[List[FaceEstimate]]:
        """Estimate the faces of several images at once, for :meth:`finish`; another process may call this.

        It is faster than one by one: the processor loads the network's weights once for all.

        :param tracked: results of :meth:`find`.
        :returns: estimates of each image's faces.
        :raises BadModel: if the ESR's outputs are not finite or have another shape.
        """
        counts = [len(each.found.ids) for each in tracked]
        if not any(counts):
            return [[] for _ in tracked]
        geometry = self.engine.geometry
        crops = [cut_planes(each.image, each.found.boxes, geometry, each.found.landmarks) for each in tracked]
        ensemble = self.engine.estimate(np.concatenate([each for each in crops if len(each)]))
        firsts = np.cumsum([0] + counts)
        return [self._checked(each.image, each.found, ensemble, first) for each, first in zip(tracked, firsts)]

    def finish(self, tracked: TrackedImage, faces: Optional[Sequence[FaceEstimate]]) -> List[FaceEstimate]:
        """Smooth the estimates of an image: the last part of :meth:`estimate`.

        :param tracked: result of :meth:`find`.
        :param faces: the image's part of the result of :meth:`estimate_tracked`; None where that is not due.
        """
        found, stamp_s = tracked.found, tracked.stamp_s
        self.smoothing.keep(tracked.live_ids)
        if faces is None:
            faces = self._interval.repeated(found)
        else:
            self._interval.remember(found.ids, faces)
        faces = [self.smoothed(face, face_id, stamp_s) for face, face_id in zip(faces, found.ids)]
        return [rotated_back(face, tracked.degrees, tracked.image) for face in faces]

    def estimate_found(
        self,
        image: np.ndarray,
        found: FoundFaces,
        is_detected: bool = True,
        until_s: Optional[float] = None,
        use_cache: bool = False,
    ) -> List[FaceEstimate]:
        """Estimate faces whose boxes are known, without ids and smoothing.

        :param image: (H, W, 3) uint8 BGR.
        :param found: the faces.
        :param is_detected: whether a detector placed the landmarks; see QualityGate.check.
        :param until_s: deadline of an anytime pipeline, by time.monotonic().
        :param use_cache: reuse the last estimates of faces whose crops changed little, by the ids of `found`.
        :raises BadModel: if the ESR's outputs are not finite or have another shape.
        """
        if not found.ids:
            if use_cache:
                self._cache.forget()  # crops of faces that have left
            return []
        self.on_stage('reading emotions')
        crops = cut_planes(image, found.boxes, self.engine.geometry, found.landmarks)
        if use_cache:
            ensemble = self._cache.estimate(self.engine, found.ids, crops, self.reuse_below, until_s)
        else:
            ensemble = self.engine.estimate(crops, until_s)
        return self._checked(image, found, ensemble, 0, is_detected)

    def _checked(
        self, image: np.ndarray, found: FoundFaces, ensemble: EnsembleEstimates, first: int, is_detected: bool = True
    ) -> List[FaceEstimate]:
        """Return the estimates of an image's faces, with rejection reasons; `first`: their first row in `ensemble`."""
        faces, gate = [], self.quality_gate
        for row, landmarks in enumerate(found.landmarks):
            raw = _prediction(ensemble, first + row)
            x0, y0, x1, y1 = (float(edge) for edge in found.boxes[row])
            box = x0, y0, x1, y1
            reasons = gate.check(image, box, landmarks, raw.confidence, raw.agreement, is_detected)
            if reasons:
                raw = replace(raw, emotion=UNKNOWN)
            score = float(found.scores[row])
            faces.append(FaceEstimate('', box, score, landmarks, rejection_reasons=reasons, raw=raw, **vars(raw)))
        return faces

    def smoothed(self, face: FaceEstimate, face_id: str, stamp_s: float) -> FaceEstimate:
        """Smooth an estimate with the earlier ones of that id.

        :param face: not yet smoothed.
        :param face_id: its id.
        :param stamp_s: acquisition time in seconds.
        """
        smooth, reasons = self.smoothing.smooth(face_id, face.raw, face.rejection_reasons, stamp_s)
        return replace(face, face_id=face_id, rejection_reasons=reasons, **vars(smooth))

    def warm_up(self) -> None:
        """Run both models once, so that the first image is not slow."""
        size = self.engine.geometry.size_px
        self.detector.detect(np.zeros((480, 640, 3), np.uint8))
        self.engine.run(np.zeros((1, 3, size, size), np.float32))

    def forget_looks(self) -> None:
        """Forget the appearance and pixels of all faces; visible ones keep their ids by position."""
        self.finder.forget_looks()
        self._cache.forget()

    def reset(self) -> None:
        """Forget all faces; ids are not reused."""
        self.begin_anew()
        self._interval.forget()
        self.smoothing.keep(())

    def begin_anew(self) -> None:
        """Forget all faces, except what :meth:`finish` needs for images found before."""
        self.finder.reset()
        self._cache.forget()
        self._interval.begin_anew()


def _prediction(ensemble: EnsembleEstimates, row: int) -> EmotionPrediction:
    scores = {emotion: float(score) for emotion, score in zip(EMOTIONS, ensemble.scores[row])}
    emotion = EMOTIONS[int(ensemble.scores[row].argmax())]
    return EmotionPrediction(
        emotion=emotion,
        scores=scores,
        valence=float(ensemble.valence[row]),
        arousal=float(ensemble.arousal[row]),
        confidence=scores[emotion],
        agreement=float(ensemble.agreement[row]),
    )
