"""Read, validate and hash the manifest of a model bundle."""

import hashlib
import json
import logging
import os
import re
import shlex
from typing import Any, Dict, Mapping, NamedTuple, NoReturn, Optional, Tuple, Union

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel

#: Version of the manifest format.
FORMAT = 1

MANIFEST_FILE = 'manifest.json'
#: Field of `model` with the SHA-256 of the rest of the manifest; see :func:`manifest_digest`.
DIGEST = 'manifest_sha256'
_MAX_MANIFEST_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class Range(NamedTuple):
    """Minimum and maximum of a field; or_zero: 0 is allowed as well."""

    low: float
    high: float
    or_zero: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value is inside; NaN is not."""
        return self.low <= value <= self.high or (self.or_zero and value == 0)

    def __str__(self) -> str:
        return '%sfrom %g to %g' % ('0 or ' if self.or_zero else '', self.low, self.high)


#: Ranges of an ESR bundle's `input` fields: no network was trained outside them.
INPUT_RANGES: Dict[str, Range] = {
    'size_px': Range(8, 1024),
    'scale': Range(1e-3, 1.0),
    'via_px': Range(8, 1024, or_zero=True),
    'margin': Range(0.5, 3.0),
    'center_x': Range(0.3, 0.7),
    'center_y': Range(0.3, 0.7),
    'landmark_weight': Range(0.0, 1.0),
}

#: Colour formats of an ESR bundle's `input`.
COLORS = ('gray_x3', 'bgr')

#: Optional bounds of an operating point; see facial_emotion_ros.emotion.ensemble.
POINT_BOUNDS = ('min_confidence', 'min_agreement')
_POINT_NAME = re.compile(r'[a-z][a-z0-9_]{0,63}\Z')

NUMBER = (int, float)
_TEMPERATURE = Range(1e-3, 1e6)
#: The detector halves the image five times: with sides that are not a multiple of 32 its boxes are shifted.
_MULTIPLES = (32, 64, 128)
_Limit = Union[None, int, Range, Tuple[Any, ...]]
_Field = Tuple[str, Union[type, Tuple[type, ...]], _Limit]
#: Required in every manifest: (dotted field, type or types, minimum, Range or allowed values).
_COMMON_FIELDS: Tuple[_Field, ...] = (
    ('name', str, None),
    ('version', str, None),
    ('model.file', str, None),
    ('model.sha256', str, None),
    ('model.bytes', int, 1),
    ('model.precision', str, None),
    ('model.opset', int, 1),
    ('model.ir_version', int, 1),
    ('input.name', str, None),
    ('input.scale', NUMBER, INPUT_RANGES['scale']),
    ('outputs', dict, None),
    ('source', dict, None),
    ('licence.spdx', str, None),
)
#: The same for each architecture.
_FIELDS_BY_ARCHITECTURE: Dict[str, Tuple[_Field, ...]] = {
    'esr': (
        ('input.size_px', int, INPUT_RANGES['size_px']),
        ('input.color', str, COLORS),
        ('input.via_px', int, INPUT_RANGES['via_px']),
        ('input.margin', NUMBER, INPUT_RANGES['margin']),
        ('input.center_x', NUMBER, INPUT_RANGES['center_x']),
        ('input.center_y', NUMBER, INPUT_RANGES['center_y']),
        ('outputs.logits.name', str, None),
        ('outputs.logits.branches', int, Range(1, 256)),
        ('outputs.logits.labels', list, ([*EMOTIONS],)),
        ('outputs.affect.name', str, None),
        ('outputs.affect.range', list, ([-1, 1],)),
    ),
    'centerface': (
        ('input.color', str, ('rgb',)),
        ('input.multiple', int, _MULTIPLES),
        ('outputs.heatmap', str, None),
        ('outputs.scale', str, None),
        ('outputs.offset', str, None),
        ('outputs.landmarks', str, None),
    ),
}


def read_manifest(folder: str) -> Dict[str, Any]:
    """Parse manifest.json, and refuse another format.

    :raises BadModel: if it cannot be read or parsed.
    """
    if not os.path.isdir(folder):
        raise BadModel(
            'expected a folder with manifest.json and an ONNX file, but there is no such folder; '
            'check the path, or name an embedded bundle such as centerface'
        )
    path = os.path.join(folder, MANIFEST_FILE)
    if os.path.exists(path) and not os.path.isfile(path):  # a named pipe would never end
        raise BadModel(f'expected a file {MANIFEST_FILE}, got a folder, pipe or device; reinstall the bundle')
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
        raise BadModel(f'expected {MANIFEST_FILE} to be JSON, got: {error}; reinstall the bundle') from None
    if not isinstance(manifest, dict):
        raise BadModel(f'expected {MANIFEST_FILE} to hold an object, got {type(manifest).__name__}')
    if type(manifest.get('format')) is not int or manifest['format'] != FORMAT:
        raise BadModel(
            f'expected manifest format {FORMAT}, got {manifest.get("format")!r}; '
            'use a bundle and a facial_emotion_ros that were released together'
        )
    return manifest


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f'{text} is not a JSON number')


def check_manifest(manifest: Mapping[str, Any], expect: Optional[str]) -> None:
    """Refuse a manifest with a field that is missing, of another type or out of range.

    :param expect: the required architecture; None for any.
    :raises BadModel: naming the field, what was expected and what came.
    """
    architecture = manifest.get('architecture')
    if not isinstance(architecture, str) or architecture not in _FIELDS_BY_ARCHITECTURE:
        raise BadModel(f'expected architecture to be one of {sorted(_FIELDS_BY_ARCHITECTURE)}, got {architecture!r}')
    if expect is not None and architecture != expect:
        raise BadModel(f'expected a model of architecture {expect!r}, got {architecture!r}; choose another bundle')
    for dotted, kind, limit in _COMMON_FIELDS + _FIELDS_BY_ARCHITECTURE[architecture]:
        check_field(manifest, dotted, kind, limit)
    if architecture == 'esr':
        if 'dtype' in manifest['input']:
            check_field(manifest, 'input.dtype', str, ('float32', 'uint8'))
        _check_calibration(manifest)
        _check_parts(manifest)


def _check_calibration(manifest: Mapping[str, Any]) -> None:
    """Check the optional fields of an ESR bundle's logits."""
    logits = manifest['outputs']['logits']
    if 'temperature' in logits:
        check_field(manifest, 'outputs.logits.temperature', NUMBER, _TEMPERATURE)
    if 'offsets' in logits:
        _check_per_class(manifest, 'offsets', Range(-20, 20))
    if 'class_prior' in logits:
        _check_per_class(manifest, 'class_prior', Range(1e-6, 1))
        if abs(sum(logits['class_prior']) - 1) > 1e-3:
            raise BadModel(f'expected outputs.logits.class_prior to sum to 1, got {logits["class_prior"]!r}')
    if 'operating_points' in logits or 'operating_point' in logits:
        _check_points(manifest)


