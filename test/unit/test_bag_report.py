"""The page of a recording: what it says and draws."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

if sys.version_info < (3, 10):
    pytest.skip('recordings are judged on Python 3.10 and newer', allow_module_level=True)

from invented_story import CAMERA, invented_story, summary_of, usual_story  # noqa: E402

from facial_emotion_ros.affect_coordinates import AFFECT_COORDINATES  # noqa: E402
from facial_emotion_ros.bag_evaluation import report_words as words  # noqa: E402
from facial_emotion_ros.bag_evaluation.affect_plane import affect_plane  # noqa: E402
from facial_emotion_ros.bag_evaluation.report import report_html  # noqa: E402
from facial_emotion_ros.bag_evaluation.report_style import contrast, ink_on  # noqa: E402
from facial_emotion_ros.bag_evaluation.story import Bin, CameraStory, FaceStory, Story  # noqa: E402
from facial_emotion_ros.bag_evaluation.timeline_plots import (  # noqa: E402
    Run,
    TimeScale,
    affect_over_time,
    emotion_row,
    presence_row,
    runs,
    scores_plot,
    stretches,
)
from facial_emotion_ros.bag_evaluation.truth import Truth  # noqa: E402
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN  # noqa: E402
from facial_emotion_ros.evaluation.svg import EMOTION_COLORS  # noqa: E402

VOID = {'meta', 'img', 'br'}


class Page(HTMLParser):
    """Reads a page: its words, its elements, what they refer to, and whether each ends where it should."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.references, self.elements = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.references += [value for name, value in attrs if name in ('src', 'href', 'xlink:href', 'srcset', 'action')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] != ['style']:
            self.words.append(text)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ' '.join(self.words))

    def of_class(self, name):
        return [attributes for _, attributes in self.elements if name in attributes.get('class', '').split()]


def only_face(story, face_id, camera=CAMERA):
    return story, story.cameras[camera], story.cameras[camera].faces[face_id]


def test_the_page_tells_figures_faces_and_origin_when_everything_is_known():
    story = usual_story()
    page = Page(report_html(summary_of(story), story))
    assert not page.open
    for wanted in ('Two faces in 20 s: most often surprise, then happy', 'thin band under a face is the truth',
                   '54% of the answers are right (95%: 41% to 68%)', '95%: 41%–68%', 'Nothing was lost', 'aaaaa',
                   'bbbbb', '0.213', '88%', 'recorded latency', '81 ms', 'Truth: /truth', '2.5× real time',
                   '10 images a second', '61.5, 88.5 ms', 'cd' * 32, 'ab' * 32, 'ef' * 32,
                   'evaluate_bag walk --output out', 'onnxruntime 1.23', '2025-11-26 09:40:00 UTC',
                   'told surprise (80%), truth is happy', 'from sad to fear', *EMOTIONS, UNKNOWN):
        assert wanted in page.text, wanted
    assert len([tag for tag, attributes in page.elements if tag == 'svg']) == 2 * 2 + 2  # faces, plane, confusion


def test_the_page_asks_nobody_and_runs_nothing_when_it_is_read():
    story = usual_story()
    text = report_html(summary_of(story), story)
    page = Page(text)
    assert page.references and all(each.startswith('data:image/jpeg;base64,') for each in page.references)
    assert "default-src 'none'" in text and not re.search(r'https?:|@import|url\(|<script|<link|<iframe', text)


def test_words_of_a_recording_cannot_become_markup_when_they_hold_some():
    evil = '<script>alert(1)</script>'
    story = invented_story({evil: [(0, 5, 'happy', None)]}, 5, camera=evil)
    summary = summary_of(story, evil)
    summary['bag'].update(faults=[evil], start=evil)
    summary['run'].update(command=evil, provider=evil, versions={evil: evil})
    summary['truth']['source'] = summary['recorded']['topic'] = summary['bundle']['name'] = evil
    text = report_html(summary, story)
    assert '<script' not in text and text.count('&lt;script') > 8


