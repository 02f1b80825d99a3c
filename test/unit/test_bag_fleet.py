"""Many recordings: each once, whatever happens to the others."""

import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import unquote

import pytest
import stand_in_evaluation
from documented_fields import undocumented
from html_page import Page, loads_nothing, traces
from in_process import in_this_process, models_opened_once  # noqa: F401
from sample_fleet import sample_fleet
from small_disk import small_disk
from stand_in_evaluation import is_alive, wait_for, write_bag

from facial_emotion_ros.cli import evaluate_recording as command_line
from facial_emotion_ros.core.errors import BadBag, BadDataset, BadModel, BadParameter, FacialEmotionError
from facial_emotion_ros.recordings.batch import frames, recording_discovery, task
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet, fleet_progress, fleet_text
from facial_emotion_ros.recordings.batch.result_store import LocalStore, UrlStore, open_store
from facial_emotion_ros.recordings.batch.task import FleetTask, evaluate_task, key_of
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.io.content_hash import hash_of
from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag
from facial_emotion_ros.recordings.report import batch_report
from facial_emotion_ros.recordings.study.manifest import read_study, write_template

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')


def run(bags, output, options=None, workers=1, **more):
    """Evaluate by the stand-in; give the summary, and the statuses by name."""
    found = evaluate_fleet(
        [str(bags)], str(output), options or Options(), workers=workers, evaluate=stand_in_evaluation.evaluate, **more
    )
    return found, {bag['name']: bag['status'] for bag in found['bags']}


def frames_in(folder):
    """Read a data set of frames."""
    from pyarrow import dataset

    return dataset.dataset(str(folder)).to_table()


@pytest.fixture(scope='module', autouse=True)
def pyarrow():
    """Import pyarrow, which takes half a second, where its tests run."""
    pytest.importorskip('pyarrow.parquet', reason='pyarrow is not installed: scripts/setup --tests does that')
    return sys.modules['pyarrow']


@pytest.fixture
def bags(tmp_path):
    """Return a folder for recordings."""
    folder = tmp_path / 'bags'
    folder.mkdir()
    return folder


# Where recordings are


@pytest.mark.parametrize(
    'names, found',
    [
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
    ],
)
def test_recordings_are_told_from_files_when_a_folder_is_listed(names, found):
    assert recording_discovery.bags_among(names) == found


def test_results_and_hidden_files_are_left_out_when_they_lie_among_recordings(bags):
    write_bag(bags, 'one', 'good 1')
    for folder in ('.hidden', 'results/bags/x'):
        (bags / folder).mkdir(parents=True)
        write_bag(bags / folder, 'two', 'good 1')
    write_bag(bags, '.three', 'good 1')
    found = recording_discovery.find_bags([str(bags), str(bags / 'one.mcap')], without=str(bags / 'results'))
    assert found == [str(bags / 'one.mcap')]
    assert recording_discovery.find_bags([f'file://{bags}'], without=f'file://{bags}/results') == found


def test_earlier_results_are_left_out_when_they_lie_among_recordings(bags):
    write_bag(bags, 'one', 'good 1')
    for folder, files in (
        ('bags/one-123', ('finished.json', 'annotated.mcap')),
        ('frames', ('one-123.parquet',)),
        ('bags/half', ('annotated.mcap',)),
        ('annotated', ('annotated_0.mcap', 'metadata.yaml')),
        ('before', ('summary.json', 'frames.csv')),
        ('before/annotated', ('annotated_0.mcap',)),
        ('.', ('summary.json', 'frames.csv', 'index.html')),
    ):
        (bags / folder).mkdir(parents=True, exist_ok=True)
        for file in files:
            (bags / folder / file).write_text('')
    assert recording_discovery.find_bags([str(bags)], without=str(bags)) == [str(bags / 'one.mcap')]
    assert recording_discovery.find_bags([str(bags)], without='elsewhere') == [
        str(bags / 'bags' / 'half' / 'annotated.mcap'),
        str(bags / 'one.mcap'),
    ]
    assert recording_discovery.find_bags([str(bags / 'annotated')]) == [str(bags / 'annotated')]
    # What somebody put into a recording's folder does not hide it.
    (bags / 'annotated' / 'finished.json').write_text('')
    assert recording_discovery.find_bags([str(bags / 'annotated')]) == [str(bags / 'annotated')]


def test_recordings_are_found_once_when_links_lead_to_them(bags, tmp_path):
    (tmp_path / 'disk' / 'ride').mkdir(parents=True)
    write_bag(tmp_path / 'disk', 'alone', 'good 1')
    for name in ('metadata.yaml', 'ride_0.mcap'):
        (tmp_path / 'disk' / 'ride' / name).write_text('')
    (tmp_path / 'disk' / 'circle').symlink_to(tmp_path / 'disk')
    (bags / 'a').symlink_to(tmp_path / 'disk')
    (bags / 'b').symlink_to(tmp_path / 'disk' / 'ride')
    (bags / 'c.mcap').symlink_to(tmp_path / 'disk' / 'alone.mcap')
    (bags / 'up').symlink_to(bags)
    (bags / 'gone').symlink_to(tmp_path / 'nowhere')
    assert recording_discovery.find_bags([str(bags)]) == [str(bags / each) for each in ('a/alone.mcap', 'b', 'c.mcap')]


@pytest.mark.parametrize('place', ['nothing_here', '.', 'memory://nowhere/at/all'])
def test_the_place_is_named_when_it_holds_no_recording(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadBag, match=re.escape(place)):
        recording_discovery.find_bags([place])


@pytest.mark.parametrize(
    'url, package, said',
    [
        ('nosuchthing://x/y', '', 'nosuchthing'),
        ('s3://bucket/x', 's3fs', 's3://bucket/x .* s3fs'),
        ('simplecache::abfs://rides@me:hush@us/x', 'adlfs', 'simplecache::abfs://rides@us/x .* adlfs'),
        ('sftp://me:hush@host/x', 'paramiko', 'sftp://host/x .* "paramiko"'),
        ('gs://bucket/x', 'fsspec.core', 'gs://bucket/x .*pip install fsspec'),
    ],
)
def test_what_to_install_is_said_when_no_package_opens_a_url(url, package, said, monkeypatch):
    pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FacialEmotionError, match=f'(?=.*fsspec).*{said}') as refused:
        recording_discovery.find_bags([url])
    assert 'hush' not in str(refused.value)


