"""What people said of a recording belongs to the right face at the right time, and what cannot be read is told."""
import pytest

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

from bag_faces import face

from facial_emotion_ros.bag_evaluation.recorded import Recorded, find_recorded
from facial_emotion_ros.bag_evaluation.truth import Annotations, Intervals, NoTruth, open_truth
from facial_emotion_ros.bags.bag_file import BagFile
from facial_emotion_ros.bags.message_types import DETECTIONS, EXPRESSION, header, make, typestore
from facial_emotion_ros.bags.writer import BagWriter
from facial_emotion_ros.errors import BadBag, BadDataset

BEGIN_NS = 1767225600 * 10 ** 9


def detections(time_s, *faces):
    """Make a Detection2DArray of (word, score, box, id)."""
    rows = []
    for word, score, (x0, y0, x1, y1), name in faces:
        middle = make('vision_msgs/msg/Point2D', x=(x0 + x1) / 2, y=(y0 + y1) / 2)
        box = make('vision_msgs/msg/BoundingBox2D', center=make('vision_msgs/msg/Pose2D', position=middle),
                   size_x=float(x1 - x0), size_y=float(y1 - y0))
        told = make('vision_msgs/msg/ObjectHypothesis', class_id=word, score=score)
        rows.append(make('vision_msgs/msg/Detection2D', id=name, bbox=box, results=[
            make('vision_msgs/msg/ObjectHypothesisWithPose', hypothesis=told)]))
    return make(DETECTIONS, header=header(BEGIN_NS + round(time_s * 1e9)), detections=rows)


def expression(time_s, word, valence=0.0, arousal=0.0, confidence=1.0):
    return make(EXPRESSION, header=header(BEGIN_NS + round(time_s * 1e9)), expression=word, valence=valence,
                arousal=arousal, confidence=confidence)


def write(path, topic, messages, late_s=0.01):
    with BagWriter(path) as bag:
        for message in messages:
            stamp_ns = message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec
            kind = message.__msgtype__
            bag.write(topic, kind, stamp_ns + round(late_s * 1e9), typestore().serialize_cdr(message, kind))
    return path


def at(time_s):
    return BEGIN_NS + round(time_s * 1e9)


def intervals(tmp_path, text):
    path = tmp_path / 'truth.csv'
    path.write_text(text)
    found = Intervals(str(path))
    found.begin(BEGIN_NS)
    return found


def emotions(truth, time_s, *faces):
    return [each and each.emotion for each in truth.of(at(time_s), list(faces))[0]]


def test_an_interval_holds_from_its_start_to_its_end_when_it_is_for_any_face(tmp_path):
    truth = intervals(tmp_path, 'start,end,emotion\n1,2,happy\n2,3.5,angry\n')
    assert [emotions(truth, time_s, face()) for time_s in (0.99, 1.0, 1.99, 2.0, 3.5)] == [
        [None], ['happy'], ['happy'], ['anger'], [None]]


def test_an_interval_of_one_face_comes_first_when_another_is_for_any(tmp_path):
    truth = intervals(tmp_path, 'start,end,face,emotion,valence,arousal\n0,9,any,neutral,,\n0,9,bcdfg,sad,-0.5,\n')
    found, _ = truth.of(at(1), [face(), face(face_id='other')])
    assert [each.emotion for each in found] == ['sad', 'neutral']
    assert (found[0].valence, found[0].arousal) == (-0.5, None)


def test_times_may_be_stamps_when_they_are_large(tmp_path):
    truth = intervals(tmp_path, f'start,end,emotion\n{at(1) / 1e9:.2f},{at(2) / 1e9:.2f},fear\n')
    assert emotions(truth, 1.5, face()) == ['fear'] and emotions(truth, 2.5, face()) == [None]


@pytest.mark.parametrize('text, said', [
    ('', 'first line'), ('from,to,emotion\n', 'columns start, end'), ('start,end\n1,2\n', 'columns start, end'),
    ('start,end,emotion\n1,x,happy\n', r'line 2: end.*time in seconds'),
    ('start,end,emotion\n2,1,happy\n', 'line 2: expected an end after the start'),
    ('start,end,emotion\n1,2,glad\n', "line 2.*'glad'"), ('start,end,emotion,valence\n1,2,,\n', 'neither'),
    ('start,end,emotion,valence\n1,2,happy,7\n', r'\[-1, 1\]'), ('start,end,emotion\n1,nan,happy\n', 'nan')])
