"""A model runs on the provider that was asked for, or it says loudly that it does not."""

import logging
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnxruntime_backend import CPU, OrtModel, open_session
from facial_emotion_ros.system.memory import give_memory_back

CUDA = 'CUDAExecutionProvider'
PICTURE = {'image': np.zeros((1, 3, 32, 64), np.float32)}


class Broken:
    """Stands where a session of a provider stood that fails from now on."""

    def run(self, outputs, feed):
        """Fail as CUDA does."""
        raise RuntimeError('CUDA failure 700: an illegal memory access\nand more lines')


@pytest.mark.parametrize('providers', [(CPU,), [CPU], [(CPU, {})]])
def test_nothing_is_degraded_when_the_first_provider_works(centerface, providers, caplog):
    model = OrtModel(centerface, ProviderPlan(providers))
    assert (model.provider, model.degraded) == (CPU, '')
    assert model._session.get_providers() == [CPU] and not caplog.records


@pytest.mark.parametrize(
    'providers',
    [['NoSuchExecutionProvider'], ['NoSuchExecutionProvider', CPU], [('NoSuchExecutionProvider', {'device_id': 0})]],
)
def test_cpu_takes_over_loudly_when_a_provider_is_not_there(centerface, providers, caplog):
    with caplog.at_level(logging.WARNING):
        model = OrtModel(centerface, ProviderPlan(providers))
    assert model.provider == CPU and model._session.get_providers() == [CPU]
    assert 'NoSuchExecutionProvider is not part of this ONNX Runtime' in model.degraded
    assert [record.getMessage() for record in caplog.records] == [model.degraded]


def test_cpu_takes_over_loudly_when_a_provider_is_built_in_but_does_not_start(centerface, caplog, monkeypatch):
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip('needs an ONNX Runtime without CUDA')
    # As a GPU build on a machine without its driver: listed, and silently exchanged for the CPU.
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [CUDA, CPU])
    with caplog.at_level(logging.WARNING):
        model = OrtModel(centerface, ProviderPlan([CUDA, CPU]))
    assert model.provider == CPU and CUDA in model.degraded
    assert caplog.records


@pytest.mark.parametrize('threads, spin', [(1, False), (2, False), (2, True)])
def test_threads_are_as_requested_and_spin_only_when_asked_to(centerface, threads, spin):
    session, _ = open_session(centerface, ProviderPlan(threads=threads, spin=spin))
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == str(int(spin))


def test_no_processor_is_kept_busy_when_nothing_is_read():
    engine = EsrEngine('esr_9_ferplus', ProviderPlan(threads=2))
    crops = np.zeros((2, engine.geometry.planes) + (engine.geometry.size_px,) * 2, np.uint8)
    idle_s = processor_s = 0.0
    for _ in range(10):
        engine.run(crops)
        began_s, used_s = time.monotonic(), time.process_time()
        time.sleep(0.005)
        idle_s, processor_s = idle_s + time.monotonic() - began_s, processor_s + time.process_time() - used_s
    # Spinning threads use three quarters of that time and more, on an idle machine.
    assert processor_s < 0.25 * idle_s


def test_refused_when_the_model_does_not_load(centerface):
    nonsense = ModelBundle(centerface.folder, centerface.manifest, b'\x08\x07nonsense')
    plan = ProviderPlan()
    with pytest.raises(BadModel, match='does not load .*: CPUExecutionProvider failed: '):
        open_session(nonsense, plan)
    assert open_session(centerface, plan)[1] == CPU, 'one model that is no good says nothing about another'


def test_error_names_the_model_when_the_cpu_fails(centerface):
    model = OrtModel(centerface, ProviderPlan())
    model._session = Broken()
    with pytest.raises(BadModel, match='centerface failed on CPUExecutionProvider: CUDA failure 700'):
        model.run(['heatmap'], PICTURE)
    with pytest.raises(BadModel, match='centerface failed'):
        OrtModel(centerface, ProviderPlan()).run(['heatmap'], {'image': np.zeros((1, 4, 32, 32), np.float32)})


ONE_COPY = """
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.system.memory import resident_mb
import numpy
before = resident_mb()
engine = EsrEngine({bundle!r}{anytime})
size = engine.geometry.size_px
taken = resident_mb() - before
engine.run(numpy.zeros((1, engine.geometry.planes, size, size), numpy.uint8))
print(taken, len(engine.bundle.model_bytes))
"""


@pytest.mark.skipif(not give_memory_back(), reason='the C library gives no memory back: it is not glibc')
@pytest.mark.parametrize(
    'bundle, anytime, weights_mb',
    [('esr_9_ferplus', '', 77.7), ('esr_9_ferplus_int8', '', 19.5), ('esr_9_ferplus_int8', ', anytime=True', 19.5)],
)
def test_the_weights_are_in_memory_once_when_a_model_has_been_opened(bundle, anytime, weights_mb):
    program = ONE_COPY.format(bundle=bundle, anytime=anytime)
    shown = subprocess.run([sys.executable, '-c', program], stdout=subprocess.PIPE, check=True).stdout.split()
    # Beside them: what sessions need, and libraries' pages that are read for the first time: most with ONNX Runtime
    # 1.10, where the parts of an anytime ensemble took 47 MB. A second copy of the smaller weights would make 51 here.
    assert weights_mb <= float(shown[0]) < weights_mb * 1.2 + 26
    assert int(shown[1]) == 0, 'the file is in memory too'
