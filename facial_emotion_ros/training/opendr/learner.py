"""The API of OpenDR's FacialEmotionLearner on this package's network, training and export.

docs/learner.md compares the two, method by method.
Source: OpenDR's reference page "image_based_facial_emotion_estimation" and its class.
"""

import os
import sys
import warnings
from typing import Any

import numpy as np
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.core.text import show
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.training.data.affectnet import AffectNet
from facial_emotion_ros.training.data.augmentation import plain
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop import saved_network
from facial_emotion_ros.training.loop.precision import choose_device
from facial_emotion_ros.training.loop.saved_network import InputSpec
from facial_emotion_ros.training.model.author_checkpoints import BASE_FILE, BRANCH_FILE, joined
from facial_emotion_ros.training.model.export import to_onnx
from facial_emotion_ros.training.model.network import Weights, branches_of, is_diversified
from facial_emotion_ros.training.opendr import download as downloads
from facial_emotion_ros.training.opendr.fit import train
from facial_emotion_ros.training.opendr.inputs import crops_of
from facial_emotion_ros.training.opendr.metrics import KINDS, figures_of
from facial_emotion_ros.training.opendr.network import OpenDrEsr
from facial_emotion_ros.training.opendr.optimized_network import OptimizedNetwork
from facial_emotion_ros.training.opendr.types import Category, LearnerSettings, UsageError

#: Batch size of eval().
_BATCH = 64


