"""Many recordings: each once, whatever happens to the others."""

import glob
import json
import os
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

import stand_in_evaluation  # noqa: E402
from pyarrow import dataset  # noqa: E402
from stand_in_evaluation import wait_for, write_bag  # noqa: E402

from facial_emotion_ros.bag_evaluation import bag_places, fleet, fleet_report, fleet_task  # noqa: E402
from facial_emotion_ros.bag_evaluation.evaluate import evaluate_bag  # noqa: E402
from facial_emotion_ros.bag_evaluation.fleet import evaluate_fleet, fleet_progress, fleet_text  # noqa: E402
from facial_emotion_ros.bag_evaluation.fleet_task import FleetTask, evaluate_task, key_of  # noqa: E402
from facial_emotion_ros.bag_evaluation.options import Options  # noqa: E402
from facial_emotion_ros.bag_evaluation.result_store import LocalStore, open_store  # noqa: E402
from facial_emotion_ros.bags.sample_bag import write_sample_bag  # noqa: E402
from facial_emotion_ros.errors import BadBag, BadModel, BadParameter, FacialEmotionError  # noqa: E402

VOID = {'meta', 'br', 'img'}


def run(bags, output, options=None, workers=2, **more):
    """Evaluate by the stand-in; give the summary, and the statuses by name."""
    found = evaluate_fleet([str(bags)], str(output), options or Options(), workers=workers,
                           evaluate=stand_in_evaluation.evaluate, **more)
    return found, {bag['name']: bag['status'] for bag in found['bags']}


@pytest.fixture
def bags(tmp_path):
    """Return a folder for recordings."""
    folder = tmp_path / 'bags'
    folder.mkdir()
    return folder


# Where recordings are

@pytest.mark.parametrize('names, found', [
    (['metadata.yaml', 'a_0.mcap', 'a_1.mcap'], ['']),
    (['top_0.mcap', 'top_1.mcap'], ['']),  # the metadata is lost
    (['top_0.db3', 'other.db3'], ['other.db3', 'top_0.db3']),
    (['one/metadata.yaml', 'one/x.mcap', 'two/two_0.mcap', 'three.bag'], ['one', 'three.bag', 'two']),
    (['metadata.yaml', 'one/metadata.yaml', 'one/x.db3'], ['one']),  # the first is somebody else's
    (['one/metadata.yaml', 'one/x.mcap.zstd'], ['one']),
    (['one/metadata.yaml', 'one/x.mcap', 'one/deeper/y.mcap'], ['one']),
    (['metadata.yaml'], ['']),
    (['deep/er/a.mcap', 'deep/er/b.mcap', 'notes.txt'], ['deep/er/a.mcap', 'deep/er/b.mcap']),
    (['one/metadata.yaml', 'one2/a.mcap', 'one/b.mcap'], ['one', 'one2/a.mcap']),
    ([], []),
])
def test_recordings_are_told_from_files_when_a_folder_is_listed(names, found):
    assert bag_places.bags_among(names, 'top') == found


def test_results_and_hidden_files_are_left_out_when_they_lie_among_recordings(bags):
    write_bag(bags, 'one', 'good 1')
    for folder in ('.hidden', 'results/bags/x'):
        (bags / folder).mkdir(parents=True)
        write_bag(bags / folder, 'two', 'good 1')
    write_bag(bags, '.three', 'good 1')
    found = bag_places.find_bags([str(bags), str(bags / 'one.mcap')], without=str(bags / 'results'))
    assert found == [str(bags / 'one.mcap')]
    assert bag_places.find_bags([f'file://{bags}'], without=f'file://{bags}/results') == found


@pytest.mark.parametrize('place', ['nothing_here', '.', 'memory://nowhere/at/all'])
def test_the_place_is_named_when_it_holds_no_recording(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadBag, match=re.escape(place)):
        bag_places.find_bags([place])


@pytest.mark.parametrize('url', ['nosuchthing://x/y', 's3://bucket/x'])
def test_what_to_install_is_said_when_no_package_opens_a_url(url, monkeypatch):
    monkeypatch.setitem(sys.modules, 's3fs', None)
    with pytest.raises(FacialEmotionError, match='fsspec'):
        bag_places.find_bags([url])


