"""Any tree of pictures with labels: in a csv file, or by folders named like the classes."""

import math
import os

import cv2
import numpy as np
import pytest
from places import ROOT

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.data.datasets import open_faces
from facial_emotion_ros.training.data.framing import framing_warning
from facial_emotion_ros.training.data.image_set import MAX_SIDE_PX
from facial_emotion_ros.training.data.labelled_folder import LabelledFolder

SCORES = ','.join(EMOTIONS)


pytestmark = pytest.mark.usefixtures('own_cache')


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'set').mkdir()
    return tmp_path / 'set'


def draw(path, level=100, shape=(60, 60, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = '.jpg' if path.suffix == '.jfif' else path.suffix
    path.write_bytes(cv2.imencode(suffix, np.full(shape, level, np.uint8))[1].tobytes())


def labelled(root, *lines, names=('a.png', 'b.png', 'sub/c.jpg')):
    for place, name in enumerate(names):
        draw(root / name, 40 * place % 256)
    (root / 'labels.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return str(root)


def emotions_of(faces):
    return [EMOTIONS[label] if label >= 0 else None for label in faces.labels]


def test_classes_come_from_the_csv_file_when_it_names_them(root):
    faces = open_faces(labelled(root, 'file,emotion', 'b.png,Happiness', 'sub/c.jpg, fear ', './a.png,'))
    assert isinstance(faces, LabelledFolder) and faces.name == 'set' and faces.affect_source == 'annotated'
    assert faces.names.tolist() == ['b.png', 'sub/c.jpg', 'a.png'] and emotions_of(faces) == ['happy', 'fear', None]
    np.testing.assert_array_equal(faces.distributions[:2], np.eye(8)[[1, 4]])
    assert faces.where_category().tolist() == [0, 1] and not len(faces.where_affect())
    assert [int(face.mean()) for face in faces.faces([0, 2])] == [40, 0]


def test_affect_comes_from_the_csv_file_when_it_has_the_columns(root):
    faces = open_faces(labelled(root, '\ufefffile,valence,arousal', 'a.png,-0.5,1', 'b.png,,', 'sub/c.jpg,0,0'))
    np.testing.assert_array_equal(faces.affect, np.float32([[-0.5, 1], [math.nan, math.nan], [0, 0]]))
    assert faces.where_affect().tolist() == [0, 2] and emotions_of(faces) == [None] * 3


def test_a_table_is_read_as_a_spreadsheet_with_decimal_commas_saves_it(root):
    table = '\ufefffile;Emotion;valence;arousal;person;', 'a.png;happy;0,75;-1;Ann, 7;', 'b.png;;;;Bob;', ';;;;;'
    faces = open_faces(labelled(root, *table))
    assert faces.names.tolist() == ['a.png', 'b.png'] and emotions_of(faces) == ['happy', None]
    np.testing.assert_array_equal(faces.affect, np.float32([[0.75, -1], [math.nan, math.nan]]))
    assert faces.persons.tolist() == ['Ann, 7', 'Bob']


def test_scores_are_a_distribution_when_they_are_given(root):
    faces = open_faces(
        labelled(
            root,
            f'file,emotion,{SCORES}',
            'a.png,,6,3,0,0,0,0,0,1',
            'b.png,,.5,.5,0,0,0,0,0,0',
            'sub/c.jpg,sad,.6,0,.4,0,0,0,0,0',
        )
    )
    np.testing.assert_allclose(faces.distributions[0], [0.6, 0.3, 0, 0, 0, 0, 0, 0.1], rtol=1e-6)
    # Of two that are alike none is the label; a class that was given stands beside the scores.
    assert emotions_of(faces) == ['neutral', None, 'sad']
    assert faces.where_category().tolist() == [0, 1, 2]


def test_own_words_are_translated_when_they_are_explained(root):
    path = labelled(root, 'file,emotion', 'a.png,4', 'b.png,7', 'sub/c.jpg,9')
    with pytest.raises(BadDataset, match="line 2: .*'4'"):
        open_faces(path)
    faces = open_faces(path, classes={4: 'happy', '7': 'neutral', '9': None})
    assert faces.names.tolist() == ['a.png', 'b.png'] and emotions_of(faces) == ['happy', 'neutral']
    with pytest.raises(BadDataset, match='got joyful'):
        open_faces(path, classes={4: 'joyful'})


def test_the_crop_is_read_when_the_csv_file_names_one(root):
    table = 'file,emotion,crop', 'a.png,happy,sub/c.jpg', 'b.png,sad,no picture'
    faces = open_faces(labelled(root, *table))
    assert faces.names.tolist() == ['a.png', 'b.png'] and [int(face.mean()) for face in faces.faces()] == [80, 40]
    assert [int(face.mean()) for face in faces.rows([1]).faces()] == [40]
    assert [int(face.mean()) for face in open_faces(str(root), crops=False).faces()] == [0, 40]


def test_whole_photographs_are_told_from_cut_faces(root):
    photograph = cv2.imread(os.path.join(ROOT, 'samples', 'astronaut.jpg'))
    box = EmotionPipeline().detect(photograph).boxes[0]
    x, y, side = int(box[:3:2].mean()), int(box[1::2].mean()), int((box[2] - box[0]) * 0.7)
    labelled(root, 'file,emotion,crop', 'a.png,happy,', 'b.png,happy,sub/c.jpg')
    cut = photograph[y - side : y + side, x - side : x + side]
    for name, image in (('a.png', cut), ('b.png', photograph), ('sub/c.jpg', cut)):
        cv2.imwrite(str(root / name), image)
    assert framing_warning(open_faces(str(root))) == ''
    assert 'a column `crop`' in framing_warning(open_faces(str(root), crops=False).rows([1]))


def test_images_are_left_out_when_they_are_struck_out(root, capsys):
    path = labelled(root, 'file,emotion', 'a b.png,happy', 'b.png,sad', names=('a b.png', 'b.png'))
    (root / 'struck_out.txt').write_text('a b.png\n\nno such.png\n', encoding='utf-8-sig')
    assert open_faces(path).names.tolist() == ['b.png']
    said = capsys.readouterr().err
    assert '1 of 2 images' in said and 'unknown names: no such.png' in said


def test_another_csv_file_is_read_when_it_is_given(root, tmp_path):
    path = labelled(root, 'file,emotion', 'a.png,sad')
    (tmp_path / 'mine.csv').write_text('file,emotion\nb.png,anger\n')
    assert emotions_of(open_faces(path, 'folder', labels=str(tmp_path / 'mine.csv'))) == ['anger']
    with pytest.raises(BadDataset, match='absent.csv: expected a CSV file'):
        open_faces(path, 'folder', labels=str(tmp_path / 'absent.csv'))


def test_classes_come_from_the_folders_when_there_is_no_csv_file(root):
    for name in ('Happy/b.png', 'Happy/deeper/a.JPG', 'anger/1.jpeg', 'anger/.hidden.png', 'anger/notes.txt'):
        draw(root / name) if not name.endswith('txt') else (root / name).write_text('no picture')
    (root / '.cache').mkdir()
    faces = open_faces(str(root))
    assert faces.names.tolist() == ['Happy/b.png', 'Happy/deeper/a.JPG', 'anger/1.jpeg']
    assert emotions_of(faces) == ['happy', 'happy', 'anger']
    draw(root / 'Bored' / 'c.png')
    with pytest.raises(BadDataset, match='got Bored; rename it'):
        open_faces(str(root))
    assert len(open_faces(str(root), 'folder', classes={'bored': None})) == 3


def test_pictures_are_named_when_opencv_does_not_read_their_kind(root, capsys):
    draw(root / 'happy' / os.fsdecode(b'caf\xe9.png'))
    for number in range(200):
        draw(root / 'happy' / f'{number}.jfif')
    (root / 'happy' / 'phone.heic').write_bytes(b'from a phone')
    faces = open_faces(str(root))
    assert len(faces) == 201 and [each.name for each in faces.damaged] == ['happy/phone.heic']
    assert 'phone.heic: OpenCV does not read .heic files; convert it' in capsys.readouterr().err
    (root / 'happy' / 'more.heic').write_bytes(b'from a phone')
    (root / 'happy' / 'much.heic').write_bytes(b'from a phone')
    with pytest.raises(BadDataset, match='at most 1%'):
        open_faces(str(root))


@pytest.mark.parametrize(
    'lines, text',
    [
        (['emotion,path', 'sad,a.png'], 'columns file and emotion'),
        (['file,valence', 'a.png,0'], 'valence and arousal'),
        ([f'file,{SCORES[:-9]}'], 'all of neutral'),
        (['file', 'a.png'], 'columns file and emotion'),
        ([''], 'no header'),
        (['file,emotion', 'a.png'], 'line 2: expected 2 cells, .*got 1'),
        (['file,emotion', 'a.png,sad,sad'], 'line 2: expected 2 cells, .*got 3'),
        (['file,emotion', '../a.png,sad'], 'line 2: expected a path below'),
        (['file,emotion', ',sad'], 'line 2: expected a path below'),
        (['file,emotion', 'a.png,sad', 'a.png,happy'], '1 lines are repeated'),
        (['file,valence,arousal', 'a.png,1.2,0'], 'line 2: expected numbers from -1 to 1'),
        (['file,valence,arousal', 'a.png,0.2,'], 'line 2: expected numbers'),
        (['file,valence,arousal', 'a.png,nan,0'], 'line 2: expected numbers'),
        ([f'file,{SCORES}', 'a.png,0,0,0,0,0,0,0,0'], 'line 2: expected a score above 0'),
        ([f'file,{SCORES}', 'a.png,1,0,0,0,0,0,0,-1'], 'line 2: expected numbers from 0'),
        (['file,emotion'], 'there are none'),
    ],
)
def test_the_line_is_named_when_the_csv_file_is_wrong(root, lines, text):
    with pytest.raises(BadDataset, match=text):
        open_faces(labelled(root, *lines))


def test_pictures_of_any_shape_come_as_squares_when_they_are_read(root):
    path = labelled(root, 'file,emotion', 'wide.png,sad', 'gray.png,sad', 'large.png,sad', names=())
    wide = np.zeros((50, 90, 3), np.uint8)
    wide[:, 20:70] = 200
    cv2.imwrite(str(root / 'wide.png'), wide)
    draw(root / 'gray.png', shape=(70, 60))
    draw(root / 'large.png', shape=(900, 800, 3))
    read = open_faces(path).faces()
    assert [face.shape for face in read] == [(50, 50, 3), (60, 60), (MAX_SIDE_PX, MAX_SIDE_PX, 3)]
    assert (read[0] == 200).all()


def test_damaged_and_missing_pictures_are_left_out_when_they_are_few(root):
    names = [f'{number}.png' for number in range(199)]
    lines = [f'{name},happy' for name in names]
    path = labelled(root, 'file,emotion', *lines, 'absent.png,sad', names=names)
    (root / '7.png').write_bytes((root / '7.png').read_bytes()[:-9])
    said = []
    faces = open_faces(path, report=said.append)
    assert len(faces) == 198 and {each.name for each in faces.damaged} == {'absent.png', '7.png'}
    assert '2 of 200' in said[0] and len(said) == 3
    kept = next((root.parent / 'cache').rglob('*.json'))
    for content in ('', '[]', '5', '[["7.png", "small"]]', '{"7.png": 3}', '[' * 100000):
        kept.write_text(content)
        assert {each.name for each in open_faces(path).damaged} == {'absent.png', '7.png'}, content[:20]
    os.remove(root / '8.png')
    with pytest.raises(BadDataset, match='3 of 200'):
        open_faces(path)