@pytest.mark.parametrize(
    'place, name',
    [
        ('/a/b.mcap', 'b'),
        ('/a/b/', 'b'),
        ('s3://bucket/ride 7.bag', 'ride_7'),
        ('simplecache::zip://a/b.mcap::https://me:hush@host/c.zip?token=hush', 'b'),
        ('/a/../x.y.db3', 'x.y'),
        ('/', 'recording'),
        ('/a/..', 'recording'),
    ],
)
def test_names_suit_every_file_system_when_they_are_made_from_places(place, name):
    assert recording_discovery.name_of(place) == name


@pytest.mark.parametrize(
    'places, titles',
    [
        ([], []),
        (['/x/a.mcap', '/x/b'], ['a', 'b']),
        (['/x/a.mcap', '/x/a.db3'], ['a.mcap', 'a.db3']),
        (['/x/mon/ride/', '/x/tue/ride', '/x/c.bag'], ['mon/ride', 'tue/ride', 'c']),
        (['s3://x/mon/a', '/y/mon/a', '/y/tue/a'], ['x/mon/a', 'y/mon/a', 'tue/a']),
    ],
)
def test_recordings_have_titles_that_differ_when_their_names_do_not(places, titles):
    assert recording_discovery.titles_of(places) == titles


# Evaluating


def test_the_others_are_evaluated_when_some_recordings_fail_in_every_way(bags, tmp_path):
    for name, says in (
        ('a', 'good 10'),
        ('b', 'bad'),
        ('c', 'raise'),
        ('d', 'die'),
        ('e', 'die-once 20'),
        ('f', 'good 30'),
    ):
        write_bag(bags, name, says)
    told = []
    found, statuses = run(bags, tmp_path / 'out', workers=2, progress=lambda *each: told.append(each))
    assert statuses == {'a': 'done', 'b': 'failed', 'c': 'failed', 'd': 'failed', 'e': 'done', 'f': 'done'}
    by_name = {bag['name']: bag for bag in found['bags']}
    assert by_name['b']['error'] == 'expected a recording, got nonsense'
    assert by_name['c']['error'] == 'ZeroDivisionError: nobody expected this'
    assert 'in evaluate' in by_name['c']['traceback']
    assert by_name['d']['error'].startswith('its process crashed 2 times') and 'SIGKILL' in by_name['d']['error']
    assert (bags / 'd.mcap.died').read_text() == 'xx' and by_name['e']['attempts'] == 2
    assert found['overall'][0]['figures']['frames'] == 60 and found['overall'][0]['bags'] == 3
    assert sorted(each[0] for each in told) == [1, 2, 3, 4, 5, 6] and {each[1] for each in told} == {6}
    assert found == json.loads((tmp_path / 'out' / 'fleet.json').read_text())
    assert [name for name in os.listdir(tmp_path / 'out' / 'bags') if name.startswith('.')] == []
    assert (
        len(os.listdir(tmp_path / 'out' / 'bags')) == len(frames_in(tmp_path / 'out' / 'frames')['bag'].unique()) == 3
    )
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert 'nobody expected this' in page and '3 of 6' in page
    assert '3 failed' in fleet_text(found)


@pytest.mark.usefixtures('in_this_process')
def test_only_what_changed_is_done_again_when_a_run_is_repeated(bags, tmp_path, capsys):
    out = tmp_path / 'out'
    for name in 'abcd':
        write_bag(bags, name, f'good {ord(name)}')
    assert set(run(bags, out)[1].values()) == {'done'}
    [part] = (out / 'frames').iterdir()
    before = part.stat().st_mtime_ns
    found, statuses = run(bags, out, progress=fleet_progress)
    assert part.stat().st_mtime_ns == before
    assert set(statuses.values()) == {'skipped'} and 'up to date' in capsys.readouterr().err
    assert found['overall'][0]['figures']['frames'] == sum(map(ord, 'abcd'))
    write_bag(bags, 'a', 'good 5')  # another content
    (bags / 'b.mcap').rename(bags / 'b.mcap.away')
    [summary] = glob.glob(str(out / 'bags' / 'c-*' / 'summary.json'))
    with open(summary, 'r+') as file:
        file.truncate(20)
    [finished] = glob.glob(str(out / 'bags' / 'd-*' / 'finished.json'))
    found, statuses = run(bags, out)
    assert statuses == {'a': 'done', 'c': 'done', 'd': 'skipped'}
    assert found['overall'][0]['figures']['frames'] == 5 + ord('c') + ord('d')
    # The data set is that of these recordings.
    assert len(frames_in(out / 'frames')) == 5 + ord('c') + ord('d')
    assert len(os.listdir(out / 'frames')) == 1 and not part.exists()
    os.remove(finished)
    os.remove(os.path.join(os.path.dirname(summary), 'report.html'))
    assert run(bags, out)[1] == {'a': 'skipped', 'c': 'done', 'd': 'done'}
    assert set(run(bags, out, Options(max_faces=1))[1].values()) == {'done'}
    assert set(run(bags, out, Options(max_faces=1))[1].values()) == {'skipped'}


