"""The learner with the shape of OpenDR's FacialEmotionLearner, on this package's network, training and export.

docs/learner.md says, method by method, what is the same and what is better.
Source: OpenDR's reference page "image_based_facial_emotion_estimation" and the class that it describes.
"""

import os
import sys
import warnings

import numpy as np
import torch

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import combine
from facial_emotion_ros.errors import BadDataset, BadParameter
from facial_emotion_ros.learning import opendr_files, saved_network
from facial_emotion_ros.learning.affectnet import AffectNet
from facial_emotion_ros.learning.augmentation import plain
from facial_emotion_ros.learning.export import to_onnx
from facial_emotion_ros.learning.opendr_figures import KINDS, figures_of
from facial_emotion_ros.learning.opendr_fit import train
from facial_emotion_ros.learning.opendr_inputs import crops_of
from facial_emotion_ros.learning.opendr_network import OpenDrEsr
from facial_emotion_ros.learning.opendr_types import Category, LearnerSettings, Misuse
from facial_emotion_ros.learning.optimized_network import OptimizedNetwork
from facial_emotion_ros.learning.precision import choose_device
from facial_emotion_ros.learning.published import BASE_FILE, BRANCH_FILE, joined
from facial_emotion_ros.learning.saved_network import Reading

#: Faces that go through the network at once in eval().
_BATCH = 64


