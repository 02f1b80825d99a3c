"""Read, check and write model bundles: folders with manifest.json and one ONNX file."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Union

from facial_emotion_ros.core.errors import BadModel, FacialEmotionError
from facial_emotion_ros.core.files import fsync_folder, read_cached, refuse_foreign, write_atomic
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.inference.bundle_manifest import (
    DIGEST,
    FORMAT,
    MANIFEST_FILE,
    check_digest,
    check_field,
    check_manifest,
    manifest_digest,
    manifest_text,
    read_manifest,
)
from facial_emotion_ros.inference.onnx_proto import OnnxVersions, read_versions

#: Newest operator set and IR version that every supported runtime loads. Source: TensorRT 8.2 and ONNX Runtime 1.11 of
#: the published ROS 2 Humble image for Jetson TX2.
MAX_OPSET = 13
MAX_IR_VERSION = 7

MODEL_FILE = 'model.onnx'

#: Files of a bundle besides the model.
_FILES = (MANIFEST_FILE, 'LICENSE', 'MODEL_CARD.md', 'calibration.png', 'confusion.png')
_PLAIN_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*\Z')

if TYPE_CHECKING:
    Path = Union[str, os.PathLike[str]]
    Files = Mapping[str, bytes]


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A checked bundle; make it with :meth:`open`.

    :param folder: its path.
    :param manifest: the parsed manifest.json.
    :param model_bytes: the bytes whose hash was checked; load these. Empty once a session has the weights.
    """

    folder: str
    manifest: Dict[str, Any] = field(repr=False)
    model_bytes: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.manifest['name'])

    @property
    def version(self) -> str:
        """Version of the model."""
        return str(self.manifest['version'])

    @property
    def architecture(self) -> str:
        """'esr' or 'centerface'."""
        return str(self.manifest['architecture'])

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, 64 lower-case hexadecimal digits."""
        return str(self.manifest['model']['sha256'])

    def without_model(self) -> 'ModelBundle':
        """Return the bundle without its model's bytes."""
        return replace(self, model_bytes=b'')

    @classmethod
    def open(cls, folder: 'Path', expect: Optional[str] = None) -> 'ModelBundle':
        """Read and check a bundle.

        :param folder: path of the folder that holds manifest.json.
        :param expect: the required architecture; None for any.
        :raises BadModel: naming the folder, what was expected, what came and what to do.
        """
        folder = os.fspath(folder)
        try:
            manifest = read_manifest(folder)
            check_manifest(manifest, expect)
            model_bytes = _read_model(folder, manifest['model'])
            _check_versions(manifest['model'], read_versions(model_bytes))
            check_digest(folder, manifest)
        except BadModel as error:
            raise BadModel(f'Model bundle {folder!r} is refused: {error}') from None
        return cls(folder, manifest, model_bytes)


def seal_bundle(folder: 'Path', accept_changes: bool = False) -> ModelBundle:
    """Write the digest of a bundle's manifest into it.

    :param folder: the bundle's path.
    :param accept_changes: replace a digest that does not match the manifest.
    :returns: the bundle, read again.
    :raises BadModel: if the bundle is refused.
    :raises OSError: if the manifest cannot be written; it is unchanged then.
    """
    folder = os.fspath(folder)
    if not accept_changes:
        ModelBundle.open(folder)
    manifest = read_manifest(folder)
    check_field(manifest, 'model', dict, None)
    manifest['model'][DIGEST] = manifest_digest(manifest)
    # Keeps the links that `colcon build --symlink-install` makes.
    write_atomic(os.path.realpath(os.path.join(folder, MANIFEST_FILE)), manifest_text(manifest))
    return ModelBundle.open(folder)


def _read_model(folder: str, model: Mapping[str, Any]) -> bytes:
    """Read the model file once, and check its place, size and hash."""
    name = model['file']
    if not _PLAIN_NAME.match(name):
        raise BadModel(f'expected model.file to be a plain file name inside the bundle, got {name!r}')
    path = os.path.join(folder, name)
    # `colcon build --symlink-install` makes links to both files, in the same folder.
    homes = {os.path.dirname(os.path.realpath(os.path.join(folder, each))) for each in (MANIFEST_FILE, name)}
    if len(homes) != 1:
        raise BadModel(
            f'expected {name} to lie beside {MANIFEST_FILE}, but it is a link that leaves the bundle, '
            f'to {os.path.realpath(path)!r}; put the file itself there'
        )
    if not os.path.isfile(path):
        raise BadModel(f'expected the model file {name}, but there is none; reinstall the bundle')
    try:
        with open(path, 'rb') as stream:
            size = os.fstat(stream.fileno()).st_size
            model_bytes = stream.read() if size == model['bytes'] else b''
    except OSError as error:
        raise BadModel(f'expected a readable model file {name}, got: {error.strerror}') from None
    if len(model_bytes) != model['bytes']:
        raise BadModel(
            f'expected {name} to have {model["bytes"]} bytes, got {size}; it is truncated or another file: '
            'reinstall the bundle'
        )
    digest = hashlib.sha256(model_bytes).hexdigest()
    if digest != model['sha256']:
        raise BadModel(
            f'expected {name} to have sha256 {model["sha256"]}, got {digest}; it is damaged or '
            'another file: reinstall the bundle'
        )
    return model_bytes


def _check_versions(model: Mapping[str, Any], found: OnnxVersions) -> None:
    """Refuse a model that is too new for a supported runtime, or has other versions than its manifest."""
    for words, limit, declared, actual in (
        ('opset', MAX_OPSET, model['opset'], found.opset),
        ('IR version', MAX_IR_VERSION, model['ir_version'], found.ir_version),
    ):
        if max(declared, actual) > limit:
            raise BadModel(
                f'expected {words} {limit} at most, got {declared} in {MANIFEST_FILE} and {actual} in the file; '
                'export it again for the runtimes on robots'
            )
        if declared != actual:
            raise BadModel(f'expected {words} {declared} as {MANIFEST_FILE} says, got {actual} in the file')


