"""The page that shows the figures."""

import re

import numpy as np
import pytest
from html_page import Page, loads_nothing, traces
from invented_reading import FREQUENCIES, described, invented_reading

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import OperatingPoint
from facial_emotion_ros.evaluation import charts
from facial_emotion_ros.evaluation.intervals import wilson_interval
from facial_emotion_ros.evaluation.prediction_metrics import compute_metrics
from facial_emotion_ros.evaluation.report import most_confident_errors, report_html
from facial_emotion_ros.training.data.ferplus import FerPlus

POINT = OperatingPoint(temperature=2.0)


@pytest.fixture(scope='module')
def reading():
    """Return 600 faces as unevenly spread as FER+'s."""
    return invented_reading(count=600, temperature=2.0, frequencies=list(FREQUENCIES.values()))


@pytest.fixture(scope='module')
def found(reading):
    """Return their figures, with and without some faces."""
    whole = described(compute_metrics(reading, POINT, resamples=20))
    rest = compute_metrics(reading.rows(np.arange(500)), POINT, resamples=20)
    return dict(whole, without_left_out=dict(rest, left_out='copies.txt'))


def test_the_page_shows_the_figures_and_all_plots(reading, found):
    page = Page(report_html(found, reading, POINT))
    assert page.open == [] and len(page.charts) == 5 and not [tag for tag, _ in page.elements if tag == 'img']
    rest = found['without_left_out']
    low, high = found['intervals']['accuracy']
    for wanted in (
        f'{100 * found["accuracy"]:.1f}%',
        f'{found["ece"]:.3f}',
        f'{found["agreement_auroc"]:.3f}',
        f'{100 * rest["accuracy"]:.1f}% without the excluded faces',
        f'95%: {100 * low:.1f}% to {100 * high:.1f}%; {100 * rest["accuracy"]:.1f}% without',
        'copies.txt, 500 faces',
        'ab' * 32,
        'evaluate --dataset invented.npz',
        'derived from votes',
        *EMOTIONS,
    ):
        assert wanted in page.text, wanted
    for emotion, count in found['count'].items():
        right = found['confusion'][EMOTIONS.index(emotion)][EMOTIONS.index(emotion)]
        (recall,) = page.figures('Recall')
        said = {each['y']: each['text'] for each in recall['layout']['annotations']}
        assert said[emotion] == (f'{100 * right / count:.1f}%, {right} of {count}' if count else 'no face')


def test_the_page_loads_nothing(reading, found):
    text = report_html(found, reading, POINT)
    assert loads_nothing(text) and Page(text).references == [] and len(text) < 6e6


def test_no_face_is_in_the_page_unless_it_is_asked_for(reading, found):
    faces = FerPlus(np.random.default_rng(0).integers(0, 255, (600, 48, 48)), np.zeros((600, 10)), reading.names)
    assert Page(report_html(found, reading, POINT)).references == []
    assert most_confident_errors(faces, reading, POINT, 0) == []
    pictures = most_confident_errors(faces, reading, POINT, 5)
    assert len(pictures) == 5 and pictures[0][1].shape == (48, 48)
    shares = [int(re.search(r'(\d+)%', caption).group(1)) for caption, _ in pictures]
    assert shares == sorted(shares, reverse=True)
    page = Page(report_html(found, reading, POINT, pictures))
    assert len(page.references) == 5 and all(each.startswith('data:image/png;base64,') for each in page.references)
    assert 'pass this page on only if' in page.text


def test_names_are_text_and_never_markup(reading, found):
    hostile = dict(
        found, command='evaluate <script>alert(1)</script>', bundle=dict(found['bundle'], name='<img src=x onerror=y>')
    )
    text = report_html(hostile, reading, POINT)
    page = Page(text)
    scripts = [attributes for tag, attributes in page.elements if tag == 'script']
    assert len(scripts) == len(page.charts) + 3 and '<img src=x' not in text and 'alert(1)' in page.text


def test_a_page_is_made_when_hardly_anything_can_be_measured():
    few = invented_reading(count=3)
    only = few.rows(np.flatnonzero(few.labels == few.labels[0])[:1])
    unrated = type(only)(**dict(vars(only), affect_truth=np.full((1, 2), np.nan), affect_source='annotated'))
    page = Page(report_html(described(compute_metrics(unrated, resamples=5)), unrated))
    assert page.open == [] and len(page.charts) == 4 and 'nan' not in page.text  # none of affect
    assert 'no face' in str(page.figures('Recall'))


