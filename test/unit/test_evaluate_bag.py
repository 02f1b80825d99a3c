"""A recording goes in; tables, figures, a report, a recording and a film come out, the same every time."""
import csv
import json
import os
import re
import shutil
import threading

import cv2
import numpy as np
import pytest

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

from small_disk import small_disk

from facial_emotion_ros.bag_evaluation import tables
from facial_emotion_ros.bags.bag_file import BagFile
from facial_emotion_ros.bags.message_types import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    EXPRESSION,
    IMAGE,
    header,
    make,
    typestore,
)
from facial_emotion_ros.bags.sample_bag import ANNOTATION, CAMERA, START_NS, write_sample_bag
from facial_emotion_ros.bags.writer import BagWriter
from facial_emotion_ros.commands import evaluate_bag, make_sample_bag
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.face_detector import FaceDetector
from facial_emotion_ros.pipeline import EmotionPipeline
from facial_emotion_ros.sample_film import SampleFilm

JPEG = CAMERA + '/compressed'
COUNT = 12

#: Files that are the same whenever the same is evaluated.
SAME = ('frames.csv', 'frames.parquet', 'annotated.mp4', os.path.join('annotated', 'annotated.mcap'))


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Twelve images with a face each."""
    path = str(tmp_path_factory.mktemp('bags') / 'walk')
    write_sample_bag(path, COUNT / 10, 10, width=320, height=240)
    return path


@pytest.fixture(scope='module')
def output(bag, tmp_path_factory):
    """All that an evaluation writes of it."""
    path = str(tmp_path_factory.mktemp('results') / 'out')
    assert evaluate_bag.main([bag, '--output', path, '--truth', ANNOTATION, '--write-bag', '--video']) == 0
    return path


def rows(folder):
    with open(os.path.join(folder, 'frames.csv'), newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def summary(folder):
    with open(os.path.join(folder, 'summary.json'), encoding='utf-8') as file:
        return json.load(file)


def content(*path):
    with open(os.path.join(*path), 'rb') as file:
        return file.read()


def test_every_image_has_its_row_with_the_very_answer_of_the_pipeline(bag, output):
    found = rows(output)
    assert [int(row['frame']) for row in found] == list(range(COUNT)) and list(found[0]) == list(tables.COLUMNS)
    assert [int(row['stamp_ns']) for row in found] == [START_NS + number * 10 ** 8 for number in range(COUNT)]
    pipeline, film = EmotionPipeline(every_n=2), SampleFilm(320, 240)  # as the node's parameters are
    for row in found:
        coded = cv2.imencode('.jpg', film.frame(float(row['time_s'])), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        face, = pipeline.estimate(cv2.imdecode(coded, cv2.IMREAD_COLOR), float(row['time_s']))
        assert row['face_id'] == face.face_id and row['emotion'] == face.emotion and row['true_emotion'] == 'happy'
        assert row['person'] == 'astronaut' and row['raw_emotion'] == face.raw.emotion
        numbers = [float(row[name]) for name in ('x0', 'y0', 'x1', 'y1', 'valence', 'arousal', 'raw_valence',
                                                 'score_happy', 'raw_score_sad', 'confidence', 'agreement')]
        expected = [*face.box, face.valence, face.arousal, face.raw.valence, face.scores['happy'],
                    face.raw.scores['sad'], face.confidence, face.agreement]
        assert np.allclose(numbers, expected, atol=2e-6)


def test_parquet_holds_what_the_csv_file_holds(output):
    import pyarrow
    from pyarrow import parquet

    table = parquet.read_table(os.path.join(output, 'frames.parquet'))
    assert table.column_names == list(tables.COLUMNS) and table.schema.field('stamp_ns').type == pyarrow.int64()
    for row, told in zip(table.to_pylist(), rows(output)):
        for name, text in told.items():
            if isinstance(row[name], float):
                assert float(text) == pytest.approx(row[name], abs=1e-5)
            else:
                assert text == ('' if row[name] is None else str(row[name]))


def test_the_summary_says_what_was_read_and_how_well(bag, output):
    found = summary(output)
    assert found['bag']['name'] == 'walk' and found['whole'] is True and found['bag']['faults'] == []
    overall = found['overall']
    assert (overall['frames'], overall['faces'], overall['coverage'], overall['flips']) == (COUNT, 1, 1.0, 0)
    assert found['truth']['accuracy'] == 1.0 and found['truth']['n'] == COUNT and found['truth']['found'] == 1.0
    assert found['overall']['id_switches'] == 0 and found['cameras'].keys() == {JPEG}
    assert {'read', 'decode', 'estimate'} == set(found['run']['ms']) and len(found['bundle']['sha256']) == 64
    assert found['run']['command'].startswith('evaluate_bag ') and found['recorded'] is None


def test_all_bytes_are_the_same_when_the_same_is_evaluated_again(bag, output, tmp_path):
    again = str(tmp_path / 'again')
    assert evaluate_bag.main([bag, '--output', again, '--truth', ANNOTATION, '--write-bag', '--video']) == 0
    for name in SAME:
        assert content(again, name) == content(output, name), name
    one, other = summary(output), summary(again)
    assert one.pop('run') != other.pop('run') and one == other


def test_our_messages_are_those_of_the_node_when_a_recording_is_written(output):
    first = rows(output)[0]
    face = f'/humans/faces/{first["face_id"]}'
    with BagFile(os.path.join(output, 'annotated')) as written:
        assert {name: topic.msgtype for name, topic in written.topics.items()} == {
            '/detections': DETECTIONS, '/detections/raw': DETECTIONS, '/affect': DETECTIONS, '/expression': EXPRESSION,
            '/vision_info': 'vision_msgs/msg/VisionInfo', '/humans/faces/tracked': 'hri_msgs/msg/IdsList',
            f'{face}/roi': 'hri_msgs/msg/NormalizedRegionOfInterest2D', f'{face}/expression': EXPRESSION}
        assert {topic.count for name, topic in written.topics.items() if name != '/vision_info'} == {COUNT}
        region = next(iter(written.messages([f'{face}/roi']))).read()
        told = [message.read() for message in written.messages(['/detections'])]
        words = [message.read().expression for message in written.messages(['/expression'])]
    assert len(told) == COUNT and words == ['happy'] * COUNT
    assert (region.xmin, region.ymax) == pytest.approx((float(first['x0']) / 320, float(first['y1']) / 240), abs=1e-5)
    for message, row in zip(told, rows(output)):
        face, = message.detections
        assert message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec == int(row['stamp_ns'])
        assert message.header.frame_id == 'camera' and face.id == row['face_id'] and len(face.results) == len(EMOTIONS)
        assert face.results[0].hypothesis.class_id == 'happy' and face.results[0].pose.pose.orientation.w == 1.0
        assert face.bbox.center.position.x == pytest.approx((float(row['x0']) + float(row['x1'])) / 2, abs=1e-4)


def test_our_own_recording_agrees_with_us_when_it_is_compared(bag, output, tmp_path):
    both = str(tmp_path / 'both')
    with BagWriter(both) as writer:
        for path in (bag, os.path.join(output, 'annotated')):
            with BagFile(path) as part:
                for message in part.messages():
                    writer.write(message.topic, message.msgtype, message.receive_ns, message.cdr)
    assert evaluate_bag.main([both, '--output', str(tmp_path / 'out')]) == 0
    found = summary(tmp_path / 'out')['recorded']
    assert (found['topic'], found['n'], found['agreement']) == ('/annotation/faces', COUNT, 1.0)
    assert evaluate_bag.main([both, '--output', str(tmp_path / 'out'), '--truth', ANNOTATION]) == 0
    found = summary(tmp_path / 'out')['recorded']
    assert (found['topic'], found['n'], found['confidence_gap']) == ('/detections', COUNT, pytest.approx(0, abs=1e-6))
    assert found['latency_ms_p50'] == pytest.approx(4)


def test_the_detector_looks_at_every_image_once_and_ahead_when_that_is_asked_for(bag, tmp_path, monkeypatch):
    threads, look = [], FaceDetector.detect

    def counting(self, *arguments):
        threads.append(threading.current_thread().name)
        return look(self, *arguments)

    monkeypatch.setattr(FaceDetector, 'detect', counting)
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--every-n', '1']) == 0
    assert threads == ['frames'] * COUNT
    pipeline, film = EmotionPipeline(), SampleFilm(320, 240)
    for row in rows(tmp_path / 'out'):
        coded = cv2.imencode('.jpg', film.frame(float(row['time_s'])), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        face, = pipeline.estimate(cv2.imdecode(coded, cv2.IMREAD_COLOR), float(row['time_s']))
        assert np.allclose([float(row[name]) for name in ('x0', 'y0', 'x1', 'y1')], face.box, atol=2e-6)
    assert summary(tmp_path / 'out')['run']['ms']['detect']['p50'] > 0.5


def test_the_film_shows_every_image_when_it_is_wanted(output):
    film = cv2.VideoCapture(os.path.join(output, 'annotated.mp4'))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    assert count == COUNT and film.get(cv2.CAP_PROP_FPS) == pytest.approx(10, 0.01)
    film.release()


def test_bundles_are_judged_side_by_side_when_two_are_named(bag, tmp_path, capsys):
    out = str(tmp_path / 'out')
    assert evaluate_bag.main([bag, '--output', out, '--truth', ANNOTATION, '--bundle', 'esr_9_ferplus', '--bundle',
                              'esr_9_ferplus_int8']) == 0
    shas = {summary(os.path.join(out, name))['bundle']['sha256'] for name in ('esr_9_ferplus', 'esr_9_ferplus_int8')}
    told = json.loads(content(out, 'comparison.json'))
    assert len(shas) == 2 and {told[0]['before']['sha256'], told[0]['now']['sha256']} == shas
    assert {change['figure'] for change in told[0]['changes']} >= {'accuracy', 'coverage', 'flips_per_minute'}
    assert 'esr_9_ferplus_int8 against esr_9_ferplus' in capsys.readouterr().out


def test_cameras_have_faces_and_figures_of_their_own_when_there_are_several(tmp_path):
    films, path = SampleFilm(320, 240), str(tmp_path / 'two')
    begins_s = {'/left/image': 1.0, '/right/image': 13.0}  # one person here, three there
    for topics in (['/left/image'], ['/right/image'], list(begins_s)):
        with BagWriter(path if len(topics) > 1 else str(tmp_path / topics[0][1:5])) as writer:
            for number in range(6):
                stamp_ns = START_NS + number * 10 ** 8
                for topic in topics:
                    image = films.frame(begins_s[topic] + number / 10)
                    message = make(IMAGE, header=header(stamp_ns, topic[1:5]), height=240, width=320, encoding='bgr8',
                                   step=960, data=image.reshape(-1))
                    writer.write(topic, IMAGE, stamp_ns, typestore().serialize_cdr(message, IMAGE))
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out'), '--write-bag', '--video']) == 0
    found = summary(tmp_path / 'out')
    assert found['overall']['frames'] == 12 and found['overall']['faces'] == 4
    assert [found['cameras'][topic]['faces'] for topic in begins_s] == [1, 3]
    for topic in begins_s:
        assert evaluate_bag.main([str(tmp_path / topic[1:5]), '--output', str(tmp_path / 'one')]) == 0
        alone, together = (content(str(tmp_path / name), 'frames.csv').splitlines() for name in ('one', 'out'))
        assert alone[1:] == [row for row in together if row.startswith(topic.encode())]
    with BagFile(str(tmp_path / 'out' / 'annotated')) as written:
        assert written.topics['/left/image/detections'].count == 6
    assert {'annotated_left_image.mp4', 'annotated_right_image.mp4'} <= set(os.listdir(tmp_path / 'out'))
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'left'), '--topic', '/left/image', '--topic',
                              '/left/image']) == 0
    assert list(summary(tmp_path / 'left')['cameras']) == ['/left/image']


def test_no_face_can_be_recognised_when_faces_are_blurred(bag, tmp_path):
    import base64
    import re

    pages = {}
    for name, more in (('plain', []), ('blurred', ['--blur-faces'])):
        assert evaluate_bag.main([bag, '--output', str(tmp_path / name), '--video', *more]) == 0
        pages[name] = content(str(tmp_path / name), 'report.html').decode()
    sharpness = {}
    for name, page in pages.items():
        pictures = [cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_GRAYSCALE)
                    for coded in re.findall(r'data:image/jpeg;base64,([^"\')]+)', page)]
        middle = [picture[len(picture) // 3:2 * len(picture) // 3, len(picture[0]) // 3:2 * len(picture[0]) // 3]
                  for picture in pictures]
        sharpness[name] = max(cv2.Laplacian(each, cv2.CV_64F).std() for each in middle)
    assert sharpness['blurred'] < 0.35 * sharpness['plain']
    detector = EmotionPipeline().detector
    film = cv2.VideoCapture(str(tmp_path / 'blurred' / 'annotated.mp4'))
    image = film.read()[1]
    film.release()
    assert len(detector.detect(image).boxes) == 0
    assert content(str(tmp_path / 'blurred'), 'frames.csv') == content(str(tmp_path / 'plain'), 'frames.csv')


def test_nothing_of_a_former_evaluation_stays_when_another_is_made_in_its_place(bag, tmp_path):
    out = str(tmp_path / 'out')
    assert evaluate_bag.main([bag, '--output', out, '--video', '--write-bag']) == 0
    (tmp_path / 'out' / 'notes.txt').write_text('mine')
    assert evaluate_bag.main([bag, '--output', out, '--write-bag']) == 0
    expected = {'annotated', 'frames.csv', 'frames.parquet', 'timings.csv', 'report.html', 'summary.json', 'notes.txt'}
    assert set(os.listdir(out)) == expected
    assert evaluate_bag.main([bag, '--output', out, '--blur-faces']) == 0
    assert set(os.listdir(out)) == expected - {'annotated'}


def test_nothing_is_left_and_one_line_says_so_when_it_is_stopped(bag, tmp_path, monkeypatch, capsys):
    def stop(self, image):
        raise KeyboardInterrupt

    monkeypatch.setattr(EmotionPipeline, 'estimate', lambda *arguments, **named: stop(*arguments[:2]))
    out = str(tmp_path / 'out')
    assert evaluate_bag.main([bag, '--output', out, '--video', '--write-bag']) == evaluate_bag.INTERRUPTED
    assert os.listdir(out) == [] and capsys.readouterr().err.strip() == 'evaluate_bag: stopped'


def test_truth_that_holds_for_no_face_is_told(bag, tmp_path, capsys):
    (tmp_path / 'late.csv').write_text('start,end,emotion\n20,29,happy\n')
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--truth', str(tmp_path / 'late.csv')]) == 0
    told = capsys.readouterr().err
    assert 'late.csv: it holds for none of the faces' in told and rows(tmp_path / 'out')[0]['face_id'] in told


def test_truth_in_milliseconds_is_refused_with_what_to_do(bag, tmp_path, capsys):
    for text, said in (('0,500,happy\n500,1200,sad\n', 'look like milliseconds; divide them by 1000'),
                       (f'{START_NS // 10 ** 6},{START_NS // 10 ** 6 + 9},happy\n', 'line 2.*a stamp in milliseconds'),
                       (f'{START_NS},{START_NS + 10 ** 9},happy\n', 'nanoseconds; divide all times by 1,000,000,000')):
        (tmp_path / 'truth.csv').write_text('start,end,emotion\n' + text)
        assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--truth', str(tmp_path / 'truth.csv')]) == 1
        told = capsys.readouterr().err
        assert re.search(said, told) and len(told.strip().splitlines()) == 1


def test_truth_beyond_the_end_is_told_when_the_rest_holds(bag, tmp_path, capsys):
    (tmp_path / 'truth.csv').write_text('start,end,emotion\n0,0.6,happy\n0.6,9999,sad\n20,30,fear\n')
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--truth', str(tmp_path / 'truth.csv')]) == 0
    told = capsys.readouterr().err
    assert '1 of 3 intervals hold for no image, the first of them from 20 to 30 s' in told
    assert summary(tmp_path / 'out')['truth']['n'] == COUNT


def test_our_own_answers_are_right_when_they_are_the_truth(bag, output, tmp_path):
    own = str(tmp_path / 'own')
    with BagWriter(own) as writer:
        for path in (bag, os.path.join(output, 'annotated')):
            with BagFile(path) as part:
                for message in part.messages():
                    cdr = message.cdr
                    if message.topic == '/detections':  # a moment later than the best score, as hysteresis gives it
                        fields = message.read()
                        rows = fields.detections[0].results
                        rows[0].hypothesis.score, rows[1].hypothesis.score = (
                            rows[1].hypothesis.score, rows[0].hypothesis.score)
                        cdr = typestore().serialize_cdr(fields, DETECTIONS)
                    writer.write(message.topic, message.msgtype, message.receive_ns, cdr)
    assert evaluate_bag.main([own, '--output', str(tmp_path / 'out'), '--truth', '/detections']) == 0
    found = summary(tmp_path / 'out')['truth']
    assert (found['accuracy'], found['n'], found['answered']) == (1.0, COUNT, 1.0)


def test_recorded_numbers_that_are_none_do_no_harm_when_they_are_compared(bag, tmp_path):
    path = str(tmp_path / 'odd')
    with BagWriter(path) as writer, BagFile(bag) as part:
        for message in part.messages():
            cdr = message.cdr
            if message.topic == ANNOTATION:
                fields = message.read()
                fields.detections[0].results[0].hypothesis.score = float('nan')
                cdr = typestore().serialize_cdr(fields, DETECTIONS)
            writer.write(message.topic, message.msgtype, message.receive_ns, cdr)
        writer.write('/broken', DETECTIONS, START_NS, b'\0\1\0\0\xff\xff\xff')
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out')]) == 0
    assert summary(tmp_path / 'out')['recorded']['n'] == 0


def test_what_was_lost_is_counted_and_the_rest_is_read_when_images_are_bad(bag, tmp_path, capsys):
    path = str(tmp_path / 'bad')
    with BagWriter(path) as writer, BagFile(bag) as part:
        for number, message in enumerate(part.messages([JPEG])):
            cdr = message.cdr
            if number in (3, 7):
                fields = message.read()
                half = fields.data[:len(fields.data) // 2]
                cdr = typestore().serialize_cdr(make(COMPRESSED_IMAGE, header=fields.header, format='jpeg', data=half),
                                                COMPRESSED_IMAGE)
            writer.write(message.topic, message.msgtype, message.receive_ns, cdr)
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out')]) == 0
    found = summary(tmp_path / 'out')
    assert found['overall']['frames'] == COUNT - 2 and found['overall']['bad_frames'] == 2 and not found['whole']
    assert '2 images could not be read' in ' '.join(found['bag']['faults']) + capsys.readouterr().err
    assert [int(row['frame']) for row in rows(tmp_path / 'out')] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out'), '--strict']) == evaluate_bag.MISSED


def test_what_is_left_out_by_name_is_named_with_what_evaluates_it(bag, tmp_path, capsys):
    path = str(tmp_path / 'infrared')
    with BagWriter(path) as writer, BagFile(bag) as part:
        for message in part.messages([JPEG]):
            for topic in (JPEG, '/camera/infra1/image_rect_raw/compressed'):
                writer.write(topic, message.msgtype, message.receive_ns, message.cdr)
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out')]) == 0
    told = capsys.readouterr().out
    assert '/camera/infra1/image_rect_raw/compressed; --topic /camera/infra1/image_rect_raw/compressed' in told
    assert list(summary(tmp_path / 'out')['cameras']) == [JPEG] and summary(tmp_path / 'out')['whole']
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out'), '--topic', JPEG]) == 0
    assert 'left out' not in capsys.readouterr().out
    with BagWriter(tmp_path / 'thermal') as writer, BagFile(bag) as part:
        for message in part.messages([JPEG]):
            writer.write('/thermal/image', message.msgtype, message.receive_ns, message.cdr)
    assert evaluate_bag.main([str(tmp_path / 'thermal'), '--output', str(tmp_path / 'none')]) == 1
    assert '--topic /thermal/image evaluates' in capsys.readouterr().err


def test_gaps_are_told_everywhere_when_images_are_missing(bag, tmp_path, capsys):
    path, later_ns = str(tmp_path / 'holes'), {0: 0, 4: 3 * 10 ** 9, 8: 5 * 10 ** 9}
    with BagWriter(path) as writer, BagFile(bag) as part:
        for number, message in enumerate(part.messages([JPEG])):
            shift_ns = later_ns[number // 4 * 4]
            fields = message.read()
            moved = make(COMPRESSED_IMAGE, header=header(START_NS + number * 10 ** 8 + shift_ns), format='jpeg',
                         data=fields.data)
            writer.write(JPEG, message.msgtype, message.receive_ns + shift_ns,
                         typestore().serialize_cdr(moved, COMPRESSED_IMAGE))
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out')]) == 0
    found = summary(tmp_path / 'out')
    assert found['cameras'][JPEG]['rate_hz'] == 10.0 and found['whole'] is True
    assert found['cameras'][JPEG]['gaps'] == {'count': 2, 'seconds': 5.2, 'longest': [
        {'start_s': 0.3, 'seconds': 3.1}, {'start_s': 3.7, 'seconds': 2.1}]}
    assert '2 gaps of 5.2 s without an image, the longest of 3.1 s from 0.3 s' in capsys.readouterr().out
    page = content(str(tmp_path / 'out'), 'report.html').decode()
    assert 'Times without an image' in page and '3.1\u00a0s from 0:00' in page
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'even')]) == 0
    assert summary(tmp_path / 'even')['cameras'][JPEG]['gaps']['count'] == 0
    assert 'without an image' not in capsys.readouterr().out
    assert 'Times without' not in content(str(tmp_path / 'even'), 'report.html').decode()


def test_faces_last_as_long_as_is_asked_for_and_that_is_said_when_images_come_seldom(tmp_path, capsys):
    path, out = str(tmp_path / 'slow'), str(tmp_path / 'out')
    write_sample_bag(path, 25, 0.2, width=320, height=240, people=1)
    assert evaluate_bag.main([path, '--output', out]) == 0
    told = capsys.readouterr().out
    assert 'an image every 5 s' in told and '--max-age 13' in told and summary(out)['overall']['faces'] == 5
    assert evaluate_bag.main([path, '--output', out, '--max-age', '13']) == 0
    assert 'max-age' not in capsys.readouterr().out and summary(out)['overall']['faces'] == 1


def test_a_pair_of_swapped_images_changes_neither_faces_nor_the_length_of_the_recording(bag, output, tmp_path):
    with BagFile(bag) as opened, BagWriter(str(tmp_path / 'swapped')) as writer:
        messages = [(message.receive_ns, message.cdr) for message in opened.messages((JPEG,))]
        images = [raw for _, raw in messages]
        images[4:6] = images[5], images[4]
        for (receive_ns, _), raw in zip(messages, images):
            writer.write(JPEG, COMPRESSED_IMAGE, receive_ns, raw)
    assert evaluate_bag.main([str(tmp_path / 'swapped'), '--output', str(tmp_path / 'out')]) == 0
    found, expected = summary(tmp_path / 'out'), summary(output)
    assert found['cameras'][JPEG]['seconds'] == pytest.approx(expected['cameras'][JPEG]['seconds'])
    assert found['overall']['faces'] == expected['overall']['faces'] == 1
    told = {row['stamp_ns']: row['face_id'] for row in rows(tmp_path / 'out')}
    assert told == {row['stamp_ns']: row['face_id'] for row in rows(output)}


def test_images_of_several_sizes_are_read_when_the_camera_changed_its_mode(tmp_path):
    path = str(tmp_path / 'sizes')
    with BagWriter(path) as writer:
        for number, (width, height) in enumerate(((320, 240), (160, 120), (240, 320))):
            image = SampleFilm(width, height).frame(0.0)
            head = make('std_msgs/msg/Header', stamp=make('builtin_interfaces/msg/Time', sec=100 + number))
            message = make(IMAGE, header=head, height=height, width=width, encoding='bgr8', step=3 * width,
                           data=image.reshape(-1))
            writer.write(CAMERA, IMAGE, (100 + number) * 10 ** 9, typestore().serialize_cdr(message, IMAGE))
    assert evaluate_bag.main([path, '--output', str(tmp_path / 'out'), '--video']) == 0
    assert summary(tmp_path / 'out')['overall']['frames'] == 3 and os.path.exists(tmp_path / 'out' / 'annotated.mp4')


@pytest.mark.parametrize('arguments, said', [
    (['--topic', '/nowhere'], '/nowhere, the recording has'), (['--topic', ANNOTATION], 'expected images on'),
    (['--truth', '/nowhere'], 'annotation topic'), (['--truth', 'none.csv'], 'CSV file of intervals'),
    (['--bundle', 'no_such'], 'no_such'), (['--compare', 'no.json'], 'summary.json'),
    (['--recorded', JPEG], 'compare with'), (['--max-faces', '-1'], 'max_faces'), (['--threads', '0'], 'threads'),
    (['--max-age', '61'], 'max_age_s'),
    (['--workers', '-1'], '--workers'), (['--blur-faces', '--max-faces', '1'], 'nobody blurs'),
    (['--bundle', 'a/esr', '--bundle', 'b/esr'], 'bundles of different names'),
    (['--min-accuracy', '80'], '--min-accuracy of 0 to 1'), (['--max-flips', 'nan'], '--max-flips of 0 to')])
def test_one_line_says_what_is_wrong_when_the_request_is(bag, tmp_path, capsys, arguments, said):
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), *arguments]) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and said in told[0] and told[0].startswith('evaluate_bag: ')
    assert not os.path.exists(tmp_path / 'out' / 'frames.csv')


def test_the_results_go_into_a_folder_of_their_own(bag, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    for output, said in ((tmp_path / 'file', 'which is a file'), ('', "got ''"), (bag, 'beside the recording')):
        assert evaluate_bag.main([bag, '--output', str(output)]) == 1 and said in capsys.readouterr().err
    assert sorted(os.listdir(bag)) == ['metadata.yaml', 'walk.mcap']


def test_a_bound_is_missed_when_a_figure_is_beyond_it(bag, tmp_path, capsys):
    (tmp_path / 'wrong.csv').write_text('start,end,emotion\n0,9,sad\n')
    arguments = [bag, '--output', str(tmp_path / 'out'), '--truth', str(tmp_path / 'wrong.csv')]
    assert evaluate_bag.main([*arguments, '--min-accuracy', '0.01']) == evaluate_bag.MISSED
    assert '--min-accuracy 0.01 is missed: accuracy is 0' in capsys.readouterr().err
    assert evaluate_bag.main([*arguments, '--min-accuracy', '0']) == 0


def test_one_line_says_so_when_a_recording_is_missing_or_has_no_images(tmp_path, capsys):
    with BagWriter(tmp_path / 'deaf') as writer:
        writer.write('/chatter', 'std_msgs/msg/String', 1, typestore().serialize_cdr(make('std_msgs/msg/String'),
                                                                                     'std_msgs/msg/String'))
    with BagWriter(tmp_path / 'blind') as writer:
        writer.write(CAMERA, IMAGE, 1, b'\0\1\0\0')
    for path, said in ((tmp_path / 'nowhere', 'not there'), (tmp_path / 'deaf', '/chatter (std_msgs/msg/String)'),
                       (tmp_path / 'blind', 'holds none that can be read')):
        assert evaluate_bag.main([str(path), '--output', str(tmp_path / 'out')]) == 1
        told = capsys.readouterr().err
        assert said in told and len(told.strip().splitlines()) == 1


@pytest.mark.parametrize('arguments, missed', [
    (['--min-accuracy', '0.9', '--max-flips', '1', '--max-unknown', '0.5', '--min-coverage', '1'], ''),
    (['--min-coverage', '1', '--max-unknown', '0', '--max-flips', '0', '--min-macro-f1', '1'], ''),
    (['--min-ccc-valence', '0.1'], 'cannot be checked')])
def test_bounds_set_the_exit_code_when_they_are_given(bag, tmp_path, capsys, arguments, missed):
    code = evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--truth', ANNOTATION, *arguments])
    assert code == (evaluate_bag.MISSED if missed else 0) and missed in capsys.readouterr().err


def test_a_comparison_is_printed_when_a_former_summary_is_named(bag, output, tmp_path, capsys):
    former = os.path.join(output, 'summary.json')
    assert evaluate_bag.main([bag, '--output', str(tmp_path / 'out'), '--truth', ANNOTATION, '--compare', former]) == 0
    assert 'accuracy             1.0000 ->    1.0000' in capsys.readouterr().out


def contents(folder):
    """Read all files below a folder: {path in it: bytes}."""
    return {os.path.relpath(os.path.join(home, name), folder): content(home, name)
            for home, _, names in os.walk(folder) for name in names}


@pytest.mark.parametrize('more, room', [
    ([], 8), (['--write-bag'], 60), (['--video'], 60),
    (['--bundle', 'esr_9_ferplus', '--bundle', 'esr_9_ferplus_int8'], 100)])
def test_former_results_stay_and_the_same_command_mends_it_when_the_disk_is_full(bag, tmp_path, capsys, more, room):
    with small_disk(tmp_path / 'disk', 8192) as disk:
        out, ballast = str(disk.path / 'out'), disk.path / 'ballast'
        command = [bag, '--output', out, *more]
        assert evaluate_bag.main([*command, '--blur-faces']) == 0
        former = contents(out)
        ballast.write_bytes(bytes(shutil.disk_usage(str(disk.path)).free - 1024 * room))
        capsys.readouterr()
        assert evaluate_bag.main(command) == 1
        told = capsys.readouterr().err.strip().splitlines()
        assert len(told) == 1 and out in told[0] and 'the same command' in told[0], told
        assert contents(out) == former
        ballast.unlink()
        assert evaluate_bag.main(command) == 0
        mended = contents(out)
        assert mended.keys() == former.keys() and mended != former
        assert all(json.loads(text)['whole'] for name, text in mended.items() if name.endswith('summary.json'))


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_the_sample_is_whole_or_absent_when_the_disk_is_full(tmp_path, capsys, storage):
    with small_disk(tmp_path / storage, 100) as disk:
        assert make_sample_bag.main([str(disk.path / 'bag'), '--seconds', '2', '--storage', storage]) == 1
        told = capsys.readouterr().err.strip().splitlines()
        assert len(told) == 1 and told[0].startswith('make_sample_bag: ') and str(disk.path) in told[0], told
        assert os.listdir(str(disk.path)) == []


@pytest.mark.parametrize('name, more', [
    ('frames.csv', []), ('summary.json', []), ('annotated', ['--write-bag']), ('annotated.mp4', ['--video']),
    ('comparison.json', ['--bundle', 'esr_9_ferplus', '--bundle', 'esr_9_ferplus_int8'])])
def test_a_file_that_no_evaluation_wrote_stays_until_it_is_given_up(bag, tmp_path, capsys, name, more):
    out = tmp_path / 'out'
    out.mkdir()
    (out / name).write_text('{"mine": 1}')
    command = [bag, '--output', str(out), *more]
    assert evaluate_bag.main(command) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and name in told[0] and '--force' in told[0]
    assert os.listdir(out) == [name] and (out / name).read_text() == '{"mine": 1}'
    assert evaluate_bag.main([*command, '--force']) == 0
    assert os.path.isdir(out / name) if name == 'annotated' else content(out, name) != b'{"mine": 1}'


def test_a_file_of_another_name_or_use_stays_when_an_evaluation_is_made_beside_it(bag, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    for name in ('annotated', 'annotated_by_hand.mp4', 'frames.txt'):
        (out / name).write_text('mine')
    for _ in range(2):
        assert evaluate_bag.main([bag, '--output', str(out)]) == 0
    assert {name for name in os.listdir(out) if content(out, name) == b'mine'} == {
        'annotated', 'annotated_by_hand.mp4', 'frames.txt'}


def test_only_what_evaluations_write_is_deleted_whatever_a_summary_lists(bag, tmp_path):
    out = tmp_path / 'out'
    assert evaluate_bag.main([bag, '--output', str(out), '--write-bag']) == 0
    told = summary(out)
    told['files'] += ['thesis.txt', '../beside.txt', 7]
    (out / 'summary.json').write_text(json.dumps(told))
    for path in (out / 'thesis.txt', tmp_path / 'beside.txt'):
        path.write_text('mine')
    assert evaluate_bag.main([bag, '--output', str(out)]) == 0
    assert (out / 'thesis.txt').exists() and (tmp_path / 'beside.txt').exists() and not (out / 'annotated').exists()


def test_only_what_an_earlier_version_wrote_is_deleted_when_its_summary_lists_no_files(bag, output, tmp_path):
    out = tmp_path / 'out'
    shutil.copytree(output, out)
    told = summary(out)
    del told['files']
    (out / 'summary.json').write_text(json.dumps(told))
    for name in ('annotated_by_hand.mp4', 'annotated_notes'):
        (out / name).write_text('mine')
    assert evaluate_bag.main([bag, '--output', str(out)]) == 0
    assert set(os.listdir(out)) == {'annotated_by_hand.mp4', 'annotated_notes', 'frames.csv', 'frames.parquet',
                                    'timings.csv', 'report.html', 'summary.json'}


def test_what_a_killed_evaluation_left_is_cleared_away_when_the_next_one_ends(bag, tmp_path):
    out = tmp_path / 'out'
    (out / '.evaluation.part').mkdir(parents=True)
    (out / '.evaluation.part' / '.frames.csv.part').write_text('half')
    assert evaluate_bag.main([bag, '--output', str(out)]) == 0
    assert not [name for name in os.listdir(out) if name.startswith('.')]


def test_the_sample_is_made_when_its_command_is_typed(tmp_path, capsys):
    path = str(tmp_path / 'bag')
    assert make_sample_bag.main([path, '--seconds', '0.3', '--size', '160x120']) == 0
    assert 'evaluate_bag' in capsys.readouterr().out
    with BagFile(path) as made:
        assert made.topics[JPEG].count == 3
    for arguments, said in (([path], 'there already'), ([path + 'x', '--size', 'large'], 'WIDTHxHEIGHT'),
                            ([path + 'x', '--rate', '0'], '--rate')):
        assert make_sample_bag.main(arguments) == 1 and said in capsys.readouterr().err
    shutil.rmtree(path)


def test_a_folder_of_recordings_is_many_and_bounds_hold_for_all_together(bag, tmp_path, capsys):
    shelf, out = tmp_path / 'shelf', str(tmp_path / 'out')
    write_sample_bag(str(shelf / 'one'), 0.3, 10, width=320, height=240)
    shutil.copytree(bag, shelf / 'deeper' / 'walk')
    (shelf / 'damaged.mcap').write_bytes(b'nothing of a recording')
    arguments = [str(shelf), '--output', out, '--truth', ANNOTATION, '--min-accuracy', '0.5']
    assert evaluate_bag.main(arguments) == 1
    told = capsys.readouterr()
    assert 'damaged' in told.err and '2 evaluated' in told.out and '1 failed' in told.out
    os.remove(shelf / 'damaged.mcap')
    assert evaluate_bag.main(arguments) == 0 and '2 were there' in capsys.readouterr().out
    assert evaluate_bag.main([*arguments, '--min-ccc-arousal', '0.5']) == evaluate_bag.MISSED
    assert os.path.exists(os.path.join(out, 'index.html')) and os.path.exists(os.path.join(out, 'fleet.json'))


def test_no_control_character_is_shown_when_topics_and_files_have_names_of_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('facial_emotion_ros.bags.sample_bag.CAMERA', '/\x1b[2Jcamera')
    bag = os.path.join(tmp_path, os.fsdecode(b'caf\xe9\x1b[31m'))
    write_sample_bag(bag, 0.2, 10, width=320, height=240)
    output = str(tmp_path / 'out')
    assert evaluate_bag.main([bag, '--output', output]) == 0
    shown = ''.join(capsys.readouterr())
    page = content(output, 'report.html').decode()
    for text in (shown, page, content(output, 'frames.csv').decode()):
        assert '\x1b' not in text and r'\x1b[2J' in text
    assert r'caf\xe9' in shown + page
    assert evaluate_bag.main([bag, '--output', output, '--topic', '/\x1b]0;none', '--force']) == 1
    shown = ''.join(capsys.readouterr())
    assert '\x1b' not in shown and r'\x1b]0;none' in shown
