"""Many recordings on a cluster of Ray: a real one of two nodes on this machine, of which one dies."""

import glob
import importlib
import os
import signal
import socket
import sys

import pytest
import stand_in_evaluation
from stand_in_evaluation import wait_for, write_bag

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')

NODE = {'num_cpus': 1, 'object_store_memory': 80 << 20}


@pytest.fixture(scope='module', autouse=True)
def ray():
    """Import Ray, which takes a second, where its tests run."""
    pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')
    return pytest.importorskip('ray', reason='ray is not installed: pip install ray')


@pytest.fixture(scope='module')
def cluster(ray):
    """Return a cluster of two nodes; the package has switched its usage statistics off."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv('RAY_DEDUP_LOGS', '0')
        environment.setenv('PYTHONPATH', os.pathsep.join(sys.path))  # its processes import what this one can
        cluster = Cluster(initialize_head=True, head_node_args=dict(NODE, include_dashboard=False))
        cluster.other = cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def run(bags, output, cluster, evaluate=stand_in_evaluation.evaluate, options=None, progress=None):
    """Evaluate on the cluster; give the summary, and the records by name."""
    found = evaluate_fleet(
        [str(bags)],
        str(output),
        options or Options(),
        ray_address=cluster.address,
        evaluate=evaluate,
        progress=progress,
    )
    return found, {bag['name']: bag for bag in found['bags']}


def test_nothing_is_lost_or_double_when_a_node_dies_half_way(cluster, tmp_path, long_form, promise):
    from pyarrow import dataset

    bags, out, gate = tmp_path / 'bags', tmp_path / 'out', tmp_path / 'gate'
    bags.mkdir()
    count = 40 if long_form else 12
    for number in range(count):
        waits, size = (f'gate {gate}', 0) if number >= count // 2 else ('good', 999)  # the largest come first
        write_bag(bags, f'bag{number:02d}', f'{waits} {number + 1}' + size * ' ')

    def end_a_node(done, wanted, _):
        if done == count // 2:
            # Both nodes are in the middle of a recording; neither can end it before the gate is open.
            wait_for(lambda: len(glob.glob(str(bags / '*.begun.*'))) == 2)
            lost = [pid for pid in map(_pid, glob.glob(str(bags / '*.begun.*'))) if _parent(pid) == _raylet(cluster)]
            assert len(lost) == 1
            cluster.remove_node(cluster.other, allow_graceful=False)
            os.kill(lost[0], signal.SIGKILL)  # with a machine all its processes end at once
            gate.touch()

    found, records = run(bags, out, cluster, progress=end_a_node)
    assert len(records) == count and {bag['status'] for bag in records.values()} == {'done'}
    again = [name for name, bag in records.items() if bag['attempts'] > 1]
    assert again and max(bag['attempts'] for bag in records.values()) <= 3
    assert sorted(name.split('-')[0] for name in os.listdir(out / 'bags')) == sorted(records)
    rows = dataset.dataset(str(out / 'frames')).to_table()
    assert len(rows) == found['overall'][0]['figures']['frames'] == count * (count + 1) // 2
    assert len(rows.column('bag').unique()) == count
    promise(
        'a node of a fleet dies', f'{count} of {count} recordings evaluated, none twice', n=f'{len(again)} begun again'
    )
    assert {bag['status'] for bag in run(bags, out, cluster)[1].values()} == {'skipped'}


def _pid(path):
    return int(path.rpartition('.')[2])


def _parent(pid):
    with open(f'/proc/{pid}/stat') as file:
        return int(file.read().rpartition(')')[2].split()[1])


def _raylet(cluster):
    [raylet] = [process for name, process in cluster.other.live_processes() if name == 'raylet']
    return raylet.pid


def test_the_others_come_back_when_recordings_fail_on_a_cluster(cluster, tmp_path):
    bags = tmp_path / 'bags'
    bags.mkdir()
    for name, says in (('a', 'bad'), ('b', 'die'), ('c', 'die-once 20'), ('d', 'good 3')):
        write_bag(bags, name, says)
    _, records = run(bags, tmp_path / 'out', cluster)
    assert {name: bag['status'] for name, bag in records.items()} == {
        'a': 'failed',
        'b': 'failed',
        'c': 'done',
        'd': 'done',
    }
    assert records['a']['attempts'] == 1 and 'nonsense' in records['a']['error']
    assert len((bags / 'b.mcap.died').read_text()) == 4 and 'died 4 times' in records['b']['error']
    assert records['c']['attempts'] == 2
    assert not glob.glob(str(tmp_path / 'out' / 'bags' / '.*.part'))


def test_it_is_said_once_when_a_cluster_has_no_processor(ray, cluster, tmp_path, monkeypatch, capsys):
    bags, looks, nodes = tmp_path / 'bags', [[], []], ray.nodes
    bags.mkdir()
    for number in range(5):
        write_bag(bags, f'bag{number}', f'good {number + 1}')
    monkeypatch.setattr(ray, 'nodes', lambda: looks.pop() if looks else nodes())  # two looks before the nodes are there
    _, records = run(bags, tmp_path / 'out', cluster)
    assert {bag['status'] for bag in records.values()} == {'done'}
    assert capsys.readouterr().err.count('expected a Ray cluster with CPUs, got one without') == 1


def test_a_real_recording_gives_the_same_when_a_cluster_reads_it(cluster, tmp_path):
    write_sample_bag(str(tmp_path / 'bags' / 'a'), 0.3, width=320, height=240)
    options = Options(threads=2)  # more than any node has
    found, records = run(tmp_path / 'bags', tmp_path / 'out', cluster, evaluate_bag, options)
    assert (records['a']['status'], records['a']['error']) == ('done', '')
    evaluate_bag(str(tmp_path / 'bags' / 'a'), str(tmp_path / 'alone'), options)
    together = tmp_path / 'out' / 'bags' / records['a']['folder'] / 'frames.csv'
    assert together.read_bytes() == (tmp_path / 'alone' / 'frames.csv').read_bytes()
    assert found['run']['ray'] == cluster.address


def test_every_recording_says_so_when_no_node_can_import_what_evaluates(cluster, tmp_path):
    (tmp_path / 'bags').mkdir()
    write_bag(tmp_path / 'bags', 'a', 'good 1')
    path = tmp_path / 'nowhere_else.py'
    path.write_text(
        'from stand_in_evaluation import evaluate as _evaluate\n\n\ndef evaluate(*given):\n'
        '    return _evaluate(*given)\n'
    )
    sys.path.insert(0, str(tmp_path))
    try:
        nowhere_else = importlib.import_module('nowhere_else')
        _, records = run(tmp_path / 'bags', tmp_path / 'out', cluster, nowhere_else.evaluate)
    finally:
        sys.path.remove(str(tmp_path))
    assert 'nowhere_else' in records['a']['error'] and 'same version' in records['a']['error']


@pytest.mark.parametrize('address', ['127.0.0.1:{port}', 'localhost:{port}', 'ray://127.0.0.1:{port}', 'auto'])
def test_the_address_is_named_at_once_when_no_cluster_is_there(ray, tmp_path, monkeypatch, address):
    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(('127.0.0.1', 0))
        port = silent.getsockname()[1]
        address = address.format(port=port)
        monkeypatch.setenv('RAY_ADDRESS', f'127.0.0.1:{port}')  # of a cluster that is gone
        write_bag(tmp_path, 'a', 'good 1')
        ray.shutdown()
        with pytest.raises(FacialEmotionError, match=f'{address}.*{port}'):
            evaluate_fleet([str(tmp_path)], str(tmp_path / 'out'), Options(), ray_address=address)


def test_what_to_install_is_said_when_ray_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    write_bag(tmp_path, 'a', 'good 1')
    with pytest.raises(FacialEmotionError, match='pip install ray'):
        evaluate_fleet([str(tmp_path)], str(tmp_path / 'out'), Options(), ray_address='auto')
