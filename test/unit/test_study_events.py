"""Events: where they come from, and what faces show around them."""

import csv
import json
import math
import os

import numpy as np
import pytest
import test_study
from html_page import Page
from in_process import in_this_process, models_opened_once  # noqa: F401
from scipy import stats

from facial_emotion_ros.cli import evaluate_recording as command_line
from facial_emotion_ros.core.errors import BadBag, BadDataset, BadParameter
from facial_emotion_ros.recordings.batch import batch
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet, fleet_text
from facial_emotion_ros.recordings.batch.result_store import LocalStore
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import header, make
from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag
from facial_emotion_ros.recordings.io.writer import BagWriter
from facial_emotion_ros.recordings.report.events_panel import course_chart, event_panels
from facial_emotion_ros.recordings.study import epochs
from facial_emotion_ros.recordings.study.epochs import (
    EventAverage,
    Window,
    averages_of,
    epochs_of,
    outside,
    outside_text,
    write_events,
)
from facial_emotion_ros.recordings.study.events import (
    Event,
    events_of,
    events_text,
    parse_events,
    times_of,
    topic_events,
)
from facial_emotion_ros.recordings.study.face_rows import MEASURES, FaceRows
from facial_emotion_ros.recordings.study.manifest import read_study

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

tree = test_study.tree
VALENCE = MEASURES.index('valence')


def rows(times_s, valence, begin_ns=10**18):
    """Make the rows of one face whose valence is given, and whose other values are 0."""
    times_s = np.asarray(times_s, float)
    values = np.zeros((len(times_s), len(MEASURES)))
    values[:, VALENCE] = valence
    count = len(times_s)
    stamps = begin_ns + np.round(times_s * 1e9).astype(np.int64)
    cameras, words, ids, persons = (np.array([each] * count, object) for each in ('/camera', 'happy', 'bcdfg', ''))
    return FaceRows(cameras, stamps, times_s, words, values, np.arange(count), ids, persons, np.ones(count))


def test_averages_around_events_are_those_that_pandas_finds(tmp_path):
    import pandas

    generator = np.random.default_rng(3)
    times = np.arange(0, 60, 0.1).round(1)
    valence = generator.uniform(-1, 1, len(times))
    events = [
        Event(time, name) for time, name in ((5.0, 'a'), (1e9 + 20.3, 'b'), (31.5, 'a'), (44.1, 'b'), (59.5, 'a'))
    ]
    window = Window(-1.0, 2.0, 10.0, (-1.0, 0.0))
    cut = epochs_of(rows(times, valence), events, window, 'net', {})
    averages = {each.name: each for each in write_events(LocalStore(str(tmp_path)), cut, window)}
    # The same by hand: every image around an event, less the mean of those before it.
    near = [
        {'name': event.name, 'epoch': place, 'offset': round(time - event_s, 1), 'valence': each}
        for place, (event, event_s) in enumerate(zip(events, (5.0, 20.3, 31.5, 44.1, 59.5)))
        for time, each in zip(times, valence)
        if -1.05 < time - event_s < 2.05
    ]
    table = pandas.DataFrame(near)
    before = table[table.offset <= 0].groupby('epoch').valence.mean()
    table['valence'] -= table.epoch.map(before)
    expected = table.groupby(['name', 'offset']).valence.mean()
    told = (
        pandas.read_csv(tmp_path / 'event_averages.csv').query("measure == 'valence'").set_index(['event', 'offset_s'])
    )
    assert np.allclose(told['mean'], expected.loc[told.index], atol=1e-6) and len(told) == 2 * 31
    assert list(told.loc['a'].n) == [3] * 15 + [2] * 16 and set(told.unit) == {'event'}
    assert ((told.low <= told['mean']) & (told['mean'] <= told.high)).all()
    by_event = pandas.read_parquet(tmp_path / 'events.parquet').query('number == 1')
    assert np.allclose(by_event.event_s, 20.3) and np.allclose(
        by_event.valence.mean(), cut[1].values[:, VALENCE].mean()
    )
    assert averages['a'].events == averages['a'].used == 3


