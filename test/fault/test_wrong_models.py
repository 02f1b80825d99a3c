"""A wrong model is refused: mutants of the embedded bundle, each with the words that its refusal must hold."""

import hashlib
import json
import os
import random
import shutil

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.bundle_manifest import DIGEST, manifest_digest
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

NAME = 'esr_9_ferplus'
#: Protobuf of the import of ONNX's own operator set, with and without an empty domain, less its version.
OPSET_IMPORTS = (b'\x42\x04\x0a\x00\x10', b'\x42\x02\x10')


class Copy:
    """A copy of the embedded bundle to be spoilt, and made whole again."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.model = os.path.join(self.folder, 'model.onnx')
        self._source = embedded_bundle(NAME)
        os.makedirs(self.folder)
        self.restore()

    def restore(self):
        """Make it whole."""
        for name in ('manifest.json', 'model.onnx'):
            shutil.copyfile(os.path.join(self._source, name), os.path.join(self.folder, name))

    def write(self, place, octets):
        """Put bytes into the model file.

        :returns: whether that has changed it.
        """
        with open(self.model, 'r+b') as file:
            file.seek(place)
            before = file.read(len(octets))
            file.seek(place)
            file.write(octets)
        return before != octets

    def size(self):
        """Return the length of the model file."""
        return os.path.getsize(self.model)

    def say(self, dotted, value, seal=True):
        """Set a field of the manifest; a value of None takes it out. The digest then fits again, unless told not to."""
        path = os.path.join(self.folder, 'manifest.json')
        with open(path) as file:
            manifest = json.load(file)
        place = manifest
        *parents, last = dotted.split('.')
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
        if seal and isinstance(manifest.get('model'), dict):
            manifest['model'][DIGEST] = manifest_digest(manifest)
        with open(path, 'w') as file:
            json.dump(manifest, file)

    def sign(self):
        """Let the manifest say the hash and length of the model as it is now."""
        with open(self.model, 'rb') as file:
            content = file.read()
        self.say('model.sha256', hashlib.sha256(content).hexdigest())
        self.say('model.bytes', len(content))


def flip_a_bit(copy, draw):
    """Turn one bit of the model over."""
    place = draw.randrange(copy.size())
    with open(copy.model, 'rb') as file:
        file.seek(place)
        octet = file.read(1)[0]
    assert copy.write(place, bytes([octet ^ 1 << draw.randrange(8)]))
    return 'sha256'


def zero_a_page(copy, draw):
    """Let the disk lose one page."""
    while not copy.write(4096 * draw.randrange(copy.size() // 4096), bytes(4096)):
        pass
    return 'sha256'


def cut_or_lengthen(copy, draw):
    """Cut the model at any place, or write more behind it."""
    if draw.random() < 0.8:
        os.truncate(copy.model, draw.randrange(copy.size()))
    else:
        copy.write(copy.size(), bytes(draw.randrange(1, 5000)))
    return 'bytes, got'


def cut_and_sign(copy, draw):
    """Cut the model, with the hash of what is left."""
    os.truncate(copy.model, draw.randrange(1, copy.size()))
    copy.sign()
    return 'expected an ONNX model'


def other_labels(copy, draw):
    """Order, name or number the classes differently, as other data sets do."""
    labels = draw.sample(EMOTIONS, draw.randrange(1, 9))
    if labels == list(EMOTIONS) or draw.random() < 0.3:
        labels[draw.randrange(len(labels))] = draw.choice(['happiness', 'Anger', '', 'scared', 7])
    copy.say('outputs.logits.labels', labels)
    return 'outputs.logits.labels'


def other_opset(copy, draw):
    """Take a newer or older operator set, in the file, in the manifest, or in both."""
    version = draw.choice([1, 7, 11, 12, 14, 17, 18, 21])
    where = draw.randrange(3) if version > 13 else draw.randrange(2)
    if where != 1:
        copy.say('model.opset', version)
    if where != 0:
        with open(copy.model, 'rb') as file:
            content = file.read()
        places = [content.find(words + b'\x0d') + len(words) for words in OPSET_IMPORTS if words + b'\x0d' in content]
        assert places and copy.write(places[0], bytes([version]))
        copy.sign()
    return 'opset'


def escape(copy, draw):
    """Lead out of the bundle's folder."""
    if draw.random() < 0.25:
        outside = copy.folder + '_elsewhere.onnx'
        shutil.copyfile(copy.model, outside)
        os.remove(copy.model)
        os.symlink(outside, copy.model)
        return 'link that leaves the bundle'
    copy.say(
        'model.file',
        draw.choice(
            [
                '../%s/model.onnx' % os.path.basename(copy.folder),
                copy.model,
                '..',
                '.',
                './model.onnx',
                '/etc/passwd',
                'a/../model.onnx',
                '..\\model.onnx',
                'model.onnx\0',
                '~/model.onnx',
                '$HOME/model.onnx',
                '../' * draw.randrange(1, 9) + 'model.onnx',
                'file:model.onnx',
            ]
        ),
    )
    return 'plain file name'


