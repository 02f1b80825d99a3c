"""Pictures that occur twice are found, and lists of held-out faces have none of them."""

import os

import cv2
import numpy as np
import pytest
from places import DATA, ROOT
from test_ferplus import write_npz

from facial_emotion_ros.cli import hold_out
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.datasets import FerPlus, held_out, read_ferplus, read_names
from facial_emotion_ros.training.data.near_duplicates import choose_held_out, have_copies

HAPPY = [0, 9, 1, 0, 0, 0, 0, 0, 0, 0]


def blobs(count, seed=0):
    """Draw (count, 48, 48) pictures that have structure at the size of a face's parts."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8)).astype(np.uint8)
    return np.stack([cv2.resize(picture, (48, 48), interpolation=cv2.INTER_CUBIC) for picture in coarse])


def split_of(pictures, votes=HAPPY, name='split'):
    """Return a FerPlus of pictures that all have the same votes."""
    names = [f'{name}{row}.png' for row in range(len(pictures))]
    return FerPlus(pictures, np.tile(votes, (len(pictures), 1)), names, name)


def darker(picture):
    return (picture * 0.6 + 20).astype(np.uint8)


def test_a_copy_is_found_when_it_is_darker_in_the_same_set_or_mirrored_in_another():
    pictures = blobs(8)
    pictures[5] = darker(pictures[2])
    other = blobs(3, seed=1)
    other[1] = darker(pictures[0][:, ::-1])
    other[2] = pictures[7]
    assert np.flatnonzero(have_copies(split_of(pictures))).tolist() == [2, 5]
    assert np.flatnonzero(have_copies(split_of(pictures), [split_of(other)])).tolist() == [0, 2, 5, 7]


def test_pictures_of_one_gray_level_are_nobodys_copy_when_they_are_compared():
    pictures = blobs(4)
    pictures[1], pictures[3] = 90, 120
    assert not have_copies(split_of(pictures)).any()


def test_the_draw_repeats_and_keeps_to_candidates_without_copies_when_faces_are_held_out():
    pictures = blobs(20)
    pictures[11] = darker(pictures[3])
    split = split_of(pictures)
    chosen = choose_held_out(split, [], 6, 7, np.arange(12))
    assert len(set(chosen)) == 6 and set(chosen) <= set(range(12)) - {3, 11}
    assert list(chosen) == sorted(chosen)
    np.testing.assert_array_equal(chosen, choose_held_out(split, [], 6, 7, np.arange(12)))
    assert list(chosen) != list(choose_held_out(split, [], 6, 8, np.arange(12)))
    with pytest.raises(BadDataset, match='18'):
        choose_held_out(split, [], 19, 7)


def write_split(path, pictures):
    """Write pictures that are all happy."""
    return write_npz(path, pictures, votes=np.tile(np.uint8(HAPPY), (len(pictures), 1)))


def test_the_command_writes_a_list_that_says_how_it_was_made_when_enough_faces_are_there(tmp_path, capsys):
    pictures = blobs(12)
    train = write_split(tmp_path / 'train.npz', pictures)
    valid = write_split(tmp_path / 'valid.npz', np.stack([darker(pictures[4])]))
    listed = str(tmp_path / 'dev.txt')
    assert hold_out.main(['--dataset', train, '--others', valid, '--count', '11', '--output', listed]) == 0
    assert '11 faces' in capsys.readouterr().out
    rest, kept = held_out(read_ferplus(train), read_names(listed))
    assert rest.names.tolist() == ['4.png'] and len(kept) == 11
    with open(listed, encoding='utf-8') as file:
        assert 'train.npz --others valid.npz --count 11 --seed 2020' in file.readline()
    assert hold_out.main(['--dataset', train, '--others', valid, '--count', '12', '--output', listed]) == 1
    assert capsys.readouterr().err.startswith('hold_out: train: expected 12 images')


@pytest.mark.skipif(not os.path.isdir(DATA), reason='FER+ (shared/data beside the checkout) is absent')
def test_the_kept_list_fits_train_and_touches_no_picture_of_valid_when_ferplus_is_there():
    names = read_names(os.path.join(ROOT, 'recipes', 'ferplus_dev.txt'))
    rest, kept = held_out(read_ferplus(os.path.join(DATA, 'ferplus_train.npz')), names)
    assert (len(rest), len(kept)) == (25558, 3000)
    assert not have_copies(kept, [read_ferplus(os.path.join(DATA, 'ferplus_valid.npz'))]).any()