@pytest.mark.parametrize('summary', [{}, {'bag': {}, 'cameras': {}, 'overall': {}, 'truth': None, 'recorded': None},
                                     {'overall': {'frames': 5}, 'run': {'ms': {'read': {}}}, 'truth': {'n': 0}}])
def test_the_page_is_whole_when_figures_are_absent(summary):
    for story in (Story(), usual_story(), invented_story({})):
        page = Page(report_html(summary, story))
        assert not page.open and 'How this page came about' in page.text
        assert 'None' not in page.text and 'nan' not in page.text.lower()


@pytest.mark.parametrize('detect, step', [
    ({}, 'finding, following and reading faces'), ({'p50': None, 'p95': None}, 'finding, following and reading faces'),
    ({'p50': 14.0, 'p95': 20.0}, 'finding faces')])
def test_the_last_step_is_named_by_what_is_done_in_it_when_faces_are_found_ahead_or_not(detect, step):
    story = usual_story()
    summary = summary_of(story)
    summary['run'].update(ms=dict(summary['run']['ms'], detect=detect), seconds=None, times_real_time=None,
                          frames_per_second=None, notes=['one thing <b>', 'another'])
    page = Page(report_html(summary, story))
    is_ahead = step == 'finding faces'
    assert step in page.text and ('14.0, 20.0 ms' in page.text) == is_ahead
    assert page.text.count('following and reading faces') == 1 and ('finding, following' in page.text) != is_ahead
    # What is not known of several bundles is left out, and what was left out is said.
    assert 'All of it took' not in page.text and 'real time' not in page.text
    assert 'notes one thing <b>; another' in page.text


def test_the_confusion_counts_views_and_says_what_it_leaves_out_when_it_is_shown():
    story = usual_story()
    page = Page(report_html(summary_of(story), story))
    assert '16 views' in page.text and '16 faces' not in page.text
    assert 'called unknown are not among them' in page.text
    assert 'recorded detections or annotations' in page.text


@pytest.mark.parametrize('figures, expected', [
    ({}, 'No image of this recording could be read'),
    ({'frames': 100, 'faces': 0}, 'No face was seen in 24 s'),
    ({'frames': 9, 'faces': 1, 'emotions': {'sad': 0.9, UNKNOWN: 0.1}}, 'One face in 24 s: nothing but sad'),
    ({'frames': 9, 'faces': 3, 'persons': 2, 'emotions': {'sad': 0.6, 'fear': 0.4}}, 'Two people in 24 s: mostly sad'),
    ({'frames': 9, 'faces': 40, 'emotions': {'sad': 0.3, 'fear': 0.4, 'happy': 0.3}},
     '40 faces in 24 s: most often fear, then sad'),
    ({'frames': 9, 'faces': 2, 'emotions': {UNKNOWN: 1.0}}, 'Two faces in 24 s, none of which could be read'),
])
def test_the_headline_says_what_happened_when_figures_are_given(figures, expected):
    assert words.headline({'overall': figures}, 24.0).replace('\u00a0', ' ') == expected


@pytest.mark.parametrize('write, value, expected', [
    (words.clock, 0, '0:00'), (words.clock, 59.99, '0:59'), (words.clock, 61.2, '1:01'), (words.clock, 3661, '1:01:01'),
    (words.duration, 4.26, '4.3 s'), (words.duration, 9.97, '10 s'), (words.duration, 119.4, '119 s'),
    (words.duration, 600, '10 min'), (words.duration, 605, '10 min 5 s'), (words.duration, 7260, '2 h 1 min'),
    (words.duration, None, '–'), (words.percentage, 0.004, '<1%'), (words.percentage, 0.0, '0%'),
    (words.percentage, 0.996, '>99%'), (words.percentage, 1.0, '100%'), (words.percentage, float('nan'), '–'),
    (words.moment_of, 1764150000_000000000, '2025-11-26 09:40:00 UTC'), (words.moment_of, None, ''),
    (words.interval, (0.5, 0.75), '50% to 75%'), (words.interval, (1.0, 1.0), '100%'),
])
def test_values_are_written_as_people_say_them_when_they_are_shown(write, value, expected):
    assert write(value).replace('\u00a0', ' ') == expected


