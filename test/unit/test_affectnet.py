"""AffectNet: faces are cut out and laid out whole, resumably, and read with the labels that people gave."""

import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from affectnet_tree import COLORS, AffectNetTree, draw_scene, jpeg
from places import ROOT

from facial_emotion_ros.cli import prepare_affectnet
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.training.data.affectnet import AffectNet, file_name, labels_of
from facial_emotion_ros.training.data.affectnet_preparation import cut_box, pre_process_affect_net
from facial_emotion_ros.training.data.datasets import open_faces

pytestmark = pytest.mark.usefixtures('own_cache')


@pytest.fixture
def tree(tmp_path):
    (tmp_path / 'source').mkdir()
    return AffectNetTree(tmp_path / 'source')


def prepare(tree, tmp_path, set_index=1, **options):
    root = tree.write(['automatically_annotated.csv', 'training.csv', 'validation.csv'][set_index])
    return pre_process_affect_net(root, root, str(tmp_path / 'faces'), set_index, **options)


def pictures_in(folder):
    return sorted(
        os.path.relpath(os.path.join(below, name), folder)
        for below, _, names in os.walk(folder)
        for name in names
        if name.endswith('.jpg')
    )


def test_faces_lie_in_folders_of_500_with_their_labels_for_names_when_prepared(tree, tmp_path):
    tree.add_many(520)
    preparation = prepare(tree, tmp_path)
    assert (preparation.written, preparation.found, preparation.damaged) == (520, 0, ())
    assert preparation.folder == str(tmp_path / 'faces' / 'Training_Labeled')
    names = pictures_in(preparation.folder)
    assert len(os.listdir(os.path.join(preparation.folder, '0'))) == 500
    assert sum(name.startswith('1/') for name in names) == 20
    # 0.57 x 1000 is 569.99...: rounded, not cut off.
    assert names[0] == '0/0000000_0_-1000_570.jpg' and '1/0000519_7_996_570.jpg' in names
    assert cv2.imread(os.path.join(preparation.folder, names[0])).shape == (96, 96, 3)


@pytest.mark.parametrize('set_index, folder', [(1, 'Training_Labeled'), (2, 'Validation')])
def test_each_set_goes_to_its_folder_when_prepared(tree, tmp_path, set_index, folder):
    tree.add(3)
    assert prepare(tree, tmp_path, set_index).folder.endswith(folder)


def test_automatic_annotations_come_from_their_own_pictures_when_prepared(tmp_path):
    automatic = AffectNetTree(tmp_path, 'Automatically_Annotated_Images')
    automatic.add(3)
    assert prepare(automatic, tmp_path, 0).folder.endswith('Training_Unlabeled')


@pytest.mark.parametrize('box', [(110, 10, 60, 60), (5, 50, 40, 64), (-20, 30, 80, 70), (140, 50, 80, 80)])
def test_the_face_is_what_lies_in_its_box_when_it_is_cut_out(tree, tmp_path, box):
    tree.add(6, box=box)
    folder = prepare(tree, tmp_path).folder
    face = cv2.imread(os.path.join(folder, pictures_in(folder)[0]))
    corners = face[[3, 3, 92, 92], [3, 92, 3, 92]]
    assert np.abs(corners.astype(int) - COLORS[6]).max() < 25


def test_a_box_is_refused_when_less_than_half_of_it_lies_in_the_picture(tree, tmp_path):
    picture = draw_scene(1, (0, 0, 50, 50))
    assert cut_box(picture, (-20, 0, 50, 60)).shape == (60, 50, 3)
    for box in ((-30, 0, 50, 60), (0, 0, 0, 10), (300, 300, 10, 10)):
        with pytest.raises(ValueError, match='a face box inside the 200x120 image'):
            cut_box(picture, box)


