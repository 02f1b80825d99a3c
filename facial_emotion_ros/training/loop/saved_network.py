"""Saves and loads networks: OpenDR's layout, ONNX, training folders and model bundles."""

import glob
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from facial_emotion_ros.core.errors import BadModel, FacialEmotionError
from facial_emotion_ros.core.files import write_all_or_none
from facial_emotion_ros.emotion.ensemble import UNCALIBRATED, OperatingPoint
from facial_emotion_ros.emotion.operating_points import choose_point, scores_as_trained
from facial_emotion_ros.inference.model_bundle import MANIFEST_FILE, ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.loop.checkpoint import TRAINED_RECIPE, TRAINED_WEIGHTS, load_weights
from facial_emotion_ros.training.loop.recipe import Recipe, read_recipe
from facial_emotion_ros.training.model.author_checkpoints import (
    BASE_FILE,
    BRANCH_FILE,
    published_files,
    read_plain,
    read_published,
    serialised,
)
from facial_emotion_ros.training.model.export import weights_of
from facial_emotion_ros.training.model.network import BRANCHES, ESR, Weights, branches_of, is_diversified

#: Input of the published weights: the face box itself, BGR, 96x96, divided by 255.
#: Source: the authors' `controller/cvision.py` and `model/ml/esr_9.py`; OpenDR's learner does the same.
PUBLISHED = CropGeometry(color='bgr', margin=1.0, center_x=0.5, center_y=0.5)


class SaveFailed(FacialEmotionError, OSError):
    """A network could not be saved; earlier files are intact."""


class InputSpec(NamedTuple):
    """How a network's input is cropped and its logits are calibrated."""

    geometry: CropGeometry = PUBLISHED
    point: OperatingPoint = UNCALIBRATED


def reading_for(recipe: Recipe) -> InputSpec:
    """Return the input spec of a network trained by a recipe: gray faces are framed as in FER+, others as published."""
    framed = PUBLISHED if recipe.faces.color == 'bgr' else CropGeometry()
    return InputSpec(replace(framed, color=recipe.faces.color, size_px=recipe.phases[-1].size_px))


class SavedNetwork(NamedTuple):
    """A loaded network.

    :param weights: state dict of an ESR or ESR*; None for an ONNX file without trainable ones.
    :param reading: InputSpec.
    :param model_bytes: ONNX file of an optimized network, or None.
    """

    weights: dict | None
    reading: InputSpec
    model_bytes: bytes | None = None


def save_weights(
    folder: str | os.PathLike[str], name: str, weights: Weights, reading: InputSpec, single_file: bool = False
) -> None:
    """Save weights in OpenDR's layout: a file for the base, one per branch, and NAME.json.

    :param folder: created if missing.
    :param name: of the JSON file.
    :param weights: state dict of an ESR or ESR*.
    :param reading: InputSpec.
    :param single_file: write NAME.pt instead, as OpenDR documents for save(path, model_name).
    :raises BadModel: if the weights are not an ESR's.
    :raises SaveFailed: if they cannot be written; earlier files are intact.
    """
    files: dict[str, bytes]
    unwanted: list[str]
    params: dict[str, Any] = {'branches': branches_of(weights), 'diversified': is_diversified(weights)}
    with torch.device('meta'):
        network = ESR(params['branches'], params['diversified'])
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise BadModel(f'expected weights of an ESR: {error}') from error
    if single_file:
        params['file'] = f'{name}.pt'
        files, unwanted = {params['file']: serialised(weights)}, []
    else:
        files, unwanted = published_files(weights), _further_branches(folder, name, params['branches'])
    params['files'] = {file: _sha256(content) for file, content in files.items()}
    files[f'{name}.json'] = _metadata(folder, 'pt', reading, params)
    save_files(folder, files, unwanted)


def save_files(folder: str | os.PathLike[str], files: dict[str, bytes], unwanted: Sequence[str] = ()) -> None:
    """Write the files of one network: all or none.

    :param folder: created if missing.
    :param files: dict of name to content.
    :param unwanted: names of files to remove.
    :raises SaveFailed: if they cannot be written.
    """
    try:
        write_all_or_none(os.fspath(folder), files, unwanted)
    except OSError as error:
        raise SaveFailed(
            f'{folder}: the network cannot be saved ({error.strerror or error}); earlier files are intact. Make '
            'room, or choose another folder'
        ) from error


