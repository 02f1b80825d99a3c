"""The page of a recording, as a real browser shows it: drawn, legible, and silent towards the network."""

import http.server
import sys
import threading

import numpy as np
import pytest

if sys.version_info < (3, 10):
    pytest.skip('recordings are judged on Python 3.10 and newer', allow_module_level=True)

from chromium import NARROW, OUTSIDE, WIDE, asked_for, charts_of, show, start_browser, until
from sample_fleet import sample_fleet
from sample_timeline import CAMERA, make_timeline, sample_timeline, summary_of
from selenium.webdriver.common.action_chains import ActionChains

from facial_emotion_ros.demo.h264 import h264_program
from facial_emotion_ros.demo.video_writer import AnnotatedVideo
from facial_emotion_ros.evaluation.page import PLOTLY_FILE, plotly_script
from facial_emotion_ros.recordings.report.batch_report import fleet_html
from facial_emotion_ros.recordings.report.report import report_html
from facial_emotion_ros.recordings.report.timeline import Film

#: Of each row of the timelines: the top of its face's words, and that of its bars, both from the chart's top.
ROWS = """
return [...document.querySelectorAll('.rows')].map(rows => {
  const top = rows.getBoundingClientRect().top, middle = each => {
    const b = each.getBoundingClientRect(); return Math.round((b.top + b.bottom) / 2 - top);
  };
  return [[...rows.querySelectorAll('.who')].map(middle),
          [...new Set([...rows.querySelectorAll('.barlayer .point path')].map(middle))]];
});
"""

#: Sizes of the words, in px.
SIZES = """
return [...document.querySelectorAll('p,td,dd,dt,figcaption,.who b,.chart .xtick text,.chart .ytick text')]
  .map(each => parseFloat(getComputedStyle(each).fontSize));
"""

#: Words that run into each other along an axis.
WORDS = """
const faults = [];
for (const axis of document.querySelectorAll('.chart .xaxislayer-above')) {
  const words = [...axis.querySelectorAll('text')].map(each => each.getBoundingClientRect());
  words.slice(1).forEach((each, place) => { if (each.left < words[place].right) faults.push(axis.textContent); });
}
return faults;
"""

PICTURES = """
const done = arguments[arguments.length - 1];
const sources = [...document.querySelectorAll('.chart .layer-above image')].map(each => each.href.baseVal);
const shown = [...document.images].map(each => each.naturalWidth > 0 && each.getBoundingClientRect().width > 10);
Promise.all(sources.map(source => { const image = new Image(); image.src = source; return image.decode(); }))
  .then(() => done({shown, inside: sources.length}), error => done({failed: String(error)}));
"""


browser = pytest.fixture(scope='module')(start_browser)


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """Return a function that writes a page and gives its address."""
    folder = tmp_path_factory.mktemp('pages')

    def write(name, text):
        path = folder / f'{name}.html'
        path.write_text(text, encoding='utf-8')
        return path.as_uri()

    write.folder = folder
    return write


@pytest.fixture(scope='module')
def report(pages):
    """Return the address of a report with everything in it."""
    timeline = sample_timeline()
    # A name that no line holds must not widen the page.
    make_timeline({'ccccc': [(1, 18, 'fear', None)]}, 20, camera='/door/' + 'long' * 30, timeline=timeline)
    return pages('report', report_html(summary_of(timeline, 'walk' * 30), timeline))


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_every_chart_has_marks_within_its_card_when_the_page_is_open(browser, report, width):
    show(browser, report, width)
    drawn = charts_of(browser)
    assert len(drawn) == 2 + 3 + 1  # the timelines of two cameras, the faces, the plane
    for each in drawn:
        assert each['width'] > 150 and each['height'] > 80 and each['filled'] and each['inside'], each
        assert each['marks'] >= 3, each
        assert not each['says'].startswith('Scores') or each['marks'] >= 8 + 2, each
    faces, bars = browser.execute_script(ROWS)[0]
    # A face stands beside its row: its emotions and its truth, the row's middle.
    assert len(faces) == 3 and bars[0] < faces[0] + 4 < bars[-1] and abs(faces[1] - faces[0] - 52) <= 1
    assert all(min(abs(face - bar) for bar in bars) < 14 for face in faces)


