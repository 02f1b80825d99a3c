"""A bundle is opened whole and sound, or refused with the reason."""

import copy
import hashlib
import json
import os

import pytest

from facial_emotion_ros.cli import seal_bundle as seal_command
from facial_emotion_ros.core import resources
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.bundle_manifest import manifest_digest
from facial_emotion_ros.inference.model_bundle import (
    ModelBundle,
    embedded_bundle,
    resolve_bundle,
    seal_bundle,
    write_bundle,
)
from facial_emotion_ros.inference.onnx_proto import read_versions


def model(ir_version=7, opset=13, domain=b'', graph=b'\x0a\x00', besides=b''):
    """Return the least protobuf that reads as an ONNX model."""
    opset_import = (b'\x0a' + bytes([len(domain)]) + domain if domain else b'') + b'\x10' + bytes([opset])
    return b'\x08' + bytes([ir_version]) + inside(7, graph) + inside(8, opset_import) + besides


def inside(field, content):
    """Return a message as a field of another one; up to 127 bytes, fields up to 31."""
    key = field << 3 | 2
    return bytes([key & 0x7F | 0x80, key >> 7] if key > 0x7F else [key]) + bytes([len(content)]) + content


#: A tensor that lies in a file 'w', an attribute that holds it, a node that has this.
EXTERNAL = inside(13, inside(1, b'location') + inside(2, b'w')) + b'\x70\x01'
CONSTANT = inside(1, inside(5, inside(5, EXTERNAL)))


ESR = {
    'name': 'esr_test',
    'version': '0.1.0',
    'architecture': 'esr',
    'model': {'precision': 'fp32'},
    'input': {
        'name': 'crops',
        'size_px': 96,
        'color': 'gray_x3',
        'scale': 1 / 255,
        'via_px': 48,
        'margin': 1.17,
        'center_x': 0.51,
        'center_y': 0.513,
    },
    'outputs': {
        'logits': {'name': 'logits', 'branches': 9, 'labels': list(EMOTIONS)},
        'affect': {'name': 'affect', 'range': [-1, 1]},
    },
    'source': {},
    'licence': {'spdx': 'Apache-2.0'},
}


def rewrite(folder, change):
    """Change the manifest of a bundle in place."""
    path = os.path.join(str(folder), 'manifest.json')
    with open(path) as stream:
        manifest = json.load(stream)
    change(manifest)
    with open(path, 'w') as stream:
        json.dump(manifest, stream)


def assign(dotted, value):
    """Return a change of a manifest that sets one field; removes it, without a value."""

    def change(manifest):
        *parents, last = dotted.split('.')
        for key in parents:
            manifest = manifest[key]
        manifest[last] = value
        if value is REMOVED:
            del manifest[last]

    return change


REMOVED = object()


@pytest.fixture
def bundle(tmp_path):
    """Return the folder of a sound ESR bundle (its network is empty: nothing here runs it)."""
    folder = tmp_path / 'models' / 'esr_test'
    write_bundle(folder, ESR, model(), {'LICENSE': b'ours\n'})
    return folder


def test_opens_with_everything_when_the_bundle_is_sound(bundle):
    opened = ModelBundle.open(bundle, expect='esr')
    assert (opened.folder, opened.name, opened.version, opened.architecture) == (
        str(bundle),
        'esr_test',
        '0.1.0',
        'esr',
    )
    assert opened.model_bytes == model()
    assert opened.sha256 == hashlib.sha256(model()).hexdigest()
    assert opened.manifest['model']['opset'] == 13 and opened.manifest['model']['ir_version'] == 7
    assert sorted(os.listdir(str(bundle))) == ['LICENSE', 'manifest.json', 'model.onnx']