def _further_branches(folder: str | os.PathLike[str], name: str, branches: int) -> list[str]:
    """List the files of further branches of the network that is overwritten."""
    try:
        former = _parse(os.path.join(folder, f'{name}.json'))
    except BadModel:
        return []
    count = former['inference_params'].get('branches')
    if former['optimized'] or 'file' in former['inference_params'] or not isinstance(count, int):
        return []
    return [BRANCH_FILE.format(number) for number in range(branches + 1, count + 1)]


def save_optimized(
    folder: str | os.PathLike[str], name: str, model_bytes: bytes, branches: int, reading: InputSpec
) -> None:
    """Save an ONNX file in OpenDR's layout: NAME.onnx and NAME.json.

    :param folder: created if missing.
    :param name: of both files.
    :param model_bytes: the ONNX file.
    :param branches: number of branches.
    :param reading: InputSpec.
    :raises SaveFailed: if they cannot be written; earlier files are intact.
    """
    params = {'branches': branches, 'sha256': _sha256(model_bytes)}
    save_files(folder, {f'{name}.onnx': model_bytes, f'{name}.json': _metadata(folder, 'onnx', reading, params)})


def load(
    place: str | os.PathLike[str],
    branches: int | None,
    name: str,
    base_file: str = BASE_FILE,
    branch_file: str = BRANCH_FILE,
    report: Callable[[str], object] = lambda line: None,
    operating_point: str = '',
) -> SavedNetwork:
    """Load a network.

    :param place: folder of save(), of OpenDR, of the authors (without a JSON file), of a training, or of a model
        bundle; or name of an embedded bundle.
    :param branches: number of branches to read, the first ones; None for all.
    :param name: of the preferred JSON file.
    :param base_file: file name of the base.
    :param branch_file: file name of a branch, with {} for its number.
    :param report: called with a message about missing layers.
    :param operating_point: of a model bundle; '' for scores as trained, which OpenDR's callers expect.
    :returns: SavedNetwork.
    :raises BadModel: if it is none of these, a file is missing, damaged or from another save, or there are fewer
        branches.
    :raises BadParameter: if `branches` is below 1, or a bundle has no such operating point.
    """
    place = os.fspath(place)
    if not os.path.isdir(place):
        try:
            place = embedded_bundle(place)
        except BadModel:
            raise BadModel(
                f'{place}: expected a folder with a saved network, there is none; save() or '
                "download(mode='pretrained') makes one"
            ) from None
    if os.path.isfile(os.path.join(place, MANIFEST_FILE)):
        return _from_bundle(place, branches, operating_point)
    trained = [os.path.join(place, each) for each in (TRAINED_WEIGHTS, TRAINED_RECIPE)]
    if all(map(os.path.isfile, trained)):
        return SavedNetwork(_first(load_weights(trained[0]), branches, place), reading_for(read_recipe(trained[1])))
    metadata, name = _read_metadata(place, name)
    reading, params = _reading_of(place, metadata), metadata['inference_params']
    if (base_file, branch_file) == (BASE_FILE, BRANCH_FILE):  # the metadata cover the default names
        _check_branches(place, name, metadata, branches)
        _check_files(place, name, params)
    if metadata.get('optimized'):
        return _from_onnx(place, name, metadata, reading)
    if 'file' in params:
        single = os.path.join(place, f'{name}.pt')
        return SavedNetwork(_first(read_plain(single), branches, single), reading)
    return SavedNetwork(read_published(place, branches, base_file, branch_file, report), reading)


def _from_bundle(place: str, branches: int | None, operating_point: str) -> SavedNetwork:
    bundle = ModelBundle.open(place, expect='esr')
    point = choose_point(bundle.manifest, operating_point) if operating_point else scores_as_trained(bundle.manifest)
    reading = InputSpec(CropGeometry.from_manifest(bundle.manifest['input']), point)
    return SavedNetwork(_first(weights_of(bundle), branches, place), reading)


def _from_onnx(place: str, name: str, metadata: dict[str, Any], reading: InputSpec) -> SavedNetwork:
    path = os.path.join(place, f'{name}.onnx')
    try:
        with open(path, 'rb') as file:
            model_bytes = file.read()
    except OSError as error:
        raise BadModel(
            f'{path}: cannot be read ({error.strerror}), though {name}.json states that the network is optimized'
        ) from error
    params = metadata['inference_params']
    sha256 = _sha256(model_bytes)
    if params.get('sha256', sha256) != sha256:
        raise BadModel(
            f'{path}: expected sha256 {params["sha256"]}, got {sha256}; it is damaged or from another save: save '
            'it again'
        )
    manifest = {'name': name, 'outputs': {'logits': {'branches': params.get('branches', 1)}}}
    try:
        weights = weights_of(ModelBundle(place, manifest, model_bytes))
    except Exception:  # folded, or OpenDR's own: not trainable; an invalid ONNX file fails later
        weights = None
    return SavedNetwork(weights, reading, model_bytes)