def test_losses_are_listed_and_counted_when_something_was_lost():
    story = usual_story()
    summary = summary_of(story)
    summary['bag']['faults'] = [f'fault number {number}' for number in range(30)]
    summary['cameras'][CAMERA]['bad_frames'] = 7
    text = Page(report_html(summary, story)).text
    assert 'What was lost' in text and 'Nothing was lost' not in text
    assert 'fault number 11' in text and 'fault number 12' not in text and 'and 19 faults more' in text
    summary['bag']['faults'] = [f'{CAMERA}: 7 images could not be read: cut off']
    assert 'seven images' not in Page(report_html(summary, story)).text
    summary['bag']['faults'] = []
    assert f'seven images of {CAMERA} could not be read' in Page(report_html(summary, story)).text


def test_a_faces_time_is_cut_when_it_goes_and_not_when_the_camera_is_slow():
    gone = only_face(usual_story(), 'bbbbb')
    assert [(steps[0].start_s, steps[-1].end_s) for steps in stretches(*gone, 400)] == [(2.0, 8.0), (12.0, 16.0)]
    slow = only_face(invented_story({'aaaaa': [(0, 20, 'sad', None)]}, rate_hz=0.5), 'aaaaa')
    (steps,) = stretches(*slow, 400)
    assert [(step.start_s, step.end_s) for step in steps] == [(2.0 * place, min(2.0 * place + 2, 18.25)) for place in
                                                              range(10)]
    silent = only_face(invented_story({'aaaaa': [(0, 20, 'sad', None)]}, silent=[(5, 11)]), 'aaaaa')
    assert [(steps[0].start_s, steps[-1].end_s) for steps in stretches(*silent, 400)] == [(0.0, 5.0), (11.0, 20.0)]


def test_columns_are_merged_and_nothing_is_lost_when_there_are_more_than_a_plot_shows():
    there = only_face(usual_story(), 'aaaaa')
    (steps,) = stretches(*there, 10)
    assert len(steps) <= 10 and sum(step.sums.frames for step in steps) == there[2].frames
    assert steps[0].start_s == 0.0 and steps[-1].end_s == pytest.approx(20.0, abs=2.0)


def test_neighbours_with_one_word_become_one_run_when_a_row_is_drawn():
    (steps,) = stretches(*only_face(usual_story(), 'aaaaa'), 400)
    assert runs(steps, lambda sums: sums.emotion) == [Run(0.0, 9.0, 'happy'), Run(9.0, 20.0, 'surprise')]
    assert runs(steps, lambda sums: sums.true_emotion) == [Run(0.0, 20.0, 'happy')]
    assert runs(steps, lambda sums: '') == []


def test_a_row_shows_emotions_in_their_places_with_words_and_truth_when_it_is_drawn():
    story = usual_story()
    page = Page(emotion_row(*only_face(story, 'bbbbb'), TimeScale(20)))
    drawn = [(each['class'], each['style'], each['title']) for each in page.of_class('run')]
    assert drawn == [
        ('run worded e2', 'left:10.00%;width:20.00%', '0:02 to 0:06 sad'),
        ('run worded eu', 'left:30.00%;width:10.00%', '0:06 to 0:08 unknown'),
        ('run worded e4', 'left:60.00%;width:20.00%', '0:12 to 0:16 fear')]
    assert [(each['class'], each['style']) for each in page.of_class('true')] == [
        ('true e2', 'left:10.00%;width:30.00%')]
    assert ''.join(page.words) == 'sadunknownfear'
    assert 'sad 0:02 to 0:06; unknown 0:06 to 0:08' in page.of_class('strip')[0]['aria-label']
    none = invented_story({'aaaaa': [(0, 4, 'sad', None)]}, 4)
    assert not Page(emotion_row(*only_face(none, 'aaaaa'), TimeScale(4))).of_class('band')


