"""Eight bits where they are asked for, or where they pay."""

import json
import os
import shutil
from functools import partial

import numpy as np
import onnxruntime
import pytest

from facial_emotion_ros.inference import onnxruntime_backend, precision
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.inference.precision import bundle_for, int8_is_fast


@pytest.fixture
def pair(tmp_path):
    """Return the path of a bundle that has another beside it; which one is taken is seen without opening them."""
    for name in ('net', 'net_int8'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'manifest.json').write_text('{}')
    return str(tmp_path / 'net')


@pytest.mark.parametrize(
    'options, fast, taken',
    [
        ({}, True, True),
        ({}, False, False),
        ({'engine': 'openvino'}, True, True),
        ({'engine': 'openvino'}, False, False),
        ({'precision': 'int8'}, False, True),
        ({'precision': 'int8', 'providers': ['TensorrtExecutionProvider']}, False, True),
        ({'precision': 'fp32'}, True, False),
        ({'precision': 'fp16'}, True, False),
        ({'precision': 'bf16', 'engine': 'openvino'}, True, False),
        ({'providers': ['NoSuchExecutionProvider', CPU]}, True, True),
    ],
)
def test_the_int8_bundle_is_taken_where_it_is_requested_or_faster(pair, monkeypatch, options, fast, taken):
    monkeypatch.setattr(precision, 'int8_is_fast', lambda: fast)
    assert bundle_for(pair, ProviderPlan(**options)) == pair + ('_int8' if taken else '')
    assert bundle_for(pair + '_int8', ProviderPlan(**options)) == pair + '_int8', 'who names it means it'


def test_the_bundle_itself_is_taken_where_there_is_no_other(pair):
    shutil.rmtree(pair + '_int8')
    plan = ProviderPlan(precision='int8')
    assert bundle_for(pair, plan) == pair
    assert bundle_for(pair + '/', plan) == pair + '/'
    assert bundle_for('no_such_bundle', plan) == 'no_such_bundle'
    os.mkdir(pair + '_int8')  # something else that has the name
    assert bundle_for(pair, plan) == pair


def test_the_bundle_itself_is_taken_with_a_warning_where_the_other_was_made_of_an_earlier_one(pair, caplog):
    def write(name, manifest):
        with open(os.path.join(name, 'manifest.json'), 'w', encoding='utf-8') as file:
            json.dump(manifest, file)

    plan = ProviderPlan(precision='int8')
    write(pair, {'model': {'sha256': 'a'}})
    write(pair + '_int8', {'quantization': {'of': {'sha256': 'a'}}})
    assert bundle_for(pair, plan) == pair + '_int8' and not caplog.records
    write(pair, {'model': {'sha256': 'b'}})
    assert bundle_for(pair, plan) == pair and 'make it again with `quantize`' in caplog.text
    write(pair + '_int8', {'quantization': 1})
    assert bundle_for(pair, plan) == pair + '_int8', 'opening it tells what is wrong'


def test_a_gpu_has_the_precision_of_its_plan(pair, monkeypatch):
    monkeypatch.setattr(precision, 'int8_is_fast', lambda: True)
    monkeypatch.setattr(ProviderPlan, 'candidates', lambda plan: ['CUDAExecutionProvider', CPU])
    assert bundle_for(pair, ProviderPlan(['CUDAExecutionProvider', CPU])) == pair


@pytest.mark.parametrize(
    'text, fast',
    [
        ('processor : 0\nflags : fpu sse2 avx512_vnni avx512f\n', True),
        ('flags\t\t: fpu avx2 avx_vnni\n', True),
        ('flags : fpu avx2 avx512f\n', False),
        ('Features\t: fp asimd asimddp\n', True),
        ('Features : fp asimd\n', False),
        ('', False),
        ('flags\n', False),
    ],
)
def test_the_processor_s_flags_decide(tmp_path, text, fast):
    (tmp_path / 'cpuinfo').write_text(text)
    assert int8_is_fast(str(tmp_path / 'cpuinfo')) is fast
    assert int8_is_fast(str(tmp_path / 'absent')) is False


@pytest.mark.parametrize('fast', [False, True])
def test_slow_exact_kernels_are_asked_for_without_vnni_only_and_sums_are_exact_anyhow(monkeypatch, fast):
    monkeypatch.setattr(onnxruntime_backend, 'int8_is_fast', lambda: fast)
    bundle = ModelBundle.open(resolve_bundle('esr_9_ferplus_int8'))
    session, _ = onnxruntime_backend.open_session(bundle, ProviderPlan())
    asked = partial(session.get_session_options().get_session_config_entry, 'session.x64quantprecision')
    if fast:
        with pytest.raises(RuntimeError):
            asked()
    else:
        assert asked() == '1'
    if fast and not int8_is_fast():
        pytest.skip('this processor has no VNNI')
    exact = onnxruntime.SessionOptions()
    exact.add_session_config_entry('session.x64quantprecision', '1')
    expected = onnxruntime.InferenceSession(bundle.model_bytes, exact, providers=[CPU])
    (given,) = session.get_inputs()
    crops = np.random.default_rng(0).integers(0, 256, (2, *given.shape[1:]))
    feed = {given.name: crops.astype(np.uint8 if 'uint8' in given.type else np.float32)}
    for here, there in zip(session.run(None, feed), expected.run(None, feed)):
        assert (here == there).all()
