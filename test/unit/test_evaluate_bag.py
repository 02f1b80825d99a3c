"""A recording goes in; tables, figures, a report, a recording and a film come out, the same every time."""

import base64
import csv
import json
import os
import re
import shutil
import threading
import time

import cv2
import numpy as np
import pytest
from documented_fields import undocumented
from in_process import in_this_process, kept_models  # noqa: F401
from small_disk import small_disk

from facial_emotion_ros.cli import evaluate_recording, make_sample_bag
from facial_emotion_ros.core import visualization
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.demo.h264 import h264_program
from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_tracker import intersection_over_union
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.recordings.evaluation import tables
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.face_blur import FaceBlur
from facial_emotion_ros.recordings.evaluation.image_flow import DetectionTurns
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.summary_text import summary_text
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import (
    COMPRESSED_IMAGE,
    DETECTIONS,
    EXPRESSION,
    IMAGE,
    header,
    make,
    make_image,
    typestore,
)
from facial_emotion_ros.recordings.io.sample_bag import ANNOTATION, CAMERA, START_NS, write_sample_bag
from facial_emotion_ros.recordings.io.writer import BagWriter

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

JPEG = CAMERA + '/compressed'
COUNT = 6
COLUMNS = [column.name for column in tables.FRAMES]
BOX = ('x0', 'y0', 'x1', 'y1')

#: Files that are the same whenever the same is evaluated.
SAME = ('frames.csv', 'frames.parquet', 'annotated.mp4', os.path.join('annotated', 'annotated.mcap'))


#: Files that every evaluation writes.
ALWAYS = {'frames.csv', 'frames.parquet', 'timings.csv', 'report.html', 'summary.json'}

#: Bundles that are compared.
TWO_BUNDLES = ['--bundle', 'esr_9_ferplus', '--bundle', 'esr_9_ferplus_int8']