def embedded_bundle(name: str) -> str:
    """Return the folder of a bundle that comes with the package.

    :param name: the bundle's folder name, such as 'centerface'.
    :raises BadModel: listing the embedded bundles, or without any, the places where they were looked for.
    """
    if name in ('', '.', '..') or os.path.basename(name) != name:
        raise BadModel(f'expected the plain name of an embedded model bundle, got {name!r}')
    try:
        return os.path.dirname(find_shared('models', name, MANIFEST_FILE))
    except FacialEmotionError as error:
        fault = str(error)
    try:
        folder = find_shared('models')
    except FacialEmotionError:
        raise BadModel(f'expected the name of an embedded model bundle, got {name!r}: {fault}') from None
    names = sorted(each for each in os.listdir(folder) if os.path.isfile(os.path.join(folder, each, MANIFEST_FILE)))
    raise BadModel(
        f'expected the path of a model bundle, or the name of an embedded one ({", ".join(names)}), got {name!r}'
    )


def resolve_bundle(name_or_path: 'Path') -> str:
    """Return the folder of a bundle, without checking it.

    :param name_or_path: a path with a separator is returned unchanged; a plain name is an embedded bundle, else a
        folder in the working directory.
    :raises BadModel: if there is neither.
    """
    text = os.fspath(name_or_path)
    if os.path.basename(text) != text:
        return text
    try:
        return embedded_bundle(text)
    except BadModel:
        if os.path.isdir(text):
            return text
        raise


def opened_bundle(bundle: 'Union[ModelBundle, Path]', expect: Optional[str] = None) -> ModelBundle:
    """Open a bundle given as a name or path, see :func:`resolve_bundle`; return an opened one unchanged.

    :param expect: the required architecture where it is opened here; None for any.
    :raises BadModel: see :func:`resolve_bundle` and :meth:`ModelBundle.open`.
    """
    return bundle if isinstance(bundle, ModelBundle) else ModelBundle.open(resolve_bundle(bundle), expect)


def write_bundle(
    folder: 'Path',
    manifest: Mapping[str, Any],
    model_bytes: bytes,
    extra_files: 'Union[Files, Callable[[Dict[str, Any]], Files], None]' = None,
) -> ModelBundle:
    """Write a bundle atomically: to a temporary folder, checked there by opening it, then moved into place.

    :param folder: the bundle's path; its parent is created if missing, an older bundle is replaced as a whole.
    :param manifest: the manifest without `format` and, in `model`, file, sha256, bytes, opset, ir_version and
        manifest_sha256.
    :param model_bytes: the serialised ONNX model.
    :param extra_files: plain file name -> content, such as LICENSE; or a function of the final manifest that returns
        them.
    :returns: the bundle, read again.
    :raises BadModel: if opening refuses it; `folder` is unchanged then.
    :raises BadParameter: see :func:`check_replaceable`.
    """
    folder = os.path.abspath(os.fspath(folder))
    check_replaceable(folder)
    versions = read_versions(model_bytes)
    whole: Dict[str, Any] = dict({'format': FORMAT}, **manifest)
    whole['model'] = {
        'file': MODEL_FILE,
        'sha256': hashlib.sha256(model_bytes).hexdigest(),
        'bytes': len(model_bytes),
        **manifest.get('model', {}),
        'opset': versions.opset,
        'ir_version': versions.ir_version,
    }
    whole = json.loads(json.dumps(whole))  # as it will be read again
    whole['model'][DIGEST] = manifest_digest(whole)
    files = {MODEL_FILE: model_bytes, MANIFEST_FILE: manifest_text(whole)}
    for name, content in (extra_files(whole) if callable(extra_files) else extra_files or {}).items():
        if not _PLAIN_NAME.match(name) or name in files:
            raise BadModel(f'expected a plain name that is not taken yet for a further file, got {name!r}')
        files[name] = content
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    fresh = tempfile.mkdtemp(prefix=f'.{os.path.basename(folder)}.', dir=os.path.dirname(folder))
    try:
        os.chmod(fresh, 0o755)
        for name, content in files.items():
            write_atomic(os.path.join(fresh, name), content)
        ModelBundle.open(fresh)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return ModelBundle.open(folder)


def check_replaceable(folder: 'Path') -> None:
    """Refuse to replace anything but a bundle; commands call this before they start work.

    :param folder: where a bundle is to be written.
    :raises BadParameter: if it is a file, or a folder with anything but a bundle's files in it.
    """
    folder = os.fspath(folder)
    if not os.path.lexists(folder):
        return
    entries = os.listdir(folder) if os.path.isdir(folder) else [os.path.basename(folder)]
    manifest = read_cached(os.path.join(folder, MANIFEST_FILE)) or {}
    model = manifest.get('model') if manifest.get('format') == FORMAT else None
    own = (*_FILES, MODEL_FILE, model.get('file')) if isinstance(model, dict) else ()
    foreign = [name for name in entries if name not in own or not os.path.isfile(os.path.join(folder, name))]
    refuse_foreign(folder, foreign)


def _swap(fresh: str, folder: str) -> None:
    """Replace `folder` by `fresh`; after a crash in between both are complete, one under another name."""
    former = fresh + '.former'
    if os.path.lexists(folder):
        os.rename(folder, former)
    try:
        os.rename(fresh, folder)
    except OSError:
        if os.path.lexists(former):
            os.rename(former, folder)
        raise
    fsync_folder(os.path.dirname(folder))
    shutil.rmtree(former, ignore_errors=True)
