"""Checkpoints of the authors' code and of OpenDR: a folder with one file for the base and one per branch.

Each file is a state dict that torch.save wrote: `conv1.weight` to `bn4.num_batches_tracked`, in the branches also `fc`
and `fc_dimensional`, in an ESR* also `cbam1` to `cbam4`. OpenDR adds a JSON file that states whether the network was
saved as torch weights or ONNX; the authors' folders have none. Parameter names are ours without the prefix `base.` or
`convolutional_branches.<i>.`; files count branches from 1, we count from 0.

Sources: the authors' `model/ml/esr_9.py`; `save` and `load` of OpenDR's `facial_emotion_learner.py`.
"""

import io
import os
from collections.abc import Callable, Sequence

import torch

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.training.model.network import BRANCHES, ESR, Weights, branches_of

#: File names.
BASE_FILE = 'Net-Base-Shared_Representations.pt'
BRANCH_FILE = 'Net-Branch_{}.pt'

_BASE = 'base.'

_AFFECT_LAYER, _AFFECT_FROM = 'fc_dimensional.', 'esr_9_ferplus'
#: Source of valence and arousal when a checkpoint has no layer for them.
AFFECT_OF_LOGITS = f'derived from its category logits by the affect layers of {_AFFECT_FROM}; not trained for it'
#: Maximum number of faults listed per file.
_MAX_FAULTS = 6


def parts_of(weights: Weights) -> list[Weights]:
    """Split a state dict into those of the base and of each branch."""
    prefixes = [_BASE] + [f'{BRANCHES}{branch}.' for branch in range(branches_of(weights))]
    return [
        {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        for prefix in prefixes
    ]


def joined(parts: Sequence[Weights]) -> Weights:
    """Invert :func:`parts_of`."""
    prefixes = [_BASE] + [f'{BRANCHES}{branch}.' for branch in range(len(parts) - 1)]
    return {prefix + name: tensor for prefix, part in zip(prefixes, parts) for name, tensor in part.items()}


def read_published(
    folder: str | os.PathLike[str],
    branches: int | None = None,
    base_file: str = BASE_FILE,
    branch_file: str = BRANCH_FILE,
    report: Callable[[str], object] = lambda line: None,
) -> Weights:
    """Read a checkpoint of the authors' code or of OpenDR, plain or diversified.

    Only plain tensors are read: code in a file is never run.

    :param folder: with the files; a JSON file is not needed.
    :param branches: number of branches to read, the first ones; None for all.
    :param base_file: file name of the base.
    :param branch_file: file name of a branch, with {} for its number, from 1.
    :param report: called with a message if branches lack the layer of valence and arousal, as the authors' training
        scripts save them; they get the embedded network's.
    :returns: state dict of an ESR or ESR*, float32, on the CPU.
    :raises BadModel: listing missing and unreadable files and tensors that are not an ESR's.
    :raises BadParameter: if `branches` is below 1, or branch_file has no {}.
    """
    folder, paths = os.fspath(folder), _paths(folder, branches, base_file, branch_file)
    absent = [os.path.basename(path) for path in paths if not os.path.isfile(path)]
    if absent:
        raise BadModel(
            f'{folder}: expected the files of an ESR-{len(paths) - 1}, there is no {", no ".join(absent)}; check the '
            'folder, the number of branches and the file names'
        )
    parts, faults = [], []
    for path in paths:
        try:
            parts.append(read_plain(path))
        except BadModel as error:
            faults.append(str(error))
    if not faults:
        _add_affect_layers(folder, parts[1:], report)
        diversified = any(name.startswith('cbam') for name in parts[0])
        with torch.device('meta'):
            wanted = parts_of(ESR(1, diversified).state_dict())
        for path, part, like in zip(paths, parts, wanted[:1] + wanted[1:] * (len(paths) - 1)):
            faults += _fitted(path, part, like, diversified)
    if faults:
        raise BadModel('; '.join(faults))
    return joined(parts)


def published_files(weights: Weights) -> dict[str, bytes]:
    """Serialise a checkpoint that the authors' code and OpenDR load.

    :param weights: state dict of an ESR or ESR*.
    :returns: content by file name, the base first.
    """
    parts = parts_of(weights)
    names = _paths('', len(parts) - 1, BASE_FILE, BRANCH_FILE)
    return {name: serialised(part) for name, part in zip(names, parts)}


def serialised(weights: Weights) -> bytes:
    """Serialise weights with torch.save in memory: writing to a full disk, it raises misleading errors."""
    stream = io.BytesIO()
    torch.save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in weights.items()}, stream)
    return stream.getvalue()