@pytest.mark.usefixtures('in_this_process')
def test_the_second_copy_fails_in_every_run_when_each_has_a_truth_of_its_own(bags, tmp_path):
    for name, word, says in (('p0', 'happy', 'truth 7'), ('p1', 'sad', 'truth 7'), ('p2', 'sad', 'truth 8')):
        for folder in (bags / name, tmp_path / 'truths' / name):
            folder.mkdir(parents=True)
        write_bag(bags / name, 'task', says)
        (tmp_path / 'truths' / name / 'task.csv').write_text(f'start,end,emotion\n0,3,{word}\n')
    for status in ('done', 'skipped'):
        found, _ = run(bags, tmp_path / 'out', Options(truth=str(tmp_path / 'truths')))
        first, copy, other = found['bags']
        assert (first['status'], copy['status'], other['status']) == (status, 'failed', status)
        assert (tmp_path / 'out' / 'bags' / first['folder'] / 'report.html').read_text().endswith('p0/task.csv')
        assert re.search('got .*truths/p1/task.csv for .* and .*truths/p0/task.csv for .*p0/task.mcap', copy['error'])
        assert len(os.listdir(tmp_path / 'out' / 'bags')) == 2


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.parametrize('truth', ['', 'truths'])
def test_a_copy_counts_once_when_its_truth_is_a_copy_too(bags, tmp_path, truth):
    (tmp_path / 'truths').mkdir()
    for name in ('one', 'two'):
        write_bag(bags, name, 'truth 7')
        (tmp_path / 'truths' / f'{name}.csv').write_text('start,end,emotion\n0,3,sad\n')
    for status in ('done', 'skipped'):
        found, statuses = run(bags, tmp_path / 'out', Options(truth=truth and str(tmp_path / truth)))
        assert statuses == {'one': status, 'two': 'twin'} and found['bags'][1]['twin_of'].endswith('one.mcap')
        assert len(frames_in(tmp_path / 'out' / 'frames')) == found['overall'][0]['figures']['frames'] == 7


@pytest.mark.usefixtures('in_this_process')
def test_a_good_recording_counts_when_its_twin_failed(bags, tmp_path):
    for name in ('one', 'two'):
        write_bag(bags, name, f'fail-first {tmp_path / "failed"} 7')
    found, statuses = run(bags, tmp_path / 'out')
    assert statuses == {'one': 'failed', 'two': 'done'} and found['bags'][0]['content_hash']
    assert found['overall'][0]['figures']['frames'] == 7


@pytest.mark.usefixtures('in_this_process')
def test_the_place_is_said_when_recordings_of_one_name_lie_in_different_folders(bags, tmp_path, capsys):
    for folder, says in (('mon', 'good 1'), ('tue', 'bad')):
        (bags / folder).mkdir()
        write_bag(bags / folder, 'ride', says)
    found, _ = run(bags, tmp_path / 'out', progress=fleet_progress)
    told = capsys.readouterr().err
    assert '] mon/ride.mcap: ' in told and '] tue/ride.mcap: expected a recording' in told
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert '>mon/ride.mcap</a>' in page and '>tue/ride.mcap</td>' in page
    assert fleet_text(found).startswith('2 recordings: 1 evaluated, 0 up to date')


@pytest.mark.usefixtures('in_this_process')
def test_it_is_said_that_the_data_set_is_left_out_when_pyarrow_is_missing(bags, tmp_path, monkeypatch):
    write_bag(bags, 'a', 'good 1')
    found, _ = run(bags, tmp_path / 'out')
    assert fleet_text(found).startswith('1 recording: 1 evaluated') and 'pyarrow' not in fleet_text(found)
    assert ', 1 recording together' in fleet_text(found)
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    assert 'pip install pyarrow' in fleet_text(run(bags, tmp_path / 'out')[0])


@pytest.mark.usefixtures('in_this_process')
def test_each_recording_has_its_own_truth_when_a_folder_holds_some(bags, tmp_path):
    truths, out = tmp_path / 'truths', tmp_path / 'out'
    truths.mkdir()
    for name in 'ab':
        write_bag(bags, name, f'truth {ord(name)}')
    (truths / 'a.csv').write_text('start,end,emotion\n0,5,happy\n')
    found, statuses = run(bags, out, Options(truth=str(truths)))
    told = {bag['name']: (out / 'bags' / bag['folder'] / 'report.html').read_text() for bag in found['bags']}
    assert told == {'a': str(truths / 'a.csv'), 'b': ''} and set(statuses.values()) == {'done'}
    (truths / 'a.csv').write_text('start,end,emotion\n0,6,happy\n')
    before = os.listdir(out / 'frames')
    assert run(bags, out, Options(truth=str(truths)))[1] == {'a': 'done', 'b': 'skipped'}
    assert len(before) == 1 and before != os.listdir(out / 'frames')


@pytest.mark.parametrize(
    'files, error, told',
    [
        ({'a.csv': '0,5,happy', 'b.csv': '0,5,hapy'}, BadDataset, "b.csv, line 2: .*'hapy'"),
        ({'c.csv': '0,5,happy'}, BadParameter, 'such as a.csv, found none'),
        ({}, BadParameter, 'such as a.csv, found none'),
        ('0,5,happy', BadParameter, 'expected stamps .* 2 recordings share'),
        ('1764150000,1764150005,happy\n\n5,6,sad', BadParameter, 'expected stamps'),
        ('1764150000,1764150005,hapy', BadDataset, "line 2: .*'hapy'"),
    ],
)
def test_nothing_is_begun_when_a_file_of_truth_cannot_be(bags, tmp_path, files, error, told):
    for name in 'ab':
        write_bag(bags, name, 'good 1')
    truth, head = tmp_path / 'truth.csv', 'start,end,emotion\n'
    if isinstance(files, str):
        truth.write_text(head + files)
    else:
        truth.mkdir()
        for name, text in files.items():
            (truth / name).write_text(head + text)
    with pytest.raises(error, match=told):
        run(bags, tmp_path / 'out', Options(truth=str(truth)))
    assert not (tmp_path / 'out').exists()


