"""The embedded models on a GPU, against the CPU: the same answers, kept engines, and the time for a face.

For machines with an NVIDIA GPU; elsewhere each test says what is missing. With the figures printed:

    python3 -m pytest -s -rs test/unit/test_gpu_providers.py

The bounds were set before anybody ran them on a GPU: TF32 keeps 10 bits of mantissa, and so does half precision.
"""

import os
import time

import cv2
import numpy as np
import onnxruntime
import pytest

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import CPU, CUDA, TENSORRT, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.tensorrt_cache import EngineCache
from facial_emotion_ros.perception.face_crops import cut_faces
from facial_emotion_ros.perception.face_detector import FaceDetector

#: (provider, what TensorRT computes in)
CASES = [(CUDA, 'fp32'), (TENSORRT, 'fp32'), (TENSORRT, 'fp16')]
BATCH = 4
#: Scores and affect may differ by this from the CPU's, boxes by this many pixels.
MAX_SCORE, MAX_AFFECT, MAX_BOX_PX = 0.03, 0.03, 2.0

MISSING = {
    CUDA: "an ONNX Runtime with CUDA (pip install onnxruntime-gpu, or NVIDIA's wheel for Jetson)",
    TENSORRT: "an ONNX Runtime with TensorRT and libnvinfer (pip install onnxruntime-gpu tensorrt, or NVIDIA's wheel)",
}


@pytest.fixture(scope='session')
def portraits():
    """Return the embedded portraits, BGR."""
    folder = os.path.dirname(find_shared('samples', 'president.jpg'))
    names = sorted(name for name in os.listdir(folder) if name.endswith(('.jpg', '.png')))
    return [cv2.imread(os.path.join(folder, name)) for name in names]


@pytest.fixture(scope='session')
def on_cpu(portraits):
    """Return the engine, the detector and 48 crops of real faces, each cut a little differently."""
    engine, detector = EsrEngine(), FaceDetector(ModelBundle.open(embedded_bundle('centerface')))
    draws, crops = np.random.RandomState(0), []
    while len(crops) < 48:
        for image in portraits:
            faces = detector.detect(image)
            if len(faces):
                sizes = faces.boxes[:, 2:] - faces.boxes[:, :2]
                shifts = np.tile(draws.uniform(-0.08, 0.08, sizes.shape) * sizes, 2).astype(np.float32)
                crops += list(cut_faces(image, faces.boxes + shifts, engine.geometry, faces.landmarks))
    return engine, detector, np.stack(crops[:48])


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    """Return a cache that holds no engine yet."""
    return EngineCache(str(tmp_path_factory.mktemp('engines')))


def open_on(provider, precision, cache):
    """Open the network on a provider, or skip with the reason why that is impossible here."""
    if provider not in onnxruntime.get_available_providers():
        pytest.skip(
            'needs %s; this is ONNX Runtime %s with %s'
            % (MISSING[provider], onnxruntime.__version__, ', '.join(onnxruntime.get_available_providers()))
        )
    plan = ProviderPlan([provider, CPU], precision=precision, face_batch=BATCH, cache=cache)
    engine = EsrEngine(providers=plan)
    if engine.provider != provider:
        pytest.skip('needs a GPU with its driver and libraries: %s' % engine.degraded)
    return engine, plan


def test_gpu_engines_are_taken_from_the_cache_when_they_were_built_before(cache):
    seconds, kept = [], []
    for _ in range(2):
        started = time.monotonic()
        engine, _ = open_on(TENSORRT, 'fp16', cache)
        engine.run(np.zeros((1, 3, engine.geometry.size_px, engine.geometry.size_px), np.float32))
        seconds.append(time.monotonic() - started)
        folder = cache.folder(engine.bundle, 'fp16', BATCH)
        kept.append(
            {
                name: os.stat(os.path.join(folder, name)).st_mtime_ns
                for name in os.listdir(folder)
                if name.endswith('.engine')
            }
        )
    print('TensorRT fp16: %.1f s to build the engine, %.1f s to take it from the cache' % tuple(seconds))
    assert kept[0] and kept[0] == kept[1], 'the engine was built again'


@pytest.mark.parametrize('provider, precision', CASES)
def test_gpu_reads_faces_as_the_cpu_does(request, cache, provider, precision):
    engine, _ = open_on(provider, precision, cache)
    reference, _, crops = request.getfixturevalue('on_cpu')
    for count in (1, BATCH, BATCH + 1, len(crops)):
        got = combine(*engine.run(crops[:count]), engine.point)
        wanted = reference.estimate(crops[:count])
        score = np.abs(got.scores - wanted.scores).max()
        affect = max(np.abs(got.valence - wanted.valence).max(), np.abs(got.arousal - wanted.arousal).max())
        print(
            '%s %s, %d faces: scores differ by %.4f at most, affect by %.4f'
            % (provider, precision, count, score, affect)
        )
        assert score <= MAX_SCORE and affect <= MAX_AFFECT
        sure = np.sort(wanted.scores)[:, -1] - np.sort(wanted.scores)[:, -2] > 2 * MAX_SCORE
        assert (got.scores.argmax(1) == wanted.scores.argmax(1))[sure].all()
    assert engine.provider == provider, engine.degraded


@pytest.mark.parametrize('provider, precision', CASES)
def test_gpu_finds_faces_where_the_cpu_does(request, portraits, cache, provider, precision):
    _, plan = open_on(provider, precision, cache)
    _, reference, _ = request.getfixturevalue('on_cpu')
    detector = FaceDetector(reference.bundle, providers=plan)
    for image in portraits:
        got, wanted = detector.detect(image), reference.detect(image)
        assert len(got) == len(wanted)
        if len(got):
            order = [np.abs(got.boxes - box).sum(1).argmin() for box in wanted.boxes]
            assert np.abs(got.boxes[order] - wanted.boxes).max() <= MAX_BOX_PX
    assert detector.provider == provider, detector.degraded


@pytest.mark.parametrize('provider, precision', [(CPU, 'fp32')] + CASES)
def test_gpu_time_for_a_face_is_printed(request, cache, provider, precision):
    if provider == CPU and not {CUDA, TENSORRT} & set(onnxruntime.get_available_providers()):
        pytest.skip('needs %s: the CPU alone compares with nothing' % MISSING[CUDA])
    engine, _ = open_on(provider, precision, cache)
    crops = request.getfixturevalue('on_cpu')[2]
    for count in (1, BATCH):
        took = []
        for _ in range(30 if provider != CPU else 3):
            started = time.monotonic()
            engine.run(crops[:count])
            took.append(time.monotonic() - started)
        print(
            '%s %s: %.2f ms for %d faces, median of %d'
            % (provider, precision, 1e3 * sorted(took)[len(took) // 2], count, len(took))
        )
    assert engine.provider == provider, engine.degraded
