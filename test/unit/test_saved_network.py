"""What save() wrote comes back as one network, or not at all, whatever lay there before and on a full disk too."""

import contextlib
import json
import os
import resource
import shutil

import numpy as np
import pytest
import torch
from small_disk import small_disk
from tiny_training import published_channels, quick_trainings, write_published  # noqa: F401

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.training import FacialEmotionLearner
from facial_emotion_ros.training.loop import saved_network
from facial_emotion_ros.training.loop.saved_network import PUBLISHED, InputSpec, SaveFailed
from facial_emotion_ros.training.model.network import ESR

BASE = 'Net-Base-Shared_Representations.pt'
FORMS = {'files': {}, 'single file': {'single_file': True}}


def network(branches, seed):
    """Return the weights of an ESR that no other seed has."""
    torch.manual_seed(seed)
    return ESR(branches).state_dict()


def save(folder, weights, **form):
    """Save weights under the name that load() looks for first."""
    saved_network.save_weights(folder, 'esr_9', weights, InputSpec(PUBLISHED), **form)


def load(folder, branches):
    """Return the weights that lie in a folder."""
    return saved_network.load(folder, branches, 'esr_9').weights


def assert_same(found, expected):
    """Compare two state dicts."""
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.fixture(scope='module')
def three():
    """Return an ESR-3."""
    return network(3, 1)


@pytest.fixture(scope='module')
def two():
    """Return an ESR-2 that shares nothing with it."""
    return network(2, 2)


@pytest.mark.parametrize('form', FORMS)
def test_a_smaller_network_saved_over_a_larger_one_is_never_mixed_with_it(three, two, tmp_path, form):
    save(tmp_path, three, **FORMS[form])
    save(tmp_path, two, **FORMS[form])
    for asked in (3, 9):
        with pytest.raises(BadModel, match='ensemble_size=2'):
            load(tmp_path, asked)
    assert_same(load(tmp_path, 2), two)
    assert not (tmp_path / 'Net-Branch_3.pt').exists(), 'OpenDR would still load it'


def test_branches_of_somebody_else_stay_and_are_not_loaded(three, two, tmp_path):
    write_published(tmp_path, three)
    save(tmp_path, two)
    assert (tmp_path / 'Net-Branch_3.pt').exists()
    with pytest.raises(BadModel, match=r'esr_9\.json states 2; use ensemble_size=2'):
        load(tmp_path, 3)


@pytest.mark.parametrize('file', [BASE, 'Net-Branch_1.pt', 'Net-Branch_2.pt'])
def test_a_file_of_another_saving_is_refused_with_its_name(three, two, tmp_path, file):
    save(tmp_path / 'one', two)
    save(tmp_path / 'other', three)
    shutil.copy(tmp_path / 'other' / file, tmp_path / 'one' / file)
    with pytest.raises(BadModel, match=f'{file}: expected sha256 .* from another save'):
        load(tmp_path / 'one', 2)


def test_a_single_file_of_another_saving_is_refused(three, two, tmp_path):
    save(tmp_path / 'one', two, single_file=True)
    save(tmp_path / 'other', three, single_file=True)
    shutil.copy(tmp_path / 'other' / 'esr_9.pt', tmp_path / 'one' / 'esr_9.pt')
    with pytest.raises(BadModel, match='esr_9.pt: expected sha256'):
        load(tmp_path / 'one', 2)


def test_folders_without_digests_load_as_before(three, two, tmp_path):
    write_published(tmp_path / 'authors', three)
    write_published(tmp_path / 'opendr', three)
    (tmp_path / 'opendr' / 'esr_9.json').write_text(json.dumps({'optimized': False, 'format': 'pt'}))
    save(tmp_path / 'earlier', two)
    metadata = json.loads((tmp_path / 'earlier' / 'esr_9.json').read_text())
    del metadata['inference_params']['files']
    (tmp_path / 'earlier' / 'esr_9.json').write_text(json.dumps(metadata))
    for name, expected in (('authors', three), ('opendr', three), ('earlier', two)):
        branches = 3 if expected is three else 2
        assert_same(load(tmp_path / name, branches), expected)
    with pytest.raises(BadModel, match='ensemble_size=2'):
        load(tmp_path / 'earlier', 3)


