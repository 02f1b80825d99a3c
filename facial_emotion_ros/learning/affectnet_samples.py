"""AffectNet row by row as OpenDR's data sets give it: for torch's DataLoader, and for code written for OpenDR."""

import cv2
import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset, BadParameter
from facial_emotion_ros.learning.affectnet import AffectNet

#: Mean and spread of each colour, blue first as our faces have them, in 0 to 255.
#: Source: the published code of ESR, which gives them red first.
_MEAN = np.float32([102.67609, 117.06477, 149.35457])
_SPREAD = np.float32([60.435623, 61.907074, 69.18084])


class _Samples(AffectNet):
    """A part of AffectNet with as many faces of each kind as were asked for."""

    def __init__(
        self,
        idx_set=0,
        max_loaded_images_per_label=1000,
        transforms=None,
        is_norm_by_mean_std=True,
        base_path_to_affectnet=None,
        seed=0,
    ):
        """Open a split; faces are read when they are asked for, not now.

        :param idx_set: 0 training (labelled by people), 1 training (labelled automatically), 2 validation. Mind that
            pre_process_affect_net counts 0 automatic, 1 training, 2 validation, as in OpenDR.
        :param max_loaded_images_per_label: at most so many faces of each class, or of each quadrant of valence and
            arousal: drawn by `seed` from the training sets, the first ones of the validation set.
        :param transforms: called with each face, (96, 96, 3) uint8 BGR; returns such an array.
        :param is_norm_by_mean_std: subtract the colours' mean and divide by their spread. ESR wants False: 0 to 1.
        :param base_path_to_affectnet: folder that holds Training_Labeled, Training_Unlabeled, Validation.
        :raises BadParameter: if idx_set is another number.
        :raises BadDataset: as AffectNet does.
        """
        if idx_set not in (0, 1, 2):
            raise BadParameter(f'idx_set 0 (training), 1 (automatic) or 2 (validation) expected, got {idx_set!r}')
        if base_path_to_affectnet is None:
            raise BadDataset('base_path_to_affectnet: the folder of Training_Labeled and Validation expected, got None')
        super().__init__(base_path_to_affectnet, ('train', 'unlabelled', 'valid')[idx_set], self.kind)
        self.transforms = transforms
        self.is_norm_by_mean_std = is_norm_by_mean_std
        order = np.arange(len(self)) if idx_set == 2 else np.random.default_rng(seed).permutation(len(self))
        groups = self._groups()[order]
        chosen = [order[groups == group][:max_loaded_images_per_label] for group in np.unique(groups)]
        self._keep(np.sort(np.concatenate(chosen)) if chosen else order)

    def _sample(self, row):
        import torch

        face = self.faces([row])[0]
        face = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR) if face.ndim == 2 else face
        face = np.asarray(self.transforms(face) if self.transforms else face, np.float32)
        face = (face - _MEAN) / _SPREAD if self.is_norm_by_mean_std else face / np.float32(255)
        return torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))


class AffectNetCategorical(_Samples):
    """Faces with their class: `samples[row]` is ((3, 96, 96) float32 tensor, blue first; class as int)."""

    kind = 'categorical'

    def __getitem__(self, row):
        return self._sample(row), int(self.labels[row])

    @staticmethod
    def get_class(idx):
        """Name a class: 'Neutral' to 'Contempt'."""
        return EMOTIONS[idx].capitalize()

    def _groups(self):
        return self.labels


class AffectNetDimensional(_Samples):
    """Faces with their affect: `samples[row]` is ((3, 96, 96) float32 tensor, blue first; (2,) float32 array)."""

    kind = 'dimensional'

    def __getitem__(self, row):
        return self._sample(row), self.affect[row].copy()

    @staticmethod
    def get_class(idx):
        """Return what it is given: affect has no classes."""
        return idx

    def _groups(self):
        """Give the quadrant of each face."""
        return 2 * (self.affect[:, 0] < 0) + (self.affect[:, 1] < 0)