#: Field -> values that it must not have.
BAD_VALUES = {
    'format': [None, 2, True, '1'],
    'name': ['', 7],
    'version': [1.0],
    'architecture': ['resnet', ['esr']],
    'model': ['model.onnx'],
    'model.bytes': [True, 0, 10**400, 12.0],
    'model.opset': ['13'],
    'model.precision': [None],
    'model.file': [
        '../esr_test/model.onnx',
        '/etc/hostname',
        '..',
        'sub/model.onnx',
        'model.onnx\n',
        'a\0b',
        '\ud800',
        'absent.onnx',
        '.',
    ],
    'model.sha256': ['0' * 64],
    'input.size_px': [0, 96.5, 9600],
    'input.color': ['rgb', ['bgr']],
    'input.scale': [0, True, 1e-5, 255],
    'input.margin': [-1.0, 9.17, 0.17],
    'input.via_px': [-48, 4800, 7],
    'input.center_x': ['0.5', 0.91],
    'outputs.logits.labels': [list(reversed(EMOTIONS)), list(EMOTIONS[:7]), ' '.join(EMOTIONS)],
    'outputs.logits.branches': [0, 900],
    'outputs.affect.range': [[0, 1]],
    'licence': ['Apache-2.0'],
    'outputs.logits.temperature': [0, -1.0, '1', True, None, 1e9],
    'outputs.logits.offsets': [0.5, [], [0.0] * 7, [0.0] * 7 + ['1'], [0.0] * 7 + [True], [0.0] * 7 + [21], None],
    'outputs.logits.class_prior': [[0.125] * 7, [0.125] * 7 + [0.0], [0.2] * 8, [-0.5] + [1.5 / 7] * 7],
    'outputs.logits.operating_points': [{}, ['balanced'], {'a': 7}],
    'outputs.logits.operating_point': ['nobody'],
    'input.center_y': [0.913],
    'parts': [
        ['a'],
        None,
        {'shared': list('abcdefghi')},
        {'shared': 'abcdefghi', 'means': list('abcdefghi')},
        {'shared': list('abcdefghh'), 'means': list('abcdefghi')},
        {'shared': list('abcdefgh'), 'means': list('abcdefghi')},
        {'shared': list('abcdefghi'), 'means': list('abcdefgh') + [9]},
        {'shared': list('abcdefghi'), 'means': list('abcdefgh') + [['i']]},
    ],
}


@pytest.mark.parametrize('dotted, value', [(name, value) for name, values in BAD_VALUES.items() for value in values])
def test_refused_with_folder_and_field_named_when_a_field_is_wrong(bundle, dotted, value):
    rewrite(bundle, assign(dotted, value))
    with pytest.raises(BadModel) as refusal:
        ModelBundle.open(bundle)
    assert str(bundle) in str(refusal.value)
    words = (dotted, dotted.split('.')[-1], 'absent.onnx', 'plain file name')
    assert any(word in str(refusal.value) for word in words)


@pytest.mark.parametrize(
    'dotted, value',
    [('outputs.logits.temperature', 0.63), ('outputs.logits.temperature', 2), ('outputs.logits.offsets', [0, 1.5] * 4)],
)
def test_opens_when_a_calibration_is_stored(bundle, dotted, value):
    rewrite(bundle, assign(dotted, value))
    seal_bundle(bundle, accept_changes=True)
    assert ModelBundle.open(bundle).manifest['outputs']['logits'][dotted.split('.')[-1]] == value


def test_refused_when_a_detector_names_a_multiple_that_its_network_does_not_have(tmp_path):
    centerface = ModelBundle.open(embedded_bundle('centerface_int8'))
    write_bundle(tmp_path / 'detector', centerface.manifest, centerface.model_bytes)
    for multiple in (0, 1, 7, 31, 33, 320, 32.0, True, '32', None):
        rewrite(tmp_path / 'detector', assign('input.multiple', multiple))
        with pytest.raises(BadModel, match='input.multiple'):
            ModelBundle.open(tmp_path / 'detector')


@pytest.mark.parametrize(
    'dotted, value',
    [
        ('input.margin', 1.27),
        ('input.center_y', 0.413),
        ('input.via_px', 0),
        ('input.color', 'bgr'),
        ('outputs.logits.branches', 8),
        ('outputs.logits.temperature', 0.5),
        ('input.level_eyes', True),
        ('input.landmark_weight', 0.5),
        ('input.dtype', 'uint8'),
        ('name', 'esr_tent'),
        ('licence.note', 'free'),
        ('model.manifest_sha256', '0' * 64),
        ('model.manifest_sha256', 7),
        ('format_', 1),
    ],
)
def test_refused_when_anything_of_the_manifest_was_changed(bundle, dotted, value):
    rewrite(bundle, assign(dotted, value))
    with pytest.raises(BadModel, match='manifest.json to have sha256 .* --accept-changes'):
        ModelBundle.open(bundle)


def test_opens_when_the_manifest_has_another_layout_alone(bundle):
    with open(str(bundle / 'manifest.json')) as stream:
        manifest = json.load(stream)
    shuffled = {
        key: dict(reversed(sorted(value.items()))) if isinstance(value, dict) else value
        for key, value in reversed(sorted(manifest.items()))
    }
    (bundle / 'manifest.json').write_text(json.dumps(shuffled, indent=7))
    assert ModelBundle.open(bundle).manifest == manifest


