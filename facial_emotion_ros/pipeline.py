"""From an image to an estimate for each face: the whole product without ROS."""

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.face_crop import cut_faces
from facial_emotion_ros.face_detector import open_detector
from facial_emotion_ros.face_estimate import FaceEstimate, Reading
from facial_emotion_ros.face_tracker import FaceTracker
from facial_emotion_ros.image import check_image
from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle


class EmotionPipeline:
    """Detector, crops, ESR and tracker in a row.

    >>> import cv2
    >>> from facial_emotion_ros.pipeline import EmotionPipeline
    >>> pipeline = EmotionPipeline()
    >>> for face in pipeline.estimate(cv2.imread('picture.jpg')):
    ...     print(face.emotion, face.confidence, face.valence, face.arousal, face.box)

    One object serves one stream in one thread: the tracker remembers the frames before.
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
    ):
        """Load both models.

        :param esr: ModelBundle, path of one, or name of an embedded one.
        :param detector: the same for the detector, or any object with `detect(image) -> Faces`.
        :param min_score: least detector score of a face in [0, 1]; None for the detector's own default.
        :param long_side_px: the image's long side as the detector sees it, in pixels.
        :param threads: threads of one operator, at least 1.
        :param providers: ONNX Runtime execution providers in order of preference; or a ProviderPlan, which brings its
            own threads. Both models share it: a provider that fails one of them is left by both, and told once.
        :param max_faces: only that many largest faces are tracked and read; 0 for all.
        :param tracker: FaceTracker; None for one with its defaults.
        :raises BadModel: if a bundle is refused.
        """
        plan = ProviderPlan.of(providers, threads)
        self.engine = EsrEngine(esr, plan)
        if not hasattr(detector, 'detect'):
            bundle = detector if isinstance(detector, ModelBundle) else ModelBundle.open(resolve_bundle(detector))
            options = {} if min_score is None else {'min_score': min_score}
            detector = open_detector(bundle, long_side_px=long_side_px, providers=plan, **options)
        self.detector = detector
        self.tracker = FaceTracker() if tracker is None else tracker
        self._max_faces = max_faces

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
    def degraded(self):
        """Why a model does not run on the provider that was asked for; '' when it does."""
        return self.engine.degraded or getattr(self.detector, 'degraded', '')

    def estimate(self, image, stamp_s=None):
        """Find every face and read it.

        :param image: (H, W, 3) uint8 BGR.
        :param stamp_s: when the image was taken, in seconds of any clock; faces then keep their ids from call to call.
            None for a picture on its own.
        :returns: list of FaceEstimate by falling area of the box; empty where there is no face.
        :raises BadImage: if the image is no such array.
        :raises BadModel: if a model gives something that is not finite or of another shape.
        """
        image = check_image(image)
        faces = self.detector.detect(image)
        boxes = np.asarray(faces.boxes, np.float32).reshape(-1, 4)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        rows = np.argsort(-areas, kind='stable')[: self._max_faces or None]
        # A face that is not read gets no id either: nobody would publish anything under it.
        face_ids = [''] * len(rows)
        if stamp_s is not None:
            face_ids = self.tracker.update(boxes[rows], np.asarray(faces.scores)[rows], stamp_s)
        if not len(rows):
            return []
        crops = cut_faces(image, boxes[rows], self.engine.geometry, faces.landmarks[rows])
        ensemble = self.engine.estimate(crops)
        return [_face_estimate(faces, row, face_ids[place], ensemble, place) for place, row in enumerate(rows)]

    def warm_up(self):
        """Run both models once, so that the first image is not the slow one."""
        size = self.engine.geometry.size_px
        self.detector.detect(np.zeros((480, 640, 3), np.uint8))
        self.engine.run(np.zeros((1, 3, size, size), np.float32))

    def reset(self):
        """Forget the faces of the frames before; ids go on and are not used again."""
        self.tracker.clear()


def _face_estimate(faces, row, face_id, ensemble, place):
    scores = {emotion: float(score) for emotion, score in zip(EMOTIONS, ensemble.scores[place])}
    emotion = EMOTIONS[int(ensemble.scores[place].argmax())]
    raw = Reading(
        emotion=emotion,
        scores=scores,
        valence=float(ensemble.valence[place]),
        arousal=float(ensemble.arousal[place]),
        confidence=scores[emotion],
        agreement=float(ensemble.agreement[place]),
    )
    return FaceEstimate(
        face_id=face_id,
        box=tuple(float(edge) for edge in faces.boxes[row]),
        box_score=float(faces.scores[row]),
        landmarks=faces.landmarks[row],
        doubts=(),
        raw=raw,
        **vars(raw)
    )