class FacialEmotionLearner(LearnerSettings):
    """Trains, evaluates, runs, saves and exports ESR-n and ESR*-n.

    model: the network, None before there is one; ort_session: the ONNX Runtime session that infers instead, or None.
    reading: Reading: colour, scale and size of the network's input and the calibration of its scores; it follows the
    weights that load() finds: BGR / 255 at 96x96 for the published ones, what the manifest says for a model bundle.
    size_px: side of the crops in a training that begins from nothing; seed: of fit().
    """

    def __init__(
        self, lr=1e-1, batch_size=32, temp_path='temp', device='cuda', device_ind=[0], validation_interval=1,  # noqa: B006 - OpenDR's signature
        max_training_epoch=2, momentum=0.9, ensemble_size=9, base_path_experiment='./experiments/',
        name_experiment='esr_9', dimensional_finetune=True, categorical_train=False,
        base_path_to_dataset='./data/AffectNet', max_tuning_epoch=1, diversify=False,
    ):  # fmt: skip
        """Take the settings; nothing is read or made yet.

        :param lr: peak of the learning rate; valence and arousal learn at a tenth of it.
        :param batch_size: faces a step.
        :param temp_path: where optimize() and download() write.
        :param device: 'cpu', 'cuda' or 'cuda:N'. Where CUDA is missing, 'cuda' becomes 'cpu' with one warning.
        :param device_ind: index of the GPU, or a list that begins with it.
        :param validation_interval: epochs from one look at the validation set to the next.
        :param max_training_epoch: epochs for the first branch.
        :param momentum: of SGD.
        :param ensemble_size: number of branches.
        :param base_path_experiment: where fit() writes, in a folder called `name_experiment`.
        :param name_experiment: also the name of what save() writes.
        :param dimensional_finetune: fit() trains valence and arousal on a fixed backbone.
        :param categorical_train: fit() trains the categories, branch by branch.
        :param base_path_to_dataset: AffectNet as pre_process_affect_net lays it out.
        :param max_tuning_epoch: epochs for each further branch, and for valence and arousal.
        :param diversify: ESR*, with attention that is kept diverse.
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
        self.model, self.reading = None, Reading()
        self.size_px, self.seed = self.reading.geometry.size_px, 1
        self._optimized, self._is_trained = None, False
        if self.device.startswith('cuda') and not torch.cuda.is_available():
            warnings.warn(f'device {self.device!r}: no usable CUDA here, so this learner computes on the CPU; see '
                          "nvidia-smi and torch's build, or say device='cpu'", RuntimeWarning, stacklevel=2)
            self.device = 'cpu'
        self._torch_device()

    @property
    def ort_session(self):
        """The ONNX Runtime session after optimize(); set it to None to infer by torch again."""
        return self._optimized.session if self._optimized else None

    @ort_session.setter
    def ort_session(self, session):
        if session is not None:
            raise Misuse('ort_session: None, or what optimize() and load() set, expected; load() your ONNX file')
        self._optimized = None

    @property
    def criterion_cat(self):
        """The loss of categories that fit() uses; it cannot be replaced."""
        return torch.nn.CrossEntropyLoss()

    @property
    def criterion_dim(self):
        """The loss of valence and arousal that fit() uses; it cannot be replaced."""
        return torch.nn.MSELoss()

    @criterion_cat.setter
    def criterion_cat(self, _criterion):
        raise _no_criterion('criterion_cat')

    @criterion_dim.setter
    def criterion_dim(self, _criterion):
        raise _no_criterion('criterion_dim')

    def init_model(self, num_branches):
        """Make a network with random weights; it reads faces as the published one does.

        :param num_branches: number of branches, at least 1.
        :raises BadParameter: if there is none.
        """
        self.model = OpenDrEsr(self._torch_device(), num_branches, self.diversify)
        self.reading = Reading(saved_network.PUBLISHED)
        self._optimized, self._is_trained = None, False

    def fit(self, verbose=True, dataset=None, val_dataset=None):
        """Train as `categorical_train` and `dimensional_finetune` say, and take the best weights.

        Interrupted, by Ctrl-C too, the same call goes on where it was. The folder
        `base_path_experiment`/`name_experiment` holds the curves and, in trained_models, the weights. Without
        categorical training, valence and arousal are trained for the network that load() or fit() brought, else for the
        one in trained_models.

        :param verbose: show progress.
        :param dataset: FaceSet to learn from instead of the training set in `base_path_to_dataset`.
        :param val_dataset: FaceSet to judge by; given with `dataset`.
        :returns: dict of figures of the last look at the validation set, and steps.
        :raises Misuse: if there is nothing to train.
        :raises BadParameter: if a setting cannot be, or an interrupted training had other settings.
        :raises BadDataset: if the data cannot be used.
        :raises BadModel: if there are no weights to fine-tune.
        :raises KeyboardInterrupt: after Ctrl-C, when the step under way is done and saved.
        """
        if not (self.categorical_train or self.dimensional_finetune):
            raise Misuse('fit: categorical_train or dimensional_finetune expected, both are False: nothing to train')
        if os.path.exists(self.base_path_experiment) and not os.path.isdir(self.base_path_experiment):
            raise BadParameter(f'base_path_experiment: a folder expected, {self.base_path_experiment} is a file')
        start = None
        if not self.categorical_train:
            if self._optimized and self.model is None:
                raise Misuse('fit: weights to fine-tune expected, this ONNX file has none; load those it was made of')
            if not self._is_trained or self.model is None:
                self.load(self.ensemble_size, os.path.join(self._folder(), 'trained_models'))
            start = self.model.state_dict()
        faces = dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'train')
        judged = val_dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'valid')
        weights, reading, figures = train(self, faces, judged, start, self._folder(), sys.stdout if verbose else None)
        self._take(weights, reading)
        return figures

    def eval(self, eval_type='categorical', current_branch_on_training=0, dataset=None):
        """Compare what infer() would say of the validation set with its labels.

        :param eval_type: 'categorical' or 'dimensional'.
        :param current_branch_on_training: OpenDR's figures are about the branches 0 to this one.
        :param dataset: FaceSet to use instead of the validation set in `base_path_to_dataset`.
        :returns: dict as :func:`~facial_emotion_ros.learning.opendr_figures.figures_of` has it.
        :raises BadParameter: if there is no such type or branch.
        :raises BadDataset: if the data cannot be used.
        """
        if eval_type not in KINDS:
            raise BadParameter(f'eval_type: {" or ".join(KINDS)} expected, got {eval_type!r}')
        faces = dataset if dataset is not None else AffectNet(self.base_path_to_dataset, 'valid', eval_type)
        faces = faces.rows(np.flatnonzero(faces.labels >= 0) if eval_type == KINDS[0] else faces.where_affect())
        if not len(faces):
            raise BadDataset(f'{faces.name}: faces with {eval_type} labels expected, got none')
        parts = [self._outputs(plain(faces.faces(np.arange(first, min(first + _BATCH, len(faces)))),
                                     self.reading.geometry))
                 for first in range(0, len(faces), _BATCH)]
        logits, affect = (np.concatenate(part) for part in zip(*parts))
        return figures_of(eval_type, faces, logits, affect, self.reading, current_branch_on_training)

    def infer(self, input_batch):
        """Read the emotions of faces that are cut out already; on the ONNX session where there is one.

        :param input_batch: face or faces as :func:`~facial_emotion_ros.learning.opendr_inputs.crops_of` takes them.
        :returns: list of N Category, and (N, 2) float32 tensor on the CPU: valence and arousal in [-1, 1].
        :raises BadImage: if something is no face.
        :raises Misuse: if there is no network.
        """
        estimates = combine(*self._outputs(crops_of(input_batch, self.reading.geometry)), self.reading.temperature,
                            self.reading.offsets)
        categories = [
            Category(int(row.argmax()), EMOTIONS[row.argmax()].capitalize(), torch.tensor(row.max()))
            for row in estimates.scores
        ]
        return categories, torch.from_numpy(np.stack([estimates.valence, estimates.arousal], 1))

    def save(self, state_dicts=None, base_path_to_save_model=None, verbose=True, path=None, model_name=None,
             current_branch_save=None):
        """Save the weights, or after optimize() the ONNX file, as OpenDR does; `save(path, model_name)` does too.

        :param state_dicts: list as model.to_state_dict() gives it, a state dict, or None for the network's weights.
        :param base_path_to_save_model: folder, made where it is missing.
        :param verbose: say where.
        :param path: folder of the other form, in which the weights go into the one file MODEL_NAME.pt.
        :param model_name: name of its files; None for name_experiment.
        :param current_branch_save: has no effect, all branches are saved; an example of OpenDR's gives it.
        :returns: True.
        :raises BadModel: if the weights are not an ESR's.
        :raises Misuse: if there is nothing to save, or no folder.
        :raises SaveFailed: if the disk is full, for instance; what was saved there before is whole.
        """
        if isinstance(state_dicts, (str, os.PathLike)):  # save(path, model_name)
            state_dicts, path, base_path_to_save_model, model_name = (
                None, state_dicts, None, model_name or base_path_to_save_model)
        folder, name = path or base_path_to_save_model, model_name or self.name_experiment
        if folder is None:
            raise Misuse('save: a folder expected, as base_path_to_save_model or as path')
        if self._optimized:
            saved_network.save_optimized(folder, name, self._optimized.model_bytes, self._optimized.branches,
                                         self.reading)
        else:
            if state_dicts is None:
                state_dicts = self._network().state_dict()
            weights = state_dicts if isinstance(state_dicts, dict) else joined(state_dicts)
            saved_network.save_weights(folder, name, weights, self.reading, single_file=path is not None)
        if verbose:
            print(f'{"ONNX file" if self._optimized else "Weights"} saved in {folder}')
        return True

    def load(self, ensemble_size=9, path_to_saved_network='./trained_models/esr_9', file_name_base_network=BASE_FILE,
             file_name_conv_branch=BRANCH_FILE, fix_backbone=True):
        """Load a network: of save(), of OpenDR, of the authors (whose folders have no JSON file), or a model bundle.

        Nothing has to be made before; a network of another shape is replaced. Code that a file holds is never run.

        :param ensemble_size: number of branches to take, the first ones.
        :param path_to_saved_network: folder, or name of an embedded bundle such as 'esr_9_ferplus'.
        :param file_name_base_network: name of the base's file.
        :param file_name_conv_branch: name of a branch's file, with {} in place of its number, which begins at 1.
        :param fix_backbone: with `dimensional_finetune`, only the dimensional layers' parameters require gradients.
        :returns: True.
        :raises BadModel: saying what was expected where.
        """
        lacks = []
        saved = saved_network.load(path_to_saved_network, ensemble_size, self.name_experiment, file_name_base_network,
                                   file_name_conv_branch, lacks.append)
        for line in lacks:
            warnings.warn(line, RuntimeWarning, stacklevel=2)
        optimized = saved.model_bytes and OptimizedNetwork(saved.model_bytes, self.name_experiment, self.device)
        self._take(saved.weights, saved.reading)
        self._optimized = optimized or None
        if self.model is not None and self.dimensional_finetune and fix_backbone:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_('.fc_dimensional.' in name)
        return True

    def optimize(self, do_constant_folding=False):
        """Export the network to ONNX, as `temp_path`/`name_experiment`.onnx, and infer on it from now on.

        :param do_constant_folding: compute what is constant now; the file then holds no weights to train on from.
        :returns: True.
        :raises Misuse: if there is no network, or it is optimized already.
        :raises SaveFailed: if the file cannot be written; the network then infers by torch as before.
        """
        if self._optimized:
            raise Misuse('optimize: the network is optimized already; set ort_session to None to do it again')
        model_bytes = to_onnx(self._network(), self.reading.geometry.size_px, do_constant_folding, half=False)
        optimized = OptimizedNetwork(model_bytes, self.name_experiment, self.device)
        saved_network.save_files(self.temp_path, {f'{self.name_experiment}.onnx': model_bytes})
        self._optimized = optimized
        return True

    def download(self, path=None, mode='data', url=None):
        """Fetch data, published weights or demo files; what is there already is not fetched again.

        :param path: folder; None for temp_path.
        :param mode: 'data', 'pretrained', 'demo_image' or 'demo_video'.
        :param url: address with OpenDR's layout; None for where the files are known to be, checked by hash if possible.
        :returns: path of the file or folder; of mode 'data' also in `dataset_path`.
        :raises DownloadFailed: with the cause and what to do by hand.
        """
        place = opendr_files.download(path or self.temp_path, mode, url, report=print)
        if mode == 'data':
            self.dataset_path = place
        return place

    def reset(self):
        """Do nothing: no call of infer() depends on an earlier one."""

    @staticmethod
    def get_hyperparameters():
        """Return None, as OpenDR's does."""

    @staticmethod
    def get_objective_function():
        """Return None, as OpenDR's does."""

    def _folder(self):
        return os.path.join(self.base_path_experiment, self.name_experiment)

    def _torch_device(self):
        return choose_device(f'cuda:{self.output_device}' if self.device == 'cuda' else self.device)

    def _network(self):
        if self.model is None:
            raise Misuse('a network expected, there is none; call init_model(), load() or fit() first')
        return self.model

    def _outputs(self, crops):
        if self._optimized:
            return self._optimized.outputs(crops)
        return self._network().eval().outputs(crops)

    def _take(self, weights, reading):
        """Take weights, which may be None where there is an ONNX file alone."""
        self.model, self._optimized, self.reading = None, None, reading
        self._is_trained = True
        if weights is None:
            return
        self.diversify = any('.cbam' in name for name in weights)
        self.model = OpenDrEsr(self._torch_device(), saved_network.branches_of(weights), self.diversify)
        self.model.load_state_dict(weights)


def _no_criterion(name):
    return Misuse(f'{name}: fit() has its own loss, which cannot be replaced; `train` has more settings '
                  '(docs/training.md)')
