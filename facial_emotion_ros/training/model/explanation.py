"""Grad-CAM maps of each branch for the faces in an image."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import branch_scores, reweighted
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, opened_bundle
from facial_emotion_ros.perception.face_crops import cut_faces
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.model.export import network_of, weights_of
from facial_emotion_ros.training.model.grad_cam import grad_cam, on_crop

#: Side of the displayed crop in pixels; the network's own is smaller and often gray.
_FACE_PX = 384


class FaceReading(NamedTuple):
    """The explanation of one face.

    :param face: (P, P, 3) uint8 BGR, the network's crop in colour and at display resolution.
    :param heat: (n, 8, S, S) float32, at least 0: map of each branch and emotion on the network's crop.
    :param branch_scores: (n, 8) float32, rows sum to 1.
    :param scores: (8,) float32 of the ensemble, as the node publishes them.
    """

    face: np.ndarray
    heat: np.ndarray
    branch_scores: np.ndarray
    scores: np.ndarray


class Explainer:
    """Runs the node's pipeline, and Grad-CAM on the same network in torch."""

    def __init__(self, bundle: ModelBundle | str = 'esr_9_ferplus', detector: ModelBundle | str = 'centerface') -> None:
        """Load the models.

        :param bundle: ESR fp32 bundle: ModelBundle, its path, or the name of an embedded one.
        :param detector: the detector's bundle, likewise.
        :raises BadModel: if a bundle is invalid, or the ESR's holds no fp32 weights.
        """
        bundle = opened_bundle(bundle, expect='esr')
        # fp32: the int8 bundle beside it has no gradients.
        self._pipeline = EmotionPipeline(bundle, detector, providers=ProviderPlan(precision='fp32'))
        self._network = network_of(weights_of(bundle))

    def read(self, image: np.ndarray) -> list[FaceReading]:
        """Detect all faces and compute their maps.

        :param image: (H, W, 3) uint8 BGR.
        :returns: list of FaceReading, the largest face first; empty without faces.
        :raises BadImage: if the image is invalid.
        """
        estimates = self._pipeline.estimate(image)
        if not estimates:
            return []
        engine = self._pipeline.engine
        boxes = np.array([estimate.box for estimate in estimates])
        landmarks = np.stack([estimate.landmarks for estimate in estimates])
        crops = cut_faces(image, boxes, engine.geometry, landmarks)
        display = replace(engine.geometry, size_px=_FACE_PX, via_px=0, color='bgr', scale=1.0)
        faces = cut_faces(image, boxes, display, landmarks).transpose(0, 2, 3, 1).astype(np.uint8)
        maps, logits = grad_cam(self._network, torch.from_numpy(crops))
        heat = on_crop(maps, engine.geometry.size_px).numpy()
        each = reweighted(branch_scores(logits.numpy(), engine.point), engine.point)
        scores = np.array([[estimate.scores[emotion] for emotion in EMOTIONS] for estimate in estimates], np.float32)
        return [FaceReading(faces[row], heat[row], each[row], scores[row]) for row in range(len(estimates))]
