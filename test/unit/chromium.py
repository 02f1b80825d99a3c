"""A headless Chromium for tests of pages, and what they ask of it."""

import json
import os
import shutil
import time

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

#: Silence, no first steps, nothing fetched on its own behalf. It knows no name but this machine's: the other flags do
#: not keep it from asking its makers for updates, hints and push messages.
FLAGS = (
    '--headless=new',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-sync',
    '--disable-component-update',
    '--disable-dev-shm-usage',
    '--disable-default-apps',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
)

WIDE, NARROW = 1280, 390

#: Of each chart: what it shows, its place in its card, and how many marks of data it has.
CHARTS = """
return [...document.querySelectorAll('.chart')].map(box => {
  const b = box.getBoundingClientRect(), svg = box.querySelector('svg.main-svg');
  const card = box.closest('.card'), c = card.getBoundingClientRect();
  const kinds = '.barlayer path,.scatterlayer path,.heatmaplayer image,.layer-above image';
  const marks = [...box.querySelectorAll(kinds)].filter(mark => {
    const m = mark.getBoundingClientRect();
    return m.width + m.height > 1 && m.left >= b.left - 1 && m.right <= b.right + 1;
  });
  return {says: box.getAttribute('aria-label'), width: b.width, height: b.height,
          filled: svg !== null && Math.abs(svg.getBoundingClientRect().width - b.width) < 2,
          inside: b.left >= c.left && b.right <= c.right, marks: marks.length};
});
"""

#: Words that lie outside of their card, unless the card moves.
OUTSIDE = """
return [...document.querySelectorAll('.card:not(.broad)')].filter(card =>
  card.scrollWidth > card.clientWidth + 1).map(card => card.innerText.slice(0, 80));
"""


def start_browser(tmp_path_factory):
    """Yield a Chromium that notes what it asks for."""
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
    started.get('about:blank')  # ends the loading of its own first page
    yield started
    started.quit()


def show(browser, address, width=WIDE, dark=False):
    """Open a page in a window of a width, in light or dark colours; forget what was noted before."""
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride', {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False}
    )
    browser.execute_cdp_cmd(
        'Emulation.setEmulatedMedia',
        {'features': [{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]},
    )
    browser.get_log('performance')
    browser.get_log('browser')
    browser.get(address)


def charts_of(browser):
    """Describe the charts once all are drawn, which a busy machine does some time after the page is loaded."""
    deadline = time.monotonic() + 30
    while True:
        charts = browser.execute_script(CHARTS)
        if all(each['filled'] for each in charts) or time.monotonic() > deadline:
            return charts
        time.sleep(0.1)


def asked_for(browser):
    """List the addresses that the page has asked for since it was shown."""
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    return [each['params']['request']['url'] for each in messages if each['method'] == 'Network.requestWillBeSent']


def until(browser, holds):
    """Wait for a condition."""
    WebDriverWait(browser, 30, 0.05).until(lambda _: holds())
