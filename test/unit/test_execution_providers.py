"""Which providers are tried, with which options, and what is reported when one is missing or fails."""

import logging

import numpy as np
import onnxruntime
import pytest
import stand_in_provider

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import (
    CPU,
    CUDA,
    TENSORRT,
    ProviderPlan,
    check_precision,
    known_options,
    runtime_version,
)
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.onnxruntime_backend import OrtModel
from facial_emotion_ros.inference.tensorrt_cache import EngineCache
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

JETSON = [TENSORRT, CUDA, CPU]


@pytest.fixture(scope='module')
def esr():
    """Return the embedded emotion network that opens fastest."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus_int8'), expect='esr')


@pytest.fixture(scope='module')
def exact():
    """Return the embedded emotion network in floating point."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus'), expect='esr')


@pytest.fixture(scope='module')
def plain(esr):
    """Return the emotion network on the CPU as it always was."""
    return EsrEngine(esr)


@pytest.fixture
def stand_in(monkeypatch):
    """Install stand-ins by their configuration."""
    return lambda configuration: stand_in_provider.install(configuration, monkeypatch.setattr)


def crops(engine, count):
    """Return (count, 3, S, S) random crops."""
    size = engine.geometry.size_px
    return np.random.RandomState(0).random_sample((count, 3, size, size)).astype(np.float32)


