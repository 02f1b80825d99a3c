"""A model runs on the provider that was asked for, or it says loudly that it does not."""

import logging
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest

from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.execution_providers import ProviderPlan
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.onnx_session import CPU, RunningModel, open_session, provider_name
from facial_emotion_ros.process_memory import give_memory_back

CUDA = 'CUDAExecutionProvider'
PICTURE = {'image': np.zeros((1, 3, 32, 64), np.float32)}


@pytest.fixture(scope='module')
def bundle():
    """Return the embedded face detector, the smallest model there is."""
    return ModelBundle.open(embedded_bundle('centerface'))


class Broken:
    """Stands where a session of a provider stood that fails from now on."""

    def run(self, outputs, feed):
        """Fail as CUDA does."""
        raise RuntimeError('CUDA failure 700: an illegal memory access\nand more lines')


@pytest.mark.parametrize('providers', [(CPU,), [CPU], [(CPU, {})]])
def test_nothing_is_degraded_when_the_first_provider_works(bundle, providers, caplog):
    opened = open_session(bundle, providers)
    assert (opened.provider, opened.degraded) == (CPU, '')
    assert opened.session.get_providers() == [CPU] and not caplog.records


@pytest.mark.parametrize('providers', [
    ['NoSuchExecutionProvider'], ['NoSuchExecutionProvider', CPU], [('NoSuchExecutionProvider', {'device_id': 0})]])
def test_cpu_takes_over_loudly_when_a_provider_is_not_there(bundle, providers, caplog):
    with caplog.at_level(logging.WARNING):
        opened = open_session(bundle, providers)
    assert opened.provider == CPU and opened.session.get_providers() == [CPU]
    assert 'NoSuchExecutionProvider is not part of this ONNX Runtime' in opened.degraded
    assert [record.getMessage() for record in caplog.records] == [opened.degraded]


def test_cpu_takes_over_loudly_when_a_provider_is_built_in_but_does_not_start(bundle, caplog, monkeypatch):
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip('needs an ONNX Runtime without CUDA')
    # As a GPU build on a machine without its driver: listed, and silently exchanged for the CPU.
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [CUDA, CPU])
    with caplog.at_level(logging.WARNING):
        opened = open_session(bundle, [CUDA, CPU])
    assert opened.provider == CPU and CUDA in opened.degraded
    assert caplog.records


@pytest.mark.parametrize('threads', [1, 2])
def test_threads_are_as_asked_for_when_opened(bundle, threads):
    options = open_session(bundle, threads=threads).session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


def test_no_processor_is_kept_busy_when_nothing_is_read():
    engine = EsrEngine('esr_9_ferplus', ProviderPlan(threads=2))
    crops = np.zeros((4, engine.geometry.planes) + (engine.geometry.size_px,) * 2, np.uint8)
    idle_s = processor_s = 0.0
    for _ in range(20):
        engine.run(crops)
        began_s, used_s = time.monotonic(), time.process_time()
        time.sleep(0.005)
        idle_s, processor_s = idle_s + time.monotonic() - began_s, processor_s + time.process_time() - used_s
    # Spinning threads use three quarters of that time and more, on an idle machine.
    assert processor_s < 0.25 * idle_s


@pytest.mark.parametrize('spin', [False, True])
def test_threads_spin_only_when_asked_to(bundle, spin):
    options = open_session(bundle, ProviderPlan(threads=2, spin=spin)).session.get_session_options()
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == str(int(spin))


@pytest.mark.parametrize('arguments, expected', [
    ({'threads': 0}, BadParameter), ({'threads': -1}, BadParameter), ({'threads': True}, BadParameter),
    ({'threads': 1.5}, BadParameter), ({'providers': CPU}, BadParameter), ({'providers': []}, BadParameter),
    ({'providers': ['']}, BadParameter), ({'providers': [(CPU, 'fast')]}, BadParameter),
    ({'providers': [7]}, BadParameter),
    ({'providers': [(CPU,)]}, BadParameter), ({'providers': [(CPU, {}, {})]}, BadParameter)])
def test_refused_when_an_option_is_wrong(bundle, arguments, expected):
    with pytest.raises(expected):
        open_session(bundle, **arguments)


def test_refused_when_the_model_does_not_load(bundle):
    nonsense = ModelBundle(bundle.folder, bundle.manifest, b'\x08\x07nonsense')
    with pytest.raises(BadModel, match='does not load'):
        open_session(nonsense)


def test_options_are_taken_off_when_a_provider_is_named():
    assert provider_name((CUDA, {'device_id': 1})) == provider_name(CUDA) == CUDA


def test_cpu_takes_over_once_and_for_good_when_a_provider_fails_at_work(bundle, caplog):
    model = RunningModel(bundle)
    expected = model.run(['heatmap'], PICTURE)
    # Elsewhere than on the CPU the model's bytes are kept, for the CPU to take over with.
    model._session, model.provider, model.bundle = Broken(), CUDA, bundle
    with caplog.at_level(logging.WARNING):
        first, second = model.run(['heatmap'], PICTURE), model.run(['heatmap'], PICTURE)
    assert np.array_equal(first, expected) and np.array_equal(second, expected)
    assert model.provider == CPU and 'CUDA failure 700' in model.degraded and 'more lines' not in model.degraded
    assert len(caplog.records) == 1


def test_error_names_the_model_when_the_cpu_fails(bundle):
    model = RunningModel(bundle)
    model._session = Broken()
    with pytest.raises(BadModel, match='centerface failed on CPUExecutionProvider: CUDA failure 700'):
        model.run(['heatmap'], PICTURE)
    with pytest.raises(BadModel, match='centerface failed'):
        RunningModel(bundle).run(['heatmap'], {'image': np.zeros((1, 4, 32, 32), np.float32)})


ONE_COPY = """
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.process_memory import resident_mb
import numpy
before = resident_mb()
engine = EsrEngine({bundle!r}{anytime})
size = engine.geometry.size_px
taken = resident_mb() - before
engine.run(numpy.zeros((1, engine.geometry.planes, size, size), numpy.uint8))
print(taken, len(engine.bundle.model_bytes))
"""


@pytest.mark.skipif(not give_memory_back(), reason='the C library gives no memory back: it is not glibc')
@pytest.mark.parametrize('bundle, anytime, weights_mb', [
    ('esr_9_ferplus', '', 77.7), ('esr_9_ferplus_int8', '', 19.5), ('esr_9_ferplus_int8', ', anytime=True', 19.5)])
def test_the_weights_are_in_memory_once_when_a_model_has_been_opened(bundle, anytime, weights_mb):
    program = ONE_COPY.format(bundle=bundle, anytime=anytime)
    shown = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, check=True).stdout.split()
    # Beside them: what sessions need, and libraries' pages that are read for the first time: most with ONNX Runtime
    # 1.10, where the parts of an anytime ensemble took 47 MB. A second copy of the smaller weights would make 51 here.
    assert weights_mb <= float(shown[0]) < weights_mb * 1.2 + 26
    assert int(shown[1]) == 0, 'the file is in memory too'
