"""The page of a recording: what it says and draws."""

import sys
from array import array

import numpy as np
import pytest

if sys.version_info < (3, 10):
    pytest.skip('recordings are judged on Python 3.10 and newer', allow_module_level=True)

from html_page import Page, loads_nothing, traces
from sample_timeline import CAMERA, make_timeline, sample_timeline, summary_of

from facial_emotion_ros.core.emotions import AFFECT_COORDINATES, EMOTIONS, UNKNOWN
from facial_emotion_ros.evaluation.page import EMOTION_COLORS, INKS
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.report import formatting, report
from facial_emotion_ros.recordings.report.affect_plane import affect_plane_chart
from facial_emotion_ros.recordings.report.timeline import Bin, CameraTimeline, FaceTimeline, Timeline
from facial_emotion_ros.recordings.report.timeline_plots import (
    TIME_ZERO_MS,
    face_chart,
    presence,
    stretches,
    timeline_chart,
)

#: What a page of a folder shares with the others; it is not read here.
SHARED = '../../plotly.min.js'


def report_html(summary, timeline):
    """Make a page without plotly's own script, which is long."""
    return report.report_html(summary, timeline, SHARED)


def only_face(timeline, face_id, camera=CAMERA):
    return timeline, timeline.cameras[camera], timeline.cameras[camera].faces[face_id]


def test_the_page_tells_figures_faces_and_origin_when_everything_is_known():
    timeline = sample_timeline()
    page = Page(report_html(summary_of(timeline), timeline))
    assert not page.open
    for wanted in (
        'Two faces in 20 s: most often surprise, then happy',
        'thin band under a face is the ground truth',
        'Accuracy against the ground truth: 54% (95%: 41% to 68%)',
        '95%: 41%–68%',
        'No data lost',
        'aaaaa',
        'bbbbb',
        '0.213',
        '88%',
        'recorded latency',
        '81 ms',
        'Ground truth: /truth.',
        '2.5× real time',
        '10 images per second',
        '61.5, 88.5 ms',
        'cd' * 32,
        'ab' * 32,
        'ef' * 32,
        'evaluate_bag walk --output out',
        'onnxruntime 1.23',
        '2025-11-26 09:40:00 UTC',
        'estimated surprise (80%), truth happy',
        'from sad to fear',
        *EMOTIONS,
        UNKNOWN,
    ):
        assert wanted in page.text, wanted
    assert len(page.charts) == 1 + 2 + 1  # the timeline, two faces, the plane


def test_the_page_loads_nothing_when_it_stands_alone_and_one_script_when_it_shares_it():
    timeline = sample_timeline()
    alone = report.report_html(summary_of(timeline), timeline)
    assert loads_nothing(alone) and 'plotly.js v' in alone and SHARED not in alone and len(alone) < 6e6
    page = Page(alone)
    assert all(each.startswith('data:image/jpeg;base64,') for each in page.references) and page.references
    sharing = report_html(summary_of(timeline), timeline)
    assert loads_nothing(sharing, SHARED) and f'src="{SHARED}"' in sharing and len(sharing) < 3e5


def test_words_of_a_recording_cannot_become_markup_when_they_hold_some():
    evil = '</script><script>alert(1)</script><img src=x onerror=y>\x1b[2J\u202e'
    timeline = make_timeline({evil: [(0, 5, 'happy', None)]}, 5, camera=evil)
    make_timeline({'bbbbb': [(0, 5, 'happy', None)]}, 5, camera=evil + '2', timeline=timeline)
    summary = summary_of(timeline, evil)
    summary['bag']['faults'] = [evil]
    summary['run'].update(command=evil, provider=evil, versions={evil: evil}, notes=[evil])
    summary['truth']['source'] = summary['recorded']['topic'] = summary['bundle']['name'] = evil
    text = report_html(summary, timeline)
    page = Page(text)
    assert page.open == [] and page.text.count('<script>alert(1)') > 12
    scripts = [attributes for tag, attributes in page.elements if tag == 'script']
    assert len(scripts) == len(page.charts) + 3  # the colours, plotly's, and ours
    assert '<img src=x' not in text and not set('\x1b\u202e') & set(text)
    # plotly reads a few elements in the texts of a figure.
    assert len(page.charts) == 2 + 2 + 1
    assert '<img' not in str(page.charts[0][1]) and '&lt;script&gt;' in str(page.figures('density'))