@pytest.mark.usefixtures('in_this_process')
def test_a_file_of_truth_serves_several_recordings_when_it_holds_stamps(bags, tmp_path):
    truth = tmp_path / 'TRUTH.CSV'
    truth.write_text('End , Start,emotion\n1764150005,1764150000,happy\n,,\n')
    for name in 'ab':
        write_bag(bags, name, 'good 1')
    assert set(run(bags, tmp_path / 'out', Options(truth=str(truth)))[1].values()) == {'done', 'twin'}
    truth.write_text('start,end,emotion\n0,5,happy\n')
    found = evaluate_fleet(
        [str(bags / 'a.mcap')], str(tmp_path / 'one'), Options(truth=str(truth)), evaluate=stand_in_evaluation.evaluate
    )
    assert found['counts']['done'] == 1  # one recording may count from its own first image


@pytest.mark.parametrize('inside', ['', 'found'])
def test_the_output_is_refused_when_it_is_in_a_recording(bags, inside):
    (bags / 'ride').mkdir()
    (bags / 'ride' / 'metadata.yaml').write_text('')
    write_bag(bags / 'ride', 'ride_0', 'good 1')
    with pytest.raises(BadParameter, match='outside the recordings'):
        run(bags, bags / 'ride' / inside)
    assert sorted(os.listdir(bags / 'ride')) == ['metadata.yaml', 'ride_0.mcap']


def test_one_line_is_said_when_it_is_stopped_while_its_processes_begin(bags, tmp_path):
    for name in 'ab':
        write_bag(bags, name, f'gate {tmp_path / "gate"} 1')
    batch = start_command(bags, tmp_path / 'out', STAND_IN_IS_INTERRUPTED='1')
    try:
        _, said = batch.communicate(timeout=30)
    finally:
        if batch.poll() is None:
            batch.kill()
    assert (batch.returncode, said.splitlines()) == (
        130,
        ['evaluate_recording: stopped; complete results are kept, the same command resumes'],
    )


def start_command(bags, output, **environ):
    """Start the command with two processes and the stand-in, in a group of its own, as a terminal does it."""
    return subprocess.Popen(
        [sys.executable, stand_in_evaluation.__file__, str(bags), '--output', str(output), '--workers', '2'],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), **environ),
    )


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_and_a_repetition_goes_on_when_a_run_is_ended(bags, tmp_path, number):
    gate, out = tmp_path / 'gate', tmp_path / 'out'
    write_bag(bags, 'a', 'good 1' + 999 * ' ')  # the largest comes first
    for name in 'bc':
        write_bag(bags, name, f'gate {gate} {ord(name)}')
    batch = start_command(bags, out)
    try:
        wait_for(lambda: len(glob.glob(str(bags / '*.begun.*'))) == 2)
        workers = [int(path.rsplit('.', 1)[1]) for path in glob.glob(str(bags / '*.begun.*'))]
        if number == signal.SIGINT:
            with pytest.raises(FacialEmotionError, match='another run is writing'):
                run(bags, out)
            os.killpg(batch.pid, number)  # as a terminal does it
        else:
            batch.kill()
        _, said = batch.communicate(timeout=30)
        if number == signal.SIGINT:
            assert batch.returncode == 130 and re.fullmatch(
                r'\[1 of 3\] a: .* s\nevaluate_recording: stopped; complete results are kept, .*\n', said
            ), said
        assert batch.returncode != 0 and 'Traceback' not in said
        wait_for(lambda: not any(is_alive(pid) for pid in workers))
    finally:
        if batch.poll() is None:
            batch.kill()
    left = [name for name in os.listdir(out / 'bags') if name.endswith('.part')]
    assert bool(left) == (number == signal.SIGKILL)
    gate.touch()
    gone = []
    assert run(bags, out, progress=lambda *_: gone.append(not set(left) & set(os.listdir(out / 'bags'))))[1] == {
        'a': 'skipped',
        'b': 'done',
        'c': 'done',
    }
    assert all(gone)  # swept away before the work began
    assert len(os.listdir(out / 'bags')) == 3


def test_nothing_that_was_fetched_stays_when_a_process_crashes(bags, tmp_path, monkeypatch):
    pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    write_bag(bags, 'a', 'die')
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setenv('TMPDIR', str(temporary))
    monkeypatch.setattr('tempfile.tempdir', None)
    assert run(f'local://{bags}', tmp_path / 'out')[1] == {'a': 'failed'}
    assert os.listdir(temporary) == [] and not glob.glob(f'{bags}/*.died')


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
    with monkeypatch.context() as later:
        later.setattr(task, '__version__', '99.0.0')
        keys.append(key_of(Options()))
    assert len(set(keys)) == len(keys) and key_of(Options()) == keys[0]
    monkeypatch.setattr(task, 'bundle_for', lambda name, plan: 'esr_9_ferplus_int8')
    eight_bits = key_of(Options(detector='centerface'))
    monkeypatch.setattr(task, 'bundle_for', lambda name, plan: 'esr_9_ferplus')
    assert key_of(Options(detector='centerface')) != eight_bits


def test_a_recording_is_refused_when_the_models_here_are_others_than_where_the_run_began(bags, tmp_path):
    path = write_bag(bags, 'a', 'good 1')
    record = evaluate_task(FleetTask(path, str(tmp_path / 'out'), Options(), 'f' * 64, stand_in_evaluation.evaluate))
    assert record['status'] == 'failed' and 'same models' in record['error']


