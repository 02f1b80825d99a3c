"""Whatever goes wrong while a bundle is replaced, the former one is not lost."""

import copy
import os
import subprocess
import sys

import pytest
from test_model_bundle import ESR, model

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.inference.model_bundle import ModelBundle, write_bundle

NEWER = copy.deepcopy(ESR)
NEWER['version'] = '0.2.0'


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle of version 0.1.0 into a folder of its own, and return its path."""
    folder = tmp_path / 'models' / 'esr_test'
    write_bundle(folder, ESR, model())
    return folder


def at_call(number, act):
    """Return os.rename that does something else in place of its n-th call."""
    rename, calls = os.rename, []

    def replaced(*arguments):
        calls.append(arguments)
        return act() if len(calls) == number else rename(*arguments)

    return replaced


def full_disk():
    """Fail as the kernel does."""
    raise OSError(28, 'No space left on device')


@pytest.mark.parametrize('number', [1, 2])
def test_the_former_bundle_is_in_its_place_when_a_folder_cannot_be_renamed(bundle, monkeypatch, number):
    with monkeypatch.context() as changes:
        changes.setattr(os, 'rename', at_call(number, full_disk))
        with pytest.raises(OSError):
            write_bundle(bundle, NEWER, model())
    assert ModelBundle.open(bundle).version == '0.1.0'
    assert os.listdir(str(bundle.parent)) == ['esr_test']


@pytest.mark.parametrize('name', ['my_other.onnx', 'x.onnx/notes.txt', 'LICENSE/notes.txt', 'manifest.json'])
def test_files_of_others_stay_when_a_bundle_would_replace_them(bundle, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text('{"name": "of others"}')
    with pytest.raises(BadParameter, match='would be lost'):
        write_bundle(bundle, NEWER, model())
    assert (bundle / name).read_text() == '{"name": "of others"}'


@pytest.mark.parametrize('number', [1, 2])
def test_both_bundles_are_whole_when_the_process_dies_between_two_steps(bundle, number):
    program = (
        'import os, sys; sys.path.insert(0, %r); from test_bundle_replacement import *\n'
        'os.rename = at_call(%d, lambda: os._exit(9))\n'
        'write_bundle(%r, NEWER, model())' % (os.path.dirname(os.path.abspath(__file__)), number, str(bundle))
    )
    assert subprocess.run([sys.executable, '-c', program]).returncode == 9
    versions = []
    for name in os.listdir(str(bundle.parent)):
        try:
            versions.append(ModelBundle.open(bundle.parent / name).version)
        except BadModel:
            pass
    assert sorted(versions) == ['0.1.0', '0.2.0']