def test_a_bundle_of_an_earlier_release_opens_with_a_warning_that_names_the_command(bundle, caplog):
    rewrite(bundle, assign('model.manifest_sha256', REMOVED))
    assert ModelBundle.open(bundle).name == 'esr_test'
    assert 'seal_bundle %s' % bundle in caplog.text and len(caplog.records) == 1


def test_seal_bundle_adds_the_digest_and_replaces_one_only_when_asked(bundle, capsys):
    rewrite(bundle, assign('model.manifest_sha256', REMOVED))
    assert seal_command.main([str(bundle)]) == 0
    sealed = ModelBundle.open(bundle)
    assert sealed.manifest['model']['manifest_sha256'] == manifest_digest(sealed.manifest)
    assert sealed.manifest['model']['manifest_sha256'] in capsys.readouterr().out
    rewrite(bundle, assign('input.margin', 1.27))
    assert seal_command.main([str(bundle)]) == 1 and 'accept' in capsys.readouterr().err
    with pytest.raises(BadModel):
        ModelBundle.open(bundle)
    assert seal_command.main([str(bundle), '--accept-changes']) == 0
    assert ModelBundle.open(bundle).manifest['input']['margin'] == 1.27
    rewrite(bundle, assign('input.margin', 9.17))
    assert seal_command.main([str(bundle), '--accept-changes']) == 1 and 'margin' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['centerface', 'centerface_int8', 'esr_9_ferplus', 'esr_9_ferplus_int8'])
def test_every_embedded_bundle_has_the_digest_of_its_manifest(name, caplog):
    manifest = ModelBundle.open(embedded_bundle(name)).manifest
    assert manifest['model']['manifest_sha256'] == manifest_digest(manifest)
    assert not caplog.records


@pytest.mark.parametrize(
    'dotted',
    'format name version architecture model model.file model.sha256 model.bytes model.precision model.opset '
    'model.ir_version input input.name input.size_px input.color input.scale input.via_px input.margin input.center_x '
    'input.center_y outputs outputs.logits.name outputs.logits.labels outputs.logits.branches outputs.affect.name '
    'outputs.affect.range source licence.spdx'.split(),
)
def test_refused_when_a_field_is_missing(bundle, dotted):
    rewrite(bundle, assign(dotted, REMOVED))
    with pytest.raises(BadModel, match=dotted.split('.')[0]):
        ModelBundle.open(bundle)


@pytest.mark.parametrize(
    'place, constant',
    [
        ('1.17', 'NaN'),
        ('1.17', 'Infinity'),
        ('1.17', '-Infinity'),
        ('1.17', '1e999'),
        ('{}', '{"accuracy": NaN}'),
        ('{}', '{"accuracy": -Infinity}'),
    ],
)
def test_refused_when_a_number_is_not_finite(bundle, place, constant):
    text = (bundle / 'manifest.json').read_text()
    assert place in text
    (bundle / 'manifest.json').write_text(text.replace(place, constant))
    with pytest.raises(BadModel, match='number'):
        ModelBundle.open(bundle)


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'JSON'),
        (b'{', 'JSON'),
        (b'[]', 'object'),
        (b'null', 'object'),
        (b'\xff\xfe', 'JSON'),
        (b'[' * 100000, 'JSON'),
        (b' ' * ((1 << 20) + 1), 'at most'),
        (b'{}', 'format'),
    ],
)
def test_refused_when_the_manifest_is_no_manifest(bundle, content, reason):
    (bundle / 'manifest.json').write_bytes(content)
    with pytest.raises(BadModel, match=reason):
        ModelBundle.open(bundle)


def test_refused_when_any_bit_of_the_model_is_flipped(bundle):
    path = bundle / 'model.onnx'
    sound = path.read_bytes()
    for bit in range(8 * len(sound)):
        flipped = bytearray(sound)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(flipped))
        with pytest.raises(BadModel, match='sha256'):
            ModelBundle.open(bundle)


@pytest.mark.parametrize('change', [lambda sound: sound[:-1], lambda sound: b'', lambda sound: sound + b'\0'])
def test_refused_when_the_model_has_another_length(bundle, change):
    path = bundle / 'model.onnx'
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadModel, match='bytes'):
        ModelBundle.open(bundle)