@pytest.mark.usefixtures('in_this_process')
def test_no_secret_of_a_url_is_shown_or_stored(tmp_path, capsys, monkeypatch):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    files = fsspec.filesystem('memory')
    files.pipe('/me:hush@ride/a.mcap?token=hush', b'good 4')
    place, study, out = 'memory://me:hush@ride/a.mcap?token=hush', tmp_path / 'study.csv', tmp_path / 'out'
    study.write_text(f'path,participant\n{place},p00\n')
    unopened = place.replace('memory', 'reference')
    for more in ([place], ['--study', str(study)], [place + 'more'], [unopened]):  # no recording, and not there
        assert command_line.main([*more, '--output', str(out)]) == 1
        told = ''.join(capsys.readouterr())
        assert 'a.mcap' in told and 'hush' not in told
    kept = [path.read_bytes() for path in out.rglob('*') if path.is_file()]
    found = evaluate_fleet([], str(out), Options(), evaluate=stand_in_evaluation.evaluate, study=read_study(str(study)))
    assert (found['bags'][0]['name'], found['bags'][0]['place']) == ('a', 'memory://ride/a.mcap')
    assert found['counts']['done'] == 1 and any(b'memory://ride/a.mcap' in content for content in kept)
    assert not any(
        b'hush' in each for each in [*kept, *(path.read_bytes() for path in out.rglob('*') if path.is_file())]
    )
    [finished] = out.rglob('finished.json')  # as former versions wrote it
    finished.write_text(finished.read_text().replace('memory://ride/a.mcap', place))
    with monkeypatch.context() as later:
        later.setattr(type(files), 'get_file', None)
        assert run(place, out)[0]['counts']['skipped'] == 1
    files.pipe('/me:hush@walk/a.mcap?token=hush', b'good 5')
    write_template([place, place.replace('ride', 'walk')], str(tmp_path / 'template.csv'))
    lines = (tmp_path / 'template.csv').read_text().splitlines()
    assert lines[1:] == [f'{place},ride,a,', f'{place.replace("ride", "walk")},walk,a,']
    monkeypatch.chdir(tmp_path)
    command = [write_bag(tmp_path, 'b', 'bad'), '--output', 'memory://me:hush@there']
    assert command_line.main(command) == 1
    assert files.exists('/me:hush@there/index.html') and not os.path.exists('memory:')
    with monkeypatch.context() as later:
        later.setattr(type(files), 'pipe_file', lambda _, path, content: {}[path])
        assert command_line.main(command) == 1  # an error that is no OSError
    with pytest.raises(SystemExit):
        command_line.main([f'--nothing={place}'])
    assert 'hush' not in ''.join(capsys.readouterr())
    monkeypatch.setattr(type(files), 'find', lambda _, path, **more: {}[path])  # the error names the path alone
    with pytest.raises(BadBag, match='ride/a.mcap: KeyError: .*ride/a.mcap') as refused:
        recording_discovery.find_bags([place])
    assert 'hush' not in str(refused.value)


def test_no_secret_is_shown_when_a_store_names_its_file_in_an_error_with_a_number(monkeypatch):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')

    def refuse(_, path):
        raise PermissionError(13, 'no way for me42, hush', path)

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'cat_file', refuse)
    with pytest.raises(PermissionError) as refused:
        open_store('memory://me42:hush@there').read('fleet.json')
    assert str(refused.value) == "[Errno 13] no way for ..., ...: '/there/fleet.json'"


@pytest.mark.usefixtures('in_this_process')
def test_results_are_found_again_without_fetching_when_a_url_has_not_changed(monkeypatch):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    files, out = fsspec.filesystem('memory'), 'memory://ride/out'
    files.pipe('/ride/one/metadata.yaml', b'')
    files.pipe('/ride/one/one_0.mcap', b'x')
    files.pipe('/ride/two.mcap', b'good 4')
    places = recording_discovery.find_bags(['memory://ride'], without=out)
    assert places == ['memory://ride/one', 'memory://ride/two.mcap']
    with recording_discovery.local_copy(places[0]) as path:
        assert sorted(os.listdir(path)) == ['metadata.yaml', 'one_0.mcap']
    assert not os.path.exists(path)
    [done] = run(places[1], out)[0]['bags']
    assert (done['status'], done['error']) == ('done', '')
    with monkeypatch.context() as later:
        later.setattr(type(files), 'get_file', None)
        [again] = run(places[1], out)[0]['bags']
        assert (again['status'], again['folder']) == ('skipped', done['folder'])
        assert run(places[1], out, verify=True)[1] == {'two': 'failed'}
    store = open_store(out)
    assert store.names('bags') == [done['folder']]
    assert store.names(f'bags/{done["folder"]}') == ['finished.json', 'frames.parquet', 'report.html', 'summary.json']
    files.pipe('/ride/two.mcap', b'good 5')
    assert run(places[1], out)[0]['bags'][0]['folder'] != done['folder']
    assert recording_discovery.find_bags(['memory://ride'], without=out) == places
    task = FleetTask(places[1], out, Options(), key_of(Options()), stand_in_evaluation.evaluate)
    files.rm('/ride/two.mcap')
    assert 'nothing' in evaluate_task(task)['error'] or 'fetch' in evaluate_task(task)['error']


@pytest.mark.usefixtures('in_this_process')
def test_going_on_asks_the_store_a_few_times_for_each_recording_when_their_names_repeat(bags, monkeypatch):
    for number in range(12):
        (bags / f'p{number:02d}').mkdir()
        write_bag(bags / f'p{number:02d}', 'baseline', f'good {number + 1}')
    asked, stages, read, where = [], [], UrlStore.read, 'memory://many/here'
    monkeypatch.setattr(UrlStore, 'read', lambda store, name: asked.append(name) or read(store, name))

    @contextmanager
    def stage(noun):
        yield lambda done, wanted: stages.append((noun, done, wanted))

    for status, most in (('done', 3), ('skipped', 2)):
        asked.clear()
        found, _ = run(bags, where, stage=stage)
        assert found['counts'][status] == 12 and len(asked) <= 12 * most + 4
    assert open_store(where).files('frames') and not [name for name in asked if name.startswith('frames/')]
    assert {('recordings', 12, 12), ('recordings in frames/', 12, 12), ('earlier results', 12, 12)} <= set(stages)


