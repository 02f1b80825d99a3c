"""A model bundle: a folder with manifest.json and one ONNX file, checked before anything of it is used."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional

from facial_emotion_ros.atomic_file import settle, write_whole
from facial_emotion_ros.bundle_manifest import (
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
from facial_emotion_ros.errors import BadModel, FacialEmotionError
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.onnx_file import OnnxVersions, read_versions

#: Newest operator set and file version that every robot's runtime reads. Source: TensorRT 8.2 and ONNX Runtime 1.11,
#: which are what the published ROS 2 Humble image for Jetson TX2 carries.
MAX_OPSET = 13
MAX_IR_VERSION = 7

MODEL_FILE = 'model.onnx'
_PLAIN_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*\Z')


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A checked bundle; make it with :meth:`open`."""

    folder: str
    manifest: Dict[str, Any] = field(repr=False)
    #: The very bytes whose hash was checked: hand these to ONNX Runtime, never the file once more. Empty where a
    #: session holds the weights by now.
    model_bytes: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the model, as the manifest has it."""
        return self.manifest['name']

    @property
    def version(self) -> str:
        """Version of the model, as the manifest has it."""
        return self.manifest['version']

    @property
    def architecture(self) -> str:
        """One of 'esr', 'centerface', 'yunet'."""
        return self.manifest['architecture']

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, 64 lower-case hexadecimal digits."""
        return self.manifest['model']['sha256']

    def without_model(self) -> 'ModelBundle':
        """Give the bundle without its model's bytes, for those who only want to know what runs."""
        return replace(self, model_bytes=b'')

    @classmethod
    def open(cls, folder, expect: Optional[str] = None) -> 'ModelBundle':
        """Read a bundle and refuse it unless everything fits.

        :param folder: path of the folder that holds manifest.json.
        :param expect: the architecture that is wanted; None takes any that exists.
        :returns: the bundle, its model's bytes read once and checked.
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


def seal_bundle(folder, accept_changes: bool = False) -> ModelBundle:
    """Write the digest of a bundle's manifest into it.

    :param folder: the bundle's path.
    :param accept_changes: replace a digest that does not fit any more.
    :returns: the bundle as it stands.
    :raises BadModel: when the bundle is refused for another reason, or for its digest and that is not accepted.
    :raises OSError: when the manifest cannot be written; it is then as it was.
    """
    folder = os.fspath(folder)
    if not accept_changes:
        ModelBundle.open(folder)
    manifest = read_manifest(folder)
    check_field(manifest, 'model', dict, None)
    manifest['model'][DIGEST] = manifest_digest(manifest)
    # A link, as `colcon build --symlink-install` makes it, stays one.
    write_whole(os.path.realpath(os.path.join(folder, MANIFEST_FILE)), manifest_text(manifest))
    return ModelBundle.open(folder)


def _read_model(folder: str, model: Mapping[str, Any]) -> bytes:
    """Read the model file once, and check place, size and hash."""
    name = model['file']
    if not _PLAIN_NAME.match(name):
        raise BadModel(f'expected model.file to be a plain file name inside the bundle, got {name!r}')
    path = os.path.join(folder, name)
    # Links are fine as long as the manifest's lead to the same place: `colcon build --symlink-install` makes such.
    homes = {os.path.dirname(os.path.realpath(os.path.join(folder, each))) for each in (MANIFEST_FILE, name)}
    if len(homes) != 1:
        raise BadModel(f'expected {name} to lie beside {MANIFEST_FILE}, but it is a link that leaves the bundle, '
                       f'to {os.path.realpath(path)!r}; put the file itself there')
    if not os.path.isfile(path):
        raise BadModel(f'expected the model file {name}, but there is none; install the bundle anew')
    try:
        with open(path, 'rb') as stream:
            size = os.fstat(stream.fileno()).st_size
            model_bytes = stream.read() if size == model['bytes'] else b''
    except OSError as error:
        raise BadModel(f'expected a readable model file {name}, got: {error.strerror}') from None
    if len(model_bytes) != model['bytes']:
        raise BadModel(f'expected {name} to have {model["bytes"]} bytes, got {size}; it was cut off or exchanged: '
                       'install the bundle anew')
    digest = hashlib.sha256(model_bytes).hexdigest()
    if digest != model['sha256']:
        raise BadModel(f'expected {name} to have sha256 {model["sha256"]}, got {digest}; it is damaged or '
                       'exchanged: install the bundle anew')
    return model_bytes


def _check_versions(model: Mapping[str, Any], found: OnnxVersions):
    """Refuse a model that older runtimes cannot load, whether the manifest says so or the file itself."""
    for words, limit, said, is_ in (
            ('opset', MAX_OPSET, model['opset'], found.opset),
            ('IR version', MAX_IR_VERSION, model['ir_version'], found.ir_version)):
        if max(said, is_) > limit:
            raise BadModel(f'expected {words} {limit} at most, got {said} in {MANIFEST_FILE} and {is_} in the file; '
                           'export it anew for the runtimes that robots have')
        if said != is_:
            raise BadModel(f'expected {words} {said} as {MANIFEST_FILE} says, got {is_} in the file')


def embedded_bundle(name: str) -> str:
    """Find a bundle that comes with the package, in a source checkout or in an installation.

    :param name: the bundle's folder name, such as 'centerface'.
    :returns: path of its folder, which has a manifest.json.
    :raises BadModel: listing the places looked at.
    """
    if name in ('', '.', '..') or os.path.basename(name) != name:
        raise BadModel(f'expected the plain name of an embedded model bundle, got {name!r}')
    try:
        return os.path.dirname(find_shared('models', name, MANIFEST_FILE))
    except FacialEmotionError as error:
        raise BadModel(f'expected the name of an embedded model bundle, got {name!r}: {error}') from None


def resolve_bundle(name_or_path) -> str:
    """Turn a parameter into a bundle's folder.

    :param name_or_path: a path with a separator is taken as it is; a plain name is that of an embedded bundle, and of a
        folder in the working directory only where no embedded one has it.
    :returns: path of a folder, which :meth:`ModelBundle.open` still has to check.
    :raises BadModel: when there is neither.
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


