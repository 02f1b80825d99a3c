"""Reads initial weights, and adapts them to the shape of the network."""

import math
import os
from collections.abc import Callable

import torch

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.bundle_manifest import MANIFEST_FILE
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.loop.checkpoint import TRAINED_RECIPE, TRAINED_WEIGHTS, load_weights
from facial_emotion_ros.training.loop.recipe import read_recipe
from facial_emotion_ros.training.model.network import BRANCHES, ESR, Weights, branches_of, is_diversified


def read_start(path: str, report: Callable[[str], object] = lambda line: None) -> tuple[Weights, CropGeometry | None]:
    """Read weights from a safetensors file, or from whatever :func:`saved_network.load` takes.

    :param path: file, folder of a training or a bundle, or name of an embedded bundle.
    :param report: called with a message about missing layers.
    :returns: state dict of an ESR, float32; and the CropGeometry of the bundle or folder, or of the training whose
        recipe lies beside its weights; None for another file.
    :raises BadModel: if it is none of these.
    :raises BadParameter: if the recipe beside the weights cannot be read.
    """
    trained = os.path.join(path, TRAINED_WEIGHTS)
    if os.path.isfile(trained) and not os.path.exists(os.path.join(path, MANIFEST_FILE)):
        path = trained  # the folder of a training
    if os.path.isfile(path):
        folder, name = os.path.split(path)
        recipe = os.path.join(folder, TRAINED_RECIPE)
        if name != TRAINED_WEIGHTS or not os.path.isfile(recipe):
            return load_weights(path), None
        from facial_emotion_ros.training.loop.saved_network import reading_for  # needs onnx

        return load_weights(path), reading_for(read_recipe(recipe)).geometry
    if path.endswith('.safetensors'):
        raise BadModel(f'{path}: expected initial weights, there is no such file')
    from facial_emotion_ros.training.loop import saved_network

    saved = saved_network.load(path, None, os.path.basename(os.path.abspath(path)), report=report)
    if saved.weights is None:
        raise BadModel(f'{path}: expected weights to train, got an ONNX file without them')
    return saved.weights, saved.reading.geometry


def network_from(weights: Weights | None, branches: int, diversified: bool, generator: torch.Generator) -> ESR:
    """Make the network of a stage from the weights of the previous one or of another training.

    An ESR* may start from a plain ESR: its attention layers are then random.

    :param weights: state dict of an ESR with at most `branches` branches; None for random weights.
    :param branches: required number; :func:`widen` adds the missing ones.
    :param diversified: make an ESR*.
    :param generator: for new layers.
    :returns: ESR in training mode.
    :raises BadModel: if names or shapes do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        network = ESR(branches, diversified)
    if weights is not None:
        try:
            missing, unknown = network.load_state_dict(widen(weights, branches, generator), strict=False)
        except RuntimeError as error:
            raise BadModel(f'the initial weights do not fit an ESR of this package: {error}') from error
        missing = [name for name in missing if '.cbam' not in name or is_diversified(weights)]
        if missing or unknown:
            kind = 'ESR*' if diversified else 'ESR'
            raise BadModel(
                f'expected initial weights of an {kind} with {branches} branches; missing: '
                f'{missing[:3]}, unknown: {unknown[:3]}'
            )
    return network


def widen(weights: Weights, branches: int, generator: torch.Generator) -> Weights:
    """Add branches to the weights of an ESR.

    Each new branch copies an existing one and reinitialises its last layers, so that copies diverge: the first round of
    copies its last convolution and heads, the second also the convolution before.

    :param weights: state dict of an ESR with at least one branch.
    :param branches: required number.
    :param generator: for the new layers.
    :returns: state dict of an ESR with that many branches.
    """
    present = branches_of(weights)
    wide = {name: tensor.clone() for name, tensor in weights.items() if not name.startswith(BRANCHES)}
    fresh = {0: (), 1: ('conv4', 'bn4', 'cbam4', 'fc')}
    for branch in range(branches):
        renewed = fresh.get(branch // present, ('conv3', 'bn3', 'cbam3', 'conv4', 'bn4', 'cbam4', 'fc'))
        source = f'{BRANCHES}{branch % present}.'
        for name, tensor in weights.items():
            if not name.startswith(source):
                continue
            layer = name[len(source) :].split('.')[0]
            tensor = tensor.clone()
            if layer in renewed and name.endswith('weight') and tensor.dim() > 1:
                spread = math.sqrt(2.0 / tensor[0].numel())
                tensor = torch.randn(tensor.shape, generator=generator) * spread
            elif layer in renewed and name.endswith(('bias', 'running_mean')):
                tensor.zero_()
            elif layer in renewed and name.endswith(('weight', 'running_var')):
                tensor.fill_(1)
            wide[f'{BRANCHES}{branch}.{name[len(source) :]}'] = tensor
    return wide