def _first(weights: Weights, branches: int | None, place: str) -> Weights:
    """Keep the first branches."""
    present = branches_of(weights)
    branches = present if branches is None else branches
    if branches > present:
        raise BadModel(f'{place}: expected at least {branches} branches, got {present}; use ensemble_size={present}')
    dropped = tuple(f'{BRANCHES}{branch}.' for branch in range(branches, present))
    return {name: tensor for name, tensor in weights.items() if not name.startswith(dropped)}


def _metadata(folder: str | os.PathLike[str], kind: str, reading: InputSpec, params: dict[str, Any]) -> bytes:
    point = reading.point
    params = dict(
        params,
        input=vars(reading.geometry),
        temperature=point.temperature,
        offsets=point.offsets,
        class_weights=point.class_weights,
    )
    metadata = {
        'model_paths': [os.fspath(folder)],
        'framework': 'pytorch',
        'format': kind,
        'has_data': False,
        'inference_params': params,
        'optimized': kind == 'onnx',
        'optimizer_info': {},
    }
    return json.dumps(metadata, indent=1).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_metadata(folder: str, name: str) -> tuple[dict[str, Any], str]:
    """Read NAME.json, else the only other such file, else nothing; return the metadata and the name."""
    path = os.path.join(folder, f'{name}.json')
    if os.path.isfile(path):
        return _parse(path), name
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), '*.json'))):
        try:
            found.append((_parse(path), os.path.basename(path)[: -len('.json')]))
        except BadModel:  # an unrelated JSON file
            continue
    if len(found) > 1:
        raise BadModel(
            f'{folder}: expected {name}.json, got {", ".join(each + ".json" for _, each in found)}; set '
            'name_experiment to one of them'
        )
    return found[0] if found else ({'inference_params': {}}, name)


def _parse(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding='utf-8') as file:
            metadata = json.load(file)
        if not isinstance(metadata['optimized'], bool) or not isinstance(metadata.get('inference_params', {}), dict):
            raise ValueError('optimized is neither true nor false')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f'{path}: expected a file of save(), it cannot be read ({error!r})') from error
    metadata.setdefault('inference_params', {})
    return metadata


def _check_branches(folder: str, name: str, metadata: dict[str, Any], branches: int | None) -> None:
    """Reject more branches than were saved: further files belong to another network."""
    saved = metadata['inference_params'].get('branches')
    if saved is None:  # OpenDR's and the authors' folders do not state it
        return
    if isinstance(saved, bool) or not isinstance(saved, int) or saved < 1:
        raise BadModel(f'{folder}: expected a number of branches above 0 in {name}.json, got {saved!r}')
    if branches is not None and (branches > saved or (metadata['optimized'] and branches != saved)):
        raise BadModel(f'{folder}: expected {branches} branches, {name}.json states {saved}; use ensemble_size={saved}')


def _check_files(folder: str, name: str, params: dict[str, Any]) -> None:
    """Reject files that were not saved together; folders of OpenDR and the authors list no hashes."""
    files = params.get('files', {})
    if not isinstance(files, dict):
        raise BadModel(f'{folder}: expected files with their sha256 in {name}.json, got {files!r}')
    for file, expected in files.items():
        path = os.path.join(folder, os.path.basename(file))
        if not os.path.isfile(path):
            continue  # the reader reports missing files
        with open(path, 'rb') as stream:
            found = _sha256(stream.read())
        if found != expected:
            raise BadModel(
                f'{path}: expected sha256 {expected} as in {name}.json, got {found}; it is damaged or from another '
                'save: save the network again'
            )


def _reading_of(folder: str, metadata: dict[str, Any]) -> InputSpec:
    """Return the input spec of the metadata, else that of the published network."""
    params = metadata['inference_params']
    if 'input' not in params:
        return InputSpec()
    temperature = params.get('temperature', 1.0)
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not temperature > 0:
        raise BadModel(f'{folder}: expected a temperature above 0, got {temperature!r}')
    point = OperatingPoint(
        temperature=float(temperature), offsets=params.get('offsets'), class_weights=params.get('class_weights')
    )
    return InputSpec(CropGeometry.from_manifest(params['input']), point)
