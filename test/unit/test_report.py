"""The page that shows the figures."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed: it is needed for training and evaluation only')

from invented_reading import FREQUENCIES, described, invented_reading  # noqa: E402

from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.evaluation import plots  # noqa: E402
from facial_emotion_ros.evaluation.figures import figures  # noqa: E402
from facial_emotion_ros.evaluation.report import most_confident_errors, report_html  # noqa: E402
from facial_emotion_ros.evaluation.svg import standalone  # noqa: E402
from facial_emotion_ros.learning.ferplus import FerPlus  # noqa: E402

#: Elements that have no end.
VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}


class Page(HTMLParser):
    """Reads a page: its text, what it refers to, and whether every element ends where it should."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.references, self.counts = [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.references += [value for name, value in attrs if name in ('src', 'href', 'xlink:href', 'srcset', 'action')]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        if self.open and self.open[-1] not in ('style', 'script'):
            self.words.append(words)

    @property
    def text(self):
        return ' '.join(self.words)


@pytest.fixture(scope='module')
def reading():
    """Return 600 faces as unevenly spread as FER+'s."""
    return invented_reading(count=600, temperature=2.0, frequencies=list(FREQUENCIES.values()))


@pytest.fixture(scope='module')
def found(reading):
    """Return their figures, with and without some faces."""
    whole = described(figures(reading, 2.0, resamples=20))
    rest = figures(reading.rows(np.arange(500)), 2.0, resamples=20)
    return dict(whole, without_left_out=dict(rest, left_out='copies.txt'))


def test_the_page_shows_the_figures_and_all_plots(reading, found):
    page = Page(report_html(found, reading, 2.0))
    assert page.open == [] and page.counts['svg'] == 6 and 'img' not in page.counts
    rest = found['without_left_out']
    for wanted in (f'{100 * found["accuracy"]:.1f}%', f'{found["ece"]:.3f}', f'{found["agreement_auroc"]:.3f}',
                   f'{100 * rest["accuracy"]:.1f}% without those left out', 'copies.txt, 500 faces',
                   'ab' * 32, 'evaluate --dataset invented.npz', 'derived from votes', *EMOTIONS):
        assert wanted in page.text, wanted
    for emotion, count in found['count'].items():
        right = found['confusion'][EMOTIONS.index(emotion)][EMOTIONS.index(emotion)]
        assert (f'{right} of {count}' in page.text) if count else ('no such face' in page.text)


def test_the_page_asks_no_other_host_and_runs_no_script(reading, found):
    text = report_html(found, reading, 2.0)
    assert Page(text).references == []
    assert not re.search(r'https?:|//[a-z]|url\(|@import|<script|<link', text)
    assert "default-src 'none'" in text


def test_no_face_is_in_the_page_unless_it_is_asked_for(reading, found):
    faces = FerPlus(np.random.default_rng(0).integers(0, 255, (600, 48, 48)), np.zeros((600, 10)), reading.names)
    assert 'data:image' not in report_html(found, reading, 2.0)
    assert most_confident_errors(faces, reading, 2.0, None, 0) == []
    pictures = most_confident_errors(faces, reading, 2.0, None, 5)
    assert len(pictures) == 5 and pictures[0][1].shape == (48, 48)
    shares = [int(re.search(r'(\d+)%', caption).group(1)) for caption, _ in pictures]
    assert shares == sorted(shares, reverse=True)
    page = Page(report_html(found, reading, 2.0, None, pictures))
    assert page.counts['img'] == 5 and all(each.startswith('data:image/png;base64,') for each in page.references)
    assert 'pass this page on only if' in page.text


def test_names_are_text_and_never_markup(reading, found):
    hostile = dict(found, command='evaluate <script>alert(1)</script>',
                   bundle=dict(found['bundle'], name='<img src=x onerror=y>'))
    text = report_html(hostile, reading, 2.0)
    assert '<script' not in text and '<img' not in text and 'alert(1)' in Page(text).text


def test_a_page_is_made_when_hardly_anything_can_be_measured():
    few = invented_reading(count=3)
    only = few.rows(np.flatnonzero(few.labels == few.labels[0])[:1])
    unrated = type(only)(**dict(vars(only), affect_truth=np.full((1, 2), np.nan), affect_source='annotated'))
    page = Page(report_html(described(figures(unrated, resamples=5)), unrated))
    assert page.open == [] and page.counts['svg'] == 6 and 'no such face' in page.text and 'nan' not in page.text


def texts(plot):
    """List the words of a plot, which must be sound XML."""
    return [element.text for element in ElementTree.fromstring(plot).iter() if element.tag.endswith('text')]


def test_the_confusion_plot_holds_each_count_and_its_share():
    matrix = np.zeros((8, 8), int)
    matrix[0, 0], matrix[0, 2], matrix[7, 0] = 30, 10, 4
    words = texts(plots.confusion_plot(matrix))
    assert {'75%', '25%', '100%', '30', '10', '4', '40 faces', '4 faces'} <= set(words)


def test_the_recall_plot_says_how_many_of_how_many():
    matrix = np.diag([3] * 7 + [0])
    matrix[0, 1] = 1
    words = texts(plots.recall_plot(matrix))
    assert {'3 of 4', '75.0%', '3 of 3', 'no such face'} <= set(words)


@pytest.mark.parametrize('hits, count, low, high', [
    (3, 16, 0.0659, 0.4301), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)])
def test_the_interval_of_a_share_is_wilson_s(hits, count, low, high):
    assert plots.wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-4)


def test_bars_of_the_reliability_plot_are_as_high_as_the_accuracy():
    said = {'bins': 2, 'count': [0, 30], 'confidence': [None, 0.9], 'accuracy': [None, 0.6]}
    root = ElementTree.fromstring(plots.reliability_plot(said, said, 0.3, 0.3))
    heights = [float(element.get('height')) for element in root.iter() if element.get('class') == 'fill one']
    assert heights == [pytest.approx(0.6 * 260)] * 2
    gaps = [float(element.get('height')) for element in root.iter() if element.get('class') == 'fill two']
    assert gaps == [pytest.approx(0.3 * 260)] * 2


def test_curves_end_where_the_figures_say():
    roc = plots.roc_plot([('confidence', np.array([0, 0.2, 1]), np.array([0, 0.9, 1]), 0.85)])
    assert any('AUROC 0.850' in (words or '') for words in texts(roc))
    line = next(each for each in ElementTree.fromstring(roc).iter() if each.get('class') == 'line one')
    assert len(line.get('points').split()) == 3
    assert texts(plots.risk_plot([('confidence', np.array([]), np.array([]))]))


def test_a_plot_stands_alone_when_it_is_a_file():
    text = standalone(plots.recall_plot(np.diag([3] * 8)))
    root = ElementTree.fromstring(text)
    assert root.tag == '{http://www.w3.org/2000/svg}svg' and 'var(' not in text
    assert 'http' not in text.replace('http://www.w3.org/2000/svg', '')
