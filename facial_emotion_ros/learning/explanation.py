"""What each branch of a bundle's network looks at in the faces of a picture."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import branch_scores
from facial_emotion_ros.execution_providers import ProviderPlan
from facial_emotion_ros.face_crop import cut_faces
from facial_emotion_ros.learning.export import network_of, weights_of
from facial_emotion_ros.learning.grad_cam import grad_cam, on_crop
from facial_emotion_ros.model_bundle import opened_bundle
from facial_emotion_ros.pipeline import EmotionPipeline

#: Side of the crop that people look at; the network's own is small and often gray.
_FACE_PX = 384


class FaceReading(NamedTuple):
    """What is known of one face.

    :param face: (P, P, 3) uint8 BGR, the network's crop, but in colour and in a resolution for people.
    :param heat: (n, 8, S, S) float32, at least 0: of each branch and emotion, on the network's crop.
    :param branch_scores: (n, 8) float32, rows sum to 1.
    :param scores: (8,) float32, the ensemble's, as the robot publishes them.
    """

    face: np.ndarray
    heat: np.ndarray
    branch_scores: np.ndarray
    scores: np.ndarray


class Explainer:
    """The robot's pipeline, and beside it the same network in torch."""

    def __init__(self, bundle='esr_9_ferplus', detector='centerface'):
        """Load both models.

        :param bundle: of an ESR: ModelBundle, path of one, or the name of an embedded one.
        :param detector: the same for the detector.
        :raises BadModel: if a bundle is refused, or the ESR's holds no master weights.
        """
        bundle = opened_bundle(bundle, expect='esr')
        # The very bundle: that in eight bits beside it is no master, and has no gradients.
        self._pipeline = EmotionPipeline(bundle, detector, providers=ProviderPlan(precision='fp32'))
        self._network = network_of(weights_of(bundle))

    def read(self, image):
        """Find every face, and compute what each branch looks at.

        :param image: (H, W, 3) uint8 BGR.
        :returns: list of FaceReading, the largest face first; empty where there is no face.
        :raises BadImage: if the image is no such array.
        """
        estimates = self._pipeline.estimate(image)
        if not estimates:
            return []
        engine = self._pipeline.engine
        boxes = [estimate.box for estimate in estimates]
        landmarks = np.stack([estimate.landmarks for estimate in estimates])
        crops = cut_faces(image, boxes, engine.geometry, landmarks)
        for_people = replace(engine.geometry, size_px=_FACE_PX, via_px=0, color='bgr', scale=1.0)
        faces = cut_faces(image, boxes, for_people, landmarks).transpose(0, 2, 3, 1).astype(np.uint8)
        maps, logits = grad_cam(self._network, torch.from_numpy(crops))
        heat = on_crop(maps, engine.geometry.size_px).numpy()
        each = branch_scores(logits.numpy(), engine.temperature, engine.offsets)
        scores = np.array([[estimate.scores[emotion] for emotion in EMOTIONS] for estimate in estimates], np.float32)
        return [FaceReading(*reading) for reading in zip(faces, heat, each, scores)]