@pytest.mark.usefixtures('in_this_process')
def test_a_local_recording_is_read_again_when_it_looks_changed_or_that_is_asked_for(bags, tmp_path, monkeypatch):
    def changed_in_its_middle(frames):
        path = write_bag(bags, 'a', f'good {100_000 * " "}{frames}{100_000 * " "}')
        os.utime(path, ns=(10**18, 10**18))

    def frames_of(**more):
        found = run(bags, tmp_path / 'out', **more)[0]
        return (
            found['bags'][0]['status'],
            found['overall'][0]['figures']['frames'],
            len([each for each in read if 'a.mcap' in each]),
        )

    read = []
    monkeypatch.setattr(task, 'hash_of', lambda path: read.append(path) or hash_of(path))
    changed_in_its_middle(4)
    assert frames_of() == ('done', 4, 1) and frames_of() == ('skipped', 4, 1)
    changed_in_its_middle(5)
    assert frames_of() == ('skipped', 4, 1) and frames_of(verify=True) == ('done', 5, 2)
    # What looks alike and is not is read each time.
    assert frames_of() == ('skipped', 5, 3)
    changed_in_its_middle(4)
    assert frames_of() == ('skipped', 4, 4)
    os.utime(bags / 'a.mcap')
    assert frames_of() == ('skipped', 4, 5) and frames_of() == ('skipped', 4, 5)
    (bags / 'elsewhere').mkdir()
    (bags / 'a.mcap').rename(bags / 'elsewhere' / 'a.mcap')
    assert frames_of() == ('skipped', 4, 6) and frames_of() == ('skipped', 4, 6)


@pytest.mark.usefixtures('in_this_process')
def test_long_recordings_have_files_of_their_own_when_short_ones_share_one(bags, tmp_path, monkeypatch):
    monkeypatch.setattr(frames, '_IMAGES', 10)
    for name in 'abcdefgh':
        write_bag(bags, name, f'good {ord(name)}')
    run(bags, tmp_path / 'out')
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out' / 'frames').iterdir()}
    assert 2 < len(parts) <= 8 and len(frames_in(tmp_path / 'out' / 'frames')) == sum(map(ord, 'abcdefgh'))
    write_bag(bags, 'a', 'good 50')
    run(bags, tmp_path / 'out')
    kept = [path for path, written in parts.items() if path.exists() and path.stat().st_mtime_ns == written]
    assert len(parts) - 2 <= len(kept) < len(parts)


@pytest.mark.usefixtures('in_this_process')
def test_the_largest_recording_comes_first_when_there_are_several(bags, tmp_path):
    for name, size in (('a', 9), ('b', 99), ('c', 0)):
        write_bag(bags, name, f'good {ord(name)}' + size * ' ')
    order = []
    found, _ = run(bags, tmp_path / 'out', progress=lambda done, wanted, record: order.append(record['name']))
    assert order == ['b', 'a', 'c'] and [bag['name'] for bag in found['bags']] == ['a', 'b', 'c']


def test_the_log_of_a_database_is_fetched_too_when_it_lies_at_a_url():
    import fsspec

    files = fsspec.filesystem('memory')
    files.pipe({'/unclosed/ride.db3': b'begin', '/unclosed/ride.db3-wal': b'end', '/unclosed/other.db3-wal': b'x'})
    place = 'memory://unclosed/ride.db3'
    before = recording_discovery.state_of(place)
    assert before[0] == len(b'begin' + b'end')
    with recording_discovery.local_copy(place) as path:
        folder = os.path.dirname(path)
        assert {name: open(os.path.join(folder, name), 'rb').read() for name in os.listdir(folder)} == {
            'ride.db3': b'begin',
            'ride.db3-wal': b'end',
        }
    with recording_discovery.local_copy('memory://unclosed') as path:
        assert sorted(os.listdir(path)) == ['other.db3-wal', 'ride.db3', 'ride.db3-wal']
    files.pipe('/unclosed/ride.db3-wal', b'another end')
    assert recording_discovery.state_of(place)[1] not in ('', before[1])


@pytest.mark.usefixtures('in_this_process')
def test_a_fleet_is_gathered_at_a_url_when_the_output_is_one(bags, pyarrow):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    files = fsspec.filesystem('memory')
    for name, says in (('a', 'good 3'), ('b', 'bad'), ('c', 'good 4')):
        write_bag(bags, name, says)
    for statuses in ({'a': 'done', 'b': 'failed', 'c': 'done'}, {'a': 'skipped', 'b': 'failed', 'c': 'skipped'}):
        found, got = run(bags, 'memory://gathered/here')
        assert got == statuses
    assert json.loads(files.cat('/gathered/here/fleet.json')) == found
    folders = [bag['folder'] for bag in found['bags'] if bag['results']]
    [part] = files.ls('/gathered/here/frames', detail=False)
    with files.open(part) as content:
        assert pyarrow.parquet.read_table(content)['bag'].unique().to_pylist() == folders
    assert files.isfile(f'/gathered/here/bags/{folders[0]}/report.html') and files.isfile('/gathered/here/index.html')
    write_bag(bags, 'a', 'good 5')
    assert run(bags, 'memory://gathered/here', Options(max_faces=1))[0]['overall'][0]['figures']['frames'] == 9
    assert files.ls('/gathered/here/frames', detail=False) != [part]


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


@pytest.mark.parametrize('values', [[5, 7], [0, 0], [-0.2, 0.6], [0.001, 0.002], [-1, -0.5]])
def test_every_recording_is_drawn_when_figures_spread_in_any_range(values):
    figure = batch_report.spread_chart(values, ['<b>', 'two'], str)
    bars, each = traces(figure)
    assert bars['x'] == each['x'] == values and bars['xbins']['start'] <= min(values)
    assert max(values) < bars['xbins']['end'] and len(values) == 2
    low, high = figure.layout.xaxis.range
    assert low < min(values) and max(values) < high and low < 0 < high
    assert each['hovertext'] == [f'&lt;b&gt;: {values[0]}', f'two: {values[1]}']
    assert f'median {(values[0] + values[1]) / 2}' in [note.text for note in figure.layout.annotations]