def test_rows_are_kept_left_out_or_damaged_when_they_have_other_labels(tree, tmp_path, capfd):
    tree.add_many(800)
    tree.add(8, (0.1, 0.2))
    tree.add(8, (-2, -2))
    tree.add(9, (-2, -2), ('NULL', 'NULL', 'NULL', 'NULL'))
    tree.add(10, (-2, -2))
    tree.add(2, (-2, -2))
    damaged = [
        tree.add(11),
        tree.add(1, (1.5, 0)),
        tree.add(1, (0.5, -2)),
        tree.add('happy'),
        tree.add(1, ('', '')),
        tree.add(1, box=('NULL', 'NULL', 'NULL', 'NULL')),
        tree.add(2.5),
        tree.add(8, ('nan', 0.1)),
    ]
    preparation = prepare(tree, tmp_path)
    assert preparation.left_out == {'none without rated affect': 1, 'uncertain': 1, 'no face': 1}
    assert preparation.written == 802
    assert '1/0000800_8_100_200.jpg' in pictures_in(preparation.folder)
    assert '1/0000801_2_-2000_-2000.jpg' in pictures_in(preparation.folder)
    assert [name in each.name for name, each in zip(damaged, preparation.damaged)] == [True] * 8
    listed = capfd.readouterr().err
    assert '8 of 810' in listed and all(name in listed for name in damaged)


def test_damaged_pictures_are_listed_and_shift_no_number_when_there_are_few(tree, tmp_path):
    tree.add_many(150)
    whole = jpeg(draw_scene(4, (90, 20, 80, 80)))
    damaged = [tree.add(4, content=content) for content in (b'absent', whole[:-200])]
    tree.add_many(150)
    tree.add(4, (0.25, 0.5), content=whole)
    preparation = prepare(tree, tmp_path)
    assert [each.name for each in preparation.damaged] == damaged
    assert [each.reason[:9] for each in preparation.damaged] == ['cannot be', 'expected ']
    names = pictures_in(preparation.folder)
    assert len(names) == 301 and names[-1] == '0/0000302_4_250_500.jpg'
    assert not [name for name in names if '0000150' in name or '0000151' in name]
    with open(os.path.join(preparation.folder, 'preparation.json'), encoding='utf-8') as file:
        record = json.load(file)
    assert record['complete'] and [name for name, _ in record['damaged']] == damaged