def test_charts_and_pictures_of_a_real_recording_are_shown_when_its_page_is_open(browser, tmp_path):
    for package in ('rosbags', 'pyarrow'):
        pytest.importorskip(package, reason=f'{package} is not installed: scripts/setup --tests does that')
    from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
    from facial_emotion_ros.recordings.evaluation.options import Options
    from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

    write_sample_bag(str(tmp_path / 'walk'), seconds=1.0, rate_hz=4.0, width=320, height=240)
    evaluate_bag(str(tmp_path / 'walk'), str(tmp_path / 'found'), Options(truth='/annotation/faces'))
    page = tmp_path / 'found' / 'report.html'
    show(browser, page.as_uri())
    drawn = charts_of(browser)
    assert len(drawn) == 3 and all(each['filled'] and each['marks'] >= 3 for each in drawn), drawn
    until(browser, lambda: browser.find_elements('css selector', '.layer-above image'))
    pictures = browser.execute_async_script(PICTURES)
    assert pictures['inside'] == 1 and len(pictures['shown']) >= 2 and all(pictures['shown']), pictures
    assert [each for each in asked_for(browser) if not each.startswith('data:')] == [page.as_uri()]
    assert page.stat().st_size < 6e6 and browser.get_log('browser') == []


def test_all_charts_of_a_recording_show_the_same_stretch_of_time_when_one_is_zoomed(browser, report):
    show(browser, report)
    ranges = "return [...document.querySelectorAll('[data-timed]')].map(each => each.layout.xaxis.range.map(Number))"
    whole = browser.execute_script(ranges)
    assert len(whole) == 5 and len({tuple(each) for each in whole}) == 1
    low, high = whole[0]
    done = 'Plotly.relayout(document.querySelectorAll("[data-timed]")[3], {"xaxis.range": arguments[0]})'
    browser.execute_async_script(f'{done}.then(() => setTimeout(arguments[1], 0))', [low + 2000, high - 5000])
    until(browser, lambda: browser.execute_script(ranges) == [[low + 2000, high - 5000]] * 5)


def test_the_mouse_shows_the_values_of_all_tracks_of_a_face_when_it_rests_on_one(browser, report):
    show(browser, report)
    box = browser.find_elements('css selector', '.person .chart')[0]
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', box)
    for track in ('.xy', '.xy2'):
        place = box.find_element('css selector', f'.draglayer {track} .nsewdrag')
        ActionChains(browser).move_to_element(place).perform()
        until(browser, lambda: 'valence' in hovered(box) and 'surprise' in hovered(box))
        assert 'emotion : surprise, truth: happy' in hovered(box) and 'arousal (truth)' in hovered(box)
        assert hovered(box).startswith('0:09')


def hovered(box):
    return ' '.join(each.get_attribute('textContent') for each in box.find_elements('css selector', '.hoverlayer text'))


def test_pages_of_a_folder_draw_with_the_script_they_share_and_say_so_when_it_is_gone(browser, tmp_path):
    (tmp_path / 'bags' / 'walk').mkdir(parents=True)
    page = tmp_path / 'bags' / 'walk' / 'report.html'
    timeline = sample_timeline()
    page.write_text(report_html(summary_of(timeline), timeline, f'../../{PLOTLY_FILE}'), encoding='utf-8')
    show(browser, page.as_uri())
    assert 'This chart needs plotly.min.js' in browser.find_element('class name', 'chart').text
    (tmp_path / PLOTLY_FILE).write_text(plotly_script(), encoding='utf-8')
    show(browser, page.as_uri())
    assert all(each['filled'] and each['marks'] >= 3 for each in charts_of(browser))
    assert asked_for(browser).count((tmp_path / PLOTLY_FILE).as_uri()) == 1 and browser.get_log('browser') == []


def test_a_script_of_others_does_not_run_when_it_gets_into_a_page(browser, pages):
    timeline = sample_timeline()
    text = report_html(summary_of(timeline), timeline)
    show(browser, pages('injected', text.replace('</main>', '<script>document.title = "mine"</script></main>')))
    assert browser.title != 'mine' and 'Content Security Policy' in str(browser.get_log('browser'))


