"""Weights that a training starts from: read from where people keep them, and brought into the network's shape."""

import math
import os

import torch

from facial_emotion_ros.errors import BadModel
from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.learning.checkpoint import load_weights
from facial_emotion_ros.learning.network import ESR
from facial_emotion_ros.learning.published import BASE_FILE

_BRANCHES = 'convolutional_branches.'


def read_start(path, report=lambda line: None):
    """Read weights from a safetensors file, a model bundle, or a folder of OpenDR's or the authors' layout.

    :param path: file, folder, or name of an embedded bundle.
    :param report: called with a sentence about what the weights lack.
    :returns: state dict of an ESR, float32; and the CropGeometry that the bundle or folder tells of, None for a file.
    :raises BadModel: if it is none of these.
    """
    if os.path.isfile(path):
        return load_weights(path), None
    if os.path.isfile(os.path.join(path, BASE_FILE)):
        from facial_emotion_ros.learning import saved_network
        saved = saved_network.load(path, None, os.path.basename(os.path.abspath(path)), report=report)
        return saved.weights, saved.reading.geometry
    if path.endswith('.safetensors'):
        raise BadModel(f'{path}: weights to start from expected, there is no such file')
    from facial_emotion_ros.learning.export import weights_of
    from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle
    bundle = ModelBundle.open(path if os.path.isdir(path) else embedded_bundle(path), expect='esr')
    return weights_of(bundle), CropGeometry.from_manifest(bundle.manifest['input'])


def branches_of(weights):
    """Count the branches in weights.

    :param weights: state dict of an ESR.
    :returns: int, at least 1.
    :raises BadModel: if there is none.
    """
    places = {name.split('.')[1] for name in weights if name.startswith(_BRANCHES)}
    if not places or places != {str(place) for place in range(len(places))}:
        raise BadModel(f'weights of an ESR expected, with branches {_BRANCHES}0 and so on, got {sorted(places)[:20]}')
    return len(places)


def network_from(weights, branches, diversified, generator):
    """Make the network of a stage from weights of the one before, or of another training.

    An ESR* may start from a plain ESR: its attention is drawn anew then.

    :param weights: state dict of an ESR with at most `branches` branches; None for random weights.
    :param branches: number of branches that are needed; missing ones are made by :func:`widen`.
    :param diversified: make an ESR*.
    :param generator: torch.Generator for what is new.
    :returns: ESR in training mode.
    :raises BadModel: if names or shapes do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2 ** 62, (), generator=generator)))
        network = ESR(branches, diversified)
    if weights is not None:
        try:
            missing, unknown = network.load_state_dict(widen(weights, branches, generator), strict=False)
        except RuntimeError as error:
            raise BadModel(f'weights to start from do not fit an ESR of this package: {error}') from error
        missing = [name for name in missing if '.cbam' not in name or any('.cbam' in each for each in weights)]
        if missing or unknown:
            kind = 'ESR*' if diversified else 'ESR'
            raise BadModel(f'weights of an {kind} with {branches} branches expected to start from; missing: '
                           f'{missing[:3]}, unknown: {unknown[:3]}')
    return network


def widen(weights, branches, generator):
    """Make weights of an ESR with fewer branches fit one with more.

    Each new branch is a copy of an existing one whose last layers are drawn anew, so that copies do not stay alike: the
    first round of copies loses its last convolution and heads, the second also the convolution before.

    :param weights: state dict of an ESR with at least one branch.
    :param branches: number of branches that are needed.
    :param generator: torch.Generator for the new layers.
    :returns: state dict of an ESR with that many branches.
    """
    present = branches_of(weights)
    wide = {name: tensor.clone() for name, tensor in weights.items() if not name.startswith(_BRANCHES)}
    fresh = {0: (), 1: ('conv4', 'bn4', 'cbam4', 'fc')}
    for branch in range(branches):
        renewed = fresh.get(branch // present, ('conv3', 'bn3', 'cbam3', 'conv4', 'bn4', 'cbam4', 'fc'))
        source = f'{_BRANCHES}{branch % present}.'
        for name, tensor in weights.items():
            if not name.startswith(source):
                continue
            layer = name[len(source):].split('.')[0]
            tensor = tensor.clone()
            if layer in renewed and name.endswith('weight') and tensor.dim() > 1:
                spread = math.sqrt(2.0 / tensor[0].numel())
                tensor = torch.randn(tensor.shape, generator=generator) * spread
            elif layer in renewed and name.endswith(('bias', 'running_mean')):
                tensor.zero_()
            elif layer in renewed and name.endswith(('weight', 'running_var')):
                tensor.fill_(1)
            wide[f'{_BRANCHES}{branch}.{name[len(source):]}'] = tensor
    return wide