def test_the_work_stops_with_the_list_when_more_than_one_in_a_hundred_is_damaged(tree, tmp_path):
    damaged = [tree.add(1, content=content) for content in (b'absent', b'', b'no picture', b'\xff\xd8\xff')]
    tree.add_many(700)
    with pytest.raises(BadDataset, match='8 of') as raised:
        damaged += [tree.add(1, content=b'absent') for _ in range(4)]
        prepare(tree, tmp_path)
    assert all(name in str(raised.value) for name in damaged)
    with pytest.raises(BadDataset, match='the preparation is incomplete'):
        AffectNet(str(tmp_path / 'faces'))
    for name in damaged:
        path = os.path.join(tree.images, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(jpeg(draw_scene(1, (90, 20, 80, 80))))
    preparation = prepare(tree, tmp_path)
    assert preparation.written == 8 and preparation.found == 700


def test_the_work_stops_early_when_the_first_folder_is_damaged(tree, tmp_path):
    for _ in range(20):
        tree.add(1, content=b'absent')
    tree.add_many(500)
    with pytest.raises(BadDataset, match='20 of 520'):
        prepare(tree, tmp_path)
    assert not os.path.exists(tmp_path / 'faces' / 'Training_Labeled' / '1')


def test_the_work_goes_on_with_what_is_not_whole_when_it_was_interrupted(tree, tmp_path):
    tree.add_many(520)

    def stop(done, count):
        assert count == 520
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(tree, tmp_path, report=stop)
    folder = tmp_path / 'faces' / 'Training_Labeled'
    names = pictures_in(folder)
    assert len(names) == 500
    (folder / names[3]).write_bytes(b'')  # what a power cut leaves
    (folder / names[4]).write_bytes((folder / names[4]).read_bytes()[:-9])
    preparation = prepare(tree, tmp_path)
    assert (preparation.written, preparation.found) == (22, 498)
    assert len(AffectNet(str(tmp_path / 'faces'))) == 520
    assert prepare(tree, tmp_path).found == 520


def test_every_picture_is_whole_when_the_process_was_killed(tree, tmp_path):
    tree.add_many(520)
    root, faces = tree.write(), tmp_path / 'faces'
    # After the first folder the process waits to be killed, however late the test looks.
    code = (
        'import sys\nfrom facial_emotion_ros.training.data.affectnet_preparation import pre_process_affect_net\n'
        'pre_process_affect_net(*sys.argv[1:], 1, threads=2, report=lambda *done: sys.stdin.read())'
    )
    process = subprocess.Popen([sys.executable, '-c', code, root, root, str(faces)], cwd=ROOT, stdin=subprocess.PIPE)
    first = faces / 'Training_Labeled' / '0'
    while process.poll() is None and not (first.is_dir() and len(os.listdir(first)) > 30):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    written = pictures_in(faces / 'Training_Labeled')
    assert 31 - 2 <= len(written) <= 500  # each thread may have been in the middle of one
    for name in written:
        assert (faces / 'Training_Labeled' / name).read_bytes().endswith(b'\xff\xd9')
    preparation = prepare(tree, tmp_path)
    assert preparation.found == len(written) and preparation.written == 520 - len(written)
    assert len(AffectNet(str(faces))) == 520


def test_nothing_stays_of_a_picture_when_the_system_refuses_its_end(tree, tmp_path):
    resource = pytest.importorskip('resource', reason='limits of a process are set by the module resource')
    tree.add_many(8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    tree.write()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, before[1]))  # as a full disk would, in the middle of a file
        with pytest.raises(BadDataset, match='.jpg: cannot be written .*run it again to resume'):
            pre_process_affect_net(tree.root, tree.root, str(tmp_path / 'faces'), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / 'faces' / 'Training_Labeled' / '0') == []
    assert prepare(tree, tmp_path).written == 8


def test_a_destination_is_refused_when_something_else_was_made_there(tree, tmp_path):
    tree.add_many(8)
    prepare(tree, tmp_path)
    tree.add(1)
    with pytest.raises(BadDataset, match='other annotations'):
        prepare(tree, tmp_path)
    foreign = tmp_path / 'elsewhere' / 'Training_Labeled' / '0'
    foreign.mkdir(parents=True)
    with pytest.raises(BadDataset, match='empty folder'):
        pre_process_affect_net(tree.root, tree.root, str(tmp_path / 'elsewhere'), 1)
    (tmp_path / 'file').write_text('no folder')
    with pytest.raises(BadDataset, match='cannot be written'):
        pre_process_affect_net(tree.root, tree.root, str(tmp_path / 'file'), 1)


def test_annotations_are_found_in_every_shape_they_come_in(tree, tmp_path):
    tree.add_many(8)
    tree.write('Manually_validation.csv', header=False)
    assert pre_process_affect_net(tree.root, tree.root, str(tmp_path / 'a'), 2).written == 8
    flat = AffectNetTree(tmp_path / 'opendr', 'Manually_Annotated_extracted')
    (tmp_path / 'opendr').mkdir()
    for number in range(8):
        flat.add(number, subfolder='')
        flat.rows[-1][0] = f'12/{flat.rows[-1][0]}'
    assert pre_process_affect_net(flat.write(), flat.root, str(tmp_path / 'b'), 1).written == 8


def test_the_release_of_cut_out_faces_is_read_whole_when_it_lies_there(tmp_path):
    images, arrays = tmp_path / 'val_set' / 'images', tmp_path / 'val_set' / 'annotations'
    images.mkdir(parents=True)
    arrays.mkdir()
    for number, expression in enumerate((1, 6, 10)):
        (images / f'{number}.jpg').write_bytes(jpeg(draw_scene(expression, (0, 0, 224, 224), 224, 224)))
        for ending, label in (('exp', str(expression)), ('val', '-0.5'), ('aro', '0.25')):
            np.save(arrays / f'{number}_{ending}.npy', np.array(label))
    preparation = pre_process_affect_net(str(tmp_path), str(tmp_path), str(tmp_path / 'faces'), 2)
    assert pictures_in(preparation.folder) == ['0/0000000_1_-500_250.jpg', '0/0000001_6_-500_250.jpg']
    assert preparation.left_out == {'no face': 1}


