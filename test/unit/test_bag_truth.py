"""Annotations go to the right face at the right time, and those that cannot be read are reported."""

import numpy as np
import pytest
from bag_faces import face, frame

from facial_emotion_ros.core.errors import BadBag, BadDataset, BadParameter
from facial_emotion_ros.recordings.evaluation.face_log import best_hypothesis
from facial_emotion_ros.recordings.evaluation.ground_truth import Annotations, Intervals, NullGroundTruth, open_truth
from facial_emotion_ros.recordings.evaluation.recorded_detections import Recorded, find_recorded
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import DETECTIONS, EXPRESSION, detection, header, make, typestore
from facial_emotion_ros.recordings.io.writer import BagWriter

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

BEGIN_NS = 1767225600 * 10**9


def detections(time_s, *faces):
    """Make a Detection2DArray of (word, score, box, id)."""
    head = header(at(time_s))
    rows = [detection(head, name, np.array(box, float), [(word, score)]) for word, score, box, name in faces]
    return make(DETECTIONS, header=head, detections=rows)


def expression(time_s, word, valence=0.0, arousal=0.0, confidence=1.0):
    return make(
        EXPRESSION,
        header=header(at(time_s)),
        expression=word,
        valence=valence,
        arousal=arousal,
        confidence=confidence,
    )


def write(path, topic, messages, late_s=0.01):
    with BagWriter(path) as bag:
        for message in messages:
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            bag.add(topic, stamp_ns + round(late_s * 1e9), message)
    return path


def annotations(tmp_path, *messages):
    """Read annotations that were recorded."""
    with BagFile(write(tmp_path / 'bag', '/truth', messages)) as bag:
        return Annotations(bag, '/truth')


def at(time_s):
    return BEGIN_NS + round(time_s * 1e9)


def intervals(tmp_path, text):
    path = tmp_path / 'truth.csv'
    path.write_text(text)
    return Intervals(str(path))


def truths(truth, time_s, *faces, frame_id='eye'):
    image = frame(time_s=time_s, begin_ns=BEGIN_NS)._replace(frame_id=frame_id)
    return truth.of(image, time_s, list(faces))


def emotions(truth, time_s, *faces, frame_id='eye'):
    return [each and each.emotion for each in truths(truth, time_s, *faces, frame_id=frame_id)[0]]


def test_an_interval_holds_from_its_start_to_its_end_when_it_is_for_any_face(tmp_path):
    truth = intervals(tmp_path, 'start,end,emotion\n1,2,happy\n2,3.5,angry\n')
    assert [emotions(truth, time_s, face()) for time_s in (0.99, 1.0, 1.99, 2.0, 3.5)] == [
        [None],
        ['happy'],
        ['happy'],
        ['anger'],
        [None],
    ]


@pytest.mark.parametrize('begin_s', [0, BEGIN_NS / 1e9])
def test_an_image_belongs_to_the_interval_that_begins_at_its_time_in_frames_csv(tmp_path, begin_s):
    edges = [f'{begin_s + number / 30:.6f}' for number in range(92)]
    words = ['happy', 'sad'] * 46
    rows = ''.join(f'{start},{end},{word}\n' for start, end, word in zip(edges, edges[1:], words))
    truth = intervals(tmp_path, f'start,end,emotion\n{rows}')
    assert [emotions(truth, number / 30, face()) for number in range(91)] == [[word] for word in words[:91]]


@pytest.mark.parametrize('end, asks', [('450', True), ('450.5', False), ('5000', False)])
def test_milliseconds_are_asked_about_when_the_only_interval_begins_with_the_recording(tmp_path, end, asks):
    truth = intervals(tmp_path, f'start,end,emotion\n0,{end},happy\n')
    truth.refuse_milliseconds(0.9)
    assert emotions(truth, 0.5, face()) == ['happy']
    assert ('are these milliseconds?' in truth.beyond(0.9)) == asks


@pytest.mark.parametrize(
    'name, text, asks',
    [
        ('own.csv', 'start,end,emotion\n30,31,happy\n', True),
        ('own.csv', 'start,end,emotion\n1700000000,1700000001,happy\n', False),
        ('elan.txt', 'emotion\t00:05:01.000\t00:05:02.000\thappy\n', False),
    ],
)
def test_nobody_is_asked_for_the_unit_of_intervals_when_it_is_known(tmp_path, name, text, asks):
    (tmp_path / name).write_text(text)
    told = Intervals(str(tmp_path / name)).unused()
    assert '1 of 1 intervals contain no image' in told and ('are these milliseconds?' in told) == asks