def test_the_confusion_matrix_holds_each_count_and_its_share(reading, found):
    matrix = np.zeros((8, 8), int)
    matrix[0, 0], matrix[0, 2], matrix[7, 0], matrix[1, 1], matrix[1, 4] = 30, 10, 4, 999, 1
    page = Page(report_html(dict(found, confusion=matrix.tolist()), reading, POINT))
    for wanted in ('75% 30', '25% 10', '100% 4', '<1% 1', 'neutral 40 faces', 'contempt 4 faces', 'fear 0 faces'):
        assert wanted in page.text, wanted
    cells = [(each['title'], each.get('style')) for tag, each in page.elements if tag == 'td' and 'title' in each]
    assert len(cells) == 64 and ('neutral taken for sad: 10 of 40 (25.0%)', '--share:30%') in cells
    right = [each['title'] for each in page.of_class('right')]
    assert len(right) == 8 and right[0] == 'neutral taken for neutral: 30 of 40 (75.0%)'


def test_bars_of_the_recall_chart_are_as_long_as_the_recall_with_its_interval():
    matrix = np.diag([3] * 7 + [0])
    matrix[0, 1] = 1
    figure = charts.recall_chart(matrix.tolist())
    (bars,) = traces(figure)
    assert dict(zip(bars['y'], bars['x'])) == dict({emotion: 1.0 for emotion in EMOTIONS[1:7]}, neutral=0.75)
    low, high = wilson_interval(3, 4)
    assert bars['customdata'][0] == [low, high]
    assert (bars['error_x']['array'][0], bars['error_x']['arrayminus'][0]) == (high - 0.75, 0.75 - low)
    assert [each.text for each in figure.layout.annotations][::7] == ['75.0%, 3 of 4', 'no face']


def test_bars_of_the_reliability_chart_are_as_high_as_the_accuracy():
    said = {'bins': 2, 'count': [0, 30], 'confidence': [None, 0.9], 'accuracy': [None, 0.6]}
    figure = charts.reliability_chart(said, said, (0.3, 0.2))
    assert [(each['x'], each['y']) for each in traces(figure, 'right')] == [([0.75], [0.6])] * 2
    gaps = [(each['base'], each['y'], each['customdata']) for each in traces(figure, 'gap')]
    assert gaps == [([0.6], [pytest.approx(0.3)], [[30, 0.9, 0.6]])] * 2
    assert [each['y'] for each in traces(figure, 'faces')] == [[0, 30]] * 2
    assert [each.text for each in figure.layout.annotations] == [
        '<b>as trained</b>, ECE 0.300',
        '<b>calibrated</b>, ECE 0.200',
    ]


def test_curves_are_those_of_the_figures():
    figure = charts.roc_chart([('confidence', np.array([0, 0.2, 1]), np.array([0, 0.9, 1]), 0.85)])
    (line,) = traces(figure)
    assert (line['name'], line['x'], line['y']) == ('confidence: AUROC 0.850', [0, 0.2, 1], [0, 0.9, 1])
    (risk,) = traces(charts.risk_chart([('confidence', np.array([0.01, 0.5, 1]), np.array([1, 0.1, 0.25]))]))
    assert (risk['x'], risk['y']) == ([0.5, 1], [0.1, 0.25])
    assert len(traces(charts.risk_chart([('confidence', np.array([]), np.array([]))]))) == 1
    many = traces(charts.roc_chart([('agreement', np.linspace(0, 1, 5000), np.linspace(0, 1, 5000), None)]))[0]
    assert len(many['x']) == 400 and (many['x'][0], many['x'][-1]) == (0, 1)


def test_medians_of_classes_lie_where_their_faces_do(reading):
    valence, arousal = np.array([0.1, 0.3, 0.5, -1.0]), np.array([0.0, 0.2, 0.4, 1.0])
    figure = charts.affect_chart(valence, arousal, np.array([1, 1, 1, 6]), True)
    medians = {each['text'][0]: (each['x'], each['y']) for each in traces(figure) if len(each.get('text', ())) == 1}
    assert medians == {'<b>happy</b>': ([0.3], [0.2]), '<b>anger</b>': ([-1.0], [1.0])}
    assert len(traces(figure, 'landmarks')) == 1
    assert not traces(charts.affect_chart(valence, arousal, np.array([1, 1, 1, 6]), False), 'landmarks')
