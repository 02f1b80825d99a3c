"""The benchmark of engines: what it measures, and what it says of it."""

import json

import pytest
from html_page import Page, loads_nothing, traces

from facial_emotion_ros.cli import benchmark
from facial_emotion_ros.core.errors import BadDataset, FacialEmotionError
from facial_emotion_ros.evaluation.benchmark import engines, roofline, subjects
from facial_emotion_ros.evaluation.benchmark.page import benchmark_html
from facial_emotion_ros.evaluation.benchmark.text import compare, share_of_roofline, summary
from facial_emotion_ros.evaluation.benchmark.torch_baseline import counts
from facial_emotion_ros.inference.openvino_backend import openvino_version
from facial_emotion_ros.training.model.network import ESR


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Return figures of a small network on this machine, and of an engine that cannot run it."""
    folder = tmp_path_factory.mktemp('benchmark')
    subjects.NETWORKS['ESR-1'] = (1, False)
    try:
        network = subjects.random_network('ESR-1', 64, str(folder))
    finally:
        del subjects.NETWORKS['ESR-1']
    measured = [each for each in subjects.subjects_of(network, 1) if each.engine != 'openvino']
    measured.append(measured[0]._replace(engine='openvino', precision='fp16'))
    records = engines.measure(measured, runs=20)
    machine = dict(processor='one', cores=2, date='2026-11-25', versions='none', busy=0.4, command='b <i>')
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
    assert counts(ESR(9).eval(), 96)[1] == pytest.approx(5.68e9, rel=0.001)


def test_every_library_s_products_are_measured_and_the_best_kept(monkeypatch):
    monkeypatch.setattr(roofline, '_SECONDS', 0.02)
    said = []
    best = roofline.best_rates(1, sides=(64, 128), report=said.append)
    assert {'fp32', 'int8'} <= set(best)
    for rate, library, side in best.values():
        assert 1e8 < rate < 1e14 and side in (64, 128)
        assert library in ('torch', 'onnxruntime', 'openvino')
    assert len(said) >= (7 if openvino_version() else 4)


def test_the_page_asks_no_other_host_and_escapes_what_it_shows(found):
    text = benchmark_html(dict(found, stream=[stream_record()]))
    assert 'gray marks' in text and 'gray marks' not in benchmark_html(dict(found, roofline={}))
    page = Page(text)
    assert loads_nothing(text) and page.open == [] and 'b <i>' in page.text and 'b <i>' not in text
    engines, node = (traces(figure) for _, figure in page.charts)
    bars, marks = engines
    measured = [each for each in found['records'] if 'per_s' in each]
    assert bars['y'] == ['torch fp32, 1 thread', 'onnxruntime fp32, 1 thread', 'onnxruntime int8, 1 thread']
    assert bars['x'] == pytest.approx([each['per_s'] for each in measured], abs=0.01)
    share = share_of_roofline(found, measured[1])
    assert bars['text'][1:] == [f'{measured[1]["per_s"]:.0f} ({100 * share:.0f}%)', f'{measured[2]["per_s"]:.0f}']
    assert marks['x'] == pytest.approx([1e12 / found['networks'][0]['operations']] * 2)
    assert [each['x'] for each in node] == [[40.0], [20.0]] and node[0]['text'] == ['20, 40 ms; 29.9/s']


def stream_record():
    """Return a record of the node."""
    return {
        'width': 640,
        'height': 480,
        'transport': 'raw',
        'faces': 1,
        'fps': 29.9,
        'camera_fps': 30.0,
        'age_p50_ms': 20.0,
        'age_p99_ms': 40.0,
        'cpu_ms': 10.0,
        'cpu_share': 0.3,
    }


def test_two_runs_are_compared_line_by_line(found):
    slower = [dict(each, per_s=each['per_s'] * 0.8) if 'per_s' in each else each for each in found['records']]
    text, kept = compare(slower, found['records'], bound=0.1)
    assert not kept and text.count('slower') == 3 and '0.80' in text
    text, kept = compare(slower, found['records'], bound=0.3)
    assert kept and 'slower' not in text
    with pytest.raises(BadDataset, match='in common|same networks'):
        compare(found['records'], [dict(each, network='ESR-2') for each in found['records']], bound=0.1)


def test_a_process_that_dies_is_told():
    subject = engines.Subject('ESR-9', 64, 'onnxruntime', 'fp32', 1, 'esr_9_ferplus')
    runner = engines._Runner(subject)
    try:
        assert 'provider' in runner.opened
        for process in runner._process._processes.values():
            process.kill()
        with pytest.raises(FacialEmotionError, match='onnxruntime fp32: .*terminated'):
            runner.run(1)
    finally:
        runner.close()


def test_the_command_measures_the_embedded_network_and_compares_with_an_earlier_run(tmp_path, capsys):
    line = {'engine': 'onnxruntime', 'precision': 'fp32', 'network': 'ESR-9', 'size_px': 64, 'threads': 1}
    (tmp_path / 'fast.json').write_text(json.dumps({'records': [dict(line, per_s=1e9)]}))
    words = (
        '--networks shipped --engines onnxruntime --threads 1 --runs 10 --engines-only --json '
        f'{tmp_path}/now.json --html {tmp_path}/now.html --compare {tmp_path}/fast.json'
    )
    assert benchmark.main(words.split()) == 1
    written = json.loads((tmp_path / 'now.json').read_text())
    record = written['records'][0]
    assert {key: record[key] for key in line} == line and record['per_s'] > 0
    assert written['machine']['command'].startswith('benchmark --networks shipped')
    assert 'fp32' not in written['networks'][0] and (tmp_path / 'now.html').exists()
    printed = capsys.readouterr().out
    assert '| ESR-9 |' in printed and 'slower' in printed


@pytest.mark.parametrize(
    'arguments, text, status',
    [
        (['--networks', 'ESR-8'], 'ESR-8', 2),
        (['--engines', 'caffe'], 'caffe', 2),
        (['--compare', 'absent.json'], 'absent.json', 1),
    ],
)
def test_it_ends_with_one_line_when_its_input_is_bad(arguments, text, status, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(arguments) == status
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith('benchmark: ')]
    assert len(lines) == 1 and text in lines[0]