def warnings_of(caplog):
    """Return the texts of the warnings."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


#: What ONNX Runtime 1.11 for Jetson TX2 knows of TensorRT's options that we might set.
KNOWN_TO_1_11 = {
    'trt_fp16_enable',
    'trt_int8_enable',
    'trt_engine_cache_enable',
    'trt_engine_cache_path',
    'trt_max_workspace_size',
    'trt_min_subgraph_size',
    'trt_dla_enable',
}


@pytest.mark.parametrize(
    'version, kept',
    [
        ((1, 10), KNOWN_TO_1_11),
        ((1, 11), KNOWN_TO_1_11),
        ((1, 14), KNOWN_TO_1_11),
        ((1, 15), KNOWN_TO_1_11 | {'trt_timing_cache_enable', 'trt_profile_min_shapes'}),
        (
            (1, 17),
            KNOWN_TO_1_11
            | {'trt_timing_cache_enable', 'trt_profile_min_shapes', 'trt_engine_cache_prefix', 'trt_of_the_future'},
        ),
    ],
)
def test_only_known_options_are_passed_on_when_the_runtime_is_old(version, kept):
    options = dict.fromkeys(
        KNOWN_TO_1_11
        | {'trt_timing_cache_enable', 'trt_profile_min_shapes', 'trt_engine_cache_prefix', 'trt_of_the_future'},
        'x',
    )
    assert set(known_options(TENSORRT, options, version)) == kept


def test_every_option_is_passed_on_when_the_provider_is_not_known():
    assert known_options('OpenVINOExecutionProvider', {'device_type': 'GPU'}, (1, 10)) == {'device_type': 'GPU'}


@pytest.mark.parametrize(
    'text, expected', [('1.11.0', (1, 11)), ('1.32.0.dev1', (1, 32)), ('1.9', (1, 9)), ('none', (0, 0))]
)
def test_version_is_read_as_numbers(text, expected):
    assert runtime_version(text) == expected


def test_tensorrt_gets_the_options_that_an_old_runtime_knows_when_it_opens(centerface, stand_in, monkeypatch, tmp_path):
    seen = stand_in('%s %s' % (TENSORRT, CUDA))
    monkeypatch.setattr(onnxruntime, '__version__', '1.11.0')
    OrtModel(centerface, ProviderPlan(JETSON, precision='fp16', face_batch=2, cache=EngineCache(str(tmp_path))))
    [(names, options)] = seen.opened
    assert names == JETSON, 'CUDA and the CPU take the operators that TensorRT lacks'
    folder = options.pop('trt_engine_cache_path')
    assert folder.startswith(str(tmp_path)) and centerface.sha256[:16] in folder and 'ort1.11.0' in folder
    assert options == {'trt_fp16_enable': 'True', 'trt_int8_enable': 'False', 'trt_engine_cache_enable': 'True'}


@pytest.mark.parametrize(
    'precision, said, fp16, int8',
    [
        ('fp32', 'fp16 storage, fp32 arithmetic', 'False', 'False'),
        ('fp16', 'fp32', 'True', 'False'),
        ('int8', 'int8, calibrated on faces', 'True', 'True'),
        ('int8', 'fp32', 'True', 'False'),
    ],
)
def test_int8_is_for_models_that_were_made_for_it(exact, stand_in, precision, said, fp16, int8):
    seen = stand_in(TENSORRT)
    bundle = ModelBundle(
        exact.folder, dict(exact.manifest, model=dict(exact.manifest['model'], precision=said)), exact.model_bytes
    )
    options = ProviderPlan([TENSORRT], precision=precision).entries(TENSORRT, bundle)[0][1]
    assert (options['trt_fp16_enable'], options['trt_int8_enable']) == (fp16, int8) and not seen.opened


def test_int8_is_refused_when_the_emotion_network_has_none(exact, stand_in):
    with pytest.raises(BadParameter, match='use an int8 bundle, or fp16'):
        EsrEngine(exact, ProviderPlan(JETSON, precision='int8'))
    check_precision(ProviderPlan(JETSON, precision='fp16'), exact)


def test_options_of_the_user_go_before_ours(esr, stand_in):
    stand_in(CUDA)
    plan = ProviderPlan([(CUDA, {'device_id': 1, 'cudnn_conv_algo_search': 'DEFAULT'})])
    assert plan.entries(CUDA, esr) == [(CUDA, {'device_id': 1, 'cudnn_conv_algo_search': 'DEFAULT'}), CPU]


@pytest.mark.parametrize(
    'options',
    [
        {'precision': 'fp64'},
        {'precision': ''},
        {'face_batch': -1},
        {'face_batch': 65},
        {'face_batch': True},
        {'face_batch': 1.0},
        {'threads': 0},
        {'threads': -1},
        {'threads': True},
        {'threads': 1.5},
        {'spin': 1},
        {'providers': []},
        {'providers': CPU},
        {'providers': ['']},
        {'providers': [(CPU, 'fast')]},
        {'providers': [7]},
        {'providers': [(CPU,)]},
        {'providers': [(CPU, {}, {})]},
    ],
)
def test_refused_when_a_value_is_out_of_range(options):
    with pytest.raises(BadParameter):
        ProviderPlan(**options)


def test_one_warning_names_all_that_is_missing_when_a_pipeline_opens_without_a_gpu(esr, centerface, caplog):
    if set(JETSON[:2]) & set(onnxruntime.get_available_providers()):
        pytest.skip('this ONNX Runtime has a GPU provider')
    plan = ProviderPlan(JETSON, precision='fp16', face_batch=4)
    with caplog.at_level(logging.INFO):
        engine, detector = EsrEngine(esr, plan), FaceDetector(centerface, providers=plan)
    [warning] = warnings_of(caplog)
    assert TENSORRT in warning and CUDA in warning and 'docs/jetson.md' in warning and 'Running on ' + CPU in warning
    assert engine.degraded == detector.degraded == warning
    assert engine.provider == detector.provider == CPU


def test_a_model_that_loads_nowhere_says_nothing_about_the_providers(centerface, stand_in, caplog):
    stand_in(CUDA)
    plan = ProviderPlan([CUDA])
    with pytest.raises(BadModel, match='does not load .*: %s failed: .*; %s failed: ' % (CUDA, CPU)):
        OrtModel(ModelBundle('', centerface.manifest, b'nonsense'), plan)
    assert OrtModel(centerface, plan).provider == CUDA and not warnings_of(caplog)


@pytest.mark.parametrize('fault, words', [('start', 'could not start'), ('open', 'no device was found')])
def test_one_warning_is_logged_when_a_provider_does_not_start(exact, centerface, stand_in, caplog, fault, words):
    seen = stand_in('%s=%s %s' % (TENSORRT, fault, CUDA))
    plan = ProviderPlan(JETSON)
    with caplog.at_level(logging.WARNING):
        engine, detector = EsrEngine(exact, plan), FaceDetector(centerface, providers=plan)
    [warning] = warnings_of(caplog)
    assert words in warning and engine.degraded == detector.degraded == warning
    assert engine.provider == detector.provider == CUDA
    assert [names[0] for names, _ in seen.opened] == [TENSORRT, CUDA, CUDA], 'what failed once is not tried again'


@pytest.mark.parametrize('failing_run', ['1', '2,3,4,5,6'])
def test_everything_moves_to_the_cpu_once_when_a_gpu_fails_at_work(
    esr, plain, centerface, stand_in, caplog, failing_run
):
    seen = stand_in('%s %s=%s' % (TENSORRT, CUDA, failing_run))
    plan = ProviderPlan([CUDA, TENSORRT, CPU])
    engine, detector = EsrEngine(esr, plan), FaceDetector(centerface, providers=plan)
    picture, faces = np.zeros((64, 64, 3), np.uint8), crops(engine, 2)
    wanted = plain.run(faces)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            detector.detect(picture)
            np.testing.assert_allclose(engine.run(faces)[0], wanted[0], atol=1e-4)
    [warning] = warnings_of(caplog)
    assert CUDA in warning and 'CUDA failure 700' in warning and 'more lines' not in warning
    assert engine.provider == detector.provider == CPU and engine.degraded == detector.degraded == warning
    assert len(seen.runs) == int(failing_run[0]), 'after its first failure the GPU is left alone'
    assert [names[0] for names, _ in seen.opened] == [CUDA, CUDA, CPU, CPU], 'each model is opened anew once'


@pytest.mark.parametrize('provider', [TENSORRT, CUDA])
def test_everything_moves_to_the_cpu_when_a_gpu_gives_nan(centerface, stand_in, caplog, provider):
    image = read_picture(find_shared('samples', 'astronaut.jpg'))
    wanted = FaceDetector(centerface).detect(image)
    seen = stand_in(provider + '=nan')
    detector = FaceDetector(centerface, providers=[provider])
    for _ in range(2):
        np.testing.assert_allclose(detector.detect(image).boxes, wanted.boxes, atol=1e-3)
    assert 'it returned NaN or infinity' in detector.degraded and len(warnings_of(caplog)) == 1 and len(seen.runs) == 1


def test_faces_are_padded_to_one_batch_when_the_provider_wants_fixed_shapes(esr, plain, stand_in):
    seen = stand_in(CUDA)
    engine = EsrEngine(esr, ProviderPlan([CUDA], face_batch=4))
    [entrance] = engine._model._session.get_inputs()
    assert entrance.shape[0] == 4
    for count, batches in ((0, []), (1, [4]), (4, [4]), (5, [4, 4])):
        faces = crops(engine, count)
        del seen.runs[:]
        logits, affect = engine.run(faces)
        assert [shape[0] for _, shape in seen.runs] == batches
        assert logits.shape == (count, 9, 8) and affect.shape == (count, 9, 2)
        for got, wanted in zip((logits, affect), plain.run(faces)):
            np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_nothing_is_padded_when_the_cpu_runs(centerface, stand_in):
    seen = stand_in(CUDA + '=start')
    model = OrtModel(centerface, ProviderPlan([CUDA], face_batch=4))
    assert model.face_batch == 0
    assert model.run(['heatmap'], {'image': np.zeros((1, 3, 32, 64), np.float32)})[0].shape[0] == 1 and not seen.runs


@pytest.mark.parametrize(
    'shape, canvas',
    [
        ((480, 640), (192, 256)),
        ((360, 640), (192, 256)),
        ((120, 640), (192, 256)),
        ((640, 480), (256, 192)),
        ((640, 200), (256, 192)),
        ((600, 600), (256, 256)),
        ((20, 30), (192, 256)),
    ],
)
def test_images_share_few_shapes_when_shapes_are_fixed(centerface, stand_in, shape, canvas):
    seen = stand_in(CUDA)
    detector = FaceDetector(centerface, long_side_px=256, providers=ProviderPlan([CUDA], face_batch=1))
    detector.detect(np.zeros(shape + (3,), np.uint8))
    assert [run for _, run in seen.runs] == [(1, 3) + canvas]


@pytest.mark.parametrize('turn', [0, 1])
def test_faces_are_found_at_the_same_place_when_the_input_is_padded(centerface, stand_in, turn):
    image = np.ascontiguousarray(np.rot90(read_picture(find_shared('samples', 'president.jpg')), 2 * turn))
    plain = FaceDetector(centerface, long_side_px=320).detect(image)
    stand_in(CUDA)
    padded = FaceDetector(centerface, long_side_px=320, providers=ProviderPlan([CUDA], face_batch=1)).detect(image)
    assert len(plain) == len(padded)
    np.testing.assert_allclose(padded.boxes, plain.boxes, atol=3)


def test_a_build_is_logged_before_it_begins_and_a_cached_engine_is_named(centerface, stand_in, caplog, tmp_path):
    stand_in(TENSORRT)
    plan = ProviderPlan([TENSORRT], precision='fp16', cache=EngineCache(str(tmp_path)))
    with caplog.at_level(logging.INFO):
        model = OrtModel(centerface, plan)
        told = [record.getMessage() for record in caplog.records]
        for _ in range(2):
            model.run(['heatmap'], {'image': np.zeros((1, 3, 32, 64), np.float32)})
    [first] = told
    assert 'builds its engine now' in first and 'minutes' in first and str(tmp_path) in first
    [done] = [record.getMessage() for record in caplog.records[1:]]
    assert 'is ready on TensorRT after' in done
    [folder] = list(tmp_path.iterdir())
    (folder / 'TensorrtExecutionProvider_1.engine').write_bytes(b'')
    caplog.clear()
    with caplog.at_level(logging.INFO):
        OrtModel(centerface, plan)
    assert 'loads its engine from %s' % folder in caplog.records[0].getMessage()


def test_a_missing_cache_is_logged(centerface, stand_in, caplog):
    stand_in(TENSORRT)
    with caplog.at_level(logging.INFO):
        OrtModel(centerface, ProviderPlan([TENSORRT]))
    assert 'built again at the next start' in caplog.records[0].getMessage()


def test_both_models_of_a_pipeline_leave_a_gpu_when_one_of_them_sees_it_fail(stand_in, caplog):
    image = read_picture(find_shared('samples', 'president.jpg'))
    exact = EmotionPipeline(providers=ProviderPlan(precision='fp32'))
    wanted = [(face.emotion, face.box) for face in exact.estimate(image)]
    seen = stand_in(CUDA + '=2')  # the first run is the detector's, the second the emotion network's
    pipeline = EmotionPipeline(providers=[CUDA, CPU])
    with caplog.at_level(logging.WARNING):
        answers = [[(face.emotion, face.box) for face in pipeline.estimate(image)] for _ in range(3)]
    assert answers == [wanted] * 3, 'the very frame at which it fails is answered too'
    assert len(warnings_of(caplog)) == 1 and len(seen.runs) == 2
    assert pipeline.provider == pipeline.detector.provider == CPU and 'esr_9_ferplus' in pipeline.degraded