@pytest.mark.parametrize('wrong', [{'branches': 'two'}, {'branches': 0}, {'branches': True}, {'files': ['a']}])
def test_metadata_that_cannot_be_are_refused(two, tmp_path, wrong):
    save(tmp_path, two)
    metadata = json.loads((tmp_path / 'esr_9.json').read_text())
    metadata['inference_params'].update(wrong)
    (tmp_path / 'esr_9.json').write_text(json.dumps(metadata))
    with pytest.raises(BadModel, match='esr_9.json'):
        load(tmp_path, 2)


def test_an_optimized_network_is_loaded_with_its_own_number_of_branches_alone(two, tmp_path):
    learner = FacialEmotionLearner(device='cpu', temp_path=str(tmp_path / 'temp'))
    save(tmp_path, two)
    learner.load(2, tmp_path)
    learner.optimize()
    learner.save(None, tmp_path / 'onnx', verbose=False)
    for asked in (1, 3, 9):
        with pytest.raises(BadModel, match='ensemble_size=2'):
            FacialEmotionLearner(device='cpu').load(asked, tmp_path / 'onnx')
    assert FacialEmotionLearner(device='cpu').load(2, tmp_path / 'onnx')


@contextlib.contextmanager
def full_disk(folder, room):
    """Mount a file system of so many bytes."""
    with small_disk(folder, room // 1024):
        yield lambda: None


@contextlib.contextmanager
def small_files(folder, room):
    """Let no file grow beyond a hundredth of so many bytes, once that is asked for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room // 100, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('disk', [full_disk, small_files])
def test_the_former_network_stays_whole_when_the_disk_is_full(two, tmp_path, disk):
    """Files, a single file, and ONNX: each on a disk that has room for it once, and not for the next one too."""
    other = network(2, 3)
    folder = tmp_path / 'disk'
    folder.mkdir()
    faces = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    learner = FacialEmotionLearner(device='cpu', ensemble_size=2, temp_path=str(tmp_path / 'temp'))
    for place in ('two', 'other'):
        save(tmp_path / place, two if place == 'two' else other)
    learner.load(2, tmp_path / 'two')
    size = sum(each.stat().st_size for each in (tmp_path / 'two').iterdir())
    for form in FORMS.values():
        with disk(folder, int(1.7 * size)) as fill:
            save(folder, two, **form)
            fill()
            with pytest.raises(SaveFailed) as failure:
                save(folder, other, **form)
            assert_same(load(folder, 2), two)
            assert not [name for name in os.listdir(folder) if name.startswith('.')], 'no rest takes up the room'
        assert str(failure.value).startswith(f'{folder}: the network cannot be saved (')
        assert '\n' not in str(failure.value)
        for left in folder.iterdir():  # of a disk that was none
            left.unlink()
    with disk(folder, int(1.7 * size)) as fill:
        learner.optimize()
        learner.save(None, folder, verbose=False)
        expected = learner.infer(faces)[1]
        another = FacialEmotionLearner(device='cpu', ensemble_size=2, temp_path=str(folder))
        another.load(2, tmp_path / 'other')
        fill()
        with pytest.raises(SaveFailed, match=str(folder)):
            another.optimize()
        assert another.ort_session is None, 'it infers by torch as before'
        again = FacialEmotionLearner(device='cpu', ensemble_size=2)
        again.load(2, folder)
        torch.testing.assert_close(again.infer(faces)[1], expected)


@pytest.mark.parametrize('fails_at', range(1, 9))
def test_the_former_network_stays_whole_when_a_file_cannot_get_its_name(three, two, tmp_path, monkeypatch, fails_at):
    save(tmp_path, three)
    before = sorted(os.listdir(tmp_path))
    rename, calls = os.rename, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(5, 'Input/output error')
        rename(source, target)

    monkeypatch.setattr(os, 'rename', failing)
    with pytest.raises(SaveFailed, match='Input/output error'):
        save(tmp_path, two)
    assert_same(load(tmp_path, 3), three)
    assert sorted(os.listdir(tmp_path)) == before


def test_the_reason_is_said_when_the_folder_is_a_file(two, tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(SaveFailed, match='taken: the network cannot be saved .File exists'):
        save(tmp_path / 'taken', two)
