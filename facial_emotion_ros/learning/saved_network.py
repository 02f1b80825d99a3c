"""Networks on the disk as OpenDR keeps them, and everything else that load() takes."""

import glob
import hashlib
import json
import os
from dataclasses import replace
from typing import NamedTuple

import torch

from facial_emotion_ros.atomic_file import write_together
from facial_emotion_ros.errors import BadModel, FacialEmotionError
from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.learning.checkpoint import load_weights
from facial_emotion_ros.learning.export import weights_of
from facial_emotion_ros.learning.network import ESR
from facial_emotion_ros.learning.published import BASE_FILE, BRANCH_FILE, published_files, read_published, serialised
from facial_emotion_ros.learning.recipe_file import read_recipe
from facial_emotion_ros.learning.warm_start import branches_of
from facial_emotion_ros.model_bundle import MANIFEST_FILE, ModelBundle, embedded_bundle

#: What the published weights see: the face box itself, blue first, 96x96, divided by 255.
#: Source: the authors' `controller/cvision.py` and `model/ml/esr_9.py`; OpenDR's learner is fed likewise.
PUBLISHED = CropGeometry(color='bgr', margin=1.0, center_x=0.5, center_y=0.5)


#: What a training by recipe leaves in its folder.
_TRAINED_WEIGHTS, _TRAINED_RECIPE = 'weights.safetensors', 'recipe.yaml'


class SaveFailed(FacialEmotionError, OSError):
    """A network could not be saved; what lay in its place is as it was."""


class Reading(NamedTuple):
    """How a network's input is made and its logits are read.

    :param geometry: CropGeometry.
    :param temperature: what logits are divided by.
    :param offsets: what is then added to each class's; None for nothing.
    """

    geometry: CropGeometry = PUBLISHED
    temperature: float = 1.0
    offsets: list | None = None


def reading_for(recipe):
    """Tell how a network that was trained by a recipe is read.

    :param recipe: Recipe.
    :returns: Reading: of gray faces framed as in FER+, of coloured ones framed as the published network's.
    """
    framed = PUBLISHED if recipe.faces.color == 'bgr' else CropGeometry()
    return Reading(replace(framed, color=recipe.faces.color, size_px=recipe.phases[-1].size_px))


class SavedNetwork(NamedTuple):
    """What was found on the disk.

    :param weights: state dict of an ESR or ESR*; None where there are none to train on from.
    :param reading: Reading.
    :param model_bytes: ONNX file of an optimized network; None for torch's weights.
    """

    weights: dict | None
    reading: Reading
    model_bytes: bytes | None = None


def save_weights(folder, name, weights, reading, single_file=False):
    """Save weights as OpenDR does: a file for the base, one for each branch, and NAME.json.

    :param folder: made where it is missing.
    :param name: of the JSON file.
    :param weights: state dict of an ESR or ESR*.
    :param reading: Reading.
    :param single_file: all of it in NAME.pt, as OpenDR's page says of save(path, model_name).
    :raises BadModel: if the weights are not an ESR's; nothing is written then.
    :raises SaveFailed: if they cannot be written; what was saved there before is whole.
    """
    params = {'branches': branches_of(weights), 'diversified': any('.cbam' in key for key in weights)}
    with torch.device('meta'):
        network = ESR(params['branches'], params['diversified'])
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise BadModel(f'weights of an ESR expected: {error}') from error
    if single_file:
        params['file'] = f'{name}.pt'
        files, unwanted = {params['file']: serialised(weights)}, ()
    else:
        files, unwanted = published_files(weights), _further_branches(folder, name, params['branches'])
    params['files'] = {file: _sha256(content) for file, content in files.items()}
    files[f'{name}.json'] = _metadata(folder, 'pt', reading, params)
    save_files(folder, files, unwanted)


def save_files(folder, files, unwanted=()):
    """Write the files of one network, all of them or none.

    :param folder: made where it is missing.
    :param files: dict of name to content.
    :param unwanted: names of files that go when these are there.
    :raises SaveFailed: naming the folder.
    """
    try:
        write_together(os.fspath(folder), files, unwanted)
    except OSError as error:
        raise SaveFailed(f'{folder}: the network cannot be saved there ({error.strerror or error}), and what was there '
                         'is as it was; make room, or name another folder') from error


