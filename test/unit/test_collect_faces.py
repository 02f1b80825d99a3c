"""A guided capture keeps good stills of a person who agreed, for nobody else to read, and loses none that it has."""

import csv
import dataclasses
import os
import signal
import socket
import stat
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from small_disk import small_disk

from facial_emotion_ros.cli import collect_faces as command
from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.inference.model_bundle import opened_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import fit, read_picture
from facial_emotion_ros.pipeline.face_collection import CROP, FaceCollection, Row, cut_crops
from facial_emotion_ros.training.data.labelled_folder import STRUCK_FILE, read_labelled_folder

CONSENT = 'Pictures of me, for this robot alone'
DETECTOR = FaceDetector(opened_bundle('centerface'))
FACE = fit(read_picture(find_shared('samples', 'astronaut.jpg')), 320, 320)
WALL = np.full((320, 320, 3), 90, np.uint8)


def collection(folder, person='ann', **options):
    """Begin a capture of two expressions, two stills each."""
    options = dict(
        {'emotions': ('happy', 'fear'), 'stills': 2, 'countdown_s': 1.0, 'patience_s': 4.0, 'detector': DETECTOR},
        **options,
    )
    return FaceCollection(str(folder), person, CONSENT, **options)


def run(collected, image, seconds, begin_s=0.0, step_s=0.5):
    """Show it an image for so long; return what it said, each once."""
    said = []
    for now_s in np.arange(begin_s, begin_s + seconds, step_s):
        collected.add(image, float(now_s))
        if str(collected.prompt) not in said:
            said.append(str(collected.prompt))
    return said