def test_a_page_shows_those_to_look_at_first_when_there_are_too_many(monkeypatch):
    fleet = sample_fleet(12)
    for number, bag in enumerate(fleet['bags'][:12]):
        bag['results'][0]['accuracy'] = 1 - number / 100
    monkeypatch.setattr(batch_report, '_MOST_ROWS', 3)
    monkeypatch.setattr(batch_report, '_MOST_MARKS', 3)
    page = batch_report.fleet_html(fleet)
    assert 'These are 3 of 12, those with the lowest accuracy first' in page
    rows = [line for line in page.splitlines() if '<td class="name">' in line]
    assert [re.search(r'ride_(\d+)"', row)[1] for row in rows] == ['11', '10', '9']
    bars, marks = traces(batch_report.spread_chart([0.1, 0.2, 0.3, 0.4], list('abcd'), str))
    assert len(bars['x']) == 4 and not len(marks['x'])


@pytest.mark.usefixtures('in_this_process')
def test_strict_is_missed_when_something_of_one_of_many_recordings_was_lost(bags, tmp_path, monkeypatch):
    stand_in = functools.partial(evaluate_fleet, evaluate=stand_in_evaluation.evaluate)
    monkeypatch.setattr('facial_emotion_ros.recordings.batch.batch.evaluate_fleet', stand_in)
    command = [str(bags), '--output', str(tmp_path / 'out'), '--workers', '1']
    write_bag(bags, 'a', 'good 1')
    assert command_line.main([*command, '--strict']) == 0
    write_bag(bags, 'b', 'lossy 2')
    assert command_line.main(command) == 0 and command_line.main([*command, '--strict']) == command_line.MISSED


# All of it


@pytest.fixture(scope='module')
def real(tmp_path_factory):
    """Return the output and summary of real recordings, one of them damaged, evaluated for real by two processes."""
    folder = tmp_path_factory.mktemp('real')
    for name, seconds in (('a <b>', 0.3), ('c', 0.5)):
        write_sample_bag(str(folder / 'bags' / name), seconds, width=320, height=240)
    (folder / 'bags' / 'b.mcap').write_bytes(b'no recording')
    found = evaluate_fleet([str(folder / 'bags')], str(folder / 'out'), Options(truth='/annotation/faces'), workers=2)
    return folder, found


def test_real_recordings_give_what_they_give_alone_when_they_are_evaluated_together(real, tmp_path):
    folder, found = real
    assert [bag['status'] for bag in found['bags']] == ['done', 'failed', 'done']
    (alone,) = evaluate_bag(str(folder / 'bags' / 'c'), str(tmp_path), Options(truth='/annotation/faces'))
    together = folder / 'out' / 'bags' / found['bags'][2]['folder']
    assert (tmp_path / 'frames.parquet').read_bytes() == (together / 'frames.parquet').read_bytes()
    result = found['bags'][2]['results'][0]
    assert result['accuracy'] == alone['truth']['accuracy'] is not None
    pooled = found['overall'][0]
    assert pooled['figures']['frames'] == 8 and pooled['truth']['n'] == sum(
        bag['results'][0]['n'] for bag in found['bags'] if bag['results']
    )
    assert found['run']['recording_s_per_second'] > 0 and found['run']['bags_per_second'] > 0
    lacking, surplus = undocumented('fleet.json', found)
    assert not lacking and surplus <= {
        'bags[].twin_of',
        'bags[].traceback',
        'bags[].study.<column>',
        'overall[].raters.*',
        'overall[].intervals.<figure>',
        'overall[].raters.left_out',
        *(f'run.people.{each}' for each in ('persons', 'to_confirm', 'edited', 'not_followed', 'look_alikes')),
    }, 'docs/columns.md'
    frames = frames_in(folder / 'out' / 'frames')
    assert frames.column('bag').unique().to_pylist() == [found['bags'][0]['folder'], found['bags'][2]['folder']]
    assert len(frames) == sum(
        len(frames_in(folder / 'out' / 'bags' / bag['folder'] / 'frames.parquet'))
        for bag in found['bags']
        if bag['results']
    )


@pytest.mark.parametrize(
    'refused, text',
    [
        (PermissionError(13, 'Access Denied'), "Access Denied: 'memory://rides'"),
        (
            PermissionError('Forbidden'),
            'memory://rides: PermissionError: Forbidden; check the address and the access rights',
        ),
    ],
)
def test_an_error_of_a_store_names_the_url_when_the_store_names_nothing(monkeypatch, refused, text):
    fsspec = pytest.importorskip('fsspec', reason='fsspec is not installed: scripts/setup --tests does that')
    store = open_store('memory://rides')

    def refuse(*_):
        raise refused

    monkeypatch.setattr(type(fsspec.filesystem('memory')), 'pipe_file', refuse)
    with pytest.raises(OSError, match=text):
        store.write('index.html', b'')


@pytest.mark.parametrize(
    'output, advice', [('/sys/out', 'change the permissions, or choose another'), (f'{__file__}/out', 'check the path')]
)
def test_one_line_says_what_to_do_when_results_cannot_be_written(output, advice, bags, capsys):
    assert command_line.main([*(write_bag(bags, name, 'good 1') for name in 'ab'), '--output', output]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f'evaluate_recording: the results cannot be written to {output} (')
    assert 'nothing was evaluated: ' in line and advice in line


@pytest.mark.usefixtures('in_this_process')
def test_a_recording_is_done_by_the_next_run_when_the_disk_was_full(tmp_path, capsys):
    write_sample_bag(str(tmp_path / 'bags' / 'walk'), 0.4, 10, width=320, height=240)
    with small_disk(tmp_path / 'disk', 8192) as disk, models_opened_once():
        out, ballast = disk.path / 'out', disk.path / 'ballast'
        command = [str(tmp_path / 'bags'), '--output', str(out), '--workers', '1']
        ballast.write_bytes(bytes(shutil.disk_usage(str(disk.path)).free - (36 << 10)))
        assert command_line.main(command) == 1
        told = capsys.readouterr()
        assert 'the results cannot be written' in told.err and '1 failed' in told.out, told
        assert not any(files for folder, _, files in os.walk(out / 'bags'))
        ballast.unlink()
        assert command_line.main(command) == 0 and '1 evaluated' in capsys.readouterr().out
        before = (out / 'fleet.json').read_bytes()
        ballast.write_bytes(bytes(shutil.disk_usage(str(disk.path)).free))
        assert command_line.main(command) == 1
        told = capsys.readouterr().err.strip().splitlines()
        assert 'the aggregated results cannot be written' in told[-1] and 'same command' in told[-1], told
        assert (out / 'fleet.json').read_bytes() == before


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.parametrize('name', ['index.html', 'fleet.json', 'plotly.min.js'])
def test_a_page_that_no_run_wrote_stays_until_it_is_given_up(bags, tmp_path, name):
    write_bag(bags, 'a', 'good 1')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text('mine')
    with pytest.raises(BadParameter, match=f'got {name}, which would be lost.*--force'):
        run(bags, tmp_path / 'out')
    assert (tmp_path / 'out' / name).read_text() == 'mine' and not (tmp_path / 'out' / 'bags').exists()
    run(bags, tmp_path / 'out', force=True)
    run(bags, tmp_path / 'out')
    assert (tmp_path / 'out' / name).read_text() != 'mine'


