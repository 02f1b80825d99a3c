"""The record of a stream, its summary and its lines."""

import json

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.demo.console import HEADING, face_line, no_face_line, summary_lines
from facial_emotion_ros.demo.stream_summary import SeenFace, StreamSummary, image_score


def face(face_id='abcde', emotion='happy', score=0.8, x=100.0, valence=0.5, arousal=-0.25, known=True):
    """Make a face with one high score."""
    rest = (1 - score) / (len(EMOTIONS) - 1)
    scores = tuple(score if name == emotion else rest for name in EMOTIONS)
    return SeenFace(face_id, (x, 50.0, x + 80.0, 150.0), scores, valence, arousal, known)


def test_summary_is_empty_but_valid_when_nothing_came():
    summary = json.loads(json.dumps(StreamSummary().summary(), allow_nan=False))
    assert summary['frames'] == 0 and summary['age_ms'] == {'p50': None, 'p99': None, 'max': None}
    assert summary['frames_per_second'] is None and summary['faces'] == [] and summary['pictures'] == {}
    assert summary_lines(summary) == ['Summary: no image was answered.']


def test_emotion_is_the_highest_mean_score_when_frames_differ():
    record = StreamSummary()
    for number, (emotion, score) in enumerate([('sad', 0.4), ('sad', 0.4), ('happy', 0.95)]):
        record.add(10.0 + number, 0.05 * (number + 1), [face(emotion=emotion, score=score, valence=float(number))])
    summary = record.summary()
    assert summary['frames'] == 3 and summary['seconds'] == 2.0 and summary['frames_per_second'] == 1.0
    assert summary['age_ms'] == {'p50': 100.0, 'p99': 149.0, 'max': 150.0}
    [seen] = summary['faces']
    mean = np.mean([face(emotion=e, score=s).scores for e, s in [('sad', 0.4), ('sad', 0.4), ('happy', 0.95)]], axis=0)
    assert seen['emotion'] == EMOTIONS[int(np.argmax(mean))] == 'happy'
    assert seen['confidence'] == pytest.approx(mean.max(), abs=1e-3)
    assert seen['valence'] == 1.0 and seen['arousal'] == -0.25 and seen['frames'] == 3 and seen['seen_s'] == 2.0


def test_pictures_are_distinguished_by_name():
    record = StreamSummary()
    record.add(0.0, 0.1, [face('right', 'anger', x=300.0), face('left', 'happy', x=10.0)], 'two.jpg')
    record.add(0.1, 0.1, [], '')
    record.add(0.2, 0.1, [], 'house.jpg')
    summary = record.summary()
    assert list(summary['pictures']) == ['two.jpg', 'house.jpg']
    assert [(seen['id'], seen['emotion']) for seen in summary['pictures']['two.jpg']['faces']] == [
        ('left', 'happy'),
        ('right', 'anger'),
    ]
    assert summary['pictures']['house.jpg'] == {'frames': 1, 'faces': []}
    assert summary['frames'] == 3 and summary['frames_with_faces'] == 1
    assert any('house.jpg' in line and 'no face' in line for line in summary_lines(dict(summary, model=None)))


def test_face_of_a_still_picture_is_one_when_its_id_changes():
    record = StreamSummary()
    for number, face_id in enumerate(('abcde', 'fghij', 'fghij')):
        record.add(number, 0.1, [face(face_id, x=100.0 + number), face('other', x=300.0)], 'two.jpg')
    summary = record.summary()
    assert [(seen['id'], seen['frames']) for seen in summary['pictures']['two.jpg']['faces']] == [
        ('abcde', 3),
        ('other', 3),
    ]
    assert len(summary['faces']) == 3


def test_numbers_are_absent_when_the_node_did_not_say_them():
    record = StreamSummary()
    record.add(0.0, 0.1, [face(valence=float('nan'), arousal=float('nan'), known=False)])
    summary = json.loads(json.dumps(record.summary(), allow_nan=False))
    [seen] = summary['faces']
    assert seen['emotion'] == 'unknown' and seen['valence'] is None and seen['arousal'] is None
    assert summary_lines(summary)


@pytest.mark.parametrize(
    'shown',
    [
        face(),
        face(emotion='contempt', valence=-1.0, x=4000.0),
        face(known=False),
        face(valence=float('nan'), arousal=float('nan')),
    ],
)
def test_columns_are_aligned_when_lines_differ(shown):
    line = face_line(3.2, shown, 0.0841, '', color=False)
    assert line.index(shown.face_id) == HEADING.index('face')
    assert line.index(shown.emotion or 'unknown') == HEADING.index('emotion')
    assert line.index('ms') + 2 == HEADING.index('age') + 3
    assert '\033' not in line


def test_lines_have_colours_only_when_asked():
    assert '\033[' in face_line(0.0, face(), 0.1, 'a.jpg', color=True)
    assert face_line(0.0, face(), 0.1, 'a.jpg', color=False).endswith('a.jpg')
    assert no_face_line(1.0, 'house.jpg') == '  1.0s  no face  house.jpg'


def test_picture_is_better_when_it_shows_more_with_room():
    ascending = [
        image_score([], 640),
        image_score([face(score=0.9)], 640),
        image_score([face(score=0.99), face(x=-10.0)], 640),
        image_score([face(score=0.5), face(x=300.0)], 640),
        image_score([face(score=0.6), face(x=300.0)], 640),
    ]
    assert ascending == sorted(ascending) and len(set(ascending)) == len(ascending)


def test_fleeting_faces_are_only_counted_when_summed_up():
    record = StreamSummary()
    for number in range(3):
        record.add(number, 0.1, [face('stays')] + ([face('slips')] if number == 1 else []))
    text = '\n'.join(summary_lines(record.summary()))
    assert 'stays' in text and 'slips' not in text and 'Faces: 1, and 1 in fewer than 3 frames each' in text