def test_an_interval_of_one_face_comes_first_when_another_is_for_any(tmp_path):
    truth = intervals(tmp_path, 'start,end,face,emotion,valence,arousal\n0,9,any,neutral,,\n0,9,bcdfg,sad,-0.5,\n')
    found, _ = truths(truth, 1, face(), face(face_id='other'))
    assert [each.emotion for each in found] == ['sad', 'neutral']
    assert (found[0].valence, found[0].arousal) == (-0.5, None)


def test_times_may_be_stamps_when_they_are_large(tmp_path):
    truth = intervals(tmp_path, f'start,end,emotion\n{at(1) / 1e9:.2f},{at(2) / 1e9:.2f},fear\n')
    assert emotions(truth, 1.5, face()) == ['fear'] and emotions(truth, 2.5, face()) == [None]


@pytest.mark.parametrize(
    'text, said',
    [
        ('', 'header line'),
        ('from,to,emotion\n', 'columns start, end'),
        ('start,end\n1,2\n', 'columns start, end'),
        ('start,end,emotion\n1,x,happy\n', r'line 2: end.*time in seconds'),
        ('start,end,emotion\n2,1,happy\n', 'line 2: expected an end after the start'),
        ('start,end,emotion\n1,2,glad\n', "line 2.*'glad'"),
        ('start,end,emotion,valence\n1,2,,\n', 'neither'),
        ('start,end,emotion,valence\n1,2,happy,7\n', r'\[-1, 1\]'),
        ('start,end,emotion\n1,nan,happy\n', 'nan'),
        (
            'start,end,valence,arousal\n0,5,0,5,0,3\n',
            'line 2: expected 4 cells, like the header line, got 6; use decimal',
        ),
        ('start,end,emotion\n0,5,happy,sad\n', 'line 2: expected 3 cells'),
        ('start,end,face,emotion\n0,5,happy\n', 'line 2: expected 4 cells, like the header line, got 3'),
        ('start;end;emotion\n1;2;happy;sad\n', 'got 4$'),
        ('start,end,emotion,Emotion\n1,2,happy,sad\n', 'each column once, got emotion 2 times'),
        ('start,end,emotion\n', 'a row for each interval'),
        ('start,end,emotion\n1,"2,5",happy\n', 'use a decimal point'),
        ('start,end,emotion\n\n\n1,x,happy\n', 'line 4'),
        ('SEP=;\r\nstart;end;emotion\n1;x;happy\n', 'line 3'),
    ],
)
def test_the_line_is_named_when_a_table_of_intervals_cannot_be_read(tmp_path, text, said):
    with pytest.raises(BadDataset, match=said):
        intervals(tmp_path, text)


def test_a_spreadsheet_s_table_is_read_when_it_has_a_mark_capitals_and_empty_lines(tmp_path):
    path = tmp_path / 'truth.csv'
    path.write_bytes('\ufeffStart,End,Emotion\r\n1,2,Happy\r\n,,\r\n'.encode())
    assert emotions(Intervals(str(path)), 1.5, face()) == ['happy']


def test_a_table_may_have_semicolons_and_decimal_commas(tmp_path):
    truth = intervals(tmp_path, 'start;end;face;emotion;valence\n0,5;2,5;a,b;happy;-0,25\n')
    (found,), _ = truths(truth, 0.5, face(face_id='a,b'))
    assert (found.emotion, found.valence) == ('happy', -0.25) and emotions(truth, 2.5, face(face_id='a,b')) == [None]


def test_rows_of_a_face_and_of_any_add_up_and_those_that_decide_nothing_are_told(tmp_path):
    text = 'start,end,face,emotion,valence\n0,9,any,happy,0.1\n0,9,bcdfg,,0.5\n0,9,any,sad,\n0,9,gone,fear,\n'
    truth = intervals(tmp_path, text)
    found, _ = truths(truth, 1, face(), face(face_id='other'))
    assert [(each.emotion, each.valence) for each in found] == [('happy', 0.5), ('happy', 0.1)]
    assert '2 of 4 intervals are unused' in truth.unused() and truth.unused().endswith('0 to 9 s')
    only = intervals(tmp_path, 'start,end,face,emotion\n0,9,gone,fear\n0,9,any,sad\n')
    assert emotions(only, 1, face()) == ['sad'] and '1 of 2 intervals' in only.unused() and 'of gone' in only.unused()


def test_intervals_count_the_time_of_the_recording_when_its_stamps_went_back(tmp_path):
    truth = intervals(tmp_path, 'start,end,emotion\n5,6,fear\n')
    assert truth.of(frame(time_s=-40.0, begin_ns=BEGIN_NS), 5.5, [face()])[0][0].emotion == 'fear'


def test_a_missing_table_is_told_when_truth_is_opened(tmp_path):
    with pytest.raises(BadDataset, match='cannot be read'):
        Intervals(str(tmp_path / 'none.csv'))


