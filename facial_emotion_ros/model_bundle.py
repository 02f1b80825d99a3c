"""A model bundle: a folder with manifest.json and one ONNX file, checked before anything of it is used."""

import hashlib
import json
import logging
import os
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, NamedTuple, Optional

from facial_emotion_ros.atomic_file import settle, write_whole
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadModel, FacialEmotionError
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.onnx_file import OnnxVersions, read_versions

#: The manifest's own format that this code reads and writes.
FORMAT = 1

#: Newest operator set and file version that every robot's runtime reads. Source: TensorRT 8.2 and ONNX Runtime 1.11,
#: which are what the published ROS 2 Humble image for Jetson TX2 carries.
MAX_OPSET = 13
MAX_IR_VERSION = 7

MANIFEST_FILE = 'manifest.json'
MODEL_FILE = 'model.onnx'
#: The field of `model` that holds the SHA-256 of all the rest of the manifest; see :func:`manifest_digest`.
DIGEST = 'manifest_sha256'
_MAX_MANIFEST_BYTES = 1 << 20
_PLAIN_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*\Z')

_log = logging.getLogger(__name__)


class Range(NamedTuple):
    """Least and largest number that a field may hold."""

    low: float
    high: float


#: What the fields of an ESR's `input` may hold: no network has been trained on crops beyond these.
INPUT_RANGES = {
    'size_px': Range(8, 1024), 'scale': Range(1e-3, 1.0), 'margin': Range(0.5, 3.0),
    'center_x': Range(0.3, 0.7), 'center_y': Range(0.3, 0.7),
}

_NUMBER = (int, float)
#: Both detectors halve the image five times: sides that are no multiple of 32 shift their boxes.
_MULTIPLES = (32, 64, 128)
#: (dotted field, type or types, least value, Range or allowed values): what every manifest must say.
_COMMON_FIELDS = (
    ('name', str, None), ('version', str, None),
    ('model.file', str, None), ('model.sha256', str, None), ('model.bytes', int, 1), ('model.precision', str, None),
    ('model.opset', int, 1), ('model.ir_version', int, 1),
    ('input.name', str, None), ('input.scale', _NUMBER, INPUT_RANGES['scale']), ('outputs', dict, None),
    ('source', dict, None), ('licence.spdx', str, None),
)
#: The same for each architecture alone; its keys are the architectures that exist.
_FIELDS_BY_ARCHITECTURE = {
    'esr': (
        ('input.size_px', int, INPUT_RANGES['size_px']), ('input.color', str, ('gray_x3', 'bgr')),
        ('input.via_px', int, Range(0, 1024)), ('input.margin', _NUMBER, INPUT_RANGES['margin']),
        ('input.center_x', _NUMBER, INPUT_RANGES['center_x']), ('input.center_y', _NUMBER, INPUT_RANGES['center_y']),
        ('outputs.logits.name', str, None), ('outputs.logits.branches', int, Range(1, 256)),
        ('outputs.logits.labels', list, ([*EMOTIONS],)),
        ('outputs.affect.name', str, None), ('outputs.affect.range', list, ([-1, 1],)),
    ),
    'centerface': (
        ('input.color', str, ('rgb',)), ('input.multiple', int, _MULTIPLES),
        ('outputs.heatmap', str, None), ('outputs.scale', str, None), ('outputs.offset', str, None),
        ('outputs.landmarks', str, None),
    ),
    'yunet': (('input.color', str, ('bgr',)), ('input.multiple', int, _MULTIPLES)),
}


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
            manifest = _read_manifest(folder)
            _check_manifest(manifest, expect)
            model_bytes = _read_model(folder, manifest['model'])
            _check_versions(manifest['model'], read_versions(model_bytes))
            _check_digest(folder, manifest)
        except BadModel as error:
            raise BadModel(f'Model bundle {folder!r} is refused: {error}') from None
        return cls(folder, manifest, model_bytes)