@pytest.mark.parametrize(
    'change, text',
    [
        (lambda root: os.remove(root / 'training.csv'), 'training.csv, Manually_training.csv'),
        (
            lambda root: (root / 'training.csv').write_text('path,emotion\na.jpg,1\n'),
            'the columns subDirectory_filePath',
        ),
        (lambda root: (root / 'training.csv').write_bytes(b'\xff\xfe\x00broken'), 'cannot be read'),
        (lambda root: (root / 'training.csv').write_text(''), 'empty'),
        (lambda root: os.rename(root / 'Manually_Annotated_Images', root / 'Pictures'), 'Manually_Annotated_Images'),
    ],
)
def test_the_reason_is_given_when_the_source_is_not_as_expected(tree, tmp_path, change, text):
    tree.add(1)
    root = tree.write()
    change(tmp_path / 'source')
    with pytest.raises(BadDataset, match=text):
        pre_process_affect_net(root, root, str(tmp_path / 'faces'), 1)
    with pytest.raises(BadParameter, match='set_index'):
        pre_process_affect_net(root, root, str(tmp_path / 'faces'), 3)


def test_the_command_prepares_both_sets_and_says_what_it_did_when_called(tree, tmp_path, capsys):
    tree.add_many(16)
    tree.add(9, (-2, -2))
    tree.write('validation.csv')
    places = ['--images', tree.root, '--annotations', tree.write(), '--output', str(tmp_path / 'faces')]
    assert prepare_affectnet.main(places) == 0
    said = capsys.readouterr().out
    assert said.count('16 faces (0 from an earlier run), 0 damaged; rows without a usable label: 1 uncertain') == 2
    assert prepare_affectnet.main([*places, '--sets', 'automatic']) == 1
    assert capsys.readouterr().err.startswith('prepare_affectnet: ')


# ---- reading ----


@pytest.fixture
def faces(tree, tmp_path):
    """Return the root of a prepared training set: 160 rated faces, one of expression "none", one unrated."""
    tree.add_many(160)
    tree.add(8, (0.1, 0.2))
    tree.add(2, (-2, -2))
    prepare(tree, tmp_path)
    return tmp_path / 'faces'


def test_names_and_labels_translate_into_each_other():
    assert file_name(12, 3, 0.57, -0.0009) == '0000012_3_570_-1.jpg' and '_-581_290.' in file_name(1, 3, -0.5809, 0.29)
    assert labels_of('0000012_3_570_-1.jpg') == labels_of('0000012s3s570s-1.jpg') == (12, 3, 570, -1)
    assert labels_of('0000012_3_570.jpg') is None and labels_of('.0000012_3_570_-1.jpg.part') is None


def test_categories_and_affect_are_as_annotated_when_the_set_is_opened(faces):
    face_set = open_faces(str(faces), split='train')
    assert isinstance(face_set, AffectNet) and face_set.affect_source == 'annotated'
    assert len(face_set) == 161 and face_set.left_out == {'none': 1}
    assert list(face_set.labels[:9]) == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    np.testing.assert_array_equal(face_set.distributions, np.eye(8)[face_set.labels])
    np.testing.assert_allclose(face_set.affect[1], [-1 + 2 / 160, 0.57], atol=6e-4)
    assert np.isnan(face_set.affect[160]).all() and list(face_set.where_affect()) == list(range(160))
    assert 'AffectNet train categorical: 161 faces' in face_set.describe() and '1 none' in face_set.describe()
    read = face_set.faces([5, 2])
    assert [face.shape for face in read] == [(96, 96, 3)] * 2
    for face, label in zip(read, (5, 2)):
        assert np.abs(face[3, 3].astype(int) - COLORS[label]).max() < 25