def _check_per_class(manifest: Mapping[str, Any], key: str, limit: Range) -> None:
    """Check that a field of the logits has one number for each class."""
    check_field(manifest, f'outputs.logits.{key}', list, None)
    numbers = manifest['outputs']['logits'][key]
    sound = [isinstance(each, NUMBER) and not isinstance(each, bool) and limit.holds(each) for each in numbers]
    if len(sound) != len(EMOTIONS) or not all(sound):
        raise BadModel(
            f'expected outputs.logits.{key} to be {len(EMOTIONS)} numbers {limit}, one for each class, got {numbers!r}'
        )


def _check_points(manifest: Mapping[str, Any]) -> None:
    """Check the operating points, and that one is the default."""
    place = 'outputs.logits.operating_points'
    check_field(manifest, place, dict, None)
    logits = manifest['outputs']['logits']
    if not logits['operating_points']:
        raise BadModel(f'expected at least one operating point in {place}, got none')
    for name, point in logits['operating_points'].items():
        if not _POINT_NAME.match(name):
            raise BadModel(f'expected names of lower-case letters, digits and _ in {place}, got {name!r}')
        check_field(manifest, f'{place}.{name}.temperature', NUMBER, _TEMPERATURE)
        check_field(manifest, f'{place}.{name}.prior_exponent', NUMBER, Range(0, 1))
        for key in POINT_BOUNDS:
            if key in point:
                check_field(manifest, f'{place}.{name}.{key}', NUMBER, Range(0, 1))
        if point['prior_exponent'] and 'class_prior' not in logits:
            raise BadModel(
                f'expected the field outputs.logits.class_prior, which {place}.{name}.prior_exponent needs, '
                'but it is missing'
            )
    check_field(manifest, 'outputs.logits.operating_point', str, tuple(logits['operating_points']))