def _read_manifest(folder: str) -> Dict[str, Any]:
    """Parse manifest.json into a dictionary, its format known."""
    if not os.path.isdir(folder):
        raise BadModel('expected a folder with manifest.json and an ONNX file, but there is no such folder; '
                       'check the path, or name an embedded bundle such as centerface')
    path = os.path.join(folder, MANIFEST_FILE)
    try:
        with open(path, 'rb') as stream:
            text = stream.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise BadModel(f'expected a readable {MANIFEST_FILE}, got: {error.strerror}; is it a bundle folder?') from None
    if len(text) > _MAX_MANIFEST_BYTES:
        raise BadModel(f'expected at most {_MAX_MANIFEST_BYTES} bytes of {MANIFEST_FILE}, got more')
    try:
        manifest = json.loads(text.decode('utf-8'), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # bad UTF-8 is a ValueError too
        raise BadModel(f'expected {MANIFEST_FILE} to be JSON, got: {error}; install the bundle anew') from None
    if not isinstance(manifest, dict):
        raise BadModel(f'expected {MANIFEST_FILE} to hold an object, got {type(manifest).__name__}')
    if type(manifest.get('format')) is not int or manifest['format'] != FORMAT:
        raise BadModel(f'expected manifest format {FORMAT}, got {manifest.get("format")!r}; '
                       'take a bundle and a facial_emotion_ros that were released together')
    return manifest


def _refuse_constant(text: str):
    raise ValueError(f'{text} is no JSON number')


def _check_manifest(manifest: Mapping[str, Any], expect: Optional[str]):
    """Refuse a manifest that lacks a field, or has one of another type or outside its range."""
    architecture = manifest.get('architecture')
    if not isinstance(architecture, str) or architecture not in _FIELDS_BY_ARCHITECTURE:
        raise BadModel(f'expected architecture to be one of {sorted(_FIELDS_BY_ARCHITECTURE)}, got {architecture!r}')
    if expect is not None and architecture != expect:
        raise BadModel(f'expected a model of architecture {expect!r}, got {architecture!r}; name another bundle')
    for dotted, kind, limit in _COMMON_FIELDS + _FIELDS_BY_ARCHITECTURE[architecture]:
        _check_field(manifest, dotted, kind, limit)
    if architecture == 'esr':
        if 'dtype' in manifest['input']:
            _check_field(manifest, 'input.dtype', str, ('float32', 'uint8'))
        _check_calibration(manifest)
        _check_parts(manifest)


def _check_calibration(manifest: Mapping[str, Any]):
    """Refuse what an ESR may say of its logits, and says wrongly."""
    said = manifest['outputs']['logits']
    if 'temperature' in said:
        _check_field(manifest, 'outputs.logits.temperature', _NUMBER, Range(0.01, 100))
    if 'offsets' in said:
        _check_field(manifest, 'outputs.logits.offsets', list, None)
        sound = [isinstance(each, _NUMBER) and not isinstance(each, bool) and -20 <= each <= 20
                 for each in said['offsets']]
        if len(sound) != len(EMOTIONS) or not all(sound):
            raise BadModel(f'expected outputs.logits.offsets to be {len(EMOTIONS)} numbers from -20 to 20, one for '
                           f'each class, got {said["offsets"]!r}')


def _check_parts(manifest: Mapping[str, Any]):
    """Refuse names of the tensors between the parts of an ESR that cannot be one for each branch."""
    if 'parts' not in manifest:
        return
    branches = manifest['outputs']['logits']['branches']
    for key in ('shared', 'means'):
        _check_field(manifest, 'parts.' + key, list, None)
        names = manifest['parts'][key]
        if not all(isinstance(name, str) and name for name in names) or not len(names) == len(set(names)) == branches:
            raise BadModel(f'expected parts.{key} to be {branches} different names, one for each branch, got {names!r}')


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of what a manifest says, whatever its layout; its own digest is left out.

    :param manifest: as parsed from JSON, with `model`.
    :returns: 64 lower-case hexadecimal digits.
    """
    model = {key: value for key, value in manifest['model'].items() if key != DIGEST}
    text = json.dumps(dict(manifest, model=model), sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode('ascii')).hexdigest()


def _check_digest(folder: str, manifest: Mapping[str, Any]):
    """Refuse a manifest that was changed after it was written; warn of one that has no digest.

    Bundles of earlier releases have none: a robot must not stop at an update, and their numbers are still in range.
    """
    command = f'python3 -m facial_emotion_ros.commands.seal_bundle {shlex.quote(folder)}'
    expected = manifest['model'].get(DIGEST)
    if expected is None:
        _log.warning('Model bundle %r has no %s in its %s, so that a changed number there would pass unseen; '
                     'add it: %s', folder, DIGEST, MANIFEST_FILE, command)
        return
    found = manifest_digest(manifest)
    if expected != found:
        raise BadModel(f'expected the contents of {MANIFEST_FILE} to have sha256 {expected!r}, got {found}; it was '
                       f'changed or damaged: install the bundle anew, or accept your own change with: {command} '
                       '--accept-changes')


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
    manifest = _read_manifest(folder)
    _check_field(manifest, 'model', dict, None)
    manifest['model'][DIGEST] = manifest_digest(manifest)
    # A link, as `colcon build --symlink-install` makes it, stays one.
    write_whole(os.path.realpath(os.path.join(folder, MANIFEST_FILE)), _manifest_text(manifest))
    return ModelBundle.open(folder)


def _manifest_text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2) + '\n').encode('utf-8')


def _check_field(manifest: Mapping[str, Any], dotted: str, kind, limit):
    value = manifest  # type: Any
    for key in dotted.split('.'):
        if not isinstance(value, dict) or key not in value:
            raise BadModel(f'expected the field {dotted} in {MANIFEST_FILE}, but it is missing')
        value = value[key]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or isinstance(value, bool):  # True is an int to Python, but no number to us
        raise BadModel(f'expected {dotted} to be {" or ".join(k.__name__ for k in kinds)}, got {value!r}')
    if kind is str and not value:
        raise BadModel(f'expected {dotted} to say something, got an empty string')
    if isinstance(limit, Range):
        if not limit.low <= value <= limit.high:
            raise BadModel(f'expected {dotted} to be a number from {limit.low:g} to {limit.high:g}, got {value!r}')
    elif isinstance(limit, tuple):
        if value not in limit:
            raise BadModel(f'expected {dotted} to be {" or ".join(repr(allowed) for allowed in limit)}, got {value!r}')
    elif limit is not None and not limit <= value < float('inf'):  # NaN fails every comparison
        raise BadModel(f'expected {dotted} to be a finite number of at least {limit}, got {value!r}')


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
    files = {MODEL_FILE: model_bytes, MANIFEST_FILE: _manifest_text(whole)}
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