def test_a_split_is_opened_when_its_own_folder_is_given(faces):
    assert open_faces(str(faces / 'Training_Labeled') + '/').names.tolist() == open_faces(str(faces)).names.tolist()
    with pytest.raises(BadDataset, match='parent folder of Training_Labeled and Validation, got the former; use'):
        open_faces(str(faces / 'Training_Labeled'), split='valid')


def test_only_rated_faces_are_kept_when_the_set_is_dimensional(faces):
    face_set = AffectNet(str(faces), kind='dimensional')
    assert len(face_set) == 160 and not np.isnan(face_set.affect).any()
    with_none = AffectNet(str(faces), kind='dimensional', with_none=True)
    assert len(with_none) == 161 and with_none.labels[160] == -1 and with_none.expressions[160] == 8
    assert np.isnan(with_none.distributions[160]).all()
    np.testing.assert_allclose(with_none.affect[160], [0.1, 0.2])


def test_rows_keep_all_that_belongs_to_them_when_some_are_chosen(faces):
    face_set = AffectNet(str(faces))
    some = face_set.rows([7, 3])
    assert list(some.labels) == list(some.expressions) == [7, 3] and list(some.names) == list(face_set.names[[7, 3]])
    np.testing.assert_array_equal(some.faces()[1], face_set.faces([3])[0])
    is_sad = face_set.labels == EMOTIONS.index('sad')
    assert len(face_set.rows(is_sad)) == is_sad.sum() and len(face_set.faces(is_sad)) == is_sad.sum()


def test_trees_of_opendr_are_read_when_their_names_have_an_s_between(faces):
    folder = faces / 'Training_Labeled'
    ours = AffectNet(str(faces))
    os.remove(folder / 'preparation.json')
    for name in pictures_in(folder):
        os.rename(folder / name, folder / name.replace('_', 's'))
    theirs = AffectNet(str(faces))
    np.testing.assert_array_equal(theirs.labels, ours.labels)
    np.testing.assert_array_equal(theirs.affect, ours.affect)


def test_damaged_pictures_are_left_out_and_listed_when_there_are_few(faces, capfd):
    folder = faces / 'Training_Labeled'
    name = pictures_in(folder)[10]
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    for _ in range(2):  # the second time from what is remembered
        face_set = AffectNet(str(faces))
        assert len(face_set) == 160 and name not in face_set.names
        assert [each.name for each in face_set.damaged] == [name]
        assert name in capfd.readouterr().err
    (folder / '0' / '0000999_12_0_0.jpg').write_bytes(b'of another kind')
    with pytest.raises(BadDataset, match='2 of 162.*0000999_12_0_0.*cut off'):
        AffectNet(str(faces))


def test_pictures_are_checked_again_when_a_file_has_changed(faces):
    folder = faces / 'Training_Labeled'
    assert not AffectNet(str(faces)).damaged
    name = pictures_in(folder)[0]
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(bytes(len(content)))
    assert [each.name for each in AffectNet(str(faces)).damaged] == [name]
    assert not AffectNet(str(faces), check=False).damaged


def test_reading_ends_with_the_name_when_a_picture_is_damaged_later(faces):
    face_set = AffectNet(str(faces))
    os.remove(faces / 'Training_Labeled' / face_set.names[4])
    with pytest.raises(BadDataset, match=face_set.names[4]):
        face_set.faces([3, 4])


@pytest.mark.parametrize(
    'options, text',
    [
        ({'split': 'test'}, 'split train, unlabelled, valid and kind'),
        ({'kind': 'both'}, 'kind categorical or dimensional'),
        ({'split': 'valid'}, 'prepare_affectnet'),
        ({'new_votes': True}, 'options of format affectnet'),
    ],
)
def test_the_reason_is_given_when_a_set_cannot_be_opened(faces, options, text):
    with pytest.raises((BadDataset, BadParameter), match=text):
        open_faces(str(faces), 'affectnet', **options)