def test_all_pictures_are_decoded_when_the_page_is_open(browser, report):
    show(browser, report)
    # plotly puts them in place when they are decoded.
    until(browser, lambda: len(browser.find_elements('css selector', '.layer-above image')) == 3)
    pictures = browser.execute_async_script(PICTURES)
    assert pictures['inside'] == 3 and len(pictures['shown']) > 8 and all(pictures['shown']), pictures


def test_nothing_is_asked_of_any_host_and_nothing_complained_of_when_the_page_is_open(browser, report):
    show(browser, report)
    asked = asked_for(browser)
    assert report in asked and not [each for each in asked if not each.startswith(('file:', 'data:'))]
    assert browser.get_log('browser') == []


def test_a_request_and_an_error_would_be_noted_when_a_page_makes_one(browser, pages):
    # It refuses all that it is asked for, which is enough.
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f'http://127.0.0.1:{server.server_address[1]}/picture.png'
        show(browser, pages('loud', f'<img src="{address}"><script>missing()</script>'))
        assert address in asked_for(browser) and 'missing' in str(browser.get_log('browser'))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_words_fit_and_the_page_does_not_move_sideways_when_it_is_wide_or_narrow(browser, report, width):
    show(browser, report, width)
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width
    assert browser.execute_script('return document.body.scrollWidth') <= width
    assert browser.execute_script(WORDS) == []
    sizes = browser.execute_script(SIZES)
    assert len(sizes) > 50 and min(sizes) >= 12


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_the_page_of_many_recordings_fits_when_it_is_wide_or_narrow(browser, pages, width):
    address = pages('fleet', fleet_html(sample_fleet()))
    pages.folder.joinpath(PLOTLY_FILE).write_text(plotly_script(), encoding='utf-8')
    show(browser, address, width)
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width
    assert browser.execute_script(OUTSIDE) == []
    drawn = charts_of(browser)
    assert len(drawn) == 6 and all(each['filled'] and each['inside'] and each['marks'] >= 10 for each in drawn), drawn
    names = [each.text for each in browser.find_elements('css selector', '.fleet td a')]
    assert len(set(names)) == len(names) == 9 and all(
        '…' in name and name.endswith(f'_ride_{place}') for place, name in enumerate(names)
    )
    assert browser.find_element('css selector', '.fleet .swipe').is_displayed() == (width == NARROW)


def test_words_stand_out_from_the_ground_when_the_colours_are_dark(browser, report):
    grounds = []
    for dark in (False, True):
        show(browser, report, dark=dark)
        ground, ink, tick = browser.execute_script(
            "const card = getComputedStyle(document.querySelector('.card'));"
            "const tick = getComputedStyle(document.querySelector('.chart .xtick text')).fill;"
            'return [card.backgroundColor, card.color, tick]'
            '.map(each => each.match(/[0-9]+/g).slice(0, 3).map(Number))'
        )
        assert abs(sum(ground) - sum(ink)) > 450 and tick == ink
        grounds.append(sum(ground))
    assert grounds[0] > 700 and grounds[1] < 200


#: Whether the browser decodes a film's first image: its width, or the browser's words.
FILM = """
const done = arguments[arguments.length - 1], film = document.createElement('video');
film.onloadeddata = () => done(film.videoWidth);
film.onerror = () => done(film.error.message);
film.muted = true; film.preload = 'auto'; film.src = arguments[0]; document.body.append(film);
"""


def test_the_film_plays_when_ffmpeg_made_it(browser, tmp_path):
    if not h264_program():
        pytest.skip('there is no ffmpeg with libx264: pip install imageio-ffmpeg')
    film = AnnotatedVideo(str(tmp_path))
    for number in range(20):
        film.add(np.full((48, 64, 3), 10 * number, np.uint8), number / 10)
    assert film.close() == 'annotated.mp4'
    page = tmp_path / 'page.html'
    page.write_text('<body></body>')
    browser.get(page.as_uri())
    assert browser.execute_async_script(FILM, 'annotated.mp4') == 64


