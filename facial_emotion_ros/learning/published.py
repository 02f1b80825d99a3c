"""Checkpoints of the authors' code and of OpenDR: a folder with one file for the base and one for each branch.

Each file is a state dict that torch.save wrote: `conv1.weight` to `bn4.num_batches_tracked`, in the branches also `fc`
and `fc_dimensional`, in an ESR* also `cbam1` to `cbam4`. OpenDR puts a JSON file beside them that says whether the
network was saved as torch weights or as ONNX; the authors' folders have none. Names inside the files are ours but for
the prefix, `base.` or `convolutional_branches.<i>.`; files count branches from 1, and we from 0.

Sources: the authors' `model/ml/esr_9.py`; `save` and `load` of OpenDR's `facial_emotion_learner.py`.
"""

import glob
import io
import json
import os

import torch

from facial_emotion_ros.atomic_file import write_together
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.learning.network import ESR

#: File names of both codes.
BASE_FILE = 'Net-Base-Shared_Representations.pt'
BRANCH_FILE = 'Net-Branch_{}.pt'

_BASE, _BRANCH = 'base.', 'convolutional_branches.'

_AFFECT_LAYER, _AFFECT_FROM = 'fc_dimensional.', 'esr_9_ferplus'
#: Where valence and arousal come from when a checkpoint has no layer of them.
AFFECT_OF_LOGITS = f"derived from its category logits by the affect layers of {_AFFECT_FROM}; not trained for it"
#: So many faults of one file are named, the others counted.
_MAX_FAULTS = 6


def parts_of(weights):
    """Split weights as the published code keeps them.

    :param weights: state dict of an ESR or ESR*.
    :returns: list of state dicts: the base's, then one for each branch.
    """
    branches = 1 + max(int(name.split('.')[1]) for name in weights if name.startswith(_BRANCH))
    prefixes = [_BASE] + [f'{_BRANCH}{branch}.' for branch in range(branches)]
    return [
        {name[len(prefix):]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        for prefix in prefixes
    ]


def joined(parts):
    """Put together what :func:`parts_of` split.

    :param parts: list of state dicts: the base's, then one for each branch.
    :returns: state dict with the names of an ESR.
    """
    prefixes = [_BASE] + [f'{_BRANCH}{branch}.' for branch in range(len(parts) - 1)]
    return {prefix + name: tensor for prefix, part in zip(prefixes, parts) for name, tensor in part.items()}


def read_published(folder, branches=None, base_file=BASE_FILE, branch_file=BRANCH_FILE, report=lambda line: None):
    """Read a checkpoint of the authors' code or of OpenDR, plain or diversified.

    No code that a file might hold is run: only plain tensors are read, and nothing else is tried where that fails.

    :param folder: that holds the files; a JSON file beside them is not needed.
    :param branches: how many branches to read, the first ones; None for all that are there.
    :param base_file: name of the base's file.
    :param branch_file: name of a branch's file, with {} in place of its number, which starts at 1.
    :param report: called with a sentence where branches have no layer of valence and arousal, as the authors' training
        scripts save them; they get that of the embedded network.
    :returns: state dict of an ESR or ESR*, float32, on the CPU.
    :raises BadModel: naming every file that is absent, that cannot be read, or whose tensors are not an ESR's.
    :raises BadParameter: if `branches` is less than 1, or all branches would have the same file name.
    """
    folder, paths = os.fspath(folder), _paths(folder, branches, base_file, branch_file)
    absent = [os.path.basename(path) for path in paths if not os.path.isfile(path)]
    if absent:
        raise BadModel(f'{folder}: expected the files of an ESR-{len(paths) - 1}, there is no {", no ".join(absent)}; '
                       + _advice(folder))
    parts, faults = [], []
    for path in paths:
        try:
            parts.append(_read_part(path))
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


def write_published(folder, weights, base_file=BASE_FILE, branch_file=BRANCH_FILE, name=None):
    """Write a checkpoint that the authors' code and OpenDR load, all of it or, where that fails, nothing.

    Files of further branches that lie there from before are not touched.

    :param folder: made where it is missing.
    :param weights: state dict of an ESR or ESR*.
    :param base_file: name of the base's file.
    :param branch_file: name of a branch's file, with {} in place of its number, which starts at 1.
    :param name: what OpenDR calls the experiment (`esr_9`): its JSON file is written too; None for the authors' folder.
    :returns: paths of the files written, the base first.
    :raises BadParameter: if all branches would have the same file name.
    """
    files = published_files(weights, base_file, branch_file)
    if name is not None:
        metadata = {
            'model_paths': [os.fspath(folder)], 'framework': 'pytorch', 'format': 'pt', 'has_data': False,
            'inference_params': {}, 'optimized': False, 'optimizer_info': {},
        }
        files[f'{name}.json'] = json.dumps(metadata).encode()
    write_together(os.fspath(folder), files)
    return [os.path.join(folder, file) for file in files]


def published_files(weights, base_file=BASE_FILE, branch_file=BRANCH_FILE):
    """Serialise a checkpoint that the authors' code and OpenDR load.

    :param weights: state dict of an ESR or ESR*.
    :param base_file: name of the base's file.
    :param branch_file: name of a branch's file, with {} in place of its number, which starts at 1.
    :returns: dict of file name to content, the base first.
    :raises BadParameter: if all branches would have the same file name.
    """
    parts = parts_of(weights)
    names = _paths('', len(parts) - 1, base_file, branch_file)
    return {name: serialised(part) for name, part in zip(names, parts)}


def serialised(weights):
    """Serialise weights as torch.save does: in memory, for on a full disk that raises whatever comes to its mind.

    :param weights: dict of name to tensor.
    :returns: bytes.
    """
    stream = io.BytesIO()
    torch.save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in weights.items()}, stream)
    return stream.getvalue()