@pytest.mark.parametrize('off_s', [-9e-7, 0.0, 9e-7])
def test_an_image_before_a_gap_counts_when_the_time_of_the_event_is_rounded(off_s):
    faces = rows([0, 1, 2, 9, 10], [0.0, 0.1, 0.2, 0.9, 1.0])
    (epoch,) = epochs_of(faces, [Event(2 + off_s, 'x')], Window(-1, 1, 1), 'net', {})
    assert np.allclose(epoch.values[:, VALENCE], [0.1, 0.2, np.nan], equal_nan=True, atol=1e-5)


def test_participants_count_once_however_many_events_they_had():
    flat = {name: rows(np.arange(0, 9, 0.5), level) for name, level in (('p', 0.2), ('q', 0.6), ('r', 0.7))}
    cut = [
        epoch
        for name, faces in flat.items()
        for epoch in epochs_of(
            faces, [Event(2, 'x')] * (5 if name == 'p' else 1), Window(), 'net', {'participant': name, 'condition': 'c'}
        )
    ]
    (average,) = averages_of(cut)
    assert average.unit == 'participant' and average.n.max() == 3 and average.events == 7
    assert np.allclose(average.mean[:, VALENCE], 0.5)
    interval = average.low[0, VALENCE], average.high[0, VALENCE]
    assert np.allclose(interval, stats.ttest_1samp([0.2, 0.6, 0.7], 0).confidence_interval())


def test_nothing_is_made_up_when_no_face_was_seen_around_an_event():
    faces = rows([0, 1, 2, 9, 10], [0.0, 0.1, 0.2, 0.9, 1.0])
    values = epochs_of(faces, [Event(4, 'x')], Window(-4, 8, 1), 'net', {})[0].values[:, VALENCE]
    assert (
        np.allclose(values[:3], [0, 0.1, 0.2]) and np.isnan(values[3:9]).all() and np.allclose(values[9:11], [0.9, 1])
    )
    assert np.isnan(values[11:]).all()
    assert np.allclose(
        epochs_of(faces, [Event(0.25, 'x')], Window(0, 1, 1), 'n', {})[0].values[:, VALENCE], [0.025, 0.125]
    )


def test_events_are_read_from_any_topic_when_a_field_names_them(tmp_path):
    at = 10**18
    marker = {'header': header(at + 5 * 10**9), 'text': 'shown', 'ns': 'stimuli'}
    written = [
        ('/word', 'std_msgs/msg/String', [{'data': 'go'}, {'data': 'go'}, {'data': ' '}]),
        ('/button', 'std_msgs/msg/Bool', [{'data': each} for each in (False, True, True, False)]),
        ('/marker', 'visualization_msgs/msg/Marker', [marker]),
        (
            '/markers',
            'visualization_msgs/msg/MarkerArray',
            [{'markers': [make('visualization_msgs/msg/Marker', **marker)]}],
        ),
        ('/nothing', 'std_msgs/msg/Empty', [{}]),
        ('/joy', 'sensor_msgs/msg/Joy', [{'buttons': np.array([0, 0, 2 < each < 5], np.int32)} for each in range(6)]),
        ('/level', 'std_msgs/msg/Float32', [{'data': each} for each in (0.5, math.nan, math.nan, 1.0)]),
    ]
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, kind, messages in written:
            for number, each in enumerate(messages):
                bag.add(topic, at + number * 10**9, make(kind, **each))
    with BagFile(str(tmp_path / 'bag')) as bag:

        def found(text, **more):
            return [(round(each.time - 1e9, 3), each.name) for each in topic_events(bag, text, 1e9, **more)]

        assert found('/word') == [(0, 'go'), (1, 'go')] and found('/word', shift_s=7.5) == [(7.5, 'go'), (8.5, 'go')]
        assert found('/button') == [(1, '1'), (3, '0')]
        assert found('/marker') == [(5, 'shown')] and found('/marker:ns', shift_s=9) == [(5, 'stimuli')]
        assert found('/markers:markers.text') == found('/markers') == [(0, 'shown')]
        # Of simulated time: seconds since the first image.
        assert [each.time for each in topic_events(bag, '/word', 4.0, 5.5 - 1e9)] == [1.5, 2.5]
        assert found('/joy:buttons') == [(3, '[2] 1'), (5, '[2] 0')], 'each element has changes of its own'
        assert found('/level') == [(1, 'nan'), (3, '1')]
        assert found('/nothing') == [(0, '/nothing')]
        with pytest.raises(BadParameter, match='stimuli.txt'):
            topic_events(bag, 'stimuli.txt', 1e9)
        for text, said in (('/none', 'got /none'), ('/word:dat', 'it has data'), ('/marker:ns.x', 'no field x')):
            with pytest.raises(BadBag, match=said):
                topic_events(bag, text, 1e9)