#: The film's time, and for each chart the time at which its line stands, in s of the recording.
LINES = """
const film = document.querySelector('video');
return [film.currentTime, ...[...document.querySelectorAll('[data-timed]')].map(box => {
  const line = box.querySelector('.now'), axis = box._fullLayout.xaxis;
  const x = line.getBoundingClientRect().left + 1 - box.getBoundingClientRect().left - axis._offset;
  return line.hidden ? null : Math.round((axis.p2l(x) - Date.UTC(2000, 0, 1)) / 10) / 100;
})];
"""


def test_lines_follow_the_film_and_a_click_on_a_chart_moves_it_when_a_report_has_one(browser, tmp_path):
    if not h264_program():
        pytest.skip('there is no ffmpeg with libx264: pip install imageio-ffmpeg')
    video = AnnotatedVideo(str(tmp_path))
    times_s = [*np.arange(0, 6, 0.25), *np.arange(14, 20.25, 0.25)]  # the pause is not filmed
    for time_s in times_s:
        video.add(np.full((48, 64, 3), 10 * time_s, np.uint8), time_s)
    timeline = make_timeline(
        {name: [(0, 20.25, 'happy', None)] for name in ('aaaaa', 'bbbbb')}, 20.25, silent=[(6, 14)]
    )
    timeline.films = {CAMERA: Film(video.close(), video.size, video.pieces)}
    page = tmp_path / 'report.html'
    page.write_text(report_html(summary_of(timeline), timeline), encoding='utf-8')
    show(browser, page.as_uri())
    until(browser, lambda: browser.execute_script("return document.querySelector('video').readyState >= 1"))
    assert browser.execute_script(LINES) == [0] * 4

    # Each on another chart: two quick clicks on one are a double-click.
    boxes = browser.find_elements('css selector', '[data-timed]')
    for box, share, film_s, shown_s in zip(boxes, (0.1, 0.5, 0.9), (2, 6, 10), (2, 14, 18)):
        browser.execute_script('arguments[0].scrollIntoView({block: "center"})', box)
        place = box.find_element('css selector', '.draglayer .xy .nsewdrag')
        aside = round((share - 0.5) * place.size['width'])
        ActionChains(browser).move_to_element_with_offset(place, aside, 0).click().perform()
        wanted = pytest.approx([film_s] + [shown_s] * 3, abs=0.1)
        until(browser, lambda wanted=wanted: browser.execute_script(LINES) == wanted)

    play = 'film.muted = true; film.playbackRate = 8; film.play()'
    browser.execute_script(f"const film = document.querySelector('video'); film.currentTime = 5; {play}")
    until(browser, lambda: browser.execute_script("return document.querySelector('video').ended"))
    until(browser, lambda: browser.execute_script(LINES)[1:] == pytest.approx([20] * 3, abs=0.1))
    assert browser.get_log('browser') == [] and all(each.startswith(('file:', 'data:')) for each in asked_for(browser))


#: Times that are marked: of the current image (its text), and of the charts' lines, as above.
MARKED = """const current = document.querySelector('.stills [aria-current]');""" + LINES.replace(
    "const film = document.querySelector('video');", ''
).replace('film.currentTime', 'current && current.textContent')


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_an_image_marks_its_time_in_all_charts_and_a_click_on_a_chart_the_image_when_there_is_no_film(
    browser, pages, width
):
    timeline = make_timeline({name: [(0, 20.25, 'happy', None)] for name in ('aaaaa', 'bbbbb')}, 20.25)
    show(browser, pages('stills', report_html(summary_of(timeline), timeline)), width)
    charts_of(browser)
    assert browser.execute_script(MARKED) == [None] * 4
    stills = browser.find_elements('css selector', '.stills button')
    assert 8 <= len(stills) <= 16 and browser.execute_script('return document.body.scrollWidth') <= width
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', stills[3])
    stills[3].click()
    first = browser.execute_script(MARKED)
    assert first == [stills[3].text] + [pytest.approx(int(stills[3].text[2:]), abs=0.6)] * 3
    place = browser.find_elements('css selector', '[data-timed] .draglayer .xy .nsewdrag')[0]
    ActionChains(browser).move_to_element(place).click().perform()
    until(browser, lambda: browser.execute_script(MARKED)[1:] == pytest.approx([10.1] * 3, abs=0.2))
    assert browser.execute_script(MARKED)[0] in ('0:08', '0:09', '0:10')