@pytest.mark.usefixtures('in_this_process')
def test_the_script_of_another_version_is_replaced_when_the_run_between_had_no_charts(bags, tmp_path):
    script = tmp_path / 'out' / 'plotly.min.js'
    for content in ('good 1', 'bad', 'good 2'):
        write_bag(bags, 'a', content)
        run(bags, tmp_path / 'out')
        assert script.stat().st_size > 10**6 or content == 'bad'
        script.write_text('of another version')


@pytest.mark.usefixtures('in_this_process')
def test_frames_that_no_run_wrote_stay_when_parts_are_renewed(bags, tmp_path, pyarrow):
    from pyarrow import parquet

    write_bag(bags, 'a', 'good 1')
    run(bags, tmp_path / 'out')
    frames = tmp_path / 'out' / 'frames'
    [before] = os.listdir(frames)
    (frames / 'notes.txt').write_text('mine')
    (frames / 'broken.parquet').write_text('mine')
    parquet.write_table(pyarrow.table({'mine': [1]}), frames / 'mine.parquet')
    os.remove(bags / 'a.mcap')
    write_bag(bags, 'b', 'good 2')
    run(bags, tmp_path / 'out')
    kept = sorted(os.listdir(frames))
    assert kept[:3] == ['broken.parquet', 'mine.parquet', 'notes.txt'] and len(kept) == 4 and before not in kept


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.parametrize(
    'damaged', [lambda whole: b'', lambda whole: whole[:300], lambda whole: whole[:40] + b'?' + whole[41:]]
)
@pytest.mark.parametrize('out', ['{}/out', 'memory://damaged/{}'])
def test_a_damaged_part_is_made_again_or_goes(bags, tmp_path, damaged, out):
    out = out.format(tmp_path)
    path = write_bag(bags, 'a', 'good 9')
    run(bags, out)
    store = open_store(out)
    [name] = store.files('frames')
    whole = store.read(f'frames/{name}')
    store.write(f'frames/{name}', damaged(whole))
    store.write('frames/part-00000-0123456789ab.parquet', damaged(whole))  # of a version without the content's hash
    run(bags, out, verify=not store.is_local and len(damaged(whole)) == len(whole))
    assert store.files('frames') == [name] and store.read(f'frames/{name}') == whole
    store.write(f'frames/{name}', damaged(whole))
    os.remove(path)
    write_bag(bags, 'b', 'good 3')
    run(bags, out)
    assert len(store.files('frames')) == 1 and store.files('frames') != [name]


@pytest.mark.usefixtures('in_this_process')
def test_each_bundle_is_told_of_apart_when_several_are_judged(tmp_path):
    write_sample_bag(str(tmp_path / 'bag'), 0.2, width=320, height=240)
    names = ('esr_9_ferplus', 'esr_9_ferplus_int8')
    found = evaluate_fleet([str(tmp_path / 'bag')], str(tmp_path / 'out'), Options(bundles=names))
    assert found['bags'][0]['error'] == ''
    assert [each['bundle']['name'] for each in found['overall']] == list(names)
    assert [result['report'] for result in found['bags'][0]['results']] == [f'{name}/report.html' for name in names]
    frames = frames_in(tmp_path / 'out' / 'frames')
    assert sorted(frames.column('bundle').unique().to_pylist()) == sorted(names)
    text = (tmp_path / 'out' / 'index.html').read_text()
    assert all((tmp_path / 'out' / unquote(link)).is_file() for link in Page(text).references)
    for page in (tmp_path / 'out' / 'bags').glob('*/*/report.html'):
        (script,) = [each for each in Page(page.read_text()).references if not each.startswith('data:')]
        assert (page.parent / script).samefile(tmp_path / 'out' / 'plotly.min.js')


def test_a_part_stays_when_the_network_fails_while_it_is_looked_at(tmp_path):
    class Unreachable(LocalStore):
        is_local = False

        def open(self, name):
            raise TimeoutError('timed out')

    part = 'part-00000-0123456789ab-0123456789ab'
    (tmp_path / 'frames').mkdir()
    (tmp_path / 'frames' / f'{part}.parquet').write_bytes(b'rows')
    with pytest.raises(TimeoutError):
        frames._kept(Unreachable(str(tmp_path)), f'{part}.parquet', {part.rpartition('-')[0]: None}, False)
    assert os.listdir(tmp_path / 'frames')


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere_when_it_is_read(real):
    folder, found = real
    text = (folder / 'out' / 'index.html').read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.references) >= 3
    for link in page.references:
        assert (folder / 'out' / unquote(link)).is_file()
    assert loads_nothing(text, 'plotly.min.js')
    for each in (folder / 'out' / 'bags').glob('*/report.html'):
        one = each.read_text()
        assert loads_nothing(one, '../../plotly.min.js') and Page(one).charts and len(one) < 300_000
        assert (each.parent / '../../plotly.min.js').is_file()
    assert 'a &lt;b&gt;' in text and 'a <b>' not in text
    assert '1 of 3' in text and 'nothing can be read' in text
    assert len(text) < 200_000