def rows_of(folder):
    """Read labels.csv."""
    with open(os.path.join(folder, 'labels.csv'), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_every_expression_is_requested_and_saved_when_a_face_is_in_sight(tmp_path):
    collected = collection(tmp_path / 'faces')
    said = run(collected, FACE, 12.0)
    assert collected.done and collected.taken == 4 and not collected.missed
    assert said[0].startswith('happy: smile') and said[0].endswith('in 1 s') and said[-1] == 'Done, thank you.'
    rows = rows_of(tmp_path / 'faces')
    assert [row['emotion'] for row in rows] == ['happy', 'happy', 'fear', 'fear'] and tuple(rows[0]) == Row._fields
    assert all(row['person'] == 'ann' and row['consent'] == CONSENT and row['date'] for row in rows)
    picture, crop = (cv2.imread(str(tmp_path / 'faces' / rows[0][name])) for name in ('file', 'crop'))
    assert picture.shape == FACE.shape and crop.shape == (160, 160, 3)
    assert np.abs(picture.astype(int) - FACE).mean() < 3
    faces = read_labelled_folder(str(tmp_path / 'faces'))
    assert len(faces) == 4 and set(faces.persons) == {'ann'}


def test_a_name_is_no_formula_in_the_table_and_the_same_when_that_is_read(tmp_path):
    name = '=A1, "ann"\nof b'
    run(collection(tmp_path, name, emotions=('sad',)), FACE, 6.0)
    run(collection(tmp_path, '@b', emotions=('anger',)), FACE, 6.0)  # what is there is read and written again
    assert {row['person'] for row in rows_of(tmp_path)} == {"'" + name, "'@b"}
    assert set(read_labelled_folder(str(tmp_path)).persons) == {name, '@b'}
    assert '<h2>@b: anger</h2>' in open(command.write_contact_sheet(str(tmp_path))).read()


def test_crops_are_framed_as_the_embedded_network_expects(tmp_path):
    geometry = CropGeometry.from_manifest(opened_bundle('esr_9_ferplus').manifest['input'])
    assert dataclasses.replace(geometry, size_px=CROP.size_px, color=CROP.color) == CROP


def test_the_prompt_is_drawn_on_a_copy_when_an_image_is_looked_at(tmp_path):
    before = FACE.copy()
    shown = collection(tmp_path / 'faces').add(FACE, 0.0)
    assert (FACE == before).all() and (shown[:15] != FACE[:15]).any() and (shown[160:] == FACE[160:]).all()


@pytest.mark.parametrize(
    'image, reason',
    [
        (WALL, 'no face in sight'),
        (np.hstack([FACE, FACE]), '2 faces in sight, one expected'),
        (cv2.GaussianBlur(FACE, (0, 0), 5), 'the face is blurred'),
        (np.uint8(FACE // 16), 'the face is'),
    ],
    ids=['none', 'two', 'blurred', 'dark'],
)
def test_no_still_is_taken_and_the_reason_is_said_when_a_face_is_no_good(tmp_path, image, reason):
    collected = collection(tmp_path / 'faces')
    said = run(collected, image, 12.0)
    assert any(reason in each for each in said), said
    assert collected.done and collected.missed == ['happy', 'fear'] and collected.taken == 0
    assert not os.listdir(tmp_path / 'faces' / 'pictures')


def test_nothing_is_replaced_when_a_folder_is_continued(tmp_path):
    run(collection(tmp_path, emotions=('sad',)), FACE, 6.0)
    before = {name: (tmp_path / 'pictures' / name).read_bytes() for name in os.listdir(tmp_path / 'pictures')}
    (tmp_path / 'pictures' / '0007_sad.jpg').write_bytes(b'of somebody else')
    run(collection(tmp_path, emotions=('anger',), detector=DETECTOR), FACE, 6.0)
    assert [row['file'] for row in rows_of(tmp_path)] == [
        'pictures/0001_sad.jpg',
        'pictures/0002_sad.jpg',
        'pictures/0008_anger.jpg',
        'pictures/0009_anger.jpg',
    ]
    assert all((tmp_path / 'pictures' / name).read_bytes() == content for name, content in before.items())


@pytest.mark.parametrize(
    'make, words',
    [
        (lambda folder: FaceCollection(folder, 'ann', ' ', detector=DETECTOR), 'saved only with both'),
        (lambda folder: FaceCollection(folder, '', CONSENT, detector=DETECTOR), 'saved only with both'),
        (lambda folder: FaceCollection(folder, 'ann', CONSENT, ('joy',), detector=DETECTOR), 'got joy'),
        (lambda folder: FaceCollection(folder, 'ann', CONSENT, stills=0, detector=DETECTOR), 'at least 1 still'),
        (lambda folder: collection(folder, countdown_s=float('inf')), 'countdown and patience of 0 s or more'),
        (lambda folder: collection(folder, patience_s=float('nan')), 'countdown and patience of 0 s or more'),
        (lambda folder: collection(folder, rotate_deg=45), 'a rotation of 0, 90, 180 or 270'),
    ],
)
def test_a_capture_is_refused_without_consent_or_expressions(tmp_path, make, words):
    with pytest.raises(BadParameter, match=words):
        make(str(tmp_path / 'faces'))
    assert not (tmp_path / 'faces').exists()


def test_a_picture_that_was_deleted_is_in_no_table_and_no_sheet_and_stops_nobody(tmp_path):
    run(collection(tmp_path, emotions=('sad',), stills=3), FACE, 6.0)
    for kind in ('pictures', 'crops'):
        (tmp_path / kind / '0003_sad.jpg').unlink()
    (tmp_path / 'crops' / '0002_sad.jpg').unlink()
    sheet = command.write_contact_sheet(str(tmp_path))
    with open(sheet, encoding='utf-8') as file:
        text = file.read()
    assert 'pictures/0001_sad.jpg' in text and '0002_sad' not in text and '0003_sad' not in text
    run(collection(tmp_path, emotions=('sad',), stills=1), FACE, 6.0)
    assert [row['file'] for row in rows_of(tmp_path)] == ['pictures/0001_sad.jpg', 'pictures/0003_sad.jpg']
    assert len(read_labelled_folder(str(tmp_path))) == 2


@pytest.mark.parametrize(
    'table, words',
    [
        (b'file,emotion\na.jpg,happy\n', "begins with 'file,emotion', not 'file,emotion,person"),
        (b'', "begins with '', not"),
        (b'file,emotion,person,crop,date,consent\n\xe9.jpg,sad,ann,b.jpg,1,yes\n', 'CSV file in UTF-8'),
        (b'file,emotion,person,crop,date,consent\na.jpg,sad\n', 'line 2: expected 6 cells'),
    ],
)
def test_a_folder_is_refused_when_it_has_labels_of_others_or_damaged_ones(tmp_path, table, words):
    (tmp_path / 'labels.csv').write_bytes(table)
    with pytest.raises(FacialEmotionError, match=words):
        collection(tmp_path)


def test_a_folder_is_continued_when_a_spreadsheet_has_saved_its_table(tmp_path):
    run(collection(tmp_path, emotions=('sad',), stills=1), FACE, 6.0)
    table = tmp_path / 'labels.csv'
    table.write_text('\ufeff' + table.read_text(encoding='utf-8').replace(',', ';') + ';;;;;\n', encoding='utf-8')
    run(collection(tmp_path, emotions=('anger',), stills=1), FACE, 6.0)
    assert [row['emotion'] for row in rows_of(tmp_path)] == ['sad', 'anger']


def test_saved_pictures_stay_complete_when_the_disk_is_full(tmp_path):
    with small_disk(tmp_path / 'disk', 160) as disk:
        collected = collection(disk.path / 'faces', stills=50, patience_s=100.0)
        with pytest.raises(OSError, match='No space left'):
            run(collected, FACE, 60.0)
        rows = rows_of(disk.path / 'faces')
        assert 0 < len(rows) == collected.taken
        assert all(read_picture(str(disk.path / 'faces' / row['file'])).shape == FACE.shape for row in rows)
        for folder in ('pictures', 'crops'):  # no half file, whether it is listed or not
            for name in os.listdir(disk.path / 'faces' / folder):
                assert read_picture(str(disk.path / 'faces' / folder / name)).size


@pytest.fixture
def film(tmp_path):
    """Make a film of a face that stays."""
    path = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 4.0, (320, 320))
    for _ in range(24):
        writer.write(FACE)
    writer.release()
    return path


def test_a_film_becomes_a_folder_that_adapt_reads_when_it_is_collected_from(film, tmp_path, capsys):
    folder = tmp_path / 'faces'
    arguments = [
        '--output',
        str(folder),
        '--person',
        '<b>ann</b>',
        '--video',
        film,
        '--emotions',
        'happy',
        'sad',
        '--stills',
        '2',
        '--countdown',
        '0.5',
        '--consent',
        CONSENT,
    ]
    assert command.main(arguments) == 0
    said = capsys.readouterr().out
    assert 'happy: smile, with your eyes too - in 1 s' in said and '4 pictures taken' in said
    modes = {
        stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode)
        for at, folders, names in os.walk(folder)
        for name in [*folders, *names]
    }
    assert modes == {0o600, 0o700} and stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    sheet = (folder / command.SHEET_FILE).read_text()
    assert '&lt;b&gt;ann&lt;/b&gt;: happy' in sheet and '<b>' not in sheet
    assert all(f'value="{row["file"]}"' in sheet for row in rows_of(folder))
    (folder / STRUCK_FILE).write_text('pictures/0001_happy.jpg\n')
    faces = read_labelled_folder(str(folder), crops=False)
    assert faces.names.tolist() == [row['file'] for row in rows_of(folder)[1:]]


def test_nothing_is_kept_when_there_is_no_consent(film, tmp_path, capsys):
    assert command.main(['--output', str(tmp_path / 'faces'), '--person', 'ann', '--video', film]) == 2
    assert 'expected --consent "TEXT"' in capsys.readouterr().err and not (tmp_path / 'faces').exists()


@pytest.mark.parametrize('raised, status', [(EOFError, 2), (KeyboardInterrupt, 130)])
def test_nothing_is_kept_when_the_prompt_for_consent_is_left(film, tmp_path, monkeypatch, capsys, raised, status):
    def left(_prompt):
        raise raised

    monkeypatch.setattr('builtins.input', left)
    monkeypatch.setattr('sys.stdin', SimpleNamespace(isatty=lambda: True))
    assert command.main(['--output', str(tmp_path / 'faces'), '--person', 'ann', '--video', film]) == status
    assert 'Type what you agree to' in capsys.readouterr().out and not (tmp_path / 'faces').exists()


def test_pictures_stay_and_the_sheet_is_written_when_it_is_interrupted(film, tmp_path, monkeypatch):
    add = FaceCollection.add

    def interrupted(self, image, now_s):
        shown = add(self, image, now_s)
        if self.taken:
            raise KeyboardInterrupt
        return shown

    monkeypatch.setattr(FaceCollection, 'add', interrupted)
    arguments = ['--output', str(tmp_path / 'faces'), '--person', 'ann', '--video', film, '--consent', CONSENT]
    assert command.main(arguments) == 130
    assert len(rows_of(tmp_path / 'faces')) == 1 and (tmp_path / 'faces' / command.SHEET_FILE).exists()


def test_crops_of_earlier_versions_are_cut_anew(tmp_path):
    run(collection(tmp_path, emotions=('happy',)), FACE, 6.0)
    first, second = rows_of(tmp_path)
    expected = (tmp_path / first['crop']).read_bytes()
    (tmp_path / first['crop']).write_bytes(b'of an earlier version')
    cv2.imwrite(str(tmp_path / second['file']), WALL)
    assert cut_crops(str(tmp_path), DETECTOR) == [second['file']]
    found, wanted = (
        cv2.imdecode(np.frombuffer(each, np.uint8), 1) for each in ((tmp_path / first['crop']).read_bytes(), expected)
    )
    assert found.shape == wanted.shape and cv2.PSNR(found, wanted) > 25


def is_asleep(process):
    """Tell whether a process's main thread waits, as native code does for a stream."""
    with open('/proc/%d/stat' % process.pid, encoding='ascii') as file:
        return file.read().rpartition(')')[2].split()[0] == 'S'


@pytest.mark.skipif(
    cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends(), reason='this OpenCV was built without FFmpeg'
)
@pytest.mark.parametrize('begun', [False, True])
def test_it_ends_soon_after_ctrl_c_when_the_server_of_its_stream_is_silent(tmp_path, begun):
    with socket.create_server(('127.0.0.1', 0)) as server:
        program = subprocess.Popen(
            [sys.executable, '-m', 'facial_emotion_ros.cli.collect_faces', '--output', str(tmp_path / 'faces')]
            + ['--person', 'ann', '--consent', 'yes', '--camera', 'http://127.0.0.1:%d/live' % server.getsockname()[1]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        stream, _ = server.accept()
        if begun:
            content = cv2.imencode('.jpg', np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8))[1]
            part = b'--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n'
            stream.sendall(
                b'HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n'
                + part % (content.size, content.tobytes()) * 20
            )
            assert program.stdout.readline().startswith('neutral')
        while not is_asleep(program):
            pass
        program.send_signal(signal.SIGINT)
        output = program.communicate(timeout=6)[0]
    assert program.returncode == 130 and 'Traceback' not in output, output
    assert not begun or '0 pictures taken' in output