def test_the_line_is_named_when_a_table_of_intervals_cannot_be_read(tmp_path, text, said):
    with pytest.raises(BadDataset, match=said):
        intervals(tmp_path, text)


def test_a_missing_table_is_told_when_truth_is_opened(tmp_path):
    with pytest.raises(BadDataset, match='cannot be read'):
        Intervals(str(tmp_path / 'none.csv'))


def test_each_face_gets_the_annotation_that_lies_on_it_when_boxes_are_annotated(tmp_path):
    path = write(tmp_path / 'bag', '/truth', [
        detections(0.0, ('happy', 1.0, (0, 0, 10, 10), 'ann'), ('sad', 1.0, (50, 0, 60, 10), 'bob')),
        detections(1.0, ('surprised', 1.0, (0, 0, 10, 10), 'ann'))])
    with BagFile(path) as bag:
        truth = Annotations(bag, '/truth')
    left, right = face(box=(1.0, 0.0, 10.0, 10.0)), face(box=(51.0, 0.0, 60.0, 11.0))
    found, missed = truth.of(at(0.0), [right, left])
    assert [(each.emotion, each.person) for each in found] == [('sad', 'bob'), ('happy', 'ann')] and missed == 0
    assert truth.of(at(0.0), [face(box=(20.0, 0.0, 30.0, 10.0))]) == ([None], 2)
    assert emotions(truth, 1.04, left) == ['surprise'] and emotions(truth, 1.2, left) == [None]


def test_an_expression_holds_until_the_next_when_it_is_the_annotation(tmp_path):
    path = write(tmp_path / 'bag', '/truth', [expression(1, 'happy', 0.5, -0.25), expression(3, '', confidence=0.0)])
    with BagFile(path) as bag:
        truth = Annotations(bag, '/truth')
    assert emotions(truth, 0.5, face()) == [None] and emotions(truth, 2.9, face(), face()) == ['happy', 'happy']
    assert truth.of(at(2), [face()])[0][0][1:3] == (0.5, -0.25) and emotions(truth, 3.1, face()) == [None]


def test_a_topic_that_is_no_annotation_is_refused_with_those_that_are(tmp_path):
    path = write(tmp_path / 'bag', '/truth', [expression(1, 'happy')])
    with BagFile(path) as bag:
        with pytest.raises(BadBag, match='/nothing, which is not recorded; topics of such a type: /truth'):
            open_truth('/nothing', bag)
        assert isinstance(open_truth('/truth', bag), Annotations) and type(open_truth('', bag)) is NoTruth


def test_an_unknown_word_is_told_when_an_annotation_holds_it(tmp_path):
    with BagFile(write(tmp_path / 'bag', '/truth', [expression(1, 'hungry')])) as bag:
        with pytest.raises(BadDataset, match='hungry'):
            Annotations(bag, '/truth')


def test_recorded_emotions_are_found_and_compared_when_detections_tell_them(tmp_path):
    path = tmp_path / 'bag'
    with BagWriter(path) as bag:
        for topic, word in (('/boxes', 'person'), ('/emotions', 'happy'), ('/emotions/raw', 'sad'), ('/truth', 'fear')):
            for time_s in (0.0, 0.1):
                message = detections(time_s, (word, 0.7, (10, 10, 50, 60), 'x'))
                bag.write(topic, DETECTIONS, at(time_s) + 30_000_000, typestore().serialize_cdr(message, DETECTIONS))
    from bag_faces import frame

    with BagFile(path) as bag:
        assert find_recorded(bag, '', '/truth') == '/emotions' and find_recorded(bag, '/truth') == '/truth'
        with pytest.raises(BadBag, match='/nowhere'):
            find_recorded(bag, '/nowhere')
        recorded = Recorded(bag, '/emotions')
    recorded.compare(frame(time_s=0.0, begin_ns=BEGIN_NS), [face('happy', confidence=0.9)])
    recorded.compare(frame(time_s=0.1, begin_ns=BEGIN_NS), [face('sad'), face(box=(70.0, 0.0, 90.0, 20.0))])
    recorded.compare(frame(time_s=5.0, begin_ns=BEGIN_NS), [face('sad')])
    found = recorded.figures()
    assert (found['n'], found['agreement'], found['images'], found['faces_ours']) == (2, 0.5, 2, 3)
    assert found['latency_ms_p50'] == pytest.approx(30) and found['confidence_gap'] == pytest.approx(0.2)