@pytest.mark.parametrize(
    'detect, step',
    [
        ({}, 'face detection, tracking and estimation'),
        ({'detect': {'p50': 14.0, 'p95': 20.0}}, 'face detection'),
    ],
)
def test_the_last_step_is_named_by_what_is_done_in_it_when_faces_are_found_ahead_or_not(detect, step):
    timeline = sample_timeline()
    summary = summary_of(timeline)
    summary['run'].update(
        ms=dict(summary['run']['ms'], **detect),
        seconds=None,
        times_real_time=None,
        frames_per_second=None,
        notes=['one thing <b>', 'another'],
    )
    page = Page(report_html(summary, timeline))
    is_ahead = step == 'face detection'
    assert step in page.text and ('14.0, 20.0 ms' in page.text) == is_ahead
    assert page.text.count('tracking and estimation') == 1 and ('face detection, tracking' in page.text) != is_ahead
    # What is not known of several bundles is left out, and what was left out is said.
    assert 'Total: ' not in page.text and 'real time' not in page.text
    assert 'notes one thing <b>; another' in page.text


def test_the_confusion_counts_views_and_says_what_it_leaves_out_when_it_is_shown():
    timeline = sample_timeline()
    page = Page(report_html(summary_of(timeline), timeline))
    assert '16 views' in page.text and '16 faces' not in page.text
    titles = [attributes['title'] for tag, attributes in page.elements if tag == 'td' and 'title' in attributes]
    assert len(titles) == 64 and 'happy taken for surprise: 44 of 80 (55.0%)' in titles
    assert page.text.count('55% 44') == 1
    assert 'unknown are not counted' in page.text
    assert 'recorded detections or annotations' in page.text


@pytest.mark.parametrize(
    'figures, expected',
    [
        ({'faces': 0}, 'No face was found in 24 s'),
        ({'faces': 1, 'emotions': {'sad': 0.9, UNKNOWN: 0.1}}, 'One face in 24 s: only sad'),
        (
            {'faces': 3, 'persons': 2, 'emotions': {'sad': 0.6, 'fear': 0.4}},
            'Two people in 24 s: mostly sad',
        ),
        (
            {'faces': 40, 'emotions': {'sad': 0.3, 'fear': 0.4, 'happy': 0.3}},
            '40 faces in 24 s: most often fear, then sad',
        ),
        ({'faces': 2, 'emotions': {UNKNOWN: 1.0}}, 'Two faces in 24 s, emotions all unknown'),
    ],
)
def test_the_headline_says_what_happened_when_figures_are_given(figures, expected):
    overall = {'persons': None, 'unknown_share': None, 'emotions': {}, **figures}
    even = {'overall': overall, 'truth': None, 'cameras': {}}
    assert formatting.headline(even, 24.0).replace('\u00a0', ' ') == expected
    uneven = dict(even, cameras={'/eye': {'steps_s': [0.03, 0.2]}})
    assert formatting.headline(uneven, 24.0).replace('\u00a0', ' ') == expected.replace('mostly', 'most views')
    assert 'varies from 0.03 to 0.2 s' in formatting.sentences(uneven)[-1]


@pytest.mark.parametrize(
    'write, value, expected',
    [
        (formatting.clock, 0, '0:00'),
        (formatting.clock, 59.99, '0:59'),
        (formatting.clock, 61.2, '1:01'),
        (formatting.clock, 3661, '1:01:01'),
        (formatting.duration, 4.26, '4.3 s'),
        (formatting.duration, 9.97, '10 s'),
        (formatting.duration, 119.4, '119 s'),
        (formatting.duration, 600, '10 min'),
        (formatting.duration, 605, '10 min 5 s'),
        (formatting.duration, 7260, '2 h 1 min'),
        (formatting.duration, None, '–'),
        (formatting.percentage, 0.004, '<1%'),
        (formatting.percentage, 0.0, '0%'),
        (formatting.percentage, 0.996, '>99%'),
        (formatting.percentage, 1.0, '100%'),
        (formatting.percentage, float('nan'), '–'),
        (formatting.moment_of, 1764150000_000000000, '2025-11-26 09:40:00 UTC'),
        (formatting.moment_of, 0, ''),
        (formatting.interval, (0.5, 0.75), '50% to 75%'),
        (formatting.interval, (1.0, 1.0), '100%'),
    ],
)
def test_values_are_written_as_people_say_them_when_they_are_shown(write, value, expected):
    assert write(value).replace('\u00a0', ' ') == expected


