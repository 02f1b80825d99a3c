"""FER+: its protocol, and every layout that people have it in."""

import csv
import os

import cv2
import numpy as np
import pytest
from places import DATA

from facial_emotion_ros.core.emotions import AFFECT_COORDINATES, EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.datasets import FerPlus, open_faces, read_ferplus, write_ferplus

NO_DATA = pytest.mark.skipif(not os.path.isdir(DATA), reason='FER+ (shared/data beside the checkout) is absent')

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
VOTE_NAMES = ['neutral', 'happiness', 'surprise', 'sadness', 'anger', 'disgust', 'fear', 'contempt', 'unknown', 'NF']


def split():
    """Return a FerPlus of the table's votes."""
    votes = np.array([row[0] for row in VOTES])
    return FerPlus(np.zeros((len(votes), 48, 48), np.uint8), votes, np.array([f'{i}.png' for i in range(len(votes))]))


def random_pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48)).astype(np.uint8)


def write_npz(path, pictures, **others):
    """Write pictures, (P, P) uint8 each, in the layout of read_ferplus; None leaves an array out."""
    coded = [cv2.imencode('.png', picture)[1].ravel() for picture in pictures]
    arrays = {
        'png': np.concatenate(coded),
        'offsets': np.cumsum([0] + [len(png) for png in coded]),
        'votes': np.zeros((len(pictures), 10), np.uint8),
        'names': np.array([f'{i}.png' for i in range(len(pictures))], 'S14'),
    }
    arrays.update(others)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return str(path)


# ---- the protocol ----


def test_only_clear_winners_are_kept_when_the_majority_decides():
    assert [EMOTIONS[label] if label >= 0 else None for label in split().labels] == [label for _, label, _ in VOTES]


def test_soft_labels_are_the_votes_for_emotions_when_an_emotion_has_the_most():
    for distribution, (_, _, shares) in zip(split().distributions, VOTES):
        expected = [shares.get(emotion, 0) if shares else np.nan for emotion in EMOTIONS]
        np.testing.assert_allclose(distribution, expected, rtol=1e-6)
    assert list(split().where_category()) == [row for row, (_, _, shares) in enumerate(VOTES) if shares]
    assert 4 in split().with_any_votes() and 5 not in split().with_any_votes()


def test_affect_is_derived_from_the_votes_when_nobody_rated_it():
    faces = split()
    assert faces.affect_source == 'derived from votes' and 'derived from votes' in faces.describe()
    np.testing.assert_allclose(faces.affect[8], AFFECT_COORDINATES['anger'], rtol=1e-6)
    mixed = 0.8 * np.array(AFFECT_COORDINATES['sad']) + 0.2 * np.array(AFFECT_COORDINATES['anger'])
    np.testing.assert_allclose(faces.affect[1], mixed, rtol=1e-5)
    assert np.isnan(faces.affect[[4, 5, 9]]).all()


def test_faces_and_votes_stay_together_when_rows_are_chosen():
    pictures = random_pictures(10)
    faces = FerPlus(pictures, [row[0] for row in VOTES], [f'{i}.png' for i in range(10)])
    some = faces.rows([8, 1])
    np.testing.assert_array_equal(some.faces(), pictures[[8, 1]])
    np.testing.assert_array_equal(faces.faces(faces.labels == EMOTIONS.index('fear')), pictures[[3]])
    assert some.votes[0].tolist() == VOTES[8][0] and some.names.tolist() == ['8.png', '1.png']
    assert [EMOTIONS[label] for label in some.labels] == ['anger', 'sad']


def test_votes_and_pictures_are_refused_when_they_do_not_fit():
    with pytest.raises(BadDataset, match='3 names, got 2 images'):
        FerPlus(random_pictures(2), np.zeros((3, 10)), ['a', 'b', 'c'])


# ---- npz ----


def test_pictures_come_back_as_they_were_when_an_npz_file_is_read(tmp_path):
    pictures = random_pictures(3)
    votes = np.arange(30, dtype=np.uint8).reshape(3, 10)
    path = write_npz(tmp_path / 'split.npz', pictures, votes=votes, votes_new=votes[::-1])
    read = open_faces(path)
    np.testing.assert_array_equal(read.faces(), pictures)
    np.testing.assert_array_equal(read.votes, votes)
    assert read.name == 'split' and list(read.names) == ['0.png', '1.png', '2.png'] and len(read.rows([2])) == 1
    np.testing.assert_array_equal(open_faces(path, new_votes=True).votes, votes[::-1])