def other_manifest(copy, draw):
    """Leave out what a manifest must say, or say something impossible."""
    field, wrong = draw.choice(
        [
            ('name', 7),
            ('version', ''),
            ('architecture', 'resnet'),
            ('model.sha256', '0' * 64),
            ('model.bytes', -1),
            ('model.precision', 16),
            ('input.color', 'rgb'),
            ('input.size_px', 0),
            ('input.scale', 0),
            ('input.margin', 'wide'),
            ('input.center_x', -1),
            ('outputs.logits.branches', 0),
            ('outputs.affect.range', [0, 1]),
            ('outputs.logits.temperature', 0),
            ('licence.spdx', ''),
        ]
    )
    required = field != 'outputs.logits.temperature'
    copy.say(field, None if required and draw.random() < 0.5 else wrong)
    return field


def other_number(copy, draw):
    """Change a number that may well be another one, as one flipped bit or a slip of the finger does."""
    field, wrong = draw.choice(
        [
            ('input.margin', 1.67),
            ('input.margin', 9.17),
            ('input.center_y', 0.613),
            ('input.center_y', 0.913),
            ('input.center_x', 0.61),
            ('input.level_eyes', False),
            ('input.landmark_weight', 0.25),
            ('input.via_px', 48),
            ('input.color', 'bgr'),
            ('input.scale', 0.0049),
            ('outputs.logits.temperature', 0.9624),
            ('outputs.logits.offsets', [0, 9] * 4),
        ]
    )
    copy.say(field, wrong, seal=False)
    return r'sha256 .*--accept-changes|from .* to '


def other_network(copy, draw):
    """Promise inputs and outputs that the network does not have."""
    field, wrong, words = draw.choice(
        [
            ('outputs.logits.branches', draw.choice([1, 3, 8, 10]), 'expected outputs'),
            ('input.size_px', draw.choice([48, 63, 96]), 'failed on|expected outputs'),
            ('input.name', 'faces', 'failed on'),
            ('outputs.logits.name', 'scores', 'failed on'),
            ('outputs.affect.name', 'logits', 'expected outputs'),
        ]
    )
    copy.say(field, wrong)
    return words


#: kind -> how many of 33 mutants are of it.
KINDS = {
    flip_a_bit: 5,
    zero_a_page: 3,
    cut_or_lengthen: 4,
    cut_and_sign: 2,
    other_labels: 4,
    other_opset: 3,
    escape: 3,
    other_manifest: 3,
    other_number: 3,
    other_network: 3,
}


def load(folder):
    """Do what configuring does with a bundle."""
    engine = EsrEngine(ModelBundle.open(folder, expect='esr'))
    size = engine.geometry.size_px
    engine.run(np.zeros((1, 3, size, size), np.float32))


@pytest.mark.timeout(1200)
def test_every_mutant_of_a_bundle_is_refused_with_the_reason(tmp_path, long_form, promise):
    times = 10 if long_form else 1
    copy, draw, refused = Copy(tmp_path / NAME), random.Random(3), 0
    load(copy.folder)
    for kind, share in KINDS.items():
        for _ in range(share * times):
            words = kind(copy, draw)
            with pytest.raises(BadModel, match=words):
                load(copy.folder)
                pytest.fail('taken: ' + kind.__doc__)
            refused += 1
            if os.path.islink(copy.model):
                os.remove(copy.model)
            copy.restore()
    load(copy.folder)
    if long_form:
        promise(
            'a wrong model is refused',
            '%d refused, each with its reason, no crash' % refused,
            bound='all of them',
            n='%d mutants of %d kinds' % (refused, len(KINDS)),
        )


def test_the_node_names_the_reason_and_works_once_the_bundle_is_whole_again(start_node, peer, tmp_path):
    copy = Copy(tmp_path / NAME)
    copy.write(copy.size() // 2, b'spoilt')
    node = start_node(inference__bundle=copy.folder)
    node.wait_for(r'\[ERROR\].*sha256.*reinstall the bundle')
    peer.wait_state('unconfigured')
    copy.restore()
    assert peer.change_state('configure') and peer.change_state('activate')
    assert 'Traceback' not in node.output() and node.output().count('[ERROR]') == 1