@pytest.mark.parametrize('place, name', [
    ('/a/b.mcap', 'b'), ('/a/b/', 'b'), ('s3://bucket/ride 7.bag', 'ride_7'), ('/a/../x.y.db3', 'x.y'),
    ('/', 'recording'), ('/a/..', 'recording'),
])
def test_names_suit_every_file_system_when_they_are_made_from_places(place, name):
    assert bag_places.name_of(place) == name


# Evaluating

def test_the_others_are_evaluated_when_some_recordings_fail_in_every_way(bags, tmp_path):
    for name, says in (('a', 'good 10'), ('b', 'bad'), ('c', 'raise'), ('d', 'die'), ('e', 'die-once 20'),
                       ('f', 'good 30')):
        write_bag(bags, name, says)
    told = []
    found, statuses = run(bags, tmp_path / 'out', progress=lambda *each: told.append(each))
    assert statuses == {'a': 'done', 'b': 'failed', 'c': 'failed', 'd': 'failed', 'e': 'done', 'f': 'done'}
    by_name = {bag['name']: bag for bag in found['bags']}
    assert by_name['b']['error'] == 'expected a recording, got nonsense'
    assert by_name['c']['error'] == 'ZeroDivisionError: nobody expected this'
    assert 'in evaluate' in by_name['c']['traceback']
    assert by_name['d']['error'].startswith('its process ended 2 times') and 'SIGKILL' in by_name['d']['error']
    assert (bags / 'd.mcap.died').read_text() == 'xx' and by_name['e']['attempts'] == 2
    assert found['overall'][0]['figures']['frames'] == 60 and found['overall'][0]['bags'] == 3
    assert sorted(each[0] for each in told) == [1, 2, 3, 4, 5, 6] and {each[1] for each in told} == {6}
    assert found == json.loads((tmp_path / 'out' / 'fleet.json').read_text())
    assert [name for name in os.listdir(tmp_path / 'out' / 'bags') if name.startswith('.')] == []
    assert len(os.listdir(tmp_path / 'out' / 'bags')) == len(os.listdir(tmp_path / 'out' / 'frames')) == 3
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert 'nobody expected this' in page and '3 of 6' in page
    assert '3 failed' in fleet_text(found)


def test_only_what_changed_is_done_again_when_a_run_is_repeated(bags, tmp_path, capsys):
    out = tmp_path / 'out'
    for name in 'abcd':
        write_bag(bags, name, f'good {ord(name)}')
    assert set(run(bags, out)[1].values()) == {'done'}
    found, statuses = run(bags, out, progress=fleet_progress)
    assert set(statuses.values()) == {'skipped'} and 'was there' in capsys.readouterr().err
    assert found['overall'][0]['figures']['frames'] == sum(map(ord, 'abcd'))
    write_bag(bags, 'a', 'good 5')  # another content
    (bags / 'b.mcap').rename(bags / 'b.mcap.away')
    [summary] = glob.glob(str(out / 'bags' / 'c-*' / 'summary.json'))
    with open(summary, 'r+') as file:
        file.truncate(20)
    [finished] = glob.glob(str(out / 'bags' / 'd-*' / 'finished.json'))
    part_before = os.stat(glob.glob(str(out / 'frames' / 'd-*'))[0]).st_mtime_ns
    found, statuses = run(bags, out)
    assert statuses == {'a': 'done', 'c': 'done', 'd': 'skipped'}
    assert found['overall'][0]['figures']['frames'] == 5 + ord('c') + ord('d')
    # The data set is that of these recordings, and what had not changed was not written again.
    assert dataset.dataset(str(out / 'frames')).count_rows() == 5 + ord('c') + ord('d')
    assert os.stat(glob.glob(str(out / 'frames' / 'd-*'))[0]).st_mtime_ns == part_before
    os.remove(finished)
    assert run(bags, out)[1] == {'a': 'skipped', 'c': 'skipped', 'd': 'done'}
    assert set(run(bags, out, Options(max_faces=1))[1].values()) == {'done'}
    assert set(run(bags, out, Options(max_faces=1))[1].values()) == {'skipped'}


