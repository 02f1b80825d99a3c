"""The page of a recording, as a real browser shows it: drawn, legible, and silent towards the network."""

import http.server
import json
import os
import shutil
import sys
import threading

import numpy as np
import pytest

if sys.version_info < (3, 10):
    pytest.skip('recordings are judged on Python 3.10 and newer', allow_module_level=True)
webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed: scripts/setup --tests does '
                                                             'that')

from invented_fleet import invented_fleet  # noqa: E402
from invented_story import invented_story, summary_of, usual_story  # noqa: E402

from facial_emotion_ros.annotated_film import AnnotatedFilm  # noqa: E402
from facial_emotion_ros.bag_evaluation.fleet_report import fleet_html  # noqa: E402
from facial_emotion_ros.bag_evaluation.report import report_html  # noqa: E402
from facial_emotion_ros.h264 import h264_program  # noqa: E402

#: Silence, no first steps, nothing fetched on its own behalf. It knows no name but this machine's: the other flags do
#: not keep it from asking its makers for updates, hints and push messages.
FLAGS = ('--headless=new', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync',
         '--disable-component-update', '--disable-dev-shm-usage', '--disable-default-apps',
         '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost')

WIDE, NARROW = 1280, 390

#: Of each drawing: how many marks it has, and those that are not to be seen or lie outside of its view.
MARKS = """
return [...document.querySelectorAll('svg.plot')].map(svg => {
  const view = svg.viewBox.baseVal, box = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('rect,circle,line,polyline,polygon,path,image,text')];
  const bad = marks.filter(mark => {
    // What is turned is compared as it lies on the page, all else in the drawing's own pixels.
    const turned = mark.transform.baseVal.numberOfItems > 0, style = getComputedStyle(mark);
    const b = turned ? mark.getBoundingClientRect() : mark.getBBox(), v = turned ? box : view;
    const inside = b.x >= v.x - 1 && b.y >= v.y - 1 && b.x + b.width <= v.x + v.width + 1
      && b.y + b.height <= v.y + v.height + 1;
    const painted = mark.tagName === 'image' || style.fill !== 'none' || style.stroke !== 'none';
    const shown = style.display !== 'none' && style.visibility === 'visible' && +style.opacity > 0;
    return !(inside && painted && shown && b.width + b.height > 0);
  }).map(mark => mark.outerHTML.slice(0, 200));
  const areas = marks.filter(mark => mark.tagName === 'polygon' && mark.getBBox().height > 1).length;
  const scale = svg.getScreenCTM(), filled = Math.abs(scale.a * view.width - box.width)
    + Math.abs(scale.d * view.height - box.height) < 2;
  return {says: svg.getAttribute('aria-label'), filled, width: box.width, height: box.height,
          marks: marks.length, areas, bad, curves: svg.querySelectorAll('polyline').length};
});
"""

#: Of each row of the timelines: its runs with colour and place, and those that are not to be seen or lie outside.
ROWS = """
return [...document.querySelectorAll('.timeline .rail')].map(rail => {
  const r = rail.getBoundingClientRect(), runs = [...rail.querySelectorAll('i')];
  const bad = runs.filter(run => {
    const b = run.getBoundingClientRect(), style = getComputedStyle(run);
    const painted = style.backgroundColor !== 'rgba(0, 0, 0, 0)' || style.backgroundImage !== 'none';
    return !(painted && b.width >= 0.4 && b.height >= 8 && b.left >= r.left - 1 && b.right <= r.right + 1);
  }).map(run => run.outerHTML);
  return {width: r.width, runs: runs.length, bad, colors: new Set(runs.map(run =>
    getComputedStyle(run).backgroundColor + getComputedStyle(run).backgroundImage)).size};
});
"""

#: Sizes of the words outside of drawings, in px.
SIZES = """
return [...document.querySelectorAll('p,td,dd,dt,figcaption,.who b,.axis-words span,.heights span')]
  .map(each => parseFloat(getComputedStyle(each).fontSize));
"""