def evaluate(bag, output, *options, status=0):
    """Evaluate a recording by the command, which ends with a status."""
    assert evaluate_recording.main([str(bag), '--output', str(output), *map(str, options)]) == status


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Six images with a face each."""
    path = str(tmp_path_factory.mktemp('bags') / 'walk')
    write_sample_bag(path, COUNT / 10, 10, width=320, height=240)
    return path


@pytest.fixture(scope='module')
def output(bag, tmp_path_factory):
    """All that an evaluation writes of it."""
    path = str(tmp_path_factory.mktemp('results') / 'out')
    evaluate(bag, path, '--truth', ANNOTATION, '--write-bag', '--video')
    return path


@pytest.fixture(scope='module')
def plain(bag, tmp_path_factory):
    """What an evaluation without options writes of it."""
    path = str(tmp_path_factory.mktemp('results') / 'plain')
    evaluate(bag, path)
    return path


@pytest.fixture(scope='module')
def short(tmp_path_factory):
    """Two images, where only files and exit codes count."""
    path = str(tmp_path_factory.mktemp('bags') / 'short')
    write_sample_bag(path, 0.2, 10, width=320, height=240)
    return path


def copy_into(writer, source, change=lambda number, message: None, topics=()):
    """Copy messages of a recording.

    :param change: function of a message and its number, which gives the fields to write in place of its own, or None.
    """
    with BagFile(source) as opened:
        for number, message in enumerate(opened.messages(topics)):
            fields = change(number, message)
            cdr = message.cdr if fields is None else typestore().serialize_cdr(fields, message.msgtype)
            writer.write(message.topic, message.msgtype, message.receive_ns, cdr)


def write_images(path, begins_s, count):
    """Write raw images of the sample video, ten a second.

    :param begins_s: {topic: time in the video of its first image}.
    """
    film = SampleVideo(320, 240)
    with BagWriter(path) as writer:
        for number in range(count):
            stamp_ns = START_NS + number * 10**8
            for topic, begin_s in begins_s.items():
                image = film.frame(begin_s + number / 10)
                writer.add(topic, stamp_ns, make_image(header(stamp_ns, 'eye'), image))


def rows(folder):
    with open(os.path.join(folder, 'frames.csv'), newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def summary(folder):
    with open(os.path.join(folder, 'summary.json'), encoding='utf-8') as file:
        return json.load(file)


def content(*path):
    with open(os.path.join(*path), 'rb') as file:
        return file.read()


def answers(pipeline):
    """Give what a pipeline says of the one face in each image of `bag`."""
    film = SampleVideo(320, 240)
    for number in range(COUNT):
        coded = cv2.imencode('.jpg', film.frame(number / 10), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        (face,) = pipeline.estimate(cv2.imdecode(coded, cv2.IMREAD_COLOR), number / 10)
        yield face


def test_every_image_has_its_row_with_the_very_answer_of_the_pipeline(bag, output):
    found = rows(output)
    assert [int(row['frame']) for row in found] == list(range(COUNT)) and list(found[0]) == COLUMNS
    assert [int(row['stamp_ns']) for row in found] == [START_NS + number * 10**8 for number in range(COUNT)]
    for row, face in zip(found, answers(EmotionPipeline(every_n=2))):  # as the node's parameters are
        assert row['face_id'] == face.face_id and row['emotion'] == face.emotion and row['true_emotion'] == 'happy'
        assert row['person'] == 'astronaut' and row['raw_emotion'] == face.raw.emotion
        expected = dict(
            zip(BOX, face.box),
            valence=face.valence,
            arousal=face.arousal,
            raw_valence=face.raw.valence,
            score_happy=face.scores['happy'],
            raw_score_sad=face.raw.scores['sad'],
            confidence=face.confidence,
            agreement=face.agreement,
        )
        assert np.allclose([float(row[name]) for name in expected], list(expected.values()), atol=2e-6)


def test_parquet_holds_what_the_csv_file_holds(output):
    import pyarrow
    from pyarrow import parquet

    table = parquet.read_table(os.path.join(output, 'frames.parquet'))
    assert table.column_names == COLUMNS and table.schema.field('stamp_ns').type == pyarrow.int64()
    for row, told in zip(table.to_pylist(), rows(output)):
        for name, text in told.items():
            if isinstance(row[name], float):
                assert float(text) == pytest.approx(row[name], abs=1e-5)
            else:
                assert text == ('' if row[name] is None else str(row[name]))


def test_smoothing_is_the_node_s_when_its_parameters_are_named(tmp_path):
    bag, out = str(tmp_path / 'changing'), str(tmp_path / 'out')
    write_images(bag, {CAMERA: 7.0}, 3)  # a face whose scores change
    parameters = ['smoothing.scores_s=0', 'smoothing.affect_s=0.0', 'smoothing.margin=0']
    evaluate(bag, out, *(word for each in parameters for word in ('--parameter', each)))
    for row in rows(out):
        for name in ('score_happy', 'valence', 'agreement', 'confidence'):
            assert float(row[name]) == pytest.approx(float(row[f'raw_{name}']), abs=2e-6)
    used = {'enabled': True, **dict.fromkeys(('scores_s', 'affect_s', 'margin', 'personal_neutral_s'), 0.0)}
    assert summary(out)['smoothing'] == used
    evaluate(bag, out)
    assert any(row['score_happy'] != row['raw_score_happy'] for row in rows(out))
    evaluate(bag, out, '--parameter', 'smoothing.enabled=false')
    assert all(row['score_happy'] == row['raw_score_happy'] for row in rows(out))


def test_the_summary_says_what_was_read_and_how_well(bag, output):
    found = summary(output)
    assert found['bag']['name'] == 'walk' and found['whole'] is True and found['bag']['faults'] == []
    overall = found['overall']
    assert (overall['frames'], overall['faces'], overall['coverage'], overall['flips']) == (COUNT, 1, 1.0, 0)
    assert found['truth']['accuracy'] == 1.0 and found['truth']['n'] == COUNT and found['truth']['found'] == 1.0
    assert found['overall']['id_switches'] == 0 and found['cameras'].keys() == {JPEG}
    assert {'read', 'decode', 'estimate'} == set(found['run']['ms']) - {'detect'}
    assert found['run']['ms'].get('detect', {'p50': 1})['p50'] > 0.5  # of the images that had it
    assert len(found['bundle']['sha256']) == 64
    assert found['run']['command'].startswith('evaluate_recording ') and found['recorded'] is None
    assert found['bundle']['operating_point'] == 'balanced'


def test_all_bytes_are_the_same_when_the_same_is_evaluated_again_and_compared(bag, output, tmp_path, capsys):
    again, former = str(tmp_path / 'again'), os.path.join(output, 'summary.json')
    evaluate(bag, again, '--truth', ANNOTATION, '--write-bag', '--video', '--compare', former)
    assert 'accuracy             1.0000 ->    1.0000' in capsys.readouterr().out
    for name in SAME:
        assert content(again, name) == content(output, name), name
    one, other = summary(output), summary(again)
    assert one.pop('run') != other.pop('run') and one == other


def test_our_messages_are_those_of_the_node_when_a_recording_is_written(output):
    first = rows(output)[0]
    face = f'/humans/faces/{first["face_id"]}'
    with BagFile(os.path.join(output, 'annotated')) as written:
        assert {name: topic.msgtype for name, topic in written.topics.items()} == {
            '/detections': DETECTIONS,
            '/detections/raw': DETECTIONS,
            '/affect': DETECTIONS,
            '/expression': EXPRESSION,
            '/vision_info': 'vision_msgs/msg/VisionInfo',
            '/humans/faces/tracked': 'hri_msgs/msg/IdsList',
            f'{face}/roi': 'hri_msgs/msg/NormalizedRegionOfInterest2D',
            f'{face}/expression': EXPRESSION,
        }
        assert {topic.count for name, topic in written.topics.items() if name != '/vision_info'} == {COUNT}
        region = next(iter(written.messages([f'{face}/roi']))).read()
        told = [message.read() for message in written.messages(['/detections'])]
        words = [message.read().expression for message in written.messages(['/expression'])]
    assert len(told) == COUNT and words == ['happy'] * COUNT
    assert (region.xmin, region.ymax) == pytest.approx((float(first['x0']) / 320, float(first['y1']) / 240), abs=1e-5)
    for message, row in zip(told, rows(output)):
        (face,) = message.detections
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == int(row['stamp_ns'])
        assert message.header.frame_id == 'camera' and face.id == row['face_id'] and len(face.results) == len(EMOTIONS)
        assert face.results[0].hypothesis.class_id == 'happy' and face.results[0].pose.pose.orientation.w == 1.0
        assert face.bbox.center.position.x == pytest.approx((float(row['x0']) + float(row['x1'])) / 2, abs=1e-4)


def test_our_own_recording_agrees_with_us_when_it_is_compared(bag, plain, output, tmp_path):
    found = summary(plain)['recorded']
    assert (found['topic'], found['n'], found['agreement']) == (ANNOTATION, COUNT, 1.0)
    both, out = str(tmp_path / 'both'), str(tmp_path / 'out')
    with BagWriter(both) as writer:
        copy_into(writer, bag)
        copy_into(writer, os.path.join(output, 'annotated'))
    evaluate(both, out, '--truth', ANNOTATION)
    lacking, surplus = undocumented('summary.json', summary(out))
    surplus = {each for each in surplus if not each.startswith('raters.')}
    assert not lacking and surplus <= {'run.live.<figure>', 'intervals.<figure>', 'truth.intervals.<figure>'}, (
        'docs/columns.md'
    )
    found = summary(out)['recorded']
    assert (found['topic'], found['n'], found['confidence_gap']) == ('/detections', COUNT, pytest.approx(0, abs=1e-6))
    assert found['latency_ms_p50'] == pytest.approx(4)
    assert found['network'].endswith('(esr), balanced')
    evaluate(both, out, '--recorded', '/detections', '--operating-point', 'ferplus')
    found = summary(out)
    assert found['bundle']['operating_point'] == 'ferplus' and found['recorded']['network'].endswith(', balanced')


@pytest.mark.parametrize('every_n', [1, 2])
def test_the_detector_looks_once_at_each_image_whose_turn_it_is(bag, tmp_path, monkeypatch, every_n):
    calls, look = [], FaceDetector.detect

    def counting(self, *arguments):
        calls.append(1)
        return look(self, *arguments)

    monkeypatch.setattr(FaceDetector, 'detect', counting)
    evaluate(bag, tmp_path / 'out', '--every-n', every_n)
    assert len(calls) == COUNT / every_n
    for row, face in zip(rows(tmp_path / 'out'), answers(EmotionPipeline(every_n=every_n))):
        assert np.allclose([float(row[name]) for name in BOX], face.box, atol=2e-6)


@pytest.fixture(scope='module')
def changing(tmp_path_factory):
    """Twenty images: a face is there, and after a cut the three faces of another scene, who fade in and out."""
    path = str(tmp_path_factory.mktemp('bags') / 'changing')
    film = SampleVideo(320, 240)
    with BagWriter(path) as writer:
        for number in range(21):
            image = film.frame(0.1 * number if number < 7 else 9.0 + 0.1 * number)
            image = image[:, ::-1] if number > 12 else image
            writer.add(CAMERA, START_NS + number * 10**8, make_image(header(START_NS + number * 10**8, 'eye'), image))
    return path


@pytest.mark.parametrize('guess', [lambda number: False, lambda number: number % 3 > 0])
def test_no_result_depends_on_what_was_detected_ahead(changing, tmp_path, monkeypatch, guess):
    evaluate(changing, tmp_path / 'foreseen')
    monkeypatch.setattr(DetectionTurns, 'is_due', lambda self, frame, interval: guess(frame.number))
    evaluate(changing, tmp_path / 'guessed')
    assert len({row['face_id'] for row in rows(tmp_path / 'foreseen')}) > 1
    assert content(tmp_path, 'foreseen', 'frames.csv') == content(tmp_path, 'guessed', 'frames.csv')


def test_results_stay_when_the_detecting_thread_is_slow_and_it_ends_when_it_fails(changing, tmp_path, monkeypatch):
    detect, calls = EmotionPipeline.detect, []

    def slow(pipeline, image):
        calls.append(threading.current_thread() is threading.main_thread())
        if not calls[-1]:
            time.sleep(0.3)
        return detect(pipeline, image)

    def fail(pipeline, image):
        raise BadModel('expected finite scores')

    evaluate(changing, tmp_path / 'usual')
    monkeypatch.setattr(EmotionPipeline, 'detect', slow)
    evaluate(changing, tmp_path / 'slow')
    assert set(calls) == {True, False}, 'the main thread helps'
    assert content(tmp_path, 'usual', 'frames.csv') == content(tmp_path, 'slow', 'frames.csv')
    monkeypatch.setattr(EmotionPipeline, 'detect', fail)
    evaluate(changing, tmp_path / 'failed', status=1)
    assert not [each for each in threading.enumerate() if each.name.startswith('detection')]


def test_faces_are_the_same_and_figures_close_when_every_second_image_is_estimated(changing, tmp_path, monkeypatch):
    calls, run = [], EsrEngine.run
    monkeypatch.setattr(EsrEngine, 'run', lambda self, *given: calls.append(len(given[0])) or run(self, *given))
    found, counts = [], []
    for every_n in ('1', '2'):
        calls.clear()
        out = str(tmp_path / every_n)
        evaluate(changing, out, '--estimate-every', every_n)
        found.append(rows(out))
        counts.append(sum(calls))
    assert counts[1] <= 0.6 * counts[0] and summary(out)['every_n'] == {'detect': 2, 'estimate': 2}
    for name in ('frame', 'face_id', 'x0', 'y1'):
        assert [row[name] for row in found[0]] == [row[name] for row in found[1]]
    same = [one['emotion'] == other['emotion'] for one, other in zip(*found)]
    assert np.mean(same) >= 0.9
    for name in ('score_happy', 'valence', 'arousal'):
        gaps = [abs(float(one[name]) - float(other[name])) for one, other in zip(*found)]
        assert np.mean(gaps) <= 0.03, name


def test_the_processor_takes_over_and_that_is_told_when_a_provider_is_missing(short, tmp_path):
    asked = ['--provider', 'NoSuchExecutionProvider', '--precision', 'fp32']
    evaluate(short, tmp_path / 'out', *asked)
    found = summary(tmp_path / 'out')
    assert found['bundle']['name'] == 'esr_9_ferplus' and found['detector']['name'] == 'centerface'
    assert found['run']['provider'] == 'CPUExecutionProvider'
    assert any('NoSuchExecutionProvider' in note for note in found['run']['notes'])
    assert found['run']['inference']['providers'] == ['NoSuchExecutionProvider']


def test_images_are_rotated_when_the_camera_was_mounted_upside_down(bag, tmp_path):
    evaluate(bag, tmp_path / 'out', '--rotate-deg', '180')
    found = rows(tmp_path / 'out')
    assert len(found) == COUNT
    for row, face in zip(found, answers(EmotionPipeline(every_n=2, rotate_deg=180))):
        assert np.allclose([float(row[name]) for name in BOX], face.box, atol=2e-6)


def test_the_film_shows_every_image_when_it_is_wanted(output):
    film = cv2.VideoCapture(os.path.join(output, 'annotated.mp4'))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    assert count == COUNT and film.get(cv2.CAP_PROP_FPS) == pytest.approx(10, 0.01)
    film.release()
    if h264_program():
        assert (
            'src="annotated.mp4" width="320" height="240" data-times="[[946684800000, 0]]"'
            in content(output, 'report.html').decode()
        )


def test_bundles_are_judged_side_by_side_when_two_are_named(bag, tmp_path, capsys):
    out = str(tmp_path / 'out')
    evaluate(bag, out, '--truth', ANNOTATION, *TWO_BUNDLES, '--min-ccc-valence', 0.5, status=3)
    shas = {summary(os.path.join(out, name))['bundle']['sha256'] for name in TWO_BUNDLES[1::2]}
    told = json.loads(content(out, 'comparison.json'))
    assert len(shas) == 2 and {told[0]['before']['sha256'], told[0]['now']['sha256']} == shas
    assert {change['figure'] for change in told[0]['changes']} >= {'accuracy', 'coverage', 'flips_per_minute'}
    told = capsys.readouterr()
    assert 'esr_9_ferplus_int8 against esr_9_ferplus' in told.out
    assert all(f'evaluate_recording: {name}: --min-ccc-valence 0.5 ' in told.err for name in TWO_BUNDLES[1::2])


def test_cameras_have_faces_and_figures_of_their_own_when_there_are_several(tmp_path):
    path, right, count = str(tmp_path / 'two'), str(tmp_path / 'right'), 3
    begins_s = {'/left/image': 1.0, '/right/image': 13.0}  # one person here, three there
    write_images(path, begins_s, count)
    write_images(right, {'/right/image': 13.0}, count)
    quick = ['--parameter', 'smoothing.scores_s=0.02']
    evaluate(path, tmp_path / 'out', '--write-bag', '--video', *quick)
    found = summary(tmp_path / 'out')
    assert found['overall']['frames'] == 2 * count and found['overall']['faces'] == 4
    assert [found['cameras'][topic]['faces'] for topic in begins_s] == [1, 3]
    for topic, only in (
        ('/right/image', [right]),
        ('/left/image', [path, '--topic', '/left/image', '--topic', '/left/image']),
    ):
        evaluate(only[0], tmp_path / 'one', *only[1:], *quick)
        assert list(summary(tmp_path / 'one')['cameras']) == [topic]
        alone, together = (content(str(tmp_path / name), 'frames.csv').splitlines() for name in ('one', 'out'))
        assert alone[1:] == [row for row in together if row.startswith(topic.encode())]
    with BagFile(str(tmp_path / 'out' / 'annotated')) as written:
        assert written.topics['/left/image/detections'].count == count
    assert {'annotated_left_image.mp4', 'annotated_right_image.mp4'} <= set(os.listdir(tmp_path / 'out'))


def test_no_face_can_be_recognised_when_faces_are_blurred(bag, output, tmp_path):
    blurred, sharpness = str(tmp_path / 'blurred'), []
    evaluate(bag, blurred, '--truth', ANNOTATION, '--video', '--blur-faces')
    for folder in (output, blurred):
        pictures = [
            cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_GRAYSCALE)
            for coded in re.findall(r'data:image/jpeg;base64,([^"\')]+)', content(folder, 'report.html').decode())
        ]
        middle = [
            picture[len(picture) // 3 : 2 * len(picture) // 3, len(picture[0]) // 3 : 2 * len(picture[0]) // 3]
            for picture in pictures
        ]
        sharpness.append(max(cv2.Laplacian(each, cv2.CV_64F).std() for each in middle))
    assert sharpness[1] < 0.35 * sharpness[0]
    film = cv2.VideoCapture(os.path.join(blurred, 'annotated.mp4'))
    image = film.read()[1]
    film.release()
    assert len(EmotionPipeline().detector.detect(image).boxes) == 0
    assert content(blurred, 'frames.csv') == content(output, 'frames.csv')


def test_all_that_may_be_a_face_is_blurred_when_it_enters_or_is_one_too_many(tmp_path, monkeypatch):
    write_sample_bag(str(tmp_path / 'walk'), 6.5, 8, width=320, height=240)
    blurred, sharp = [], []

    def blur(image, boxes):
        blurred.append(len(boxes))
        places = np.array(boxes, np.float64).reshape(-1, 4)
        found = detector.detect(image)
        overlaps = intersection_over_union(found.boxes.astype(np.float64), places)
        sharp.extend(score for score, row in zip(found.scores, overlaps) if not (row > 0.5).any())
        return image

    detector = EmotionPipeline(threads=1).detector
    monkeypatch.setattr(visualization, 'blur_faces', blur)
    evaluate_bag(str(tmp_path / 'walk'), str(tmp_path / 'found'), Options(blur_faces=True, max_faces=1))
    assert len(blurred) == 52 and max(blurred) >= 2 and sharp == []


def test_faces_are_blurred_at_their_own_places_when_images_are_rotated(tmp_path, monkeypatch):
    path, blurred = str(tmp_path / 'mounted'), []
    with BagWriter(path) as writer:
        image = np.rot90(SampleVideo(320, 240).frame(0.0))
        writer.add(CAMERA, START_NS, make_image(header(START_NS, 'eye'), np.ascontiguousarray(image)))
    monkeypatch.setattr(visualization, 'blur_faces', lambda image, boxes: blurred.extend(boxes) or image)
    evaluate_bag(path, str(tmp_path / 'out'), Options(blur_faces=True, rotate_deg=90))
    (row,) = rows(tmp_path / 'out')
    assert len(blurred) > 1 and np.allclose(blurred, [float(row[name]) for name in BOX], atol=0.01)


def test_the_place_of_a_face_stays_blurred_for_a_moment_when_it_is_missed():
    image, faces = np.random.default_rng(0).integers(0, 256, (80, 160, 3), np.uint8), FaceBlur()
    faces.apply(image, [[10, 10, 50, 50], [100, 10, 140, 50]], 1.0)
    held, gone = (faces.apply(image, [[14, 10, 54, 50]], time_s) for time_s in (1.4, 1.8))
    assert (held != image)[20:40, 110:130].any() and not (gone != image)[:, 80:].any()
    # A neighbour whose box overlaps it is another face.
    faces.apply(image, [[10, 10, 50, 50], [46, 10, 86, 50]], 3.0)
    assert (faces.apply(image, [[12, 10, 52, 50]], 3.1) != image)[20:40, 70:80].any()


def test_nothing_is_left_and_one_line_says_so_when_it_is_stopped(bag, tmp_path, monkeypatch, capsys):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(EmotionPipeline, 'estimate_tracked', stop)
    out = str(tmp_path / 'out')
    evaluate(bag, out, '--video', '--write-bag', status=evaluate_recording.INTERRUPTED)
    assert os.listdir(out) == [] and capsys.readouterr().err.strip() == 'evaluate_recording: stopped'


def test_truth_that_holds_for_no_face_is_told(bag, tmp_path, capsys):
    (tmp_path / 'late.csv').write_text('start,end,emotion\n3,9,happy\n')
    evaluate(bag, tmp_path / 'out', '--truth', tmp_path / 'late.csv')
    told = capsys.readouterr().err
    assert 'late.csv: applies to none of the faces' in told and rows(tmp_path / 'out')[0]['face_id'] in told


def test_truth_in_milliseconds_is_refused_with_what_to_do(bag, tmp_path, capsys):
    for text, said in (
        ('0,500,happy\n500,1200,sad\n', 'look like milliseconds; divide them by 1000'),
        (f'{START_NS // 10**6},{START_NS // 10**6 + 9},happy\n', 'line 2.*a stamp in milliseconds'),
        (f'{START_NS},{START_NS + 10**9},happy\n', 'nanoseconds; divide all times by 1,000,000,000'),
    ):
        (tmp_path / 'truth.csv').write_text('start,end,emotion\n' + text)
        evaluate(bag, tmp_path / 'out', '--truth', tmp_path / 'truth.csv', status=1)
        told = capsys.readouterr().err
        assert re.search(said, told) and len(told.strip().splitlines()) == 1


@pytest.mark.parametrize('step_s', [30, 0.5])
def test_a_protocol_much_longer_than_the_recording_holds_when_its_times_may_be_seconds(bag, tmp_path, capsys, step_s):
    rows = ''.join(f'{place * step_s},{(place + 1) * step_s},happy\n' for place in range(round(100 / step_s)))
    (tmp_path / 'truth.csv').write_text('start,end,emotion\n' + rows)
    evaluate(bag, tmp_path / 'out', '--truth', tmp_path / 'truth.csv')
    assert 'contain no image' in (told := capsys.readouterr().err) and 'are these milliseconds?' in told


def test_truth_beyond_the_end_is_told_when_the_rest_holds(bag, tmp_path, capsys):
    (tmp_path / 'truth.csv').write_text('start,end,emotion\n0,0.3,happy\n0.3,9999,sad\n20,30,fear\n')
    evaluate(bag, tmp_path / 'out', '--truth', tmp_path / 'truth.csv')
    told = capsys.readouterr().err
    assert '1 of 3 intervals contain no image, the first of them from 20 to 30 s' in told
    assert summary(tmp_path / 'out')['truth']['n'] == COUNT


def test_our_own_answers_are_right_when_they_are_the_truth(bag, output, tmp_path):
    def late_winner(_, message):
        """Swap the two best scores of our detections: a moment later than the best score, as hysteresis gives it."""
        if message.topic != '/detections':
            return None
        fields = message.read()
        first, second = (each.hypothesis for each in fields.detections[0].results[:2])
        first.score, second.score = second.score, first.score
        return fields

    with BagWriter(str(tmp_path / 'own')) as writer:
        copy_into(writer, bag)
        copy_into(writer, os.path.join(output, 'annotated'), late_winner)
    evaluate(tmp_path / 'own', tmp_path / 'out', '--truth', '/detections')
    found = summary(tmp_path / 'out')['truth']
    assert (found['accuracy'], found['n'], found['answered']) == (1.0, COUNT, 1.0)


def test_recorded_numbers_that_are_none_do_no_harm_when_they_are_compared(short, tmp_path):
    def without_number(_, message):
        if message.topic != ANNOTATION:
            return None
        fields = message.read()
        fields.detections[0].results[0].hypothesis.score = float('nan')
        return fields

    with BagWriter(str(tmp_path / 'odd')) as writer:
        copy_into(writer, short, without_number)
        writer.write('/broken', DETECTIONS, START_NS, b'\0\1\0\0\xff\xff\xff')
    evaluate(tmp_path / 'odd', tmp_path / 'out')
    assert summary(tmp_path / 'out')['recorded']['n'] == 0


def test_what_was_lost_is_counted_and_the_rest_is_read_when_images_are_bad(bag, tmp_path, capsys):
    def cut_off(number, message):
        if number not in (2, 4):
            return None
        fields = message.read()
        return make(COMPRESSED_IMAGE, header=fields.header, format='jpeg', data=fields.data[: len(fields.data) // 2])

    path = str(tmp_path / 'bad')
    with BagWriter(path) as writer:
        copy_into(writer, bag, cut_off, [JPEG])
    evaluate(path, tmp_path / 'out')
    found = summary(tmp_path / 'out')
    assert found['overall']['frames'] == COUNT - 2 and found['overall']['bad_frames'] == 2 and not found['whole']
    assert '2 images could not be read' in ' '.join(found['bag']['faults']) + capsys.readouterr().err
    assert [int(row['frame']) for row in rows(tmp_path / 'out')] == [0, 1, 3, 5]
    evaluate(path, tmp_path / 'out', '--strict', status=evaluate_recording.MISSED)


def test_what_is_left_out_by_name_is_named_with_what_evaluates_it(short, tmp_path, capsys):
    path, thermal, infrared = (
        str(tmp_path / 'both'),
        str(tmp_path / 'thermal'),
        '/camera/infra1/image_rect_raw/compressed',
    )
    with BagWriter(path) as both, BagWriter(thermal) as alone, BagFile(short) as part:
        for message in part.messages([JPEG]):
            for topic in (JPEG, infrared):
                both.write(topic, message.msgtype, message.receive_ns, message.cdr)
            alone.write('/thermal/image', message.msgtype, message.receive_ns, message.cdr)
    evaluate(path, tmp_path / 'out')
    assert f'{infrared}; to evaluate one, use --topic {infrared}' in capsys.readouterr().out
    assert list(summary(tmp_path / 'out')['cameras']) == [JPEG] and summary(tmp_path / 'out')['whole']
    evaluate(path, tmp_path / 'out', '--topic', JPEG)
    assert 'not evaluated' not in capsys.readouterr().out
    evaluate(thermal, tmp_path / 'none', status=1)
    assert 'use --topic /thermal/image' in capsys.readouterr().err


def test_gaps_are_told_everywhere_when_images_are_missing(bag, plain, tmp_path, capsys):
    later_ns = (0, 3 * 10**9, 5 * 10**9)
    with BagWriter(str(tmp_path / 'holes')) as writer, BagFile(bag) as part:
        for number, message in enumerate(part.messages([JPEG])):
            shift_ns = later_ns[number // 2]
            moved = make(
                COMPRESSED_IMAGE,
                header=header(START_NS + number * 10**8 + shift_ns),
                format='jpeg',
                data=message.read().data,
            )
            cdr = typestore().serialize_cdr(moved, COMPRESSED_IMAGE)
            writer.write(JPEG, COMPRESSED_IMAGE, message.receive_ns + shift_ns, cdr)
    evaluate(tmp_path / 'holes', tmp_path / 'out')
    found = summary(tmp_path / 'out')
    assert found['cameras'][JPEG]['rate_hz'] == 10.0 and found['whole'] is True
    assert found['cameras'][JPEG]['gaps'] == {
        'count': 2,
        'seconds': 5.2,
        'longest': [{'start_s': 0.1, 'seconds': 3.1}, {'start_s': 3.3, 'seconds': 2.1}],
    }
    assert '2 gaps of 5.2 s in total without images, the longest of 3.1 s from 0.1 s' in capsys.readouterr().out
    page = content(str(tmp_path / 'out'), 'report.html').decode()
    assert 'Times without images' in page and '3.1\u00a0s from 0:00' in page
    assert summary(plain)['cameras'][JPEG]['gaps']['count'] == 0
    assert 'without images' not in summary_text(summary(plain))
    assert 'Times without' not in content(plain, 'report.html').decode()


def test_faces_last_as_long_as_is_asked_for_and_that_is_said_when_images_come_seldom(tmp_path, capsys):
    path, out = str(tmp_path / 'slow'), str(tmp_path / 'out')
    write_sample_bag(path, 15, 0.2, width=320, height=240, people=1)
    evaluate(path, out, '--remember', '0')
    told = capsys.readouterr().out
    assert 'one image every 5 s' in told and '--max-age 13' in told and summary(out)['overall']['faces'] == 3
    evaluate(path, out)
    assert 'recognised' in capsys.readouterr().out and summary(out)['overall']['faces'] == 1
    evaluate(path, out, '--max-age', '13')
    assert 'max-age' not in capsys.readouterr().out and summary(out)['overall']['faces'] == 1


def test_a_pair_of_swapped_images_changes_neither_faces_nor_the_length_of_the_recording(bag, output, tmp_path):
    with BagFile(bag) as opened, BagWriter(str(tmp_path / 'swapped')) as writer:
        messages = [(message.receive_ns, message.cdr) for message in opened.messages((JPEG,))]
        images = [raw for _, raw in messages]
        images[3:5] = images[4], images[3]
        for (receive_ns, _), raw in zip(messages, images):
            writer.write(JPEG, COMPRESSED_IMAGE, receive_ns, raw)
    evaluate(tmp_path / 'swapped', tmp_path / 'out')
    found, expected = summary(tmp_path / 'out'), summary(output)
    assert found['cameras'][JPEG]['seconds'] == pytest.approx(expected['cameras'][JPEG]['seconds'])
    assert found['overall']['faces'] == expected['overall']['faces'] == 1
    told = {row['stamp_ns']: row['face_id'] for row in rows(tmp_path / 'out')}
    assert told == {row['stamp_ns']: row['face_id'] for row in rows(output)}


def test_images_of_several_sizes_are_read_when_the_camera_changed_its_mode(tmp_path):
    path = str(tmp_path / 'sizes')
    with BagWriter(path) as writer:
        for number, (width, height) in enumerate(((320, 240), (160, 120), (240, 320))):
            stamp_ns = (100 + number) * 10**9
            message = make_image(header(stamp_ns, 'eye'), SampleVideo(width, height).frame(0.0))
            writer.add(CAMERA, stamp_ns, message)
    evaluate(path, tmp_path / 'out', '--video')
    assert summary(tmp_path / 'out')['overall']['frames'] == 3 and os.path.exists(tmp_path / 'out' / 'annotated.mp4')


@pytest.mark.parametrize(
    'arguments, said',
    [
        (['--topic', '/nowhere'], '/nowhere, but the recording has'),
        (['--topic', ANNOTATION], 'expected images on'),
        (['--truth', '/nowhere'], 'annotation topic'),
        (['--truth', 'none.csv'], 'CSV file of intervals'),
        (['--bundle', 'no_such'], 'no_such'),
        (['--compare', 'no.json'], 'summary.json'),
        (['--recorded', JPEG], 'compare with'),
        (['--recorded', 'mine'], 'got mine'),
        (['--max-faces', '-1'], 'max_faces'),
        (['--threads', '0'], 'threads'),
        (['--max-age', '61'], 'max_age_s'),
        (['--estimate-every', '0'], 'estimate_every_n'),
        (['--precision', 'bf16'], 'engine openvino'),
        (['--face-batch', '65'], 'face_batch'),
        (['--workers', '-1'], '--workers'),
        (['--bundle', 'a/esr', '--bundle', 'b/esr'], 'bundles with different names'),
        (['--min-accuracy', '80'], '--min-accuracy: expected 0 to 1'),
        (['--max-flips', 'nan'], '--max-flips: expected 0 to'),
        (['--parameter', 'smoothing.scores_s'], '--parameter: expected NAME=VALUE'),
        (['--parameter', 'smoothing.score_s=1'], 'one of smoothing.enabled, smoothing.scores_s'),
        (['--parameter', 'smoothing.margin=often'], 'smoothing.margin: expected a number'),
        (['--parameter', 'smoothing.margin=2'], 'smoothing.margin in [0, 1]'),
    ],
)
def test_one_line_says_what_is_wrong_when_the_request_is(bag, tmp_path, capsys, arguments, said):
    of_the_input = ('--topic', '--truth', '--compare', '--recorded', '--bundle')
    status = 1 if arguments[0] in of_the_input and len(arguments) == 2 and arguments[1] != 'mine' else 2
    evaluate(bag, tmp_path / 'out', *arguments, status=status)
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and said in told[0] and told[0].startswith('evaluate_recording: ')
    assert not os.path.exists(tmp_path / 'out' / 'frames.csv')


def test_the_results_go_into_a_folder_of_their_own(bag, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    for output, said in ((tmp_path / 'file', 'which is a file'), ('', "got ''"), (bag, 'outside the recording')):
        evaluate(bag, output, status=2)
        assert said in capsys.readouterr().err
    assert sorted(os.listdir(bag)) == ['metadata.yaml', 'walk.mcap']


def test_one_line_says_so_when_a_recording_is_missing_or_has_no_images(tmp_path, capsys):
    with BagWriter(tmp_path / 'deaf') as writer:
        writer.write(
            '/chatter',
            'std_msgs/msg/String',
            1,
            typestore().serialize_cdr(make('std_msgs/msg/String'), 'std_msgs/msg/String'),
        )
    with BagWriter(tmp_path / 'blind') as writer:
        writer.write(CAMERA, IMAGE, 1, b'\0\1\0\0')
    for path, said in (
        (tmp_path / 'nowhere', 'does not exist'),
        (tmp_path / 'deaf', '/chatter (std_msgs/msg/String)'),
        (tmp_path / 'blind', 'got none that can be read'),
    ):
        evaluate(path, tmp_path / 'out', status=1)
        told = capsys.readouterr().err
        assert said in told and len(told.strip().splitlines()) == 1


def test_bounds_set_the_exit_code_when_they_are_given(short, tmp_path, capsys):
    (tmp_path / 'wrong.csv').write_text('start,end,emotion\n0,9,sad\n')
    met = '--min-accuracy 0.9 --min-macro-f1 1 --min-coverage 1 --max-flips 0 --max-unknown 0'.split()
    evaluate(short, tmp_path / 'out', '--truth', ANNOTATION, *met)
    assert 'bound' not in capsys.readouterr().err
    missed = ['--min-accuracy', '0.01', '--min-ccc-valence', '0.1']
    evaluate(short, tmp_path / 'out', '--truth', tmp_path / 'wrong.csv', *missed, status=evaluate_recording.MISSED)
    told = capsys.readouterr().err
    assert '--min-accuracy 0.01 is missed: accuracy is 0' in told
    assert re.search('--min-ccc-valence 0.1 .*cannot be checked', told)


def contents(folder):
    """Read all files below a folder: {path in it: bytes}."""
    return {
        os.path.relpath(os.path.join(home, name), folder): content(home, name)
        for home, _, names in os.walk(folder)
        for name in names
    }


@pytest.mark.parametrize(
    'recording, more, rooms',  # KiB that are free: the tables fail, the Parquet file, our messages, the video, a page
    [
        ('bag', ['--write-bag', '--video'], (8, 16, 40, 100, 1000)),
        ('short', TWO_BUNDLES, (8, 5000)),
    ],
)
def test_former_results_stay_and_the_same_command_mends_it_when_the_disk_is_full(
    request, tmp_path, capsys, recording, more, rooms
):
    with small_disk(tmp_path / 'disk', 32768) as disk:
        out, ballast = str(disk.path / 'out'), disk.path / 'ballast'
        command = [request.getfixturevalue(recording), '--output', out, *more]
        assert evaluate_recording.main([*command, '--blur-faces']) == 0
        former = contents(out)
        for room in rooms:
            ballast.write_bytes(bytes(shutil.disk_usage(str(disk.path)).free - 1024 * room))
            capsys.readouterr()
            assert evaluate_recording.main(command) == 1
            told = capsys.readouterr().err.strip().splitlines()
            assert len(told) == 1 and out in told[0] and 'the same command' in told[0], told
            assert contents(out) == former
            ballast.unlink()
        assert evaluate_recording.main(command) == 0
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


@pytest.mark.parametrize(
    'names, more',
    [
        (['frames.csv', 'summary.json', 'annotated', 'annotated.mp4'], ['--write-bag', '--video']),
        (['comparison.json'], TWO_BUNDLES),
    ],
)
def test_a_file_that_no_evaluation_wrote_stays_until_it_is_given_up(short, tmp_path, capsys, names, more):
    out = tmp_path / 'out'
    command = [short, '--output', str(out), *more]
    for name in names:
        out.mkdir()
        (out / name).write_text('{"mine": 1}')
        assert evaluate_recording.main(command) == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert len(told) == 1 and f'got {name}, which would be lost' in told[0] and '--force' in told[0]
        assert os.listdir(out) == [name] and (out / name).read_text() == '{"mine": 1}'
        shutil.rmtree(out)
    out.mkdir()
    for name in names:
        (out / name).write_text('{"mine": 1}')
    assert evaluate_recording.main([*command, '--force']) == 0
    for name in names:
        assert os.path.isdir(out / name) if name == 'annotated' else content(out, name) != b'{"mine": 1}'


def test_files_of_others_stay_and_those_of_a_killed_run_go_when_an_evaluation_is_made_beside_them(short, tmp_path):
    out = tmp_path / 'out'
    (out / '.evaluation.part').mkdir(parents=True)
    (out / '.evaluation.part' / '.frames.csv.part').write_text('half')
    mine = {'annotated', 'annotated_by_hand.mp4', 'frames.txt'}
    for name in mine:
        (out / name).write_text('mine')
    for _ in range(2):
        evaluate(short, out)
        assert set(os.listdir(out)) == ALWAYS | mine
        assert all(content(out, name) == b'mine' for name in mine)


def test_all_that_the_former_evaluation_wrote_goes_and_nothing_else(short, output, tmp_path):
    out = tmp_path / 'out'
    shutil.copytree(output, out)
    told = summary(out)
    told['files'] += ['thesis.txt', '../beside.txt', 7]
    (out / 'summary.json').write_text(json.dumps(told))
    mine = {'thesis.txt', 'annotated_by_hand.mp4', 'annotated_notes'}
    for path in (*(out / name for name in mine), tmp_path / 'beside.txt'):
        path.write_text('mine')
    assert set(os.listdir(out)) == ALWAYS | mine | {'annotated', 'annotated.mp4'}
    evaluate(short, out)
    assert set(os.listdir(out)) == ALWAYS | mine and (tmp_path / 'beside.txt').exists()


def test_the_sample_is_made_when_its_command_is_typed(tmp_path, capsys):
    path = str(tmp_path / 'bag')
    assert make_sample_bag.main([path, '--seconds', '0.3']) == 0
    assert 'evaluate_recording' in capsys.readouterr().out
    with BagFile(path) as made:
        assert made.topics[JPEG].count == 3
    assert make_sample_bag.main([path]) == 1 and 'which exists' in capsys.readouterr().err
    shutil.rmtree(path)


@pytest.mark.usefixtures('in_this_process')
def test_a_folder_of_recordings_is_many_and_bounds_hold_for_all_together(short, tmp_path, capsys):
    shelf, out = tmp_path / 'shelf', str(tmp_path / 'out')
    write_sample_bag(str(shelf / 'one'), 0.3, 10, width=320, height=240)
    shutil.copytree(short, shelf / 'deeper' / 'walk')
    (shelf / 'damaged.mcap').write_bytes(b'nothing of a recording')
    arguments = [str(shelf), '--output', out, '--truth', ANNOTATION, '--min-accuracy', '0.5']
    assert evaluate_recording.main(arguments) == 1
    told = capsys.readouterr()
    assert 'damaged' in told.err and '2 evaluated' in told.out and '1 failed' in told.out
    os.remove(shelf / 'damaged.mcap')
    assert evaluate_recording.main([*arguments, '--min-ccc-arousal', '0.5']) == evaluate_recording.MISSED
    assert '2 up to date' in capsys.readouterr().out
    assert os.path.exists(os.path.join(out, 'index.html')) and os.path.exists(os.path.join(out, 'fleet.json'))


def test_no_control_character_is_shown_when_topics_and_files_have_names_of_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('facial_emotion_ros.recordings.io.sample_bag.CAMERA', '/\x1b[2Jcamera')
    bag = os.path.join(tmp_path, os.fsdecode(b'caf\xe9\x1b[31m'))
    write_sample_bag(bag, 0.2, 10, width=320, height=240)
    output = str(tmp_path / 'out')
    evaluate(bag, output)
    shown = ''.join(capsys.readouterr())
    page = content(output, 'report.html').decode()
    for text in (shown, page, content(output, 'frames.csv').decode()):
        assert '\x1b' not in text and r'\x1b[2J' in text
    assert r'caf\xe9' in shown + page
    evaluate(bag, output, '--topic', '/\x1b]0;none', '--force', status=1)
    shown = ''.join(capsys.readouterr())
    assert '\x1b' not in shown and r'\x1b]0;none' in shown