class FacialEmotionLearner(LearnerSettings):
    """Trains, evaluates, runs, saves and exports ESR-n and ESR*-n.

    model: the network, or None; ort_session: the ONNX Runtime session that replaces it, or None.
    reading: InputSpec: colour, scale and size of the input and calibration of the scores, as load() finds them: BGR /
    255 at 96x96 for the published weights, the manifest's for a model bundle.
    size_px: side of the crops when training from scratch; seed: of fit().
    operating_point: of a model bundle for load(); '' for scores as trained, OpenDR's protocol.
    """

    def __init__(
        self,
        lr: float = 1e-1,
        batch_size: int = 32,
        temp_path: str = 'temp',
        device: str = 'cuda',
        device_ind: int | list[int] = [0],  # noqa: B006 - OpenDR's signature
        validation_interval: int = 1,
        max_training_epoch: int = 2,
        momentum: float = 0.9,
        ensemble_size: int = 9,
        base_path_experiment: str = './experiments/',
        name_experiment: str = 'esr_9',
        dimensional_finetune: bool = True,
        categorical_train: bool = False,
        base_path_to_dataset: str = './data/AffectNet',
        max_tuning_epoch: int = 1,
        diversify: bool = False,
    ) -> None:
        """Store the settings; nothing is loaded yet.

        :param lr: peak learning rate; a tenth of it for valence and arousal.
        :param batch_size: faces per step.
        :param temp_path: output folder of optimize() and download().
        :param device: 'cpu', 'cuda' or 'cuda:N'; without CUDA, 'cuda' becomes 'cpu' with a warning.
        :param device_ind: index of the GPU, or a list that starts with it.
        :param validation_interval: epochs between validations.
        :param max_training_epoch: epochs for the first branch.
        :param momentum: of SGD.
        :param ensemble_size: number of branches.
        :param base_path_experiment: parent of fit()'s output folder `name_experiment`.
        :param name_experiment: also the file name of save().
        :param dimensional_finetune: fit() trains valence and arousal on a frozen backbone.
        :param categorical_train: fit() trains the categories, branch by branch.
        :param base_path_to_dataset: AffectNet in the layout of pre_process_affect_net.
        :param max_tuning_epoch: epochs for each further branch, and for valence and arousal.
        :param diversify: ESR*, with diversified attention.
        """
        super().__init__(lr, batch_size, temp_path, device)
        self.device_ind = list(device_ind) if isinstance(device_ind, (list, tuple)) else device_ind
        self.output_device = self.device_ind[0] if isinstance(self.device_ind, list) else device_ind
        self.validation_interval, self.momentum = validation_interval, momentum
        self.max_training_epoch, self.max_tuning_epoch = max_training_epoch, max_tuning_epoch
        self.ensemble_size, self.diversify = ensemble_size, diversify
        self.base_path_experiment = os.fspath(base_path_experiment)
        self.name_experiment = name_experiment
        self.dimensional_finetune, self.categorical_train = dimensional_finetune, categorical_train
        self.base_path_to_dataset = self.dataset_path = os.fspath(base_path_to_dataset)
        self.model: OpenDrEsr | None = None
        self.reading = InputSpec()
        self.size_px, self.seed, self.operating_point = self.reading.geometry.size_px, 1, ''
        self._optimized: OptimizedNetwork | None = None
        self._is_trained = False
        if self.device.startswith('cuda') and not torch.cuda.is_available():
            warnings.warn(
                f'device {self.device!r}: CUDA is not available, using the CPU; check '
                "nvidia-smi and torch's build, or set device='cpu'",
                RuntimeWarning,
                stacklevel=2,
            )
            self.device = 'cpu'
        self._torch_device()

    @property
    def ort_session(self) -> Any:
        """The ONNX Runtime session after optimize(); set it to None to use torch again."""
        return self._optimized.session if self._optimized else None

    @ort_session.setter
    def ort_session(self, session: None) -> None:
        if session is not None:
            raise UsageError('ort_session: expected None; use load() for an ONNX file')
        self._optimized = None

    @property
    def criterion_cat(self) -> torch.nn.Module:
        """The categorical loss of fit(), which cannot be replaced."""
        return torch.nn.CrossEntropyLoss()

    @criterion_cat.setter
    def criterion_cat(self, _criterion: Any) -> None:
        raise _no_criterion('criterion_cat')

    @property
    def criterion_dim(self) -> torch.nn.Module:
        """The dimensional loss of fit(), which cannot be replaced."""
        return torch.nn.MSELoss()

    @criterion_dim.setter
    def criterion_dim(self, _criterion: Any) -> None:
        raise _no_criterion('criterion_dim')

    def init_model(self, num_branches: int) -> None:
        """Make a network with random weights and the input of the published one.

        :param num_branches: number of branches, at least 1.
        :raises BadParameter: if it is below 1.
        """
        self.model = OpenDrEsr(self._torch_device(), num_branches, self.diversify)
        self.reading = InputSpec(saved_network.PUBLISHED)
        self._optimized, self._is_trained = None, False

    def fit(
        self, verbose: bool = True, dataset: FaceSet | None = None, val_dataset: FaceSet | None = None
    ) -> dict[str, float]:
        """Train as `categorical_train` and `dimensional_finetune` select, and keep the best weights.

        The same call resumes after an interruption. `base_path_experiment`/`name_experiment` holds the curves and, in
        trained_models, the weights. Without categorical training, valence and arousal are trained for the loaded or
        fitted network, else for the one in trained_models.

        :param verbose: show progress.
        :param dataset: FaceSet to train on instead of the one in `base_path_to_dataset`.
        :param val_dataset: FaceSet to validate on; required with `dataset`.
        :returns: metrics of the last validation, and steps.
        :raises UsageError: if there is nothing to train.
        :raises BadParameter: if a setting is out of range, or an interrupted training had other settings.
        :raises BadDataset: if the data are unusable.
        :raises BadModel: if there are no weights to fine-tune.
        :raises KeyboardInterrupt: after Ctrl-C, once the current step is saved.
        """
        if not (self.categorical_train or self.dimensional_finetune):
            raise UsageError('fit: expected categorical_train or dimensional_finetune, both are False')
        if os.path.exists(self.base_path_experiment) and not os.path.isdir(self.base_path_experiment):
            raise BadParameter(f'base_path_experiment: expected a folder, {self.base_path_experiment} is a file')
        start = None
        if not self.categorical_train:
            if self._optimized and self.model is None:
                raise UsageError('fit: this ONNX file has no weights to fine-tune; load the ones it was exported from')
            if not self._is_trained or self.model is None:
                self.load(self.ensemble_size, os.path.join(self._folder(), 'trained_models'))
            start = self._network().state_dict()
        faces = dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'train')
        validation_set = val_dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'valid')
        weights, reading, figures = train(
            self, faces, validation_set, start, self._folder(), sys.stdout if verbose else None
        )
        self._take(weights, reading)
        return figures

    def eval(
        self, eval_type: str = 'categorical', current_branch_on_training: int = 0, dataset: FaceSet | None = None
    ) -> dict[str, Any]:
        """Evaluate infer() on the validation set.

        :param eval_type: 'categorical' or 'dimensional'.
        :param current_branch_on_training: last branch of OpenDR's metrics.
        :param dataset: FaceSet to use instead of the validation set in `base_path_to_dataset`.
        :returns: see :func:`~facial_emotion_ros.training.opendr.metrics.figures_of`.
        :raises BadParameter: if there is no such type or branch.
        :raises BadDataset: if the data are unusable.
        """
        if eval_type not in KINDS:
            raise BadParameter(f'eval_type: expected {" or ".join(KINDS)}, got {eval_type!r}')
        faces = dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'valid', eval_type)
        faces = faces.rows(np.flatnonzero(faces.labels >= 0) if eval_type == KINDS[0] else faces.where_affect())
        if not len(faces):
            raise BadDataset(f'{faces.name}: expected faces with {eval_type} labels, got none')
        parts = [
            self._outputs(plain(faces.faces(np.arange(first, min(first + _BATCH, len(faces)))), self.reading.geometry))
            for first in range(0, len(faces), _BATCH)
        ]
        logits, affect = (np.concatenate(part) for part in zip(*parts))
        return figures_of(eval_type, faces, logits, affect, self.reading, current_branch_on_training)

    def infer(self, input_batch: Any) -> tuple[list[Category], torch.Tensor]:
        """Classify cropped faces, with the ONNX session if there is one.

        :param input_batch: see :func:`~facial_emotion_ros.training.opendr.inputs.crops_of`.
        :returns: list of N Category, and (N, 2) float32 tensor on the CPU: valence and arousal in [-1, 1].
        :raises BadImage: if something is no image.
        :raises UsageError: if there is no network.
        """
        estimates = combine(*self._outputs(crops_of(input_batch, self.reading.geometry)), self.reading.point)
        categories = [
            Category(int(row.argmax()), EMOTIONS[row.argmax()].capitalize(), torch.tensor(row.max()))
            for row in estimates.scores
        ]
        return categories, torch.from_numpy(np.stack([estimates.valence, estimates.arousal], 1))

    def save(
        self,
        state_dicts: Any = None,
        base_path_to_save_model: str | None = None,
        verbose: bool = True,
        path: str | None = None,
        model_name: str | None = None,
        current_branch_save: int | None = None,
    ) -> bool:
        """Save the weights, or after optimize() the ONNX file, in OpenDR's layout; also as `save(path, model_name)`.

        :param state_dicts: list from model.to_state_dict(), a state dict, or None for the network's weights.
        :param base_path_to_save_model: folder, created if missing.
        :param verbose: print the folder.
        :param path: folder of the other form, which writes all weights to MODEL_NAME.pt.
        :param model_name: file name; None for name_experiment.
        :param current_branch_save: ignored: all branches are saved.
        :returns: True.
        :raises BadModel: if the weights are not an ESR's.
        :raises UsageError: if there is nothing to save, or no folder.
        :raises SaveFailed: if the files cannot be written; earlier files are intact.
        """
        if isinstance(state_dicts, (str, os.PathLike)):  # save(path, model_name)
            state_dicts, path, base_path_to_save_model, model_name = (
                None,
                state_dicts,
                None,
                model_name or base_path_to_save_model,
            )
        folder, name = path or base_path_to_save_model, model_name or self.name_experiment
        if folder is None:
            raise UsageError('save: expected a folder as base_path_to_save_model or path')
        if self._optimized:
            saved_network.save_optimized(
                folder, name, self._optimized.model_bytes, self._optimized.branches, self.reading
            )
        else:
            if state_dicts is None:
                state_dicts = self._network().state_dict()
            weights = state_dicts if isinstance(state_dicts, dict) else joined(state_dicts)
            saved_network.save_weights(folder, name, weights, self.reading, single_file=path is not None)
        if verbose:
            show(f'{"ONNX file" if self._optimized else "Weights"} saved in {folder}')
        return True

    def load(
        self,
        ensemble_size: int = 9,
        path_to_saved_network: str | os.PathLike[str] = './trained_models/esr_9',
        file_name_base_network: str = BASE_FILE,
        file_name_conv_branch: str = BRANCH_FILE,
        fix_backbone: bool = True,
    ) -> bool:
        """Load a network of save(), of OpenDR, of the authors (without a JSON file), or of a model bundle.

        It replaces the current network. Code in a file is never run.

        :param ensemble_size: number of branches to load, the first ones.
        :param path_to_saved_network: folder, or name of an embedded bundle such as 'esr_9_ferplus'.
        :param file_name_base_network: file name of the base.
        :param file_name_conv_branch: file name of a branch, with {} for its number, from 1.
        :param fix_backbone: with `dimensional_finetune`, freeze all but the dimensional layers.
        :returns: True.
        :raises BadModel: if there is no such network.
        """
        lacks: list[str] = []
        saved = saved_network.load(
            path_to_saved_network,
            ensemble_size,
            self.name_experiment,
            file_name_base_network,
            file_name_conv_branch,
            lacks.append,
            self.operating_point,
        )
        for line in lacks:
            warnings.warn(line, RuntimeWarning, stacklevel=2)
        optimized = saved.model_bytes and OptimizedNetwork(saved.model_bytes, self.name_experiment, self.device)
        self._take(saved.weights, saved.reading)
        self._optimized = optimized or None
        if self.model is not None and self.dimensional_finetune and fix_backbone:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_('.fc_dimensional.' in name)
        return True

    def optimize(self, do_constant_folding: bool = False) -> bool:
        """Export the network to `temp_path`/`name_experiment`.onnx, and use it for inference.

        :param do_constant_folding: fold constants; the file then holds no trainable weights.
        :returns: True.
        :raises UsageError: if there is no network, or it is optimized already.
        :raises SaveFailed: if the file cannot be written; inference stays on torch.
        """
        if self._optimized:
            raise UsageError('optimize: the network is optimized already; set ort_session to None first')
        model_bytes = to_onnx(self._network(), self.reading.geometry.size_px, do_constant_folding, half=False)
        optimized = OptimizedNetwork(model_bytes, self.name_experiment, self.device)
        saved_network.save_files(self.temp_path, {f'{self.name_experiment}.onnx': model_bytes})
        self._optimized = optimized
        return True

    def download(self, path: str | None = None, mode: str = 'data', url: str | None = None) -> str:
        """Fetch data, published weights or demo files, unless they exist.

        :param path: folder; None for temp_path.
        :param mode: 'data', 'pretrained', 'demo_image' or 'demo_video'.
        :param url: address with OpenDR's layout; None for the known addresses and hashes.
        :returns: path of the file or folder; for mode 'data' also in `dataset_path`.
        :raises DownloadFailed: with the cause, and how to get the files by hand.
        """
        place = downloads.download(path or self.temp_path, mode, url, report=print)
        if mode == 'data':
            self.dataset_path = place
        return place

    def reset(self) -> None:
        """Do nothing: infer() is stateless."""

    @staticmethod
    def get_hyperparameters() -> None:
        """Return None, as OpenDR's does."""

    @staticmethod
    def get_objective_function() -> None:
        """Return None, as OpenDR's does."""

    def _folder(self) -> str:
        return os.path.join(self.base_path_experiment, self.name_experiment)

    def _torch_device(self) -> torch.device:
        return choose_device(f'cuda:{self.output_device}' if self.device == 'cuda' else self.device)

    def _network(self) -> OpenDrEsr:
        if self.model is None:
            raise UsageError('expected a network; call init_model(), load() or fit() first')
        return self.model

    def _outputs(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._optimized:
            return self._optimized.outputs(crops)
        return self._network().eval().outputs(crops)

    def _take(self, weights: Weights | None, reading: InputSpec) -> None:
        """Replace the network; weights are None for an ONNX file without them."""
        self.model, self._optimized, self.reading = None, None, reading
        self._is_trained = True
        if weights is None:
            return
        self.diversify = is_diversified(weights)
        self.model = OpenDrEsr(self._torch_device(), branches_of(weights), self.diversify)
        self.model.load_state_dict(weights)


def _no_criterion(name: str) -> UsageError:
    return UsageError(f'{name}: the loss of fit() cannot be replaced; `train` has more settings (docs/training.md)')
