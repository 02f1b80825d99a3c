"""The manifest of a model bundle: read, checked field by field, and covered by a digest of its own."""

import hashlib
import json
import logging
import os
import shlex
from typing import Any, Dict, Mapping, NamedTuple, Optional

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadModel

#: The manifest's own format that this code reads and writes.
FORMAT = 1

MANIFEST_FILE = 'manifest.json'
#: The field of `model` that holds the SHA-256 of all the rest of the manifest; see :func:`manifest_digest`.
DIGEST = 'manifest_sha256'
_MAX_MANIFEST_BYTES = 1 << 20

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


def read_manifest(folder: str) -> Dict[str, Any]:
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


def check_manifest(manifest: Mapping[str, Any], expect: Optional[str]):
    """Refuse a manifest that lacks a field, or has one of another type or outside its range."""
    architecture = manifest.get('architecture')
    if not isinstance(architecture, str) or architecture not in _FIELDS_BY_ARCHITECTURE:
        raise BadModel(f'expected architecture to be one of {sorted(_FIELDS_BY_ARCHITECTURE)}, got {architecture!r}')
    if expect is not None and architecture != expect:
        raise BadModel(f'expected a model of architecture {expect!r}, got {architecture!r}; name another bundle')
    for dotted, kind, limit in _COMMON_FIELDS + _FIELDS_BY_ARCHITECTURE[architecture]:
        check_field(manifest, dotted, kind, limit)
    if architecture == 'esr':
        if 'dtype' in manifest['input']:
            check_field(manifest, 'input.dtype', str, ('float32', 'uint8'))
        _check_calibration(manifest)
        _check_parts(manifest)


def _check_calibration(manifest: Mapping[str, Any]):
    """Refuse what an ESR may say of its logits, and says wrongly."""
    said = manifest['outputs']['logits']
    if 'temperature' in said:
        check_field(manifest, 'outputs.logits.temperature', _NUMBER, Range(1e-3, 1e6))
    if 'offsets' in said:
        check_field(manifest, 'outputs.logits.offsets', list, None)
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
        check_field(manifest, 'parts.' + key, list, None)
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


def check_digest(folder: str, manifest: Mapping[str, Any]):
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


def check_field(manifest: Mapping[str, Any], dotted: str, kind, limit):
    """Refuse a field that is missing, of another type, or beyond its limit.

    :param manifest: as parsed from JSON.
    :param dotted: the field's place, like 'input.margin'.
    :param kind: its type, or a tuple of types; a truth value is no number.
    :param limit: least value, Range, tuple of allowed values, or None.
    :raises BadModel: naming the field, what was expected and what came.
    """
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


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """Return the content of a manifest.json."""
    return (json.dumps(manifest, indent=2) + '\n').encode('utf-8')