def test_losses_are_listed_and_counted_when_something_was_lost():
    timeline = sample_timeline()
    summary = summary_of(timeline)
    summary['bag']['faults'] = [f'fault number {number}' for number in range(30)]
    text = Page(report_html(summary, timeline)).text
    assert 'Lost data' in text and 'No data lost' not in text
    assert 'fault number 11' in text and 'fault number 12' not in text and 'and 18 more faults' in text


def test_a_faces_time_is_cut_when_it_goes_and_not_when_the_camera_is_slow():
    gone = only_face(sample_timeline(), 'bbbbb')
    assert [(steps[0].start_s, steps[-1].end_s) for steps in stretches(*gone, 400)] == [(2.0, 8.0), (12.0, 16.0)]
    slow = only_face(make_timeline({'aaaaa': [(0, 20, 'sad', None)]}, rate_hz=0.5), 'aaaaa')
    (steps,) = stretches(*slow, 400)
    assert [(step.start_s, step.end_s) for step in steps] == [
        (2.0 * place, min(2.0 * place + 2, 18.25)) for place in range(10)
    ]
    silent = only_face(make_timeline({'aaaaa': [(0, 20, 'sad', None)]}, silent=[(5, 11)]), 'aaaaa')
    assert [(steps[0].start_s, steps[-1].end_s) for steps in stretches(*silent, 400)] == [(0.0, 5.0), (11.0, 20.0)]


def test_columns_are_merged_and_nothing_is_lost_when_there_are_more_than_a_plot_shows():
    there = only_face(sample_timeline(), 'aaaaa')
    (steps,) = stretches(*there, 10)
    assert len(steps) <= 10 and sum(step.sums.frames for step in steps) == there[2].frames
    assert steps[0].start_s == 0.0 and steps[-1].end_s == pytest.approx(20.0, abs=2.0)


def marks(figure, name):
    """List the bars of a name: (middle of the row, from s, to s, what the mouse shows)."""
    return [
        (round(y, 2), (base - TIME_ZERO_MS) / 1000, (base + x - TIME_ZERO_MS) / 1000, says)
        for each in traces(figure, name)
        for y, base, x, says in zip(each['y'], each['base'], each['x'], each['customdata'])
    ]


def test_a_row_shows_emotions_in_their_places_with_words_and_truth_when_it_is_drawn():
    timeline, camera, face = only_face(sample_timeline(), 'bbbbb')
    figure = timeline_chart(timeline, camera, [camera.faces['aaaaa'], face])
    assert marks(figure, 'sad') == [(0.89, 2.0, 6.0, '0:02 to 0:06 sad')]
    assert marks(figure, UNKNOWN) == [(0.89, 6.0, 8.0, '0:06 to 0:08 unknown')]
    assert marks(figure, 'fear') == [(0.89, 12.0, 16.0, '0:12 to 0:16 fear')]
    assert marks(figure, 'happy') == [(-0.11, 0.0, 9.0, '0:00 to 0:09 happy')]
    assert traces(figure, 'sad')[0]['text'] == ['sad']
    assert traces(figure, 'sad')[0]['marker']['color'] == EMOTION_COLORS['sad']
    assert traces(figure, UNKNOWN)[0]['marker']['pattern']['shape'] == '/'
    assert marks(figure, 'truth') == [
        (0.32, 0.0, 19.75, '0:00 to 0:20 happy (truth)'),
        (1.32, 2.0, 8.0, '0:02 to 0:08 sad (truth)'),
    ]
    none = make_timeline({'aaaaa': [(0, 4, 'sad', None)]}, 4)
    assert not traces(timeline_chart(*only_face(none, 'aaaaa')[:2], [only_face(none, 'aaaaa')[2]]), 'truth')


def test_presence_shows_faces_absences_and_silence_when_a_camera_is_drawn():
    timeline = make_timeline({'aaaaa': [(0, 5, 'sad', None)]}, 20, silent=[(10, 15)])
    camera = timeline.cameras[CAMERA]
    assert presence(timeline, camera) == [(0.0, 5.0, 1.0), (5.0, 10.0, 0.0), (15.0, 20.0, 0.0)]
    drawn = traces(timeline_chart(timeline, camera, list(camera.faces.values())), 'a face in view')[0]
    assert drawn['customdata'][0] == '0:00 to 0:05: 100% of the images with a face'
    assert drawn['marker']['opacity'] == [1.0, 0.12, 0.12]


