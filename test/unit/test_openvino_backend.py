"""OpenVINO gives what ONNX Runtime gives, and says so where it cannot."""

import ctypes
import os
import signal
import sys

import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.onnxruntime_backend import open_model
from facial_emotion_ros.inference.openvino_backend import OPENVINO, openvino_version
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

needs_openvino = pytest.mark.skipif(not openvino_version(), reason='openvino is not installed: it is optional')


def crops_of(engine, count):
    """Return random crops in whole numbers."""
    side = engine.geometry.size_px
    return np.random.default_rng(count).integers(0, 256, (count, engine.geometry.planes, side, side)).astype(np.uint8)


@needs_openvino
@pytest.mark.parametrize('precision, atol', [('fp32', 2e-3), ('bf16', 0.3)])
def test_answers_are_those_of_onnx_runtime(precision, atol):
    try:
        engine = EsrEngine(providers=ProviderPlan(engine='openvino', precision=precision))
    except BadParameter as error:
        assert precision == 'bf16' and 'processor' in str(error)
        pytest.skip('this processor does not compute in bf16')
    except BadModel:
        if precision != 'bf16' or 'ONEDNN_MAX_CPU_ISA' not in os.environ:
            raise
        pytest.skip('ONEDNN_MAX_CPU_ISA=%s leaves OpenVINO no bf16' % os.environ['ONEDNN_MAX_CPU_ISA'])
    assert (engine.provider, engine.degraded) == (OPENVINO, '')
    other = EsrEngine()
    for count in (0, 1, 3):
        crops = crops_of(engine, count)
        for found, expected in zip(engine.run(crops), other.run(crops)):
            assert found.shape == expected.shape and found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=atol)


@pytest.fixture(scope='module')
def exact():
    """Return the embedded network in OpenVINO, in floating point."""
    return EsrEngine(providers=ProviderPlan(engine='openvino', precision='fp32'))


@needs_openvino
def test_an_answer_stays_when_the_next_one_is_computed(exact):
    engine = exact
    first, _ = engine.run(crops_of(engine, 1))
    kept = first.copy()
    engine.run(crops_of(engine, 1) // 2)
    np.testing.assert_array_equal(first, kept)


@needs_openvino
def test_faces_are_found_and_read_as_with_onnx_runtime():
    image = read_picture(find_shared('samples', 'astronaut.jpg'))
    (expected,) = EmotionPipeline(providers=ProviderPlan(precision='fp32')).estimate(image)
    (found,) = EmotionPipeline(providers=ProviderPlan(engine='openvino', precision='fp32')).estimate(image)
    np.testing.assert_allclose(found.box, expected.box, atol=0.5)
    assert found.emotion == expected.emotion
    assert found.confidence == pytest.approx(expected.confidence, abs=0.01)


class SignalStack(ctypes.Structure):
    """stack_t of Linux."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


def signal_stack():
    """Return address, flags and size of this thread's signal stack."""
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack.pointer, stack.flags, stack.size


@needs_openvino
def test_signals_are_heard_after_models_were_closed_in_any_order():
    # OpenVINO leaves a stack for signal handlers that is no longer there: the next signal would end the process.
    before = signal_stack()
    bundle = ModelBundle.open(embedded_bundle('centerface'))
    models = [open_model(bundle, ProviderPlan(engine='openvino')) for _ in range(3)]
    for model in models:
        model.run(['heatmap'], {'image': np.zeros((1, 3, 64, 64), np.float32)})
        assert signal_stack() == before
    while models:
        del model, models[0]
        model = None
        assert signal_stack() == before
    heard = []
    former = signal.signal(signal.SIGUSR1, lambda *_: heard.append(True))
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard
    finally:
        signal.signal(signal.SIGUSR1, former)


@needs_openvino
@pytest.mark.parametrize('model_bytes', [b'', b'\x08\x07 this is no model'])
def test_a_model_that_does_not_load_is_refused(model_bytes):
    embedded = ModelBundle.open(embedded_bundle('esr_9_ferplus'))
    with pytest.raises(BadModel, match='does not load in OpenVINO'):
        open_model(ModelBundle('some/folder', embedded.manifest, model_bytes), ProviderPlan(engine='openvino'))


@needs_openvino
def test_a_run_that_fails_raises_bad_model(exact):
    model = exact._model
    assert model.names == {'crops', 'logits', 'affect'}
    with pytest.raises(BadModel, match='esr_9_ferplus failed on OpenVINO'):
        model.run(['logits'], {'crops': np.zeros((1, 7, 5, 5), np.float32)})


@needs_openvino
def test_a_precision_that_it_has_not_is_refused():
    with pytest.raises(BadParameter, match="auto, bf16, fp32, int8.*'fp16'"):
        EsrEngine(providers=ProviderPlan(engine='openvino', precision='fp16'))


def test_its_absence_is_an_error_with_both_ways_out(monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    assert openvino_version() == ''
    with pytest.raises(BadParameter, match='pip install openvino.*onnxruntime'):
        EsrEngine(providers=ProviderPlan(engine='openvino'))


@pytest.mark.parametrize(
    'options, text',
    [
        ({'engine': 'caffe'}, "among onnxruntime, openvino, got 'caffe'"),
        ({'precision': 'bf16'}, 'engine openvino'),
    ],
)
def test_an_engine_that_does_not_exist_or_fit_is_refused(options, text):
    with pytest.raises(BadParameter, match=text):
        ProviderPlan(**options)