@pytest.mark.parametrize(
    'ir_version, opset, reason', [(7, 14, 'opset'), (7, 18, 'opset'), (8, 13, 'IR version'), (10, 21, 'opset')]
)
@pytest.mark.parametrize('honest', [True, False])
def test_refused_when_the_file_is_too_new_for_robots(bundle, ir_version, opset, reason, honest):
    content = model(ir_version, opset)
    (bundle / 'model.onnx').write_bytes(content)
    rewrite(bundle, assign('model.sha256', hashlib.sha256(content).hexdigest()))
    if honest:
        rewrite(bundle, assign('model.opset', opset))
        rewrite(bundle, assign('model.ir_version', ir_version))
    with pytest.raises(BadModel, match=reason + ' [0-9]+ at most'):
        ModelBundle.open(bundle)


@pytest.mark.parametrize(
    'dotted, value, reason',
    [
        ('model.opset', 14, 'opset'),
        ('model.opset', 11, 'opset'),
        ('model.ir_version', 8, 'IR'),
        ('model.ir_version', 4, 'IR'),
    ],
)
def test_refused_when_the_manifest_says_other_versions_than_the_file(bundle, dotted, value, reason):
    rewrite(bundle, assign(dotted, value))
    with pytest.raises(BadModel, match=reason):
        ModelBundle.open(bundle)


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'empty'),
        (b'hello, this is no model', 'cannot be parsed'),
        (b'\x08', 'inside a number'),
        (b'\x08' + b'\xff' * 11, 'ten bytes'),
        (b'\x0a\x07', 'runs past'),
        (b'\x0b', 'wire type'),
        (b'\x08\x07', 'one graph'),
        (model() + model(), 'one graph'),
        (b'\x0a\x00', 'bytes instead of a number'),
        (model(domain=b'com.microsoft'), 'com.microsoft'),
        (model(graph=b'\x2a\x02\x6a\x00'), 'external data'),
        (b'\x42\x02\x08\x01' + model(), 'a number instead of bytes'),
    ],
)
def test_refused_when_the_file_is_no_whole_onnx_model(content, reason):
    with pytest.raises(BadModel, match=reason):
        read_versions(content)


#: Where a tensor may stand -> what goes into the graph, what beside it.
EXTERNAL_TENSORS = {
    'initializer': (inside(5, EXTERNAL), b''),
    'location alone': (inside(5, b'\x70\x01'), b''),
    'entry alone': (inside(5, inside(13, b'')), b''),
    'attribute': (CONSTANT, b''),
    'list of tensors': (inside(1, inside(5, inside(10, EXTERNAL))), b''),
    'subgraph': (inside(1, inside(5, inside(6, inside(5, EXTERNAL)))), b''),
    'constant in a subgraph': (inside(1, inside(5, inside(6, CONSTANT))), b''),
    'in a list of graphs': (
        inside(1, inside(5, inside(11, b'') + inside(11, inside(1, inside(5, inside(6, CONSTANT)))))),
        b'',
    ),
    'sparse values': (inside(15, inside(1, EXTERNAL)), b''),
    'sparse indices': (inside(15, inside(2, EXTERNAL)), b''),
    'sparse attribute': (inside(1, inside(5, inside(22, inside(1, EXTERNAL)))), b''),
    'list of sparse': (inside(1, inside(5, inside(23, inside(2, EXTERNAL)))), b''),
    'function': (b'\x0a\x00', inside(25, inside(7, inside(5, inside(5, EXTERNAL))))),
    "function's attribute": (b'\x0a\x00', inside(25, inside(11, inside(5, EXTERNAL)))),
    'training initialization': (b'\x0a\x00', inside(20, inside(1, inside(5, EXTERNAL)))),
    'training algorithm': (b'\x0a\x00', inside(20, inside(2, CONSTANT))),
}


@pytest.mark.parametrize('where', sorted(EXTERNAL_TENSORS))
def test_refused_when_a_tensor_lies_in_another_file_wherever_it_stands(where):
    graph, besides = EXTERNAL_TENSORS[where]
    with pytest.raises(BadModel, match='external data'):
        read_versions(model(graph=graph, besides=besides))


def test_taken_when_every_tensor_lies_inside():
    tensor = inside(9, b'\0\0\0\0') + b'\x70\x00'
    attribute = inside(5, tensor) + inside(6, inside(5, tensor))
    assert read_versions(model(graph=inside(1, inside(5, attribute)))).opset == 13


def test_refused_when_another_architecture_is_wanted(bundle):
    with pytest.raises(BadModel, match="'centerface', got 'esr'"):
        ModelBundle.open(bundle, expect='centerface')


