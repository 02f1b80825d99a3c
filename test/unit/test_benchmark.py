"""The benchmark of engines: what it measures, and what it says of it."""

import json
import re
import shutil

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for networks of random weights')
pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

from facial_emotion_ros.commands import benchmark  # noqa: E402
from facial_emotion_ros.errors import BadDataset, FacialEmotionError  # noqa: E402
from facial_emotion_ros.evaluation import benchmark_subjects, engine_benchmark, roofline  # noqa: E402
from facial_emotion_ros.evaluation.benchmark_page import benchmark_html  # noqa: E402
from facial_emotion_ros.evaluation.benchmark_text import compare, share_of_roofline, summary  # noqa: E402
from facial_emotion_ros.learning.baseline import operations  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402
from facial_emotion_ros.openvino_model import openvino_version  # noqa: E402
from facial_emotion_ros.power import PowerMeter, PowerReading  # noqa: E402


class Meter(PowerMeter):
    """A sensor that says 10 W at rest and 30 W from the third reading on."""

    readings = 0

    def read(self, now_s):
        """Read."""
        self.readings += 1
        return PowerReading('INA3221', {}, 10.0 if self.readings <= 3 else 30.0, '')


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Return figures of a small network on this machine, with a sensor's, and of an engine that cannot run it."""
    folder = tmp_path_factory.mktemp('benchmark')
    benchmark_subjects.NETWORKS['ESR-1'] = (1, False)
    try:
        network = benchmark_subjects.random_network('ESR-1', 64, str(folder))
    finally:
        del benchmark_subjects.NETWORKS['ESR-1']
    subjects = [each for each in benchmark_subjects.subjects_of(network, 1) if each.engine != 'openvino']
    subjects.append(subjects[0]._replace(engine='openvino', precision='fp16'))
    shutil.copytree(network.int8, str(folder / 'copy'))
    engine_benchmark._POWER_S, before = 0.3, engine_benchmark._POWER_S
    try:
        records = engine_benchmark.measure(subjects, runs=20, meter=Meter())
    finally:
        engine_benchmark._POWER_S = before
    machine = {'processor': 'one', 'cores': 2, 'date': '2026-11-25', 'versions': 'none', 'busy': 0.4,
               'command': 'b <i>'}
    best = {'fp32': {'per_s': 1e12, 'library': 'torch', 'side': 256}}
    return {'machine': machine, 'networks': [network._asdict()], 'records': records, 'roofline': {'1': best}}


def test_each_engine_is_measured_in_a_process_of_its_own(found):
    lines = [(each['engine'], each['precision']) for each in found['records'] if 'per_s' in each]
    assert lines == [('torch', 'fp32'), ('onnxruntime', 'fp32'), ('onnxruntime', 'int8')]
    for each in found['records'][:3]:
        assert each['runs'] == 20 and each['memory_mb'] > 0
        assert 0 < each['p10_ms'] <= each['median_ms'] <= each['p90_ms']
        assert 500 / each['p90_ms'] < each['per_s'] < 2000 / each['p10_ms']
        assert each['ratio'] == pytest.approx(each['per_s'] / found['records'][0]['per_s'])
    assert found['records'][2]['provider'] == 'CPUExecutionProvider'


def test_joules_are_told_gross_and_net_where_there_is_a_sensor(found):
    for each in found['records'][:3]:
        assert each['joules'] == pytest.approx(30 / (1000 / each['median_ms']), rel=0.5)
        assert each['net_joules'] == pytest.approx(each['joules'] * 2 / 3)


def test_an_engine_that_cannot_run_it_is_a_line_of_the_table_with_the_reason(found):
    last = found['records'][-1]
    assert 'per_s' not in last and 'fp16' in last['error'] or 'openvino' in last['error']
    text = summary(found)
    assert 'not measured' in text
    assert '**The machine was busy' in text and '40%' in text


def test_the_share_of_the_roofline_is_that_of_the_operations(found):
    network = found['networks'][0]
    assert network['parameters'] == sum(each.numel() for each in ESR(1).parameters())
    record = found['records'][1]
    assert share_of_roofline(found, record) == pytest.approx(record['per_s'] * network['operations'] / 1e12)
    assert share_of_roofline(found, found['records'][2]) is None, 'no int8 product was measured'