def test_presence_shows_faces_absences_and_silence_when_a_camera_is_drawn():
    story = invented_story({'aaaaa': [(0, 5, 'sad', None)]}, 20, silent=[(10, 15)])
    page = Page(presence_row(story, story.cameras[CAMERA], TimeScale(20)))
    marks = [attributes for tag, attributes in page.elements if tag == 'i']
    assert [(each['style'], each['title']) for each in marks] == [
        ('left:0.00%;width:25.00%;opacity:1.00', '0:00 to 0:05: 100% of the frames hold a face'),
        ('left:25.00%;width:25.00%;opacity:0.12', '0:05 to 0:10: 0% of the frames hold a face'),
        ('left:75.00%;width:25.00%;opacity:0.12', '0:15 to 0:20: 0% of the frames hold a face')]


def points(element):
    return np.array([[float(each) for each in pair.split(',')] for pair in element['points'].split()])


def test_scores_fill_the_height_and_the_time_that_a_face_was_there_when_they_are_stacked():
    page = Page(scores_plot(*only_face(usual_story(), 'aaaaa'), TimeScale(20)))
    areas = {attributes['fill']: points(attributes) for tag, attributes in page.elements if tag == 'polygon'}
    assert set(areas) == set(EMOTION_COLORS.values())
    below, above = areas[EMOTION_COLORS['neutral']], areas[EMOTION_COLORS['contempt']]
    assert below[:, 1].max() == 100 and above[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert below[:, 0].min() == 0 and below[:, 0].max() == pytest.approx(1000, abs=1)
    happy = areas[EMOTION_COLORS['happy']]
    upper, lower = happy[:len(happy) // 2], happy[len(happy) // 2:][::-1]
    early = upper[:, 0] < 400
    assert (lower - upper)[early, 1] == pytest.approx(80, abs=0.1)
    assert page.text.count('mean ') == 8


def test_valence_and_arousal_run_where_they_were_read_and_true_ones_beside_them_when_they_are_drawn():
    story = invented_story({'aaaaa': [(0, 10, 'happy', Truth('happy', 0.5, -1.0)), (10, 20, 'happy', None)]})
    page = Page(affect_over_time(*only_face(story, 'aaaaa'), TimeScale(20)))
    lines = {attributes['class']: points(attributes) for tag, attributes in page.elements if tag == 'polyline'}
    assert set(lines) == {'line one', 'line two', 'line one truth', 'line two truth'}
    assert lines['line one truth'][:, 1] == pytest.approx(25) and lines['line two truth'][:, 1] == pytest.approx(100)
    assert lines['line one truth'][:, 0].max() == pytest.approx(500, abs=1)
    assert lines['line one'][:, 0].max() == pytest.approx(1000, abs=1)
    times = lines['line one'][1:-1, 0] / 50
    assert lines['line one'][1:-1, 1] == pytest.approx(50 * (1 - 0.5 * np.sin(times - 0.125)), abs=0.1)


@pytest.mark.parametrize('length, expected', [
    (0.0, ['0:00']), (2.5, ['0:00', '0:01', '0:02']), (24, ['0:00', '0:05', '0:10', '0:15', '0:20']),
    (600, ['0:00', '2:00', '4:00', '6:00', '8:00', '10:00']),
    (7000, ['0:00', '30:00', '1:00:00', '1:30:00']), (864000, ['0:00', '48:00:00', '96:00:00']),
])
def test_ticks_are_round_and_few_when_a_scale_is_written(length, expected):
    written = [words.clock(tick) for tick in TimeScale(length).ticks()]
    assert written[:len(expected)] == expected
    assert len(written) <= 8


def test_the_longest_faces_get_rows_and_the_others_a_count_when_there_are_many():
    names = [chr(97 + place // 26) + chr(97 + place % 26) + 'xxx' for place in range(40)]
    faces = {name: [(0, 1 + 0.5 * place, 'sad', None)] for place, name in enumerate(names)}
    story = invented_story(faces, 21)
    page = Page(report_html(summary_of(story), story))
    assert len(page.of_class('strip')) == 24 + 1 and '16 others had' in page.text
    assert names[39] in page.text and names[16] in page.text and names[15] not in ''.join(
        attributes.get('aria-label', '') for attributes in page.of_class('strip'))
    assert len(page.of_class('person')) == 6 and 'These 6 faces were seen longest; 34 others had' in page.text


def test_each_camera_gets_a_block_when_there_are_several():
    story = invented_story({'aaaaa': [(0, 5, 'sad', None)]}, 5, camera='/left')
    story = invented_story({'bbbbb': [(0, 3, 'fear', None)]}, 5, camera='/right', story=story)
    page = Page(report_html(summary_of(story), story))
    assert 'Camera by camera' in page.text and 'of 2 cameras' in page.text
    assert page.text.index('/left') < page.text.index('/right')
    assert len(page.of_class('strip')) == 2 * 2


def test_the_page_stays_small_when_a_long_recording_is_as_restless_as_can_be():
    generator, story, sums = np.random.default_rng(0), Story(), []
    story.bin_s, story.end_s = 3.0, 3590.0
    for word in [*range(9)] * 10:
        sums.append(Bin(90, generator.random(8), generator.uniform(-50, 50, 3), 90 * np.eye(9, dtype=int)[word]))
    for topic in ('/left', '/right', '/back'):
        camera = story.cameras[topic] = CameraStory(frames=dict.fromkeys(range(1197), 90))
        for name in range(60):
            face = camera.faces[f'{topic}{name}'] = FaceStory(f'{topic}{name}', 0.0, 3590.0, 90 * 1197)
            face.steps.update(enumerate(sums[each] for each in generator.integers(0, len(sums), 1197)))
    text = report_html(summary_of(story), story)
    assert len(text) < 4e6 and not Page(text).open


def test_words_can_be_read_on_every_colour_when_they_are_written_on_it():
    for color in EMOTION_COLORS.values():
        assert contrast(ink_on(color), color) >= 4.3, color
    assert contrast('#ffffff', '#000000') == pytest.approx(21)


def test_portraits_lie_where_their_faces_were_and_inside_when_the_plane_is_drawn():
    sums = {(valence, arousal): Bin(1, affect=np.array([valence, arousal, 1.0])) for valence, arousal in
            ((-0.5, 0.5), (1.0, -1.0))}
    faces = [FaceStory('aaaaa', 0, 1, 1, {place: each for place in range(3)}, b'picture') for each in sums.values()]
    page = Page(affect_plane(faces))
    middles = [(float(each['cx']), float(each['cy'])) for each in page.of_class('portrait')]
    # The plane is 426 px wide and 400 px high, from (62, 12) on; a portrait at the edge stays inside.
    assert middles == [(62 + 426 - 19, 12 + 400 - 19), (62 + 426 / 4, 12 + 400 / 4)]
    assert len(page.of_class('round')) == 2 and len(page.of_class('density')) == 2
    assert {'50.0% of all views of faces'} <= {each.strip() for each in page.words}


def test_each_emotion_is_marked_where_people_place_it_when_the_plane_is_drawn():
    page = Page(affect_plane([FaceStory('aaaaa', 0, 1, 1, {0: Bin(1, affect=np.array([0.0, 0.0, 1.0]))})]))
    rings = [(float(each['cx']), float(each['cy'])) for each in page.of_class('ring')]
    assert rings == [pytest.approx((62 + 213 * (1 + valence), 12 + 200 * (1 - arousal)), abs=0.01)
                     for valence, arousal in AFFECT_COORDINATES.values()]