def test_fer2013_labels_speak_beside_the_votes_when_they_are_given(tmp_path):
    votes = np.zeros((3, 10), int)
    votes[:, 0], votes[:, 6] = 6, 4  # neutral and fear
    faces = FerPlus(np.zeros((3, 48, 48), np.uint8), votes, ['a.png', 'b.png', 'c.png'])
    write_ferplus(tmp_path / 'train.npz', faces)
    neutral, happy, fear = (EMOTIONS.index(emotion) for emotion in ('neutral', 'happy', 'fear'))
    np.savez(
        tmp_path / 'labels.npz',
        names=np.array([b'b.png', b'c.png', b'elsewhere.png']),
        label=np.array([fear, happy, fear], np.int8),
    )
    read = open_faces(str(tmp_path / 'train.npz'), fer2013=str(tmp_path / 'labels.npz'), fer2013_weight=2)
    assert read.distributions[:, [neutral, fear]].tolist() == [
        pytest.approx([0.6, 0.4]),
        pytest.approx([0.6 / 1.8, 1.2 / 1.8]),
        pytest.approx([0.6, 0.4]),
    ]
    assert read.labels.tolist() == faces.labels.tolist() and read.affect[1, 1] > faces.affect[1, 1]
    np.savez(tmp_path / 'others.npz', names=np.array(['elsewhere.png']), label=np.array([fear]))
    np.savez(tmp_path / 'wrong.npz', names=np.array(['a.png']), label=np.array([9]))
    for name, words in (('others', 'none of its 3'), ('wrong', 'from -1 to 7'), ('absent', 'cannot be read')):
        with pytest.raises(BadDataset, match=words):
            open_faces(str(tmp_path / 'train.npz'), fer2013=str(tmp_path / f'{name}.npz'))


def test_a_split_is_the_same_when_it_was_written_as_an_npz_file(layout):
    layout.write_pictures('FER2013Train')
    layout.write_labels('FER2013Train')
    path = str(layout.root / 'ferplus_train.npz')
    write_ferplus(path, read_ferplus(str(layout.root)))
    layout.assert_read(open_faces(path))
    write_ferplus(path, open_faces(path).rows([]))
    assert len(open_faces(path)) == 0


def test_a_file_is_refused_when_it_is_absent_no_archive_or_of_other_pictures(tmp_path):
    with pytest.raises(BadDataset, match='FER.*found none'):
        read_ferplus(str(tmp_path / 'absent.npz'))
    (tmp_path / 'text.npz').write_text('no archive')
    with pytest.raises(BadDataset, match='cannot be read'):
        read_ferplus(str(tmp_path / 'text.npz'))
    with pytest.raises(BadDataset, match='64x32'):
        read_ferplus(write_npz(tmp_path / 'large.npz', np.zeros((2, 32, 64), np.uint8)))


def damaged(content, generator):
    """Cut a file, or turn some of its bytes, near its end (where an archive lists itself) as often as anywhere."""
    content = bytearray(content)
    if generator.random() < 0.2:
        return bytes(content[: generator.integers(0, len(content))])
    for _ in range(generator.integers(1, 9)):
        begin = generator.choice([0, max(0, len(content) - 600)])
        content[generator.integers(begin, len(content))] = generator.integers(0, 256)
    return bytes(content)