def test_each_face_gets_the_annotation_that_lies_on_it_when_boxes_are_annotated(tmp_path):
    truth = annotations(
        tmp_path,
        detections(0.0, ('happy', 1.0, (0, 0, 10, 10), 'ann'), ('sad', 1.0, (50, 0, 60, 10), 'bob')),
        detections(1.0, ('surprised', 1.0, (0, 0, 10, 10), 'ann')),
    )
    left, right = face(box=(1.0, 0.0, 10.0, 10.0)), face(box=(51.0, 0.0, 60.0, 11.0))
    found, missed = truths(truth, 0.0, right, left)
    assert [(each.emotion, each.person) for each in found] == [('sad', 'bob'), ('happy', 'ann')] and missed == 0
    assert truths(truth, 0.0, face(box=(20.0, 0.0, 30.0, 10.0))) == ([None], 2)
    assert emotions(truth, 1.04, left) == ['surprise'] and emotions(truth, 1.2, left) == [None]


def test_the_closest_box_is_taken_when_two_lie_on_a_face(tmp_path):
    near, far = (0, 0, 10, 10), (3, 0, 13, 10)
    truth = annotations(tmp_path, detections(0.0, ('sad', 1.0, far, 'bob'), ('happy', 1.0, near, 'ann')))
    assert emotions(truth, 0.0, face(box=(0.5, 0.0, 10.5, 10.0))) == ['happy']
    assert emotions(truth, 0.0, face(box=(0.5, 0.0, 10.5, 10.0)), face(box=(3.0, 0.0, 13.0, 10.0))) == ['happy', 'sad']


def test_no_face_is_lost_to_a_better_overlap_when_another_pairing_keeps_both(tmp_path):
    left, right = (0, 0, 10, 10), (6, 0, 16, 10)
    truth = annotations(tmp_path, detections(0.0, ('happy', 1.0, left, 'ann'), ('sad', 1.0, right, 'bob')))
    between, beside = (2.9, 0.0, 12.9, 10.0), (-4.0, 0.0, 6.0, 10.0)  # the first overlaps the left one a little more
    assert emotions(truth, 0.0, face(box=between), face(box=beside)) == ['sad', 'happy']


def test_boxes_belong_to_the_camera_of_their_frame_when_there_are_several(tmp_path):
    message = detections(0.0, ('happy', 1.0, (0, 0, 10, 10), 'ann'))
    bare = write(tmp_path / 'bare', '/truth', [message])
    message.header.frame_id = 'left'
    named = write(tmp_path / 'named', '/truth', [message])
    there = face(box=(0.0, 0.0, 10.0, 10.0))
    with BagFile(named) as bag:
        truth = open_truth('/truth', bag, several_cameras=True)
    assert emotions(truth, 0.0, there, frame_id='left') == ['happy']
    assert truths(truth, 0.0, there, frame_id='right') == ([None], 0)
    with BagFile(bare) as bag:
        with pytest.raises(BadBag, match='frame_id.*--topic'):
            open_truth('/truth', bag, several_cameras=True)
        assert emotions(open_truth('/truth', bag), 0.0, there, frame_id='left') == ['happy']


def test_our_own_unknown_is_no_truth_when_detections_put_it_first(tmp_path):
    message = detections(0.0, ('unknown', 0.0, (0, 0, 10, 10), 'x'))
    message.detections[0].results += detections(0.0, ('happy', 0.9, (0, 0, 1, 1), '')).detections[0].results
    assert emotions(annotations(tmp_path, message), 0.0, face(box=(0.0, 0.0, 10.0, 10.0))) == ['']


@pytest.mark.parametrize(
    'told, meant',
    [
        ([('sad', 0.3), ('happy', 0.45), ('fear', 0.25)], 'sad'),  # ours, while another class leads for a moment
        ([('unknown', 0.0), ('happy', 0.9), ('sad', 0.1)], 'unknown'),
        ([('happy', 0.9), ('sad', 0.1)], 'happy'),
        ([('neutral', 0.0), ('happy', 1.0), ('sad', 0.0)], 'happy'),  # others, in an order of their own
        ([('neutral', 0.1), ('happy', 0.2), ('sad', 0.7)], 'sad'),
        ([('happy', 0.0)], 'happy'),
        ([], ''),
    ],
)
def test_the_meant_hypothesis_is_found_whoever_wrote_the_list(told, meant):
    assert best_hypothesis(told)[0] == meant