@pytest.mark.parametrize('name', ['manifest.json', 'model.onnx'])
def test_refused_when_a_file_is_missing_or_none(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BadModel, match=name):
        ModelBundle.open(bundle)
    (bundle / name).mkdir()
    with pytest.raises(BadModel, match=name):
        ModelBundle.open(bundle)
    (bundle / name).rmdir()
    os.mkfifo(str(bundle / name))  # a reader would wait for ever
    with pytest.raises(BadModel, match=name):
        ModelBundle.open(bundle)


def test_refused_when_there_is_no_folder(tmp_path):
    with pytest.raises(BadModel, match='no such folder'):
        ModelBundle.open(tmp_path / 'nowhere')


def test_refused_when_the_model_is_a_link_that_leaves_the_bundle(bundle, tmp_path):
    outside = tmp_path / 'outside.onnx'
    (bundle / 'model.onnx').rename(outside)
    (bundle / 'model.onnx').symlink_to(outside)
    with pytest.raises(BadModel, match='link'):
        ModelBundle.open(bundle)


def test_opens_when_every_file_is_a_link_into_one_folder(bundle, tmp_path):
    installed = tmp_path / 'install'
    installed.mkdir()
    for name in os.listdir(str(bundle)):
        (installed / name).symlink_to(bundle / name)
    assert ModelBundle.open(installed).model_bytes == model()


def test_former_bundle_stays_when_the_new_one_would_be_refused(bundle):
    for bad in (
        {'model_bytes': model(opset=14)},
        {'extra_files': {'../LICENSE': b''}},
        {'extra_files': {'model.onnx': b''}},
    ):
        arguments = dict({'manifest': ESR, 'model_bytes': model()}, **bad)
        with pytest.raises(BadModel):
            write_bundle(bundle, **arguments)
        assert ModelBundle.open(bundle).version == '0.1.0'
        assert os.listdir(str(bundle.parent)) == ['esr_test']


def test_former_bundle_is_replaced_when_written_again(bundle):
    newer = copy.deepcopy(ESR)
    newer['version'] = '0.2.0'
    write_bundle(bundle, newer, model(opset=12))
    assert ModelBundle.open(bundle).version == '0.2.0'
    assert sorted(os.listdir(str(bundle))) == ['manifest.json', 'model.onnx']
    assert os.listdir(str(bundle.parent)) == ['esr_test']


def test_embedded_bundle_is_found_when_installed_in_a_prefix(bundle, tmp_path, monkeypatch):
    prefix = tmp_path / 'install'
    share = prefix / 'share' / 'facial_emotion_ros' / 'models'
    share.mkdir(parents=True)
    (bundle.parent / 'esr_test').rename(share / 'esr_test')
    code = prefix / 'lib' / 'python3' / 'site-packages' / 'facial_emotion_ros' / 'installed_files.py'
    for file, ament in ((str(code), ''), (str(tmp_path / 'elsewhere' / 'installed_files.py'), f'/nowhere:{prefix}')):
        monkeypatch.setattr(resources, '__file__', file)
        monkeypatch.setenv('AMENT_PREFIX_PATH', ament)
        assert embedded_bundle('esr_test') == str(share / 'esr_test')
        assert resolve_bundle('esr_test') == str(share / 'esr_test')


def test_the_embedded_bundles_are_listed_when_none_has_the_name():
    with pytest.raises(BadModel, match=r"\(.*centerface, .*esr_9_ferplus, .*\), got 'no_such'$"):
        embedded_bundle('no_such')


@pytest.mark.parametrize('name', ['', '.', '..', '../models', '/etc'])
def test_embedded_bundle_is_refused_when_the_name_is_a_path(name):
    with pytest.raises(BadModel, match='plain name'):
        embedded_bundle(name)


def test_an_embedded_bundle_wins_when_a_folder_here_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'centerface').mkdir()
    (tmp_path / 'my_own').mkdir()
    assert resolve_bundle('centerface') == embedded_bundle('centerface')
    assert resolve_bundle('my_own') == 'my_own'


def test_paths_are_taken_as_they_are_when_a_bundle_is_resolved(bundle, monkeypatch):
    assert resolve_bundle(bundle) == str(bundle)
    assert resolve_bundle('./nowhere') == './nowhere'
    monkeypatch.chdir(str(bundle.parent))
    assert resolve_bundle('esr_test') == 'esr_test'