def test_a_damaged_npz_file_is_refused_by_a_sentence_or_read(tmp_path, long_form, capsys):
    votes = np.tile(np.array([0, 9, 1, 0, 0, 0, 0, 0, 0, 0], np.uint8), (4, 1))
    with open(write_npz(tmp_path / 'whole.npz', random_pictures(4) // 64 * 64, votes=votes), 'rb') as file:
        content = file.read()
    path, refused, count = tmp_path / 'damaged.npz', 0, 3000 if long_form else 300
    for seed in range(count):
        path.write_bytes(damaged(content, np.random.default_rng(seed)))
        try:
            read_ferplus(str(path))
        except BadDataset as error:
            refused += 1
            assert len(str(error).splitlines()) == 1 and str(path) in str(error), seed
    assert refused > count / 4


@pytest.mark.parametrize(
    'others, text',
    [
        ({'votes': None}, 'votes missing'),
        ({'votes': np.zeros((2, 8), np.uint8)}, r'\(2, 8\)'),
        ({'offsets': np.array([0, 1])}, r'\(2,\)'),
        ({'offsets': np.array([0, 5, 10])}, '2 of 2'),
        ({'votes': np.full((2, 10), np.nan)}, 'votes, at least 0, got nan'),
        ({'votes': np.array([[0, 9] + [0] * 8, [-3, 9] + [0] * 8])}, '1.png: expected integer votes.*got -3, 9'),
        ({'votes': np.full((2, 10), 0.5)}, 'got 0.5'),
        ({'votes': np.full((2, 10), np.inf)}, 'got inf'),
        ({'votes': np.full((2, 10), 2**62)}, 'votes, at least 0'),
        ({'votes': np.full((2, 10), 'x')}, 'expected numbers as votes'),
        ({'votes': np.full((2, 10), 1j)}, 'expected numbers as votes'),
        ({'votes': np.array(3)}, r'got \(2,\), \(\) and'),
        ({'names': np.array('0.png')}, r'names \(N,\).*got \(\), '),
        ({'offsets': np.array([0, 1e9, 2e9])}, 'expected integers as offsets'),
        ({'offsets': np.array([0, -7, 5])}, 'expected ascending offsets'),
        ({'offsets': np.array([0, 5, 10**9])}, 'expected ascending offsets'),
        ({'png': np.zeros((10, 10), np.uint8)}, 'expected uint8 as png'),
        ({'png': np.zeros(10, np.float32)}, 'expected uint8 as png'),
        ({'names': np.zeros(2)}, 'expected text as names'),
    ],
)
def test_arrays_that_cannot_be_are_refused_by_a_sentence(tmp_path, others, text):
    path = write_npz(tmp_path / 'split.npz', np.zeros((2, 48, 48), np.uint8), **others)
    with pytest.raises(BadDataset, match=text):
        read_ferplus(path)


@pytest.mark.parametrize('vote', [-1, np.nan, 0.5])
def test_votes_that_count_nobody_are_refused_when_a_set_is_made_of_arrays(vote):
    with pytest.raises(BadDataset, match='a.png: expected integer votes'):
        FerPlus(np.zeros((1, 48, 48), np.uint8), np.full((1, 10), vote), ['a.png'])


@pytest.mark.parametrize('count, is_refused', [(100, False), (99, True)])
def test_damaged_pictures_are_left_out_and_listed_until_they_are_too_many(tmp_path, capsys, count, is_refused):
    pictures = random_pictures(count)
    path = write_npz(tmp_path / 'split.npz', pictures)
    with np.load(path) as archive:
        arrays = dict(archive)
    begin, end = arrays['offsets'][7:9]
    arrays['png'][end - 300 : end] = 0
    np.savez(path, **arrays)
    assert end - begin > 600
    if is_refused:
        with pytest.raises(BadDataset, match='at most 1%.*1 of 99.*7.png: expected a complete PNG file'):
            read_ferplus(path)
    else:
        read = read_ferplus(path)
        assert len(read) == 99 and '7.png' not in read.names and [each.name for each in read.damaged] == ['7.png']
        np.testing.assert_array_equal(read.faces(), np.delete(pictures, 7, 0))
    assert '7.png: expected a complete PNG file' in capsys.readouterr().err


# ---- folders and csv files ----


class Layout:
    """Writes the table's votes and random pictures as Microsoft's programs, and people, lay them out."""

    def __init__(self, root):
        self.root = root
        self.pictures = random_pictures(len(VOTES))
        self.names = [f'fer{place:07d}.png' for place in range(len(VOTES))]

    def write_pictures(self, folder):
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name, picture in zip(self.names, self.pictures):
            cv2.imwrite(str(self.root / folder / name), picture)

    def write_labels(self, folder, box='(0, 0, 48, 48)'):
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        with open(self.root / folder / 'label.csv', 'w', newline='') as file:
            for name, (votes, _, _) in zip(self.names, VOTES):
                csv.writer(file).writerow([name, *([box] if box else []), *votes])

    def write_new(self, usage='Training', votes=None):
        """Write fer2013new.csv with a row of another split before, and one without a picture between."""
        with open(self.root / 'fer2013new.csv', 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['Usage', 'Image name', *VOTE_NAMES])
            writer.writerow(['PrivateTest', 'fer0099999.png', *[1] * 10])
            for place, name in enumerate(self.names):
                if place == 4:
                    writer.writerow([usage, '', *[0] * 10])
                writer.writerow([usage, name, *(VOTES[place][0] if votes is None else votes)])

    def write_pixels(self, name='fer2013.csv', header=('emotion', 'pixels', 'Usage'), usage='Training'):
        def fields(picture, use):
            by_name = {'emotion': 0, 'pixels': ' '.join(map(str, picture.ravel())), 'Usage': use}
            return [by_name[each.strip()] for each in header]

        with open(self.root / name, 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerow(fields(np.zeros((48, 48), int), 'PrivateTest'))
            for place, picture in enumerate(self.pictures):
                if place == 4:
                    writer.writerow(fields(np.zeros((48, 48), int), usage))
                writer.writerow(fields(picture, usage))

    def assert_read(self, read):
        np.testing.assert_array_equal(read.faces(), self.pictures)
        assert read.names.tolist() == self.names and not read.damaged
        assert read.votes.tolist() == [votes for votes, _, _ in VOTES]


@pytest.fixture
def layout(tmp_path):
    (tmp_path / 'fer').mkdir()
    return Layout(tmp_path / 'fer')


@pytest.mark.parametrize('box', ['(0, 0, 48, 48)', None])
@pytest.mark.parametrize(
    'pictures, labels',
    [
        ('FER2013Valid', 'FER2013Valid'),
        ('data/FER2013Valid', 'data/FER2013Valid'),
        ('Images/FER2013Valid', 'Labels/FER2013Valid'),
    ],
)
def test_each_layout_of_label_csv_is_read_when_its_root_is_given(layout, pictures, labels, box):
    layout.write_pictures(pictures)
    layout.write_labels(labels, box)
    layout.assert_read(open_faces(str(layout.root), split='valid'))
    if pictures == labels:
        folder = open_faces(str(layout.root / labels) + '/')
        layout.assert_read(folder)
        assert folder.name == 'FER2013Valid'
    with pytest.raises(BadDataset, match='FER2013Train/label.csv'):
        read_ferplus(str(layout.root), 'train')


@pytest.mark.parametrize('folder', ['FER2013Train', 'images/FER2013Train', 'Images/FER2013Train'])
def test_fer2013new_is_read_when_pictures_lie_in_folders(layout, folder):
    layout.write_pictures(folder)
    layout.write_new()
    layout.assert_read(open_faces(str(layout.root)))
    layout.assert_read(open_faces(str(layout.root / 'fer2013new.csv')))


@pytest.mark.parametrize(
    'name, header',
    [('fer2013.csv', ('emotion', 'pixels', 'Usage')), ('icml_face_data.csv', ('emotion', ' Usage', ' pixels'))],
)
def test_fer2013new_is_read_when_the_pixels_lie_in_a_csv_file(layout, name, header):
    layout.write_new('PublicTest')
    layout.write_pixels(name, header, 'PublicTest')
    layout.assert_read(open_faces(str(layout.root), split='valid'))


def test_the_votes_are_those_asked_for_when_both_files_are_there(layout):
    layout.write_pictures('FER2013Train')
    layout.write_labels('FER2013Train')
    with pytest.raises(BadDataset, match='found only'):
        read_ferplus(str(layout.root), new_votes=True)
    layout.write_new(votes=[10] + [0] * 9)
    layout.assert_read(read_ferplus(str(layout.root)))
    assert read_ferplus(str(layout.root), new_votes=True).votes[:, 0].tolist() == [10] * 10
    assert read_ferplus(str(layout.root / 'fer2013new.csv')).votes[:, 0].tolist() == [10] * 10


def test_missing_pictures_count_as_damaged_when_labels_name_them(layout):
    layout.write_pictures('FER2013Train')
    layout.write_labels('FER2013Train')
    os.remove(layout.root / 'FER2013Train' / layout.names[3])
    with pytest.raises(BadDataset, match='1 of 10.*fer0000003.png: cannot be read'):
        read_ferplus(str(layout.root))


def test_pixels_that_are_no_picture_count_as_damaged_when_a_line_is_cut(layout):
    layout.write_new()
    layout.write_pixels()
    text = (layout.root / 'fer2013.csv').read_text().replace(' '.join(map(str, layout.pictures[2].ravel()[-9:])), '7 8')
    (layout.root / 'fer2013.csv').write_text(text)
    with pytest.raises(BadDataset, match='fer0000002.png: expected 2304 gray levels'):
        read_ferplus(str(layout.root))


def cut(path, text, by):
    path.write_text(path.read_text().replace(text, by, 1))


@pytest.mark.parametrize(
    'change, text',
    [
        (
            lambda root: cut(root / 'FER2013Train/label.csv', '0, 0, 48, 48', '0, 0, 40, 48'),
            r'line 1: expected the box \(0, 0, 48',
        ),
        (lambda root: cut(root / 'FER2013Train/label.csv', ',9,1,', ',9,'), 'line 1: expected name, box and ten votes'),
        (lambda root: cut(root / 'FER2013Train/label.csv', ',9,1,', ',9,x,'), 'line 1: expected ten integer'),
        (lambda root: (root / 'FER2013Train/label.csv').write_bytes(b'\xff\xfe'), 'cannot be read'),
    ],
)
def test_the_line_is_named_when_labels_are_wrong(layout, change, text):
    layout.write_pictures('FER2013Train')
    layout.write_labels('FER2013Train')
    change(layout.root)
    with pytest.raises(BadDataset, match=text):
        read_ferplus(str(layout.root))


@pytest.mark.parametrize(
    'change, text',
    [
        (lambda root: cut(root / 'fer2013new.csv', 'happiness', 'joy'), "no 'happiness'"),
        (
            lambda root: cut(root / 'fer2013new.csv', 'fer0000001.png,0,0', 'fer0000001.png,0'),
            'line 4: expected 12 columns',
        ),
        (lambda root: cut(root / 'fer2013.csv', 'pixels', 'levels'), 'columns Usage and pixels'),
        (lambda root: cut(root / 'fer2013.csv', 'Training', 'PublicTest'), 'line 3: expected Training'),
        (lambda root: os.remove(root / 'fer2013.csv'), 'found none'),
    ],
)
def test_the_reason_is_given_when_csv_files_do_not_fit(layout, change, text):
    layout.write_new()
    layout.write_pixels()
    change(layout.root)
    with pytest.raises(BadDataset, match=text):
        read_ferplus(str(layout.root))


def test_a_split_is_refused_when_there_is_none_of_its_name(tmp_path):
    with pytest.raises(BadDataset, match='train, valid, test'):
        read_ferplus(str(tmp_path), 'dev')


# ---- the real one ----


@NO_DATA
def test_the_protocol_keeps_the_published_number_of_faces():
    valid = read_ferplus(os.path.join(DATA, 'ferplus_valid.npz'))
    assert len(valid) == 3579 and (valid.labels >= 0).sum() == 3191 and not valid.damaged


@NO_DATA
def test_folders_of_the_real_pictures_read_as_the_npz_file_does(tmp_path):
    valid = read_ferplus(os.path.join(DATA, 'ferplus_valid.npz')).rows(np.arange(0, 3579, 20))
    layout = Layout(tmp_path)
    layout.pictures, layout.names = valid.pictures, valid.names.tolist()
    layout.write_pictures('FER2013Valid')
    with open(tmp_path / 'FER2013Valid' / 'label.csv', 'w', newline='') as file:
        csv.writer(file).writerows([name, '(0, 0, 48, 48)', *votes] for name, votes in zip(valid.names, valid.votes))
    read = open_faces(str(tmp_path), split='valid')
    np.testing.assert_array_equal(read.faces(), valid.faces())
    np.testing.assert_array_equal(read.distributions, valid.distributions)
    np.testing.assert_array_equal(read.labels, valid.labels)