def _further_branches(folder, name, branches):
    """List the files of branches that the network that is saved over has, and the new one has not."""
    try:
        former = _parse(os.path.join(folder, f'{name}.json'))
    except BadModel:
        return []
    count = former['inference_params'].get('branches')
    if former['optimized'] or 'file' in former['inference_params'] or not isinstance(count, int):
        return []
    return [BRANCH_FILE.format(number) for number in range(branches + 1, count + 1)]


def save_optimized(folder, name, model_bytes, branches, reading):
    """Save an ONNX file as OpenDR does: NAME.onnx and NAME.json.

    :param folder: made where it is missing.
    :param name: of both files.
    :param model_bytes: the ONNX file.
    :param branches: number of branches.
    :param reading: Reading.
    :raises SaveFailed: if they cannot be written; what was saved there before is whole.
    """
    params = {'branches': branches, 'sha256': _sha256(model_bytes)}
    save_files(folder, {f'{name}.onnx': model_bytes, f'{name}.json': _metadata(folder, 'onnx', reading, params)})


def load(place, branches, name, base_file=BASE_FILE, branch_file=BRANCH_FILE, report=lambda line: None):
    """Read a network.

    :param place: folder of OpenDR's, of ours or of the authors' (which has no JSON file), of a training or of a model
        bundle; name of an embedded bundle.
    :param branches: how many branches to read, the first ones; None for all.
    :param name: of the JSON file that is looked at first.
    :param base_file: name of the base's file.
    :param branch_file: name of a branch's file, with {} in place of its number.
    :param report: called with a sentence about what the weights lack.
    :returns: SavedNetwork.
    :raises BadModel: if it is none of these, something of it is missing, damaged or of another saving, or its
        metadata say fewer branches.
    :raises BadParameter: if `branches` is less than 1.
    """
    place = os.fspath(place)
    if not os.path.isdir(place):
        try:
            place = embedded_bundle(place)
        except BadModel:
            raise BadModel(f'{place}: a folder with a saved network expected, there is none; save() or '
                           "download(mode='pretrained') makes one") from None
    if os.path.isfile(os.path.join(place, MANIFEST_FILE)):
        return _from_bundle(place, branches)
    trained = [os.path.join(place, each) for each in (_TRAINED_WEIGHTS, _TRAINED_RECIPE)]
    if all(map(os.path.isfile, trained)):
        return SavedNetwork(_first(load_weights(trained[0]), branches, place), reading_for(read_recipe(trained[1])))
    metadata, name = _read_metadata(place, name)
    reading, params = _reading_of(place, metadata), metadata['inference_params']
    if (base_file, branch_file) == (BASE_FILE, BRANCH_FILE):  # other names are not those of the metadata
        _check_branches(place, name, metadata, branches)
        _check_files(place, name, params)
    if metadata.get('optimized'):
        return _from_onnx(place, name, metadata, reading)
    if 'file' in params:
        single = os.path.join(place, f'{name}.pt')
        return SavedNetwork(_first(_read_single(single), branches, single), reading)
    return SavedNetwork(read_published(place, branches, base_file, branch_file, report), reading)


def _from_bundle(place, branches):
    bundle = ModelBundle.open(place, expect='esr')
    described = bundle.manifest['outputs']['logits']
    reading = Reading(CropGeometry.from_manifest(bundle.manifest['input']), float(described.get('temperature', 1.0)),
                      described.get('offsets'))
    return SavedNetwork(_first(weights_of(bundle), branches, place), reading)


def _from_onnx(place, name, metadata, reading):
    path = os.path.join(place, f'{name}.onnx')
    try:
        with open(path, 'rb') as file:
            model_bytes = file.read()
    except OSError as error:
        raise BadModel(f'{path}: expected, for {name}.json says that it is optimized; it cannot be read '
                       f'({error.strerror})') from error
    params = metadata['inference_params']
    sha256 = _sha256(model_bytes)
    if params.get('sha256', sha256) != sha256:
        raise BadModel(f'{path}: sha256 {params["sha256"]} expected, got {sha256}; it is damaged or of another saving: '
                       'save it again')
    manifest = {'name': name, 'outputs': {'logits': {'branches': params.get('branches', 1)}}}
    try:
        weights = weights_of(ModelBundle(place, manifest, model_bytes))
    except Exception:  # folded, or OpenDR's own: nothing to train on from; what is no ONNX at all does not load later
        weights = None
    return SavedNetwork(weights, reading, model_bytes)


