"""FER+ as arrays, and its protocol."""

import os

import cv2
import numpy as np
import pytest

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.learning.datasets import FerPlus, read_ferplus, read_names

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(os.path.dirname(REPOSITORY), 'shared', 'data')

# FER+'s columns: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not-a-face.
VOTES = [
    ([0, 9, 1, 0, 0, 0, 0, 0, 0, 0], 'happy', {'happy': 1.0}),
    ([0, 0, 0, 8, 2, 0, 0, 0, 0, 0], 'sad', {'sad': 0.8, 'anger': 0.2}),
    ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], None, {'neutral': 0.5, 'happy': 0.5}),
    ([0, 0, 0, 0, 0, 0, 6, 0, 4, 0], 'fear', {'fear': 1.0}),
    ([0, 0, 4, 0, 0, 0, 0, 0, 6, 0], None, None),
    ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], None, None),
    ([0, 0, 0, 0, 0, 7, 0, 3, 0, 0], 'disgust', {'disgust': 0.7, 'contempt': 0.3}),
    ([2, 0, 0, 0, 0, 0, 0, 5, 0, 0], 'contempt', {'contempt': 5 / 7, 'neutral': 2 / 7}),
    ([0, 0, 0, 0, 10, 0, 0, 0, 0, 0], 'anger', {'anger': 1.0}),
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], None, None),
]


def split():
    """Return a FerPlus of the table's votes."""
    votes = np.array([row[0] for row in VOTES])
    return FerPlus(np.zeros((len(votes), 48, 48), np.uint8), votes, np.array([f'{i}.png' for i in range(len(votes))]))


def write_npz(path, pictures, votes=None, **others):
    """Write pictures, (P, P) uint8 each, in the layout of read_ferplus."""
    coded = [cv2.imencode('.png', picture)[1].ravel() for picture in pictures]
    arrays = {
        'png': np.concatenate(coded),
        'offsets': np.cumsum([0] + [len(png) for png in coded]),
        'votes': np.zeros((len(pictures), 10), np.uint8) if votes is None else votes,
        'names': np.array([f'{i}.png' for i in range(len(pictures))], 'S14'),
    }
    arrays.update(others)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return str(path)


def test_the_majority_protocol_keeps_clear_winners_alone():
    rows, labels = split().majority()
    assert {int(row): EMOTIONS[label] for row, label in zip(rows, labels)} == {
        row: label for row, (_, label, _) in enumerate(VOTES) if label}


def test_soft_labels_are_the_votes_for_emotions_without_single_ones():
    rows, distributions = split().soft_labels()
    assert list(rows) == [row for row, (_, _, soft) in enumerate(VOTES) if soft]
    for row, distribution in zip(rows, distributions):
        expected = [VOTES[row][2].get(emotion, 0) for emotion in EMOTIONS]
        np.testing.assert_allclose(distribution, expected, rtol=1e-6)


def test_pictures_come_back_as_they_were(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    votes = np.arange(30, dtype=np.uint8).reshape(3, 10)
    read = read_ferplus(write_npz(tmp_path / 'split.npz', pictures, votes))
    np.testing.assert_array_equal(read.faces(), pictures)
    np.testing.assert_array_equal(read.votes, votes)
    assert list(read.names) == ['0.png', '1.png', '2.png'] and len(read.rows([2])) == 1


@pytest.mark.parametrize('others, text', [
    ({'votes': None}, 'votes missing'),
    ({'votes': np.zeros((2, 8), np.uint8)}, r'\(2, 8\)'),
    ({'offsets': np.array([0, 1])}, r'\(2,\)'),
    ({'offsets': np.array([0, 5, 10])}, '2 of 2'),
])
def test_a_file_is_refused_when_it_has_another_layout(tmp_path, others, text):
    if others.get('votes', 0) is None:
        path = write_npz(tmp_path / 'split.npz', np.zeros((2, 48, 48), np.uint8))
        with np.load(path) as archive:
            kept = {key: archive[key] for key in archive if key != 'votes'}
        np.savez(path, **kept)
    else:
        path = write_npz(tmp_path / 'split.npz', np.zeros((2, 48, 48), np.uint8), **others)
    with pytest.raises(BadDataset, match=text):
        read_ferplus(path)


def test_a_file_is_refused_when_it_is_absent_no_archive_or_of_other_pictures(tmp_path):
    with pytest.raises(BadDataset, match='there is none'):
        read_ferplus(str(tmp_path / 'absent.npz'))
    (tmp_path / 'text.npz').write_text('no archive')
    with pytest.raises(BadDataset, match='cannot be read'):
        read_ferplus(str(tmp_path / 'text.npz'))
    with pytest.raises(BadDataset, match='64x32'):
        read_ferplus(write_npz(tmp_path / 'large.npz', np.zeros((2, 32, 64), np.uint8)))


def test_names_are_read_one_a_line(tmp_path):
    (tmp_path / 'names.txt').write_text('# copies\na.png\nb.png of c.png\n\n')
    assert read_names(str(tmp_path / 'names.txt')) == ['a.png', 'b.png']
    with pytest.raises(BadDataset, match='cannot be read'):
        read_names(str(tmp_path / 'absent.txt'))


@pytest.mark.skipif(not os.path.isdir(DATA), reason='FER+ (shared/data beside the checkout) is absent')
def test_the_protocol_keeps_the_published_number_of_faces():
    valid = read_ferplus(os.path.join(DATA, 'ferplus_valid.npz'))
    assert len(valid) == 3579 and len(valid.majority()[0]) == 3191