def test_operations_are_those_that_are_published_for_esr_9():
    assert operations(ESR(9), 96) == pytest.approx(5.68e9, rel=0.001)


def test_every_library_s_products_are_measured_and_the_best_kept():
    said = []
    best = roofline.best_rates(1, sides=(64, 128), report=said.append)
    assert {'fp32', 'int8'} <= set(best)
    for rate, library, side in best.values():
        assert 1e8 < rate < 1e14 and side in (64, 128)
        assert library in ('torch', 'onnxruntime', 'openvino')
    assert len(said) >= (7 if openvino_version() else 4)


def test_the_page_asks_no_other_host_and_escapes_what_it_shows(found):
    html = benchmark_html(dict(found, stream=[stream_record()]))
    assert not re.search(r'(?:src|href)\s*=', html) and '//' not in html
    assert '<svg' in html and 'b &lt;i&gt;' in html and 'ESR-1' in html and 'The node' in html


def stream_record():
    """Return a record of the node."""
    return {'width': 640, 'height': 480, 'transport': 'raw', 'faces': 1, 'fps': 29.9, 'camera_fps': 30.0,
            'age_p50_ms': 20.0, 'age_p99_ms': 40.0, 'cpu_ms': 10.0, 'cpu_share': 0.3}


def test_two_runs_are_compared_line_by_line(found):
    slower = [dict(each, per_s=each['per_s'] * 0.8) if 'per_s' in each else each for each in found['records']]
    text, kept = compare(slower, found['records'], bound=0.1)
    assert not kept and text.count('slower') == 3 and '0.80' in text
    text, kept = compare(slower, found['records'], bound=0.3)
    assert kept and 'slower' not in text
    with pytest.raises(BadDataset, match='in common|same networks'):
        compare(found['records'], [dict(each, network='ESR-2') for each in found['records']], bound=0.1)


def test_a_process_that_dies_is_told():
    subject = engine_benchmark.Subject('ESR-9', 64, 'onnxruntime', 'fp32', 1, 'esr_9_ferplus')
    runner = engine_benchmark._Runner(subject)
    try:
        assert 'provider' in runner.opened
        runner._process.kill()
        with pytest.raises((FacialEmotionError, OSError)):
            runner.ask(run=1)
            runner.ask(run=1)
    finally:
        try:
            runner.close()
        except OSError:  # what was not written yet meets a closed pipe
            pass


def test_the_command_measures_the_embedded_network_and_compares_with_an_earlier_run(tmp_path, capsys):
    arguments = ['--networks', 'shipped', '--engines', 'onnxruntime', '--threads', '1', '--runs', '10',
                 '--engines-only', '--json', str(tmp_path / 'now.json'), '--html', str(tmp_path / 'now.html')]
    assert benchmark.main(arguments) == 0
    written = json.loads((tmp_path / 'now.json').read_text())
    record = written['records'][0]
    assert {key: record[key] for key in ('engine', 'precision', 'network', 'threads')} == {
        'engine': 'onnxruntime', 'precision': 'fp32', 'network': 'ESR-9', 'threads': 1}
    assert written['machine']['command'].startswith('benchmark --networks shipped')
    assert 'master' not in written['networks'][0]
    assert '| ESR-9 |' in capsys.readouterr().out
    written['records'][0]['per_s'] *= 1000
    (tmp_path / 'fast.json').write_text(json.dumps(written))
    assert benchmark.main([*arguments, '--compare', str(tmp_path / 'fast.json')]) == 1
    assert 'slower' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, text', [
    (['--networks', 'ESR-8'], 'ESR-8'), (['--threads', '0'], '--threads 0'), (['--threads'], 'number of threads'),
    (['--runs', '3'], '--runs 3'), (['--engines', 'caffe'], 'caffe'), (['--compare', 'absent.json'], 'absent.json'),
])
def test_it_ends_with_one_line_when_its_input_is_bad(arguments, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith('benchmark: ')]
    assert len(lines) == 1 and text in lines[0]