def _paths(folder, branches, base_file, branch_file):
    if branch_file.format(1) == branch_file.format(2):
        raise BadParameter(f'a file name with {{}} in place of the branch number expected, got {branch_file!r}')
    if branches is None:
        branches = 1
        while os.path.isfile(os.path.join(folder, branch_file.format(branches + 1))):
            branches += 1
    if branches < 1:
        raise BadParameter(f'an ensemble needs at least 1 branch, got {branches}')
    return [os.path.join(folder, name)
            for name in [base_file] + [branch_file.format(number) for number in range(1, branches + 1)]]


def _advice(folder):
    """Say what to do about absent files, from what lies there instead."""
    if not os.path.isdir(folder):
        return 'there is no such folder'
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), '*.json'))):
        try:
            with open(path, encoding='utf-8') as file:
                optimized = json.load(file).get('optimized')
        except (OSError, ValueError, AttributeError):
            continue
        if optimized:
            return f'{os.path.basename(path)} says that it was saved as ONNX; save it before optimize()'
    return 'check the folder, the number of branches and the file names'


def _read_part(path):
    """Read one file as a dict of plain tensors."""
    name = os.path.basename(path)
    try:
        part = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise BadModel(f'{name}: a state dict that torch.save wrote expected, it cannot be read as plain tensors '
                       f'({cause[0][:200]})') from error
    if not isinstance(part, dict) or not part or not all(torch.is_tensor(tensor) for tensor in part.values()):
        raise BadModel(f'{name}: a state dict of tensors expected, got a {type(part).__name__} of something else')
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in part.items()}


def _add_affect_layers(folder, branches, report):
    """Give branches without `fc_dimensional` the mean of the embedded network's, which reads the same logits."""
    bare = [branch for branch in branches if not any(name.startswith(_AFFECT_LAYER) for name in branch)]
    if not bare:
        return
    from facial_emotion_ros.learning.export import weights_of
    from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle
    ours = parts_of(weights_of(ModelBundle.open(embedded_bundle(_AFFECT_FROM), expect='esr')))[1:]
    for name in (name for name in ours[0] if name.startswith(_AFFECT_LAYER)):
        mean = torch.stack([branch[name].float() for branch in ours]).mean(0)
        for branch in bare:
            branch[name] = mean.clone()
    report(f'{folder}: {len(bare)} of {len(branches)} branches have no fc_dimensional; valence and arousal are '
           + AFFECT_OF_LOGITS)


def _fitted(path, part, like, diversified):
    """Add the counters that torch before 0.4.1 did not save; say what does not fit."""
    faults = []
    for key, wanted in like.items():
        if key not in part and key.endswith('num_batches_tracked'):
            part[key] = torch.zeros(wanted.shape, dtype=wanted.dtype)
        elif key not in part:
            faults.append(f'{key} is missing')
        elif part[key].shape != wanted.shape:
            faults.append(f'{key} {tuple(wanted.shape)} expected, got {tuple(part[key].shape)}')
        elif not torch.isfinite(part[key]).all():
            faults.append(f'{key} has values that are not finite')
    faults += [f'{key} is not known' for key in part if key not in like]
    if len(faults) > _MAX_FAULTS:
        faults[_MAX_FAULTS:] = [f'and {len(faults) - _MAX_FAULTS} more']
    kind = 'an ESR*, which its base is' if diversified else 'a plain ESR, which its base is'
    return [f'{os.path.basename(path)}: not of {kind}: {", ".join(faults)}'] if faults else []