def _first(weights, branches, place):
    """Keep the first branches."""
    present = branches_of(weights)
    branches = present if branches is None else branches
    if branches > present:
        raise BadModel(f'{place}: an ensemble of at least {branches} branches expected, got {present}; give '
                       f'ensemble_size={present}')
    dropped = tuple(f'convolutional_branches.{branch}.' for branch in range(branches, present))
    return {name: tensor for name, tensor in weights.items() if not name.startswith(dropped)}


def _read_single(path):
    try:
        weights = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise BadModel(f'{path}: a state dict expected, it cannot be read as plain tensors ({error})') from error
    if not isinstance(weights, dict) or not all(torch.is_tensor(tensor) for tensor in weights.values()):
        raise BadModel(f'{path}: a state dict of tensors expected, got {type(weights).__name__}')
    return weights


def _metadata(folder, kind, reading, params):
    params = dict(params, input=vars(reading.geometry), temperature=reading.temperature, offsets=reading.offsets)
    metadata = {
        'model_paths': [os.fspath(folder)], 'framework': 'pytorch', 'format': kind, 'has_data': False,
        'inference_params': params, 'optimized': kind == 'onnx', 'optimizer_info': {},
    }
    return json.dumps(metadata, indent=1).encode()


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _read_metadata(folder, name):
    """Read NAME.json, else the only other file of its kind; the authors' folders have none.

    :returns: dict, and the name it has.
    """
    path = os.path.join(folder, f'{name}.json')
    if os.path.isfile(path):
        return _parse(path), name
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), '*.json'))):
        try:
            found.append((_parse(path), os.path.basename(path)[:-len('.json')]))
        except BadModel:  # some other JSON file
            continue
    if len(found) > 1:
        raise BadModel(f'{folder}: {name}.json expected, got {", ".join(each + ".json" for _, each in found)}; set '
                       'name_experiment to the one that is wanted')
    return found[0] if found else ({'inference_params': {}}, name)


def _parse(path):
    try:
        with open(path, encoding='utf-8') as file:
            metadata = json.load(file)
        if not isinstance(metadata['optimized'], bool) or not isinstance(metadata.get('inference_params', {}), dict):
            raise ValueError('optimized is neither true nor false')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f'{path}: what save() writes expected, it cannot be read ({error!r})') from error
    metadata.setdefault('inference_params', {})
    return metadata


def _check_branches(folder, name, metadata, branches):
    """Refuse to read more branches than were saved: what else lies there is of another network."""
    saved = metadata['inference_params'].get('branches')
    if saved is None:  # OpenDR's and the authors' do not say
        return
    if isinstance(saved, bool) or not isinstance(saved, int) or saved < 1:
        raise BadModel(f'{folder}: a number of branches of 1 or more expected in {name}.json, got {saved!r}')
    if branches > saved or (metadata['optimized'] and branches != saved):
        raise BadModel(f'{folder}: an ensemble of {branches} branches expected, got one of {saved} as {name}.json '
                       f'says; give ensemble_size={saved}')


def _check_files(folder, name, params):
    """Refuse files that are not those that were saved together; folders of OpenDR and the authors list none."""
    files = params.get('files', {})
    if not isinstance(files, dict):
        raise BadModel(f'{folder}: files with their sha256 expected in {name}.json, got {files!r}')
    for file, expected in files.items():
        path = os.path.join(folder, os.path.basename(file))
        if not os.path.isfile(path):
            continue  # who reads it says what is absent
        with open(path, 'rb') as stream:
            found = _sha256(stream.read())
        if found != expected:
            raise BadModel(f'{path}: sha256 {expected} expected as {name}.json says, got {found}; it is damaged or of '
                           'another saving: save the network again')


def _reading_of(folder, metadata):
    """Say how a network is read: as its metadata say, else as the published one is."""
    params = metadata['inference_params']
    if 'input' not in params:
        return Reading()
    temperature = params.get('temperature', 1.0)
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not temperature > 0:
        raise BadModel(f'{folder}: a temperature above 0 expected, got {temperature!r}')
    return Reading(CropGeometry.from_manifest(params['input']), float(temperature), params.get('offsets'))