def _check_parts(manifest: Mapping[str, Any]) -> None:
    """Check that there is one tensor for each branch between the parts of an ESR."""
    if 'parts' not in manifest:
        return
    branches = manifest['outputs']['logits']['branches']
    for key in ('shared', 'means'):
        check_field(manifest, 'parts.' + key, list, None)
        names = manifest['parts'][key]
        if not all(isinstance(name, str) and name for name in names) or not len(names) == len(set(names)) == branches:
            raise BadModel(f'expected parts.{key} to be {branches} different names, one for each branch, got {names!r}')


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a manifest's contents, without layout and without this digest.

    :param manifest: as parsed from JSON, with `model`.
    :returns: 64 lower-case hexadecimal digits.
    """
    model = {key: value for key, value in manifest['model'].items() if key != DIGEST}
    text = json.dumps(dict(manifest, model=model), sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode('ascii')).hexdigest()


def check_digest(folder: str, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest that was changed after it was written.

    One without a digest, of an earlier release, only causes a warning: a robot must not stop after an update.
    """
    command = f'python3 -m facial_emotion_ros.cli.seal_bundle {shlex.quote(folder)}'
    expected = manifest['model'].get(DIGEST)
    if expected is None:
        _log.warning(
            'Model bundle %r has no %s in its %s, so changes to that file are not detected; add it: %s',
            folder,
            DIGEST,
            MANIFEST_FILE,
            command,
        )
        return
    found = manifest_digest(manifest)
    if expected != found:
        raise BadModel(
            f'expected the contents of {MANIFEST_FILE} to have sha256 {expected!r}, got {found}; it was '
            f'changed or damaged: reinstall the bundle, or accept your own change with: {command} '
            '--accept-changes'
        )


def check_field(manifest: Mapping[str, Any], dotted: str, kind: Union[type, Tuple[type, ...]], limit: _Limit) -> None:
    """Refuse a field that is missing, of another type, or outside its limit.

    :param manifest: as parsed from JSON.
    :param dotted: the field's path, like 'input.margin'.
    :param kind: its type, or a tuple of types; a bool does not count as a number.
    :param limit: minimum, Range, tuple of allowed values, or None.
    :raises BadModel: naming the field, what was expected and what came.
    """
    value: Any = manifest
    for key in dotted.split('.'):
        if not isinstance(value, dict) or key not in value:
            raise BadModel(f'expected the field {dotted} in {MANIFEST_FILE}, but it is missing')
        value = value[key]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    has_kind = isinstance(value, kinds)
    if not has_kind or (isinstance(value, bool) and bool not in kinds):  # True is an int in Python
        raise BadModel(f'expected {dotted} to be {" or ".join(k.__name__ for k in kinds)}, got {value!r}')
    if kind is str and not value:
        raise BadModel(f'expected {dotted} not to be empty')
    if isinstance(limit, Range):
        if not limit.holds(value):
            raise BadModel(f'expected {dotted} to be a number {limit}, got {value!r}')
    elif isinstance(limit, tuple):
        if value not in limit:
            raise BadModel(f'expected {dotted} to be {" or ".join(repr(allowed) for allowed in limit)}, got {value!r}')
    elif limit is not None and not limit <= value < float('inf'):  # NaN fails every comparison
        raise BadModel(f'expected {dotted} to be a finite number of at least {limit}, got {value!r}')


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """Return the content of a manifest.json."""
    return (json.dumps(manifest, indent=2) + '\n').encode('utf-8')