def opened_bundle(bundle, expect: Optional[str] = None) -> ModelBundle:
    """Open a bundle unless that has been done.

    :param bundle: ModelBundle, which is returned as it is, or what :func:`resolve_bundle` takes.
    :param expect: the architecture that is wanted of one that is opened; None takes any that exists.
    :returns: ModelBundle.
    :raises BadModel: as :func:`resolve_bundle` and :meth:`ModelBundle.open` do.
    """
    return bundle if isinstance(bundle, ModelBundle) else ModelBundle.open(resolve_bundle(bundle), expect)


def write_bundle(folder, manifest: Mapping[str, Any], model_bytes: bytes,
                 extra_files=None) -> ModelBundle:
    """Write a bundle, check it by opening it, and only then put it in place of what `folder` held.

    :param folder: the bundle's path; its parent is made if missing, an older bundle there is replaced as a whole.
    :param manifest: all that the manifest says but `format` and, in `model`, file, sha256, bytes, opset, ir_version and
        manifest_sha256.
    :param model_bytes: the serialised ONNX model.
    :param extra_files: plain file name -> content, such as LICENSE; or a function that makes these of the manifest as
        it will stand.
    :returns: the bundle as it stands.
    :raises BadModel: when opening would refuse it; `folder` is then as it was.
    """
    folder = os.path.abspath(os.fspath(folder))
    versions = read_versions(model_bytes)
    whole = {'format': FORMAT}  # type: Dict[str, Any]
    whole.update(manifest)
    whole['model'] = {'file': MODEL_FILE, 'sha256': hashlib.sha256(model_bytes).hexdigest(),
                      'bytes': len(model_bytes), **manifest.get('model', {}),
                      'opset': versions.opset, 'ir_version': versions.ir_version}
    whole = json.loads(json.dumps(whole))  # as it will be read
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
            with open(os.path.join(fresh, name), 'wb') as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        ModelBundle.open(fresh)
        settle(fresh)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return ModelBundle.open(folder)


def _swap(fresh: str, folder: str):
    """Put `fresh` in the place of `folder`; a crash in between leaves both whole, under one name or another."""
    former = fresh + '.former'
    if os.path.lexists(folder):
        os.rename(folder, former)
    try:
        os.rename(fresh, folder)
    except OSError:
        if os.path.lexists(former):
            os.rename(former, folder)
        raise
    settle(os.path.dirname(folder))
    shutil.rmtree(former, ignore_errors=True)