#: Words that run into each other along an axis or out of their run.
WORDS = """
const faults = [];
for (const axis of document.querySelectorAll('.axis-words')) {
  const spans = [...axis.querySelectorAll('span')].map(each => each.getBoundingClientRect());
  spans.slice(1).forEach((each, place) => { if (each.left < spans[place].right) faults.push(axis.innerText); });
}
for (const word of document.querySelectorAll('.worded b')) {
  const range = document.createRange(); range.selectNodeContents(word);
  const inner = range.getBoundingClientRect(), outer = word.parentNode.getBoundingClientRect();
  if (inner.width > outer.width + 0.5) faults.push(word.innerText);
}
return faults;
"""

PICTURES = """
const done = arguments[arguments.length - 1];
const sources = [...document.querySelectorAll('svg image')].map(each => each.getAttribute('href'));
const shown = [...document.images].map(each => each.naturalWidth > 0 && each.getBoundingClientRect().width > 10);
Promise.all(sources.map(source => { const image = new Image(); image.src = source; return image.decode(); }))
  .then(() => done({shown, inside: sources.length}), error => done({failed: String(error)}));
"""


#: Words, outside of drawings, that lie outside of their card, unless the card moves.
OUTSIDE = """
return [...document.querySelectorAll('.card:not(.broad):not(.confusion)')].filter(card =>
  card.scrollWidth > card.clientWidth + 1).map(card => card.innerText.slice(0, 80));
"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """Return a Chromium that notes what it asks for."""
    chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    driver = shutil.which('chromedriver')
    if not chromium or not driver:
        missing = [name for name, found in (('chromium', chromium), ('chromedriver', driver)) if not found]
        pytest.skip(f'not installed: {" and ".join(missing)}; apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS + (('--no-sandbox',) if os.geteuid() == 0 else ()):
        options.add_argument(flag)
    home = str(tmp_path_factory.mktemp('profile'))
    options.add_argument(f'--user-data-dir={home}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    # The ROS wheels' libraries are not the browser's.
    env = {name: value for name, value in os.environ.items() if name != 'LD_LIBRARY_PATH'}
    env['HOME'] = home
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver, env=env))
    started.set_page_load_timeout(60)
    yield started
    started.quit()


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """Return a function that writes a page and gives its address."""
    folder = tmp_path_factory.mktemp('pages')

    def write(name, text):
        path = folder / f'{name}.html'
        path.write_text(text, encoding='utf-8')
        return path.as_uri()

    return write


@pytest.fixture(scope='module')
def report(pages):
    """Return the address of a report with everything in it."""
    story = usual_story()
    # A name that no line holds must not widen the page.
    invented_story({'ccccc': [(1, 18, 'fear', None)]}, 20, camera='/door/' + 'long' * 30, story=story)
    return pages('report', report_html(summary_of(story, 'walk' * 30), story))


def show(browser, address, width=WIDE, dark=False):
    """Open a page in a window of a width, in light or dark colours; forget what was noted before."""
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                            {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False})
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [
        {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]})
    browser.get_log('performance')
    browser.get_log('browser')
    browser.get(address)


def asked_for(browser):
    """List the addresses that the page has asked for since it was shown."""
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    return [each['params']['request']['url'] for each in messages if each['method'] == 'Network.requestWillBeSent']


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_every_plot_has_marks_within_its_view_when_the_page_is_open(browser, report, width):
    show(browser, report, width)
    drawn = browser.execute_script(MARKS)
    assert len(drawn) == 3 * 2 + 2  # two for each face, the plane, the confusion matrix
    for plot in drawn:
        assert plot['width'] > 150 and plot['height'] > 100 and plot['filled'] and not plot['bad'], plot
        assert plot['marks'] >= 3, plot
        assert not plot['says'].startswith('Scores') or plot['areas'] >= 6, plot
        assert not plot['says'].startswith('Valence and arousal of face') or plot['curves'] >= 2, plot
    rows = browser.execute_script(ROWS)
    assert len(rows) == 3 + 2  # the faces, and when each camera saw one
    assert all(row['width'] > 200 and row['runs'] >= 1 and not row['bad'] for row in rows), rows
    assert [row['colors'] for row in rows[:2]] == [2, 3]


def test_plots_and_pictures_of_a_real_recording_are_shown_when_its_page_is_open(browser, tmp_path):
    for package in ('rosbags', 'pyarrow'):
        pytest.importorskip(package, reason=f'{package} is not installed: scripts/setup --tests does that')
    from facial_emotion_ros.bag_evaluation.evaluate import evaluate_bag
    from facial_emotion_ros.bag_evaluation.options import Options
    from facial_emotion_ros.bags.sample_bag import write_sample_bag

    write_sample_bag(str(tmp_path / 'walk'), seconds=2.0, rate_hz=4.0)
    evaluate_bag(str(tmp_path / 'walk'), str(tmp_path / 'found'), Options(truth='/annotation/faces'))
    page = tmp_path / 'found' / 'report.html'
    show(browser, page.as_uri())
    drawn, rows = browser.execute_script(MARKS), browser.execute_script(ROWS)
    assert len(drawn) == 2 + 2 and all(plot['filled'] and not plot['bad'] for plot in drawn), drawn
    assert len(rows) == 2 and all(row['runs'] and not row['bad'] for row in rows), rows
    pictures = browser.execute_async_script(PICTURES)
    assert pictures['inside'] == 1 and len(pictures['shown']) >= 2 and all(pictures['shown']), pictures
    assert [each for each in asked_for(browser) if not each.startswith('data:')] == [page.as_uri()]
    assert page.stat().st_size < 1e6 and browser.get_log('browser') == []


def test_all_pictures_are_decoded_when_the_page_is_open(browser, report):
    show(browser, report)
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


def test_it_is_said_that_the_confusion_matrix_moves_when_a_phone_shows_a_part_of_it(browser, report):
    for width, moves in ((WIDE, False), (560, False), (NARROW, True)):
        show(browser, report, width)
        shown, inside, outside = browser.execute_script(
            "const card = document.querySelector('.confusion');"
            "return [card.querySelector('.swipe').offsetHeight, card.scrollWidth, card.clientWidth]")
        assert bool(shown) == (inside > outside) == moves, (width, shown, inside, outside)


@pytest.mark.parametrize('width', [WIDE, NARROW])
def test_the_page_of_many_recordings_fits_when_it_is_wide_or_narrow(browser, pages, width):
    show(browser, pages('fleet', fleet_html(invented_fleet())), width)
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width
    assert browser.execute_script(OUTSIDE) == []
    drawn = browser.execute_script(MARKS)
    assert len(drawn) == 2 + 6 and all(plot['filled'] and not plot['bad'] for plot in drawn), drawn
    names = [each.text for each in browser.find_elements('css selector', '.broad td a')]
    assert len(set(names)) == len(names) == 9 and all('…' in name and name.endswith(f'_ride_{place}')
                                                      for place, name in enumerate(names))
    assert browser.find_element('css selector', '.broad .swipe').is_displayed() == (width == NARROW)


def test_words_stand_out_from_the_ground_when_the_colours_are_dark(browser, report):
    grounds = []
    for dark in (False, True):
        show(browser, report, dark=dark)
        ground, ink = browser.execute_script(
            "const card = getComputedStyle(document.querySelector('.card'));"
            "return [card.backgroundColor, card.color].map(each => each.match(/[0-9]+/g).slice(0, 3).map(Number))")
        assert abs(sum(ground) - sum(ink)) > 450
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
    film = AnnotatedFilm(str(tmp_path))
    for number in range(20):
        film.add(np.full((48, 64, 3), 10 * number, np.uint8), number / 10)
    assert film.close() == 'annotated.mp4'
    page = tmp_path / 'page.html'
    page.write_text('<body></body>')
    browser.get(page.as_uri())
    assert browser.execute_async_script(FILM, 'annotated.mp4') == 64
