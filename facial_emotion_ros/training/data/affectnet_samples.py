"""AffectNet with the interface of OpenDR's data sets, for torch's DataLoader."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.training.data.affectnet import AffectNet

#: Mean and standard deviation of each colour, blue first as our faces have them, in 0 to 255.
#: Source: the published code of ESR, which gives them red first.
_MEAN = 102.67609, 117.06477, 149.35457
_STD = 60.435623, 61.907074, 69.18084


class _Samples(AffectNet, ABC):
    """A subset of AffectNet with a limited number of faces of each class or quadrant.

    mean, std: normalisation of each channel, BGR, in [0, 1]; zeros and ones without is_norm_by_mean_std. num_labels: 8
    classes, or 4 quadrants of valence and arousal.
    """

    kind: str
    num_labels: int

    def __init__(
        self,
        idx_set: int = 0,
        max_loaded_images_per_label: int = 1000,
        transforms: Callable[[Any], Any] | None = None,
        is_norm_by_mean_std: bool = True,
        base_path_to_affectnet: str | None = None,
        seed: int = 0,
    ) -> None:
        """Open a split; faces are read on access.

        :param idx_set: 0 training (manual labels), 1 training (automatic labels), 2 validation. Note that
            pre_process_affect_net counts 0 automatic, 1 training, 2 validation, as in OpenDR.
        :param max_loaded_images_per_label: maximum of each class, or of each quadrant of valence and arousal: drawn by
            `seed` from the training sets, the first ones of the validation set.
        :param transforms: torchvision-style transform of a 96x96 BGR PIL image; returns such an image or an (H, W, 3)
            uint8 array. None for none.
        :param is_norm_by_mean_std: normalise by mean and standard deviation. ESR expects False: 0 to 1.
        :param base_path_to_affectnet: folder that holds Training_Labeled, Training_Unlabeled, Validation.
        :raises BadParameter: for another idx_set.
        :raises BadDataset: as AffectNet does.
        """
        if idx_set not in (0, 1, 2):
            raise BadParameter(f'expected idx_set 0 (training), 1 (automatic) or 2 (validation), got {idx_set!r}')
        if base_path_to_affectnet is None:
            raise BadDataset('base_path_to_affectnet: expected the folder of Training_Labeled and Validation, got None')
        super().__init__(base_path_to_affectnet, ('train', 'unlabelled', 'valid')[idx_set], self.kind)
        self.transforms = transforms
        self.mean = [mean / 255 for mean in _MEAN] if is_norm_by_mean_std else [0.0] * 3
        self.std = [std / 255 for std in _STD] if is_norm_by_mean_std else [1.0] * 3
        order = np.arange(len(self)) if idx_set == 2 else np.random.default_rng(seed).permutation(len(self))
        groups = self._groups()[order]
        chosen = [order[groups == group][:max_loaded_images_per_label] for group in np.unique(groups)]
        self._keep(np.sort(np.concatenate(chosen)) if chosen else order)

    @property
    def loaded_data(self) -> list[np.ndarray]:
        """All faces and their labels, read now: [(N, 96, 96, 3) uint8 BGR, (N,) int64 or (N, 2) float32]."""
        faces = [_in_color(face) for face in self.faces(np.arange(len(self)))]
        return [np.stack(faces) if faces else np.zeros((0, 96, 96, 3), np.uint8), self._targets().copy()]

    def online_normalization(self, x: Any) -> torch.Tensor:
        """Normalise a face for the network.

        :param x: (H, W, 3) uint8 array or PIL image, BGR.
        :returns: (3, H, W) float32 tensor.
        """
        mean, std = np.array([self.mean, self.std], np.float32)
        face = (np.asarray(x, np.float32) / np.float32(255) - mean) / std
        return torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))

    def norm_input_to_orig_input(self, x: torch.Tensor) -> torch.Tensor:
        """Invert :meth:`online_normalization`, for display.

        :param x: (3, H, W) tensor, BGR.
        :returns: (3, H, W) float32 tensor in [0, 1], RGB.
        """
        return (x.float() * x.new_tensor(self.std)[:, None, None] + x.new_tensor(self.mean)[:, None, None]).flip(0)

    @abstractmethod
    def _targets(self) -> np.ndarray: ...

    @abstractmethod
    def _groups(self) -> np.ndarray: ...

    def _sample(self, row: int) -> torch.Tensor:
        face = _in_color(self.faces([row])[0])
        if self.transforms:
            from PIL import Image

            face = self.transforms(Image.fromarray(face))
        return self.online_normalization(face)


def _in_color(face: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(face, cv2.COLOR_GRAY2BGR) if face.ndim == 2 else face


class AffectNetCategorical(_Samples):
    """Faces with their class: `samples[row]` is ((3, 96, 96) float32 tensor, BGR; class as int)."""

    kind = 'categorical'
    num_labels = len(EMOTIONS)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._sample(row), int(self.labels[row])

    @staticmethod
    def get_class(idx: int) -> str:
        """Name a class: 'Neutral' to 'Contempt'."""
        return EMOTIONS[idx].capitalize()

    def _targets(self) -> np.ndarray:
        return self.labels

    def _groups(self) -> np.ndarray:
        return self.labels


class AffectNetDimensional(_Samples):
    """Faces with their affect: `samples[row]` is ((3, 96, 96) float32 tensor, BGR; (2,) float32 array)."""

    kind = 'dimensional'
    num_labels = 4

    def __getitem__(self, row: int) -> tuple[torch.Tensor, np.ndarray]:
        return self._sample(row), self.affect[row].copy()

    @staticmethod
    def get_class(idx: Any) -> Any:
        """Return `idx`: affect has no classes."""
        return idx

    def _targets(self) -> np.ndarray:
        return self.affect

    def _groups(self) -> np.ndarray:
        """Return the quadrant of valence and arousal of each face, (N,) int."""
        return 2 * (self.affect[:, 0] < 0) + (self.affect[:, 1] < 0)