def times(trace):
    """Give the times of a trace in s."""
    return (np.array(trace['x']) - TIME_ZERO_MS) / 1000


def test_scores_fill_the_height_and_the_time_that_a_face_was_there_when_they_are_stacked():
    figure = face_chart(*only_face(sample_timeline(), 'bbbbb'))
    stacked = [each for each in traces(figure) if 'stackgroup' in each]
    assert [each['name'] for each in stacked] == list(EMOTIONS)
    assert [each['fillcolor'] for each in stacked] == list(EMOTION_COLORS.values())
    heights = np.sum([each['y'] for each in stacked], axis=0)
    there = ((times(stacked[0]) >= 2) & (times(stacked[0]) <= 8)) | (
        (times(stacked[0]) >= 12) & (times(stacked[0]) <= 16)
    )
    assert heights[there] == pytest.approx(1, abs=1e-3) and not heights[~there].any()
    sad = np.array(traces(figure, 'sad')[0]['y'])
    assert sad[there & (times(stacked[0]) < 5)] == pytest.approx(0.8, abs=1e-3)
    said = traces(figure, 'emotion')[0]
    assert said['customdata'][0] == 'sad, truth: sad' and said['customdata'][-1] == 'fear'
    # One cursor for all tracks.
    layout = figure.layout
    assert (layout.hovermode, layout.hoversubplots) == ('x unified', 'axis') and layout.xaxis.showspikes
    assert not any(each.get('xaxis', 'x') != 'x' for each in traces(figure))


def test_valence_and_arousal_run_where_they_were_read_and_true_ones_beside_them_when_they_are_drawn():
    timeline = make_timeline({'aaaaa': [(0, 10, 'happy', GroundTruth('happy', 0.5, -1.0)), (10, 20, 'happy', None)]})
    figure = face_chart(*only_face(timeline, 'aaaaa'))
    names = ['valence', 'arousal', 'valence (truth)', 'arousal (truth)']
    assert [each['name'] for each in traces(figure)][:4] == names
    lines = {name: traces(figure, name)[0] for name in names}
    for name, true in (('valence (truth)', 0.5), ('arousal (truth)', -1.0)):
        values = [each for each in lines[name]['y'] if each is not None]
        assert values == [true] * len(values) and lines[name]['line']['dash'] == 'dash'
        assert max(times(lines[name])) == pytest.approx(10, abs=0.01)
    read = lines['valence']
    assert read['y'][0] is None and read['y'][-1] is None and max(times(read)) == pytest.approx(20, abs=0.01)
    middles = times(read)[2:-2]
    assert read['y'][2:-2] == pytest.approx(0.5 * np.sin(middles - 0.125), abs=1e-3)


@pytest.mark.parametrize('length_s, form', [(24, '%-M:%S'), (7000, '%-H:%M:%S'), (864000, 'day %-j, %-H:%M')])
def test_times_are_written_by_the_length_of_the_recording_when_a_chart_is_drawn(length_s, form):
    timeline = Timeline()
    timeline.end_s = length_s
    axis = timeline_chart(timeline, CameraTimeline(), []).layout.xaxis
    assert axis.tickformat == axis.hoverformat == form
    assert axis.range == (TIME_ZERO_MS, TIME_ZERO_MS + 1000 * length_s)