def test_what_cannot_be_read_is_told_and_the_rest_is_used_when_annotations_are_damaged(tmp_path):
    path = tmp_path / 'bag'
    broken = detections(0.1, ('happy', float('nan'), (0, 0, 10, 10), 'x'), ('sad', 1.0, (0, 0, float('inf'), 10), 'y'))
    with BagWriter(path) as bag:
        for stamp_ns, cdr in (
            (1, b'\0\1\0\0\xff'),
            (2, typestore().serialize_cdr(broken, DETECTIONS)),
            (3, typestore().serialize_cdr(detections(0.2, ('fear', 1.0, (0, 0, 10, 10), 'z')), DETECTIONS)),
        ):
            bag.write('/truth', DETECTIONS, stamp_ns, cdr)
    with BagFile(path) as bag:
        truth = Annotations(bag, '/truth')
        assert bag.faults and '/truth: 1 message could not be read' in bag.faults[0]
        assert find_recorded(bag, '') == '/truth' and len(bag.faults) == 1
    there = face(box=(0.0, 0.0, 10.0, 10.0))
    assert emotions(truth, 0.2, there) == ['fear'] and emotions(truth, 0.1, there) == [None]


@pytest.mark.parametrize('message, said', [(('happy', 7.0), r'valence.*\[-1, 1\]'), (('hungry', 0.0), 'hungry')])
def test_what_is_no_emotion_or_no_affect_is_told_when_an_annotation_holds_it(tmp_path, message, said):
    with pytest.raises(BadDataset, match=said):
        annotations(tmp_path, expression(1, *message))


def test_an_expression_holds_until_the_next_when_it_is_the_annotation(tmp_path):
    truth = annotations(tmp_path, expression(1, 'happy', 0.5, -0.25), expression(3, '', confidence=0.0))
    assert emotions(truth, 0.5, face()) == [None] and emotions(truth, 2.9, face(), face()) == ['happy', 'happy']
    assert truths(truth, 2, face())[0][0][1:3] == (0.5, -0.25) and emotions(truth, 3.1, face()) == [None]


def test_a_topic_that_is_no_annotation_is_refused_with_those_that_are(tmp_path):
    path = write(tmp_path / 'bag', '/truth', [expression(1, 'happy')])
    with BagFile(path) as bag:
        with pytest.raises(BadBag, match='/nothing, which is not recorded; topics of these types: /truth'):
            open_truth('/nothing', bag)
        with pytest.raises(BadParameter, match='labels.xlsx'):
            open_truth('labels.xlsx', bag)
        assert isinstance(open_truth('/truth', bag), Annotations) and type(open_truth('', bag)) is NullGroundTruth


def test_recorded_detections_come_before_what_may_be_annotations(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, score in (('/annotation', 1.0), ('/ours', 0.7)):
            bag.add(topic, at(0), detections(0.0, ('happy', score, (10, 10, 50, 60), 'x')))
    with BagFile(tmp_path / 'bag') as bag:
        assert find_recorded(bag, '') == '/ours' and find_recorded(bag, '', ['/ours']) == '/annotation'
        for topic, is_certain in (('/ours', False), ('/annotation', True)):
            recorded = Recorded(bag, topic)
            recorded.compare(frame(time_s=0.0, begin_ns=BEGIN_NS), [face('happy')])
            assert recorded.figures()['certain'] == is_certain


def test_recorded_emotions_are_found_and_compared_when_detections_tell_them(tmp_path):
    path = tmp_path / 'bag'
    with BagWriter(path) as bag:
        for topic, word in (('/boxes', 'person'), ('/emotions', 'happy'), ('/emotions/raw', 'sad'), ('/truth', 'fear')):
            for time_s in (0.0, 0.1):
                message = detections(time_s, (word, 0.7, (10, 10, 50, 60), 'x'))
                bag.add(topic, at(time_s) + 30_000_000, message)
    with BagFile(path) as bag:
        assert find_recorded(bag, '', '/truth') == '/emotions' and find_recorded(bag, '/truth') == '/truth'
        with pytest.raises(BadBag, match='/nowhere'):
            find_recorded(bag, '/nowhere')
        recorded = Recorded(bag, '/emotions')
    recorded.compare(frame(time_s=0.0, begin_ns=BEGIN_NS), [face('happy', confidence=0.9)])
    recorded.compare(frame(time_s=0.1, begin_ns=BEGIN_NS), [face('sad'), face(box=(70.0, 0.0, 90.0, 20.0))])
    recorded.compare(frame(time_s=5.0, begin_ns=BEGIN_NS), [face('sad')])
    recorded.compare(frame(time_s=0.103, begin_ns=BEGIN_NS), [face('sad')])  # 3 ms off: another image's
    found = recorded.figures()
    assert (found['n'], found['agreement'], found['images'], found['faces_ours']) == (2, 0.5, 2, 3)
    assert found['latency_ms_p50'] == pytest.approx(30) and found['confidence_gap'] == pytest.approx(0.2)
