"""Curves: rows that survive a kill, a picture, events for TensorBoard."""

import os

import cv2
import numpy as np

from facial_emotion_ros.training.loop.curves import COLUMNS, Curves, picture_of, read_rows


def add_rows(curves, *steps):
    """Add a row for each step."""
    for step in steps:
        curves.add(
            {
                'step': step,
                'stage': step // 100,
                'phase': 0,
                'branches': 1,
                'size_px': 64,
                'epoch': step / 7,
                'learning_rate': 0.1,
                'loss': 2.0 / step,
                'held_out_accuracy': 1 - 1 / step,
            }
        )


def test_rows_come_back_when_they_were_added(tmp_path):
    curves = Curves(str(tmp_path), 0)
    add_rows(curves, 10, 20)
    curves.flush()
    rows = read_rows(str(tmp_path / 'curves.csv'))
    assert [row['step'] for row in rows] == ['10', '20'] and set(rows[0]) == set(COLUMNS)
    assert rows[0]['loss'] == '0.2' and rows[0]['epoch'] == '1.42857' and rows[0]['held_out_loss'] == ''
    assert rows == curves.rows
    curves.close()


def test_rows_of_lost_steps_go_when_a_training_resumes(tmp_path):
    curves = Curves(str(tmp_path), 0)
    add_rows(curves, 10, 20, 30)
    curves.close()
    with open(tmp_path / 'curves.csv', 'a') as file:
        file.write('4,0,0,1,64')  # what a kill leaves of a row of step 40
    again = Curves(str(tmp_path), 20)
    add_rows(again, 30)
    again.close()
    assert [row['step'] for row in read_rows(str(tmp_path / 'curves.csv'))] == ['10', '20', '30']


def test_a_picture_is_drawn_when_there_are_rows_or_none(tmp_path):
    curves = Curves(str(tmp_path), 0)
    add_rows(curves, 10, 20, 110, 120)
    curves.draw()
    curves.close()
    picture, empty = (
        cv2.imread(str(tmp_path / 'curves.png')),
        cv2.imdecode(np.frombuffer(picture_of([]), np.uint8), cv2.IMREAD_COLOR),
    )
    assert picture.shape == empty.shape == (700, 1200, 3) and (picture != empty).mean() > 0.005


def test_tensorboard_finds_the_curves_when_it_reads_the_events(tmp_path):
    from tensorboardX.proto import event_pb2

    for step in (0, 20):  # the second as after a kill: two files, one of which takes back what lies behind step 20
        curves = Curves(str(tmp_path), step)
        add_rows(curves, step + 10)
        curves.flush()
        curves.close()
    events = []
    for name in sorted(os.listdir(tmp_path / 'tensorboard'), key=lambda name: int(name.rsplit('.', 1)[1])):
        content = (tmp_path / 'tensorboard' / name).read_bytes()
        while content:  # length (8), checksum (4), event, checksum (4)
            length = int.from_bytes(content[:8], 'little')
            events.append(event_pb2.Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    scalars = [
        (event.step, value.tag, round(value.simple_value, 4)) for event in events for value in event.summary.value
    ]
    assert (10, 'training/loss', 0.2) in scalars and (30, 'held_out/accuracy', 0.9667) in scalars
    starts = [event.step for event in events if event.session_log.status == event_pb2.SessionLog.START]
    assert starts == [1, 21]


def test_the_file_is_as_before_when_nothing_was_added(tmp_path):
    for _ in range(2):
        Curves(str(tmp_path), 0).close()
    assert read_rows(str(tmp_path / 'curves.csv')) == [] and read_rows(str(tmp_path / 'absent.csv')) == []