def test_the_longest_faces_get_rows_and_the_others_a_count_when_there_are_many():
    names = [chr(97 + place // 26) + chr(97 + place % 26) + 'xxx' for place in range(40)]
    faces = {name: [(0, 1 + 0.5 * place, 'sad', None)] for place, name in enumerate(names)}
    timeline = make_timeline(faces, 21)
    page = Page(report_html(summary_of(timeline), timeline))
    (figure,) = page.figures('Emotions of the faces')
    assert sorted(round(each + 0.11) for each in traces(figure, 'sad')[0]['y']) == list(range(24))
    assert '16 others had' in page.text
    listed = [attributes['alt'] for tag, attributes in page.elements if tag == 'img' and 'alt' in attributes]
    assert f'Face {names[39]}' in listed and f'Face {names[16]}' in listed and f'Face {names[15]}' not in listed
    assert len(page.of_class('person')) == 6 and 'These 6 faces were visible longest; 34 others had' in page.text


def test_each_camera_gets_a_block_when_there_are_several():
    timeline = make_timeline({'aaaaa': [(0, 5, 'sad', None)]}, 5, camera='/left')
    timeline = make_timeline({'bbbbb': [(0, 3, 'fear', None)]}, 5, camera='/right', timeline=timeline)
    page = Page(report_html(summary_of(timeline), timeline))
    assert 'Cameras' in page.text and 'of 2 cameras' in page.text
    assert page.text.index('/left') < page.text.index('/right')
    assert [len(traces(each)) for each in page.figures('Emotions of the faces')] == [2, 2]
    assert 'camera /left' in str([says for says, _ in page.charts])


def test_the_page_stays_small_when_a_long_recording_is_as_restless_as_can_be():
    generator, timeline, sums = np.random.default_rng(0), Timeline(), []
    timeline.bin_s, timeline.end_s = 3.0, 3590.0
    for word in [*range(9)] * 10:
        sums.append(Bin(90, generator.random(8), generator.uniform(-50, 50, 3), 90 * np.eye(9, dtype=int)[word]))
    for topic in ('/left', '/right', '/back'):
        camera = timeline.cameras[topic] = CameraTimeline(array('d', np.arange(0, 3590, 1 / 30)))
        for name in range(24):  # of which eight get a row, and two a chart of their own
            face = camera.faces[f'{topic}{name}'] = FaceTimeline(f'{topic}{name}', 0.0, 3590.0, 90 * 1197)
            face.steps.update(enumerate(sums[each] for each in generator.integers(0, len(sums), 1197)))
    text = report_html(summary_of(timeline), timeline)
    # With plotly's script less than 10 MB.
    assert len(text) < 5e6 and not Page(text).open


def test_words_can_be_read_on_every_colour_when_they_are_written_on_it():
    def luminance(color):  # WCAG 2.2, definitions of relative luminance and contrast ratio
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        return np.dot(
            [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts],
            (0.2126, 0.7152, 0.0722),
        )

    for emotion, color in EMOTION_COLORS.items():
        dark, bright = sorted(map(luminance, (INKS[emotion], color)))
        assert (bright + 0.05) / (dark + 0.05) >= 4.3, color


def test_portraits_lie_where_their_faces_were_and_inside_when_the_plane_is_drawn():
    sums = {
        (valence, arousal): Bin(1, affect=np.array([valence, arousal, 1.0]))
        for valence, arousal in ((-0.5, 0.5), (1.0, -1.0))
    }
    faces = [FaceTimeline('aaaaa', 0, 1, 1, {place: each for place in range(3)}, b'picture') for each in sums.values()]
    figure = affect_plane_chart(faces)
    # The most seen one on top; a portrait at the edge stays inside.
    assert [(image.x, image.y) for image in figure.layout.images] == [(0.9, -0.9), (-0.5, 0.5)]
    assert figure.layout.images[0].source == 'data:image/jpeg;base64,cGljdHVyZQ=='
    density = traces(figure, 'density')[0]
    cells = [
        (x, y, share)
        for y, row in zip(density['y'], density['customdata'])
        for x, share in zip(density['x'], row)
        if share
    ]
    # A cell is 2/26 wide, and holds its lower edge.
    assert cells == [
        (pytest.approx(1 - 1 / 26, abs=1e-3), pytest.approx(-1 + 1 / 26, abs=1e-3), 50.0),
        (pytest.approx(-0.5, abs=0.05), pytest.approx(0.5, abs=0.05), 50.0),
    ]


def test_each_emotion_is_marked_where_people_place_it_when_the_plane_is_drawn():
    figure = affect_plane_chart([FaceTimeline('aaaaa', 0, 1, 1, {0: Bin(1, affect=np.array([0.0, 0.0, 1.0]))})])
    landmarks = traces(figure, 'landmarks')[0]
    assert dict(zip(landmarks['text'], zip(landmarks['x'], landmarks['y']))) == {
        emotion: tuple(AFFECT_COORDINATES[emotion]) for emotion in EMOTIONS
    }
