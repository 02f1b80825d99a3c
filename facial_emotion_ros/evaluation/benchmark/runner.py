"""Runs one network in one engine, in its own process, so that engines do not affect each other."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from facial_emotion_ros.system.memory import resident_mb

#: Warm-up runs before the measurement.
_WARM_UP = 10


def open_engine(spec: dict[str, Any]) -> tuple[Callable[[], object], str]:
    """Open a network in an engine.

    :param spec: engine ('torch', 'onnxruntime', 'openvino' or an execution provider of ONNX Runtime), precision,
        threads, bundle (path; of the fp32 bundle for torch).
    :returns: function that runs one inference, and the provider that runs the network.
    """
    if spec['engine'] == 'torch':
        from facial_emotion_ros.evaluation.benchmark.torch_baseline import open_baseline

        return open_baseline(spec['bundle'], spec['threads']), 'torch'
    from facial_emotion_ros.emotion.esr import EsrEngine
    from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan

    is_provider = spec['engine'].endswith('ExecutionProvider')
    # A float model runs in its own precision; `precision` is what TensorRT or OpenVINO convert it to.
    converts = spec['engine'] == 'openvino' or is_provider
    plan = ProviderPlan(
        [spec['engine'], CPU] if is_provider else [CPU],
        spec['threads'],
        precision=spec['precision'] if converts else 'fp32',
        face_batch=1 if is_provider else 0,
        engine='openvino' if spec['engine'] == 'openvino' else 'onnxruntime',
        spin=True,  # no other engine runs at the same time
    )
    engine = EsrEngine(spec['bundle'], plan)
    side = engine.geometry.size_px
    crop = np.random.default_rng(0).integers(0, 256, (1, engine.geometry.planes, side, side)).astype(np.uint8)
    if engine.degraded:
        raise RuntimeError(engine.degraded)
    return lambda: engine.estimate(crop), engine.provider


_run: Callable[[], object]


def open_here(spec: dict[str, Any]) -> dict[str, Any]:
    """Open an engine in this process, for :func:`milliseconds`, and warm it up.

    :param spec: see :func:`open_engine`.
    :returns: provider and memory_mb; or error, which the table shows.
    """
    global _run
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.environ.update(dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS'), str(spec['threads'])))
    before_mb = resident_mb()
    try:
        _run, provider = open_engine(spec)
        for _ in range(_WARM_UP):
            _run()
    except Exception as error:  # each engine raises its own
        return {'error': f'{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ""}'}
    return {'provider': provider, 'memory_mb': resident_mb() - before_mb}


def milliseconds(count: int) -> list[float]:
    """Run `count` inferences; return the milliseconds of each."""
    took_ms = []
    for _ in range(count):
        started = time.perf_counter()
        _run()
        took_ms.append(1e3 * (time.perf_counter() - started))
    return took_ms