def test_a_recording_counts_once_when_it_lies_there_twice(bags, tmp_path):
    for name in ('one', 'two'):
        write_bag(bags, name, 'good 7')
    found, statuses = run(bags, tmp_path / 'out')
    assert statuses == {'one': 'done', 'two': 'twin'} and found['bags'][1]['twin_of'].endswith('one.mcap')
    assert found['overall'][0]['figures']['frames'] == 7
    assert dataset.dataset(str(tmp_path / 'out' / 'frames')).count_rows() == 7


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_and_a_repetition_goes_on_when_a_run_is_ended(bags, tmp_path, number):
    gate, out = tmp_path / 'gate', tmp_path / 'out'
    write_bag(bags, 'a', 'good 1')
    for name in 'bc':
        write_bag(bags, name, f'gate {gate} {ord(name)}')
    fleet = subprocess.Popen([sys.executable, stand_in_evaluation.__file__, str(bags), str(out)],
                             stderr=subprocess.PIPE, text=True, start_new_session=True,
                             env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    try:
        wait_for(lambda: len(glob.glob(str(bags / '*.begun.*'))) == 2)
        workers = [int(path.rsplit('.', 1)[1]) for path in glob.glob(str(bags / '*.begun.*'))]
        if number == signal.SIGINT:
            with pytest.raises(FacialEmotionError, match='another one is writing'):
                run(bags, out)
            os.killpg(fleet.pid, number)  # as a terminal does it
        else:
            fleet.kill()
        _, said = fleet.communicate(timeout=30)
        assert fleet.returncode != 0 and said.count('Traceback') == (number == signal.SIGINT)
        wait_for(lambda: not any(is_alive(pid) for pid in workers))
    finally:
        if fleet.poll() is None:
            fleet.kill()
    left = [name for name in os.listdir(out / 'bags') if name.endswith('.part')]
    assert bool(left) == (number == signal.SIGKILL)
    gate.touch()
    gone = []
    assert run(bags, out, progress=lambda *_: gone.append(not set(left) & set(os.listdir(out / 'bags'))))[1] == {
        'a': 'skipped', 'b': 'done', 'c': 'done'}
    assert all(gone)  # swept away before the work began
    assert len(os.listdir(out / 'bags')) == 3


def is_alive(pid):
    """Tell whether a process is there and no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_reason_is_said_when_a_worker_count_or_a_bundle_cannot_be(bags, tmp_path):
    write_bag(bags, 'a', 'good 1')
    with pytest.raises(BadParameter, match='worker'):
        run(bags, tmp_path / 'out', workers=0)
    with pytest.raises(BadModel):
        run(bags, tmp_path / 'out', Options(bundles=('no_such_bundle',)))
    with pytest.raises(BadModel, match='manifest.json'):
        run(bags, tmp_path / 'out', Options(detector=str(tmp_path)))


# One recording

def test_the_key_differs_when_options_models_or_the_truth_do(tmp_path, monkeypatch):
    truth = tmp_path / 'truth.csv'
    truth.write_text('one')
    keys = [key_of(Options()), key_of(Options(max_faces=1)), key_of(Options(truth=str(truth)))]
    truth.write_text('two')
    keys.append(key_of(Options(truth=str(truth))))
    assert len(set(keys)) == len(keys) and key_of(Options()) == keys[0]
    monkeypatch.setattr(fleet_task, 'bundle_for', lambda name, plan: 'esr_9_ferplus_int8')
    eight_bits = key_of(Options(detector='centerface'))
    monkeypatch.setattr(fleet_task, 'bundle_for', lambda name, plan: 'esr_9_ferplus')
    assert key_of(Options(detector='centerface')) != eight_bits


def test_a_recording_is_refused_when_the_models_here_are_others_than_where_the_run_began(bags, tmp_path):
    path = write_bag(bags, 'a', 'good 1')
    record = evaluate_task(FleetTask(path, str(tmp_path / 'out'), Options(), 'f' * 64, stand_in_evaluation.evaluate))
    assert record['status'] == 'failed' and 'same models' in record['error']


def test_results_are_found_again_without_fetching_when_a_url_has_not_changed(bags):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    files = fsspec.filesystem('memory')
    files.pipe('/ride/one/metadata.yaml', b'')
    files.pipe('/ride/one/one_0.mcap', b'x')
    files.pipe('/ride/two.mcap', b'good 4')
    places = bag_places.find_bags(['memory://ride'], without='memory://ride/out')
    assert places == ['memory://ride/one', 'memory://ride/two.mcap']
    with bag_places.local_copy(places[0]) as path:
        assert sorted(os.listdir(path)) == ['metadata.yaml', 'one_0.mcap']
    assert not os.path.exists(path)
    task = FleetTask(places[1], 'memory://ride/out', Options(), key_of(Options()), stand_in_evaluation.evaluate)
    done = evaluate_task(task)
    assert (done['status'], done['error']) == ('done', '')
    again = evaluate_task(task._replace(evaluate=None))
    assert (again['status'], again['folder']) == ('skipped', done['folder'])
    store = open_store(task.output)
    assert store.names('bags') == [done['folder']]
    assert store.names(f'bags/{done["folder"]}') == ['finished.json', 'frames.parquet', 'report.html', 'summary.json']
    files.pipe('/ride/two.mcap', b'good 5')
    assert evaluate_task(task)['folder'] != done['folder']
    assert bag_places.find_bags(['memory://ride'], without='memory://ride/out') == places
    files.rm('/ride/two.mcap')
    assert 'nothing' in evaluate_task(task)['error'] or 'fetch' in evaluate_task(task)['error']


def test_a_fleet_is_gathered_at_a_url_when_the_output_is_one(bags, monkeypatch):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    files = fsspec.filesystem('memory')
    # Another process would have a memory of its own.
    monkeypatch.setattr(fleet, 'run_locally', lambda tasks, workers, take: [
        take(number, dict(evaluate_task(task), attempts=1)) for number, task in enumerate(tasks)])
    for name, says in (('a', 'good 3'), ('b', 'bad'), ('c', 'good 4')):
        write_bag(bags, name, says)
    for statuses in ({'a': 'done', 'b': 'failed', 'c': 'done'}, {'a': 'skipped', 'b': 'failed', 'c': 'skipped'}):
        found, got = run(bags, 'memory://gathered/here')
        assert got == statuses
    assert json.loads(files.cat('/gathered/here/fleet.json')) == found
    folders = [bag['folder'] for bag in found['bags'] if bag['results']]
    assert sorted(files.ls('/gathered/here/frames', detail=False)) == [
        f'/gathered/here/frames/{folder}.parquet' for folder in folders]
    assert files.isfile(f'/gathered/here/bags/{folders[0]}/report.html') and files.isfile('/gathered/here/index.html')
    write_bag(bags, 'a', 'good 5')
    assert run(bags, 'memory://gathered/here', Options(max_faces=1))[0]['overall'][0]['figures']['frames'] == 9
    assert len(files.ls('/gathered/here/frames')) == 2


def test_one_whole_result_stays_when_two_write_the_same_folder_at_once(tmp_path):
    store = LocalStore(str(tmp_path))
    with store.new_folder('bags/x', 'last') as one, store.new_folder('bags/x', 'last') as other:
        for part in (one, other):
            with open(os.path.join(part, 'file'), 'w') as file:
                file.write('whole')
    assert os.listdir(tmp_path / 'bags') == ['x'] and (tmp_path / 'bags' / 'x' / 'file').read_text() == 'whole'
    with pytest.raises(OSError, match='full'), store.new_folder('bags/y', 'last'):
        raise OSError('full')
    assert os.listdir(tmp_path / 'bags') == ['x']


# Pages

@pytest.mark.parametrize('values, ticks', [
    ([5, 7], [0, 2, 4, 6, 8]), ([0, 0], [0, 0.25, 0.5, 0.75, 1]), ([-0.2, 0.6], [-0.2, 0, 0.2, 0.4, 0.6]),
    ([0.001, 0.002], [0, 0.0005, 0.001, 0.0015, 0.002]), ([-1, -0.5], [-1, -0.5, 0, 0.5, 1]),
])
def test_every_recording_is_drawn_when_figures_spread_in_any_range(values, ticks):
    plot = fleet_report.spread_plot(values, 'Speed', str)
    shown = [float(text) for text in re.findall(r'class="soft" text-anchor="middle">([^<a-z]+)<', plot)]
    assert shown == ticks
    assert sum(int(count) for count in re.findall(r'<title>(\d+) of', plot)) == len(values)


# All of it

class Page(HTMLParser):
    """Reads a page: whether every element ends where it should, and where its links lead."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ('href', 'src')]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """Return the output and summary of real recordings, one of them damaged, evaluated for real by two processes."""
    folder = tmp_path_factory.mktemp('real')
    for name, seconds in (('a <b>', 1.5), ('c', 2.0)):
        write_sample_bag(str(folder / 'bags' / name), seconds)
    (folder / 'bags' / 'b.mcap').write_bytes(b'no recording')
    found = evaluate_fleet([str(folder / 'bags')], str(folder / 'out'), Options(truth='/annotation/faces'), workers=2)
    return folder, found


def test_real_recordings_give_what_they_give_alone_when_they_are_evaluated_together(real, tmp_path):
    folder, found = real
    assert [bag['status'] for bag in found['bags']] == ['done', 'failed', 'done']
    alone = evaluate_bag(str(folder / 'bags' / 'c'), str(tmp_path), Options(truth='/annotation/faces'))
    together = folder / 'out' / 'bags' / found['bags'][2]['folder']
    assert (tmp_path / 'frames.parquet').read_bytes() == (together / 'frames.parquet').read_bytes()
    result = found['bags'][2]['results'][0]
    assert result['accuracy'] == alone['truth']['accuracy'] is not None
    pooled = found['overall'][0]
    assert pooled['figures']['frames'] == 35 and pooled['truth']['n'] == sum(
        bag['results'][0]['n'] for bag in found['bags'] if bag['results'])
    assert found['run']['recording_s_per_second'] > 0 and found['run']['bags_per_second'] > 0
    frames = dataset.dataset(str(folder / 'out' / 'frames')).to_table()
    assert frames.column('bag').unique().to_pylist() == [found['bags'][0]['folder'], found['bags'][2]['folder']]
    assert len(frames) == sum(len(dataset.dataset(str(folder / 'out' / 'bags' / bag['folder'] / 'frames.parquet'))
                                  .to_table()) for bag in found['bags'] if bag['results'])


def test_each_bundle_is_told_of_apart_when_several_are_judged(tmp_path):
    write_sample_bag(str(tmp_path / 'bag'), 0.5)
    names = ('esr_9_ferplus', 'esr_9_ferplus_int8')
    found = evaluate_fleet([str(tmp_path / 'bag')], str(tmp_path / 'out'), Options(bundles=names))
    assert found['bags'][0]['error'] == ''
    assert [each['bundle']['name'] for each in found['overall']] == list(names)
    assert [result['report'] for result in found['bags'][0]['results']] == [f'{name}/report.html' for name in names]
    frames = dataset.dataset(str(tmp_path / 'out' / 'frames')).to_table()
    assert sorted(frames.column('bundle').unique().to_pylist()) == sorted(names)
    text = (tmp_path / 'out' / 'index.html').read_text()
    assert all((tmp_path / 'out' / unquote(link)).is_file() for link in Page(text).links)


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere_when_it_is_read(real):
    folder, found = real
    text = (folder / 'out' / 'index.html').read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.links) >= 2
    for link in page.links:
        assert (folder / 'out' / unquote(link)).is_file()
    assert '://' not in text and '<script' not in text
    assert 'a &lt;b&gt;' in text and 'a <b>' not in text
    assert '1 of 3' in text and 'nothing can be read' in text
    assert len(text) < 200_000
