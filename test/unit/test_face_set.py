"""What every set of faces promises: labels that fit, rows that stay together, names that can be held out."""

import os

import numpy as np
import pytest
from places import ROOT

from facial_emotion_ros.core.emotions import AFFECT_COORDINATES, EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.corrupt_images import CorruptImage, decode_face, refuse_many
from facial_emotion_ros.training.data.face_set import FaceSet, affect_of, held_out, read_names


class Plain(FaceSet):
    """Faces of one gray level, which is their row."""

    def faces(self, rows=None):
        return [np.full((8, 8), int(name), np.uint8) for name in (self.names if rows is None else self.names[rows])]


def plain_set(count=4, **others):
    columns = {
        'names': [str(row) for row in range(count)],
        'distributions': np.eye(8)[np.arange(count) % 8],
        'labels': np.arange(count) % 8,
        'affect': np.zeros((count, 2)),
    }
    return Plain('plain', **{**columns, **others})


def test_all_columns_follow_when_rows_are_chosen():
    some = plain_set().rows([3, 1])
    assert some.names.tolist() == ['3', '1'] and some.labels.tolist() == [3, 1] and len(some) == 2
    assert [int(face[0, 0]) for face in some.faces()] == [3, 1]
    np.testing.assert_array_equal(some.distributions, np.eye(8)[[3, 1]])
    assert plain_set().rows(np.array([False, True, False, True])).names.tolist() == ['1', '3']
    assert len(plain_set().rows([])) == 0 and plain_set().rows([]).faces() == []


def test_rows_with_something_to_learn_are_told_apart_when_some_have_nothing():
    distributions = np.eye(8, dtype=np.float32)[:4]
    distributions[1] = np.nan
    affect = np.zeros((4, 2))
    affect[2, 1] = np.nan
    faces = plain_set(distributions=distributions, affect=affect, labels=[0, -1, 2, 3])
    assert faces.where_category().tolist() == [0, 2, 3] and faces.where_affect().tolist() == [0, 1, 3]
    said = faces.describe()
    assert '4 faces, 3 labelled (neutral 1, happy 0, sad 1, surprise 1' in said and '3 with affect (annotated)' in said


@pytest.mark.parametrize(
    'wrong, text',
    [
        ({'labels': [0, 1]}, r'labels of shape \(4,\)'),
        ({'affect': np.zeros((4, 3))}, r'affect of shape \(4, 2\)'),
        ({'distributions': np.ones((4, 8))}, 'plain: 0: expected eight shares'),
        ({'distributions': np.array([[2, -1, 0, 0, 0, 0, 0, 0]] * 4)}, 'eight shares'),
        ({'distributions': np.array([[np.nan] + [1 / 7] * 7] * 4)}, 'plain: 0: expected eight shares, or eight NaN'),
        (
            {'distributions': np.array([[1, 0, 0, 0, 0, 0, 0, np.nan]] * 4)},
            'plain: 0: expected eight shares, or eight NaN',
        ),
        ({'labels': [0, 1, 2, 8]}, 'plain: 3: expected a class from 0 to 7'),
        ({'labels': [0, -2, 2, 3]}, 'plain: 1: expected a class'),
        ({'affect': [[0, 0], [np.nan, 7.0], [0, 0], [0, 0]]}, r'plain: 1: expected valence and arousal in'),
        ({'affect': [[0, 0], [0, np.inf], [0, 0], [0, 0]]}, r'plain: 1: expected valence and arousal in'),
        ({'affect': [[0, 0], [0, 0], [0.5, -1.5], [0, 0]]}, r'plain: 2: expected valence and arousal in \[-1, 1\]'),
    ],
)
def test_labels_are_refused_when_no_face_can_have_them(wrong, text):
    with pytest.raises(BadDataset, match=text):
        plain_set(**wrong)


def test_affect_says_that_it_is_derived_when_it_is_taken_from_categories():
    rated = plain_set()
    derived = rated.with_derived_affect()
    assert (rated.affect_source, derived.affect_source) == ('annotated', 'derived from votes')
    assert derived.rows([1]).affect_source == 'derived from votes'
    np.testing.assert_allclose(derived.affect, [AFFECT_COORDINATES[emotion] for emotion in EMOTIONS[:4]], rtol=1e-6)
    np.testing.assert_array_equal(rated.affect, np.zeros((4, 2)))


def test_votes_project_on_the_published_coordinates():
    half = np.zeros((2, 8))
    half[0, [EMOTIONS.index('happy'), EMOTIONS.index('sad')]] = 0.5
    half[1] = np.nan
    np.testing.assert_allclose(affect_of(half), [[0.09, 0.12], [np.nan, np.nan]], atol=1e-6)
    assert affect_of(np.zeros((0, 8))).shape == (0, 2)


def test_named_pictures_are_split_off_when_they_are_held_out():
    faces = plain_set(damaged=[CorruptImage('9', 'cut off')])
    rest, kept = held_out(faces, ['3', '0', '9'])
    assert rest.names.tolist() == ['1', '2'] and kept.names.tolist() == ['0', '3']
    with pytest.raises(BadDataset, match=r'1 of 3 names to hold out are not in this set \(face.png\)'):
        held_out(faces, ['3', 'face.png', '0'])


def test_names_are_read_one_a_line(tmp_path):
    (tmp_path / 'names.txt').write_text('# copies\na.png\nb.png of c.png\n\n')
    assert read_names(str(tmp_path / 'names.txt')) == ['a.png', 'b.png']
    with pytest.raises(BadDataset, match='cannot be read'):
        read_names(str(tmp_path / 'absent.txt'))


def test_the_held_out_list_has_its_3000_names_and_says_how_it_was_made():
    path = os.path.join(ROOT, 'recipes', 'ferplus_dev.txt')
    names = read_names(path)
    assert len(names) == len(set(names)) == 3000 and all(name.endswith('.png') for name in names)
    with open(path, encoding='utf-8') as file:
        assert 'cli.hold_out' in file.readline()


@pytest.mark.parametrize('damaged, count, is_refused', [(0, 10, False), (1, 100, False), (2, 100, True), (3, 3, True)])
def test_a_set_is_refused_with_the_list_when_more_than_one_in_a_hundred_is_damaged(damaged, count, is_refused):
    pictures = [CorruptImage(f'{row}.png', 'empty') for row in range(damaged)]
    said = []
    if is_refused:
        with pytest.raises(BadDataset, match=f'{damaged} of {count}.*0.png: empty; 1.png'):
            refuse_many(pictures, count, 'set', said.append)
    else:
        refuse_many(pictures, count, 'set', said.append)
    assert said[1:] == [f'{row}.png: empty' for row in range(damaged)]


def test_the_list_is_whole_on_the_way_when_the_error_shows_its_beginning(capsys):
    with pytest.raises(BadDataset, match='30 more are listed above'):
        refuse_many([CorruptImage(f'{row}.png', 'empty') for row in range(50)], 60, 'set')
    assert '49.png: empty' in capsys.readouterr().err


@pytest.mark.parametrize(
    'content, text',
    [
        (b'', 'empty'),
        (b'\xff\xd8\xff\xe0 half a picture', 'expected a complete JPEG file'),
        (b'words', "begins with b'words'"),
        (b'\x89PNG\r\n\x1a\n half', 'expected a complete PNG file'),
    ],
)
def test_a_picture_is_refused_when_it_is_not_whole(content, text):
    with pytest.raises(ValueError, match=text):
        decode_face(content)