def _paths(folder: str, branches: int | None, base_file: str, branch_file: str) -> list[str]:
    if branch_file.format(1) == branch_file.format(2):
        raise BadParameter(f'expected a file name with {{}} for the branch number, got {branch_file!r}')
    if branches is None:
        branches = 1
        while os.path.isfile(os.path.join(folder, branch_file.format(branches + 1))):
            branches += 1
    if branches < 1:
        raise BadParameter(f'expected at least 1 branch, got {branches}')
    return [
        os.path.join(folder, name)
        for name in [base_file] + [branch_file.format(number) for number in range(1, branches + 1)]
    ]


def read_plain(path: str) -> Weights:
    """Read a state dict that torch.save wrote, as float32; code in the file is never run.

    :raises BadModel: if it cannot be read as plain tensors.
    """
    name = os.path.basename(path)
    try:
        part = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise BadModel(
            f'{name}: expected a state dict of torch.save, it cannot be read as plain tensors ({cause[0][:200]})'
        ) from error
    if not isinstance(part, dict) or not part or not all(torch.is_tensor(tensor) for tensor in part.values()):
        raise BadModel(f'{name}: expected a state dict of tensors, got a {type(part).__name__} of other values')
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in part.items()}


def _add_affect_layers(folder: str, branches: list[Weights], report: Callable[[str], object]) -> None:
    """Add a missing `fc_dimensional`: the mean of the embedded network's layers, which take the same logits."""
    bare = [branch for branch in branches if not any(name.startswith(_AFFECT_LAYER) for name in branch)]
    if not bare:
        return
    from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
    from facial_emotion_ros.training.model.export import weights_of

    ours = parts_of(weights_of(ModelBundle.open(embedded_bundle(_AFFECT_FROM), expect='esr')))[1:]
    for name in (name for name in ours[0] if name.startswith(_AFFECT_LAYER)):
        mean = torch.stack([branch[name].float() for branch in ours]).mean(0)
        for branch in bare:
            branch[name] = mean.clone()
    report(
        f'{folder}: {len(bare)} of {len(branches)} branches have no fc_dimensional; valence and arousal are '
        + AFFECT_OF_LOGITS
    )


def _fitted(path: str, part: Weights, like: Weights, diversified: bool) -> list[str]:
    """Add the counters that torch before 0.4.1 did not save; list missing, unknown and invalid tensors."""
    faults = []
    for key, wanted in like.items():
        if key not in part and key.endswith('num_batches_tracked'):
            part[key] = torch.zeros(wanted.shape, dtype=wanted.dtype)
        elif key not in part:
            faults.append(f'{key} is missing')
        elif part[key].shape != wanted.shape:
            faults.append(f'{key}: expected {tuple(wanted.shape)}, got {tuple(part[key].shape)}')
        elif not torch.isfinite(part[key]).all():
            faults.append(f'{key} has values that are not finite')
    faults += [f'{key} is unknown' for key in part if key not in like]
    if len(faults) > _MAX_FAULTS:
        faults[_MAX_FAULTS:] = [f'and {len(faults) - _MAX_FAULTS} more']
    kind = 'an ESR*' if diversified else 'a plain ESR'
    return [f'{os.path.basename(path)}: expected {kind} like its base: {", ".join(faults)}'] if faults else []
