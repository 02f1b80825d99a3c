"""Weights and state on the disk: whole or not at all, and never code."""

import os
import resource

import pytest
import torch

from facial_emotion_ros.core.errors import BadModel, FacialEmotionError
from facial_emotion_ros.training.loop import checkpoint

SAVERS = [(checkpoint.save_weights, checkpoint.load_weights), (checkpoint.save_state, checkpoint.load_state)]


@pytest.fixture
def small_files():
    """Let the kernel refuse files beyond 100 kB (RLIMIT_FSIZE), as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_weights_come_back_when_they_were_saved(tmp_path):
    path = str(tmp_path / 'new' / 'weights.safetensors')
    weights = {'a': torch.randn(3, 4), 'n': torch.tensor(7)}
    checkpoint.save_weights(path, weights)
    read = checkpoint.load_weights(path)
    assert torch.equal(read['a'], weights['a']) and read['n'] == 7
    checkpoint.save_weights(path, {'a': weights['a'].half()})
    read = checkpoint.load_weights(path)
    assert read['a'].dtype == torch.float32 and torch.equal(read['a'], weights['a'].half().float())


def test_weights_can_be_read_by_others_when_the_mask_allows_it(tmp_path):
    path = tmp_path / 'weights.safetensors'
    before = os.umask(0o022)
    try:
        checkpoint.save_weights(str(path), {'a': torch.zeros(1)})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize('save, load', SAVERS)
def test_the_last_good_file_is_left_when_the_disk_is_full(tmp_path, small_files, save, load):
    path = str(tmp_path / 'file')
    save(path, {'a': torch.ones(10)})
    with pytest.raises(checkpoint.CannotSave, match=r'MiB free\); the earlier file is intact. Make room'):
        save(path, {'a': torch.zeros(100_000)})
    assert torch.equal(load(path)['a'], torch.ones(10))
    assert [entry.name for entry in tmp_path.iterdir()] == ['file']
    with pytest.raises(FacialEmotionError, match='there is no earlier file'):
        save(str(tmp_path / 'other'), {'a': torch.zeros(100_000)})
    assert [entry.name for entry in tmp_path.iterdir()] == ['file']


class Pickled:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        """Name a function to call."""
        return (print, ('this must not be printed',))


def test_state_is_refused_when_it_would_run_code(tmp_path, capsys):
    path = str(tmp_path / 'state.pt')
    torch.save({'step': Pickled()}, path)
    with pytest.raises(BadModel, match='expected training state'):
        checkpoint.load_state(path)
    assert capsys.readouterr().out == ''


def test_weights_are_refused_when_the_file_is_none(tmp_path):
    (tmp_path / 'weights.safetensors').write_bytes(b'no tensors')
    with pytest.raises(BadModel, match='expected a safetensors file'):
        checkpoint.load_weights(str(tmp_path / 'weights.safetensors'))