def test_events_are_timed_by_when_they_were_recorded_when_their_stamps_are_of_another_clock(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for number, stamp_s in enumerate((100, 101)):
            marker = make('visualization_msgs/msg/Marker', header=header(stamp_s * 10**9), text='shown')
            bag.add('/marker', 10**18 + number * 2 * 10**9, marker)
    notes: list[str] = []
    with BagFile(str(tmp_path / 'bag')) as bag:
        assert [each.time - 1e9 for each in topic_events(bag, '/marker:text', 1e9, 0.0, notes)] == [0, 2]
        assert len(notes) == 1 and 'stamps lie outside' in notes[0]
        # Images and messages of the same clock, which counts from the robot's start.
        assert [each.time for each in topic_events(bag, '/marker:text', 99.0, 99 - 1e9, notes)] == [1, 2]
        assert len(notes) == 1


def test_events_outside_the_recording_are_left_out_and_counted():
    faces = rows([0, 1, 2, 9, 10], 0.5)
    events = [Event(1, 'x'), Event(5, 'x'), Event(10.5, 'x'), Event(11.5, 'x'), Event(-4, 'x'), Event(1e9 + 500, 'x')]
    assert outside(faces, events, Window()) == [False, False, False, True, True, True]
    cut = epochs_of(faces, events, Window(), 'net', {})
    assert [each.number for each in cut] == [0, 1, 2] and outside(rows([], []), events[:1], Window()) == [True]
    (average,) = averages_of(cut)
    says = event_panels([average], Window(), outside_text([11.5, -4, 1e9 + 500], 6, '/home/e.csv', 10.0))
    assert '2 events of 3; no face was visible at the others' in says['cards'][0]['says']
    assert (
        says['left_out']
        == 'e.csv: 3 of 6 events lie outside the recording, which lasts from 0 to 10.0 s and are left out'
    )


@pytest.mark.parametrize(
    'source, times, asks',
    [('e.csv', [30, 40], True), ('e.csv', [1.7e9, 1.8e9], False), ('/buttons/left:data', [30, 40], False)],
)
def test_nobody_is_asked_for_the_unit_of_events_when_it_is_known(source, times, asks):
    told = outside_text(times, 2, source)
    assert told.startswith(f'{source}: 2 of 2 events') and ('are these milliseconds?' in told) == asks


def test_a_band_does_not_cross_a_gap_where_nothing_is_known():
    courses = np.zeros((5, len(MEASURES)))
    courses[2] = np.nan
    average = EventAverage('', '', 'smile', 2, 2, 'event', courses, courses, courses - 0.1, courses + 0.1)
    bands = [each for each in course_chart(np.arange(5.0), average, ['valence']).data if each.fill]
    assert [sorted(set(each.x)) for each in bands] == [[0, 1], [3, 4]]


def test_the_nearest_image_times_a_stamp():
    faces, generator = rows(np.arange(0, 9, 0.5) * 1.01, 0.5), np.random.default_rng(2)
    faces = faces._replace(stamps_ns=generator.permutation(faces.stamps_ns))
    stamps_s = [1e9 - 3, *generator.uniform(1e9, 1e9 + 9, 20), 1e9 + 20]
    for found, stamp_s in zip(times_of(faces, [Event(each, '') for each in (*stamps_s, 2.5)]), (*stamps_s, None)):
        near = 0 if stamp_s is None else abs(faces.stamps_ns / 1e9 - stamp_s).argmin()
        expected = 2.5 if stamp_s is None else faces.times_s[near] + stamp_s - faces.stamps_ns[near] / 1e9
        assert found == pytest.approx(expected, abs=1e-6)


def test_names_of_events_are_no_formulas_and_come_back():
    text = events_text([Event(1.0, '=1+1'), Event(2.0, 'go')])
    assert b"'=1+1" in text and [each.name for each in parse_events(text.decode(), 'e')] == ['=1+1', 'go']


def test_a_line_is_named_when_a_file_of_events_cannot_be_read():
    found = parse_events('Time,Name,recording\n1,go,p00/task\n\n2,,\n', 'e.csv')
    assert [each.name for each in events_of(found, '/x/p00/task.mcap')] == ['go', 'event']
    assert [each.name for each in events_of(found, '/x/p01/task')] == ['event']
    assert parse_events('time;name\n1,5;a,b\n', 'e.csv') == [Event(1.5, 'a,b')]
    for text, said in (
        ('start,name\n', 'columns time and name'),
        ('time,name\n1,a\nx,b\n', 'line 3'),
        ('time,name\n1,5,happy\n', 'line 2: expected 2 cells, like the header line, got 3'),
        ('time,name,time\n1,a,2\n', 'each column once, got time'),
        ('time,name\n1,' + 'a' * 200000, 'line 2: expected a line of CSV'),
    ):
        with pytest.raises(BadDataset, match=said):
            parse_events(text, 'e.csv')


@pytest.mark.parametrize('place', ['task', './task', '../p00/task/', '/rides/p00/task.mcap', 'file:///rides/p00/task'])
@pytest.mark.parametrize('name', ['task', 'p00/task', './p00/task.mcap', '/rides/p00/task', '../p00/task', ''])
def test_a_recording_is_named_alike_wherever_the_command_is_started(monkeypatch, place, name):
    monkeypatch.setattr('os.getcwd', lambda: '/rides/p00')
    assert events_of([Event(1, 'go', name)], place) and not events_of([Event(1, 'go', 'p01/task')], place)


@pytest.mark.parametrize('values', [(3, -1, 10, ()), (-1, 3, 0, ()), (-1, 3, 10, (-3, -2)), (-1, 3, 10, (0.04, 0.06))])
def test_a_window_without_steps_is_refused(values):
    with pytest.raises(BadParameter):
        Window(*values).check()


@pytest.mark.usefixtures('in_this_process')
def test_events_of_many_recordings_are_averaged_over_participants(tree):
    assert command_line.main([str(tree / 'bags'), '--study-template', str(tree / 'study.csv')]) == 0
    (tree / 'events.csv').write_text('time,name,recording\n0.2,smile,\n0.2,late,p02/task\n')
    study, out = read_study(str(tree / 'study.csv')), str(tree / 'out')
    options = Options(events=str(tree / 'events.csv'), event_window=(-0.1, 0.1, 10.0))
    fleet = evaluate_fleet([], out, options, evaluate=test_study.evaluate, study=study)
    with open(tree / 'out' / 'event_averages.csv', newline='') as file:
        told = [row for row in csv.DictReader(file) if row['measure'] == 'valence' and row['offset_s'] == '0.0']
    assert [(row['condition'], row['event'], row['unit'], row['n']) for row in told] == [
        ('baseline', 'smile', 'participant', '4'),
        ('task', 'smile', 'participant', '4'),
        ('task', 'late', 'participant', '1'),
    ]
    assert float(told[0]['mean']) == pytest.approx(0.1215) and told[2]['low'] == ''
    assert 'averaged over 4 participants' in Page((tree / 'out' / 'index.html').read_text()).text
    assert fleet['run']['events_left_out'] == ''
    (tree / 'events.csv').write_text('time,name,recording\n0.2,smile,\n900,smile,\n2e9,stamp,\n90,late,p02/task\n')
    fleet = evaluate_fleet([], out, options, evaluate=test_study.evaluate, study=study)
    told = fleet['run']['events_left_out']
    assert told.startswith('events.csv: 10 of 18 events lie outside the recordings and are left out (')
    assert told in fleet_text(fleet)
    (tree / 'events.csv').write_text('time,name,recording\n0.2,smile,p09/task\n')
    with pytest.raises(BadDataset, match='p09/task'):
        evaluate_fleet([], out, options, evaluate=test_study.evaluate, study=study)


def test_a_recording_s_page_shows_what_happens_around_the_messages_of_a_topic(tmp_path, capsys):
    write_sample_bag(str(tmp_path / 'bag'), 0.5, 10, width=320, height=240)
    given = ['--events', '/annotation/faces:header.frame_id', '--event-window', '-0.2,0.2', '--baseline', '-0.2,0']
    with models_opened_once():
        assert command_line.main([str(tmp_path / 'bag'), '--output', str(tmp_path / 'out'), *given]) == 0
    (tmp_path / 'ev.csv').write_text('time,name\n100,a\n250,b\n400,c\n')
    assert (
        command_line.main(
            [str(tmp_path / 'bag'), '--output', str(tmp_path / 'none'), '--events', str(tmp_path / 'ev.csv')]
        )
        == 1
    )
    assert 'look like milliseconds' in capsys.readouterr().err
    page = Page((tmp_path / 'out' / 'report.html').read_text())
    charts = page.figures('around')
    assert 'as changes from the mean of -0.2 to 0 s' in page.text and len(charts) == 2
    assert all('yaxis' in each['layout'] for each in charts), 'charts.js looks at the axes'
    with open(tmp_path / 'out' / 'events.csv', newline='') as file:
        assert {row['event'] for row in csv.DictReader(file)} == {'camera'}
    assert (tmp_path / 'out' / 'event_times.csv').read_text().startswith('time,name\n')


@pytest.mark.parametrize(
    'given, said, code',
    [
        (['--events', 'stimuli.txt'], 'got stimuli.txt', 2),
        (['--truth', 'labels.xlsx'], 'labels.xlsx', 2),
        (['--recorded', 'mine'], 'mine', 2),
        (['--event-rate', '5'], '--event-rate needs --events', 2),
        (['--event-window', '-1,1'], '--event-window needs --events', 2),
        (['--events', '/stimuli:text'], '/stimuli:text is in none of the recordings', 1),
    ],
)
@pytest.mark.usefixtures('in_this_process')
def test_a_mistyped_source_is_told_when_there_are_many_recordings(tree, monkeypatch, capsys, given, said, code):
    run = batch.evaluate_fleet
    monkeypatch.setattr(batch, 'evaluate_fleet', lambda *given, **named: run(*given, evaluate=lacking, **named))
    assert command_line.main([str(tree / 'bags'), '--output', str(tree / 'out'), *given]) == code
    assert said in capsys.readouterr().err and (tree / 'out' / 'index.html').exists() == (code == 1)


def test_charts_of_events_share_a_scale_that_wide_intervals_do_not_flatten():
    mean = np.full((5, 10), 0.2)
    wide = epochs.EventAverage('', '', 'a', 2, 2, 'event', np.full((5, 10), 2), mean, mean - 9, mean + 9)
    other = wide._replace(name='b', mean=mean + 0.3, low=mean, high=mean + 0.4)
    cards = event_panels([wide, other], Window(-0.2, 0.2, baseline=(-0.2, 0.0)))['cards']
    axes = [each['scores'].layout.yaxis for each in cards]
    assert axes[0].range == axes[1].range and -0.7 < axes[0].range[0] < 0 and 0.6 < axes[0].range[1] < 1.2
    assert axes[0].title.text == 'change of score' and 'valence' in cards[0]['affect'].layout.yaxis.title.text


@pytest.mark.parametrize('given', ['3', '-1,1,2', 'a,b'])
def test_two_numbers_are_asked_for_when_a_window_has_others(given, capsys):
    with pytest.raises(SystemExit):
        command_line.main(['bag', '--output', 'out', '--events', 'e.csv', f'--event-window={given}'])
    assert 'two times in seconds, separated by a comma, such as -1,3' in capsys.readouterr().err


def lacking(path, output, options, progress=None):
    """Evaluate in no time a recording that has no topic of events."""
    test_study.evaluate(path, output, options, progress)
    with open(os.path.join(output, 'summary.json'), 'r+') as file:
        summary = json.load(file)
        summary['run']['lacks'] = [options.events]
        file.seek(0)
        json.dump(summary, file)
