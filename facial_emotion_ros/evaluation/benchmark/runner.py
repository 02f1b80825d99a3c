"""One network in one engine, in a process of its own, so that engines do not disturb each other.

`python -m facial_emotion_ros.evaluation.benchmark.runner SPEC` opens what SPEC describes and replies to each line of
stdin with a line of stdout, in JSON: {"run": 10} with {"ms": [...]}.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.system.memory import resident_mb

#: Runs before the measurement.
_WARM_UP = 10


def open_engine(spec: dict[str, Any]) -> tuple[Callable[[], object], str]:
    """Open a network in an engine.

    :param spec: engine ('torch', 'onnxruntime', 'openvino' or an execution provider of ONNX Runtime), precision,
        threads, bundle (path; of the fp32 bundle for torch).
    :returns: function that estimates one crop, and the provider that runs the network.
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


def main(argv: Sequence[str]) -> int:
    """Open the engine, then reply until stdin ends."""
    before_mb = resident_mb()
    try:
        run, provider = open_engine(json.loads(argv[1]))
        for _ in range(_WARM_UP):
            run()
    except Exception as error:  # of any engine: its absence is a line in the table
        _reply({'error': f'{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ""}'})
        return 1
    _reply({'provider': provider, 'memory_mb': resident_mb() - before_mb})
    for line in sys.stdin:
        request = json.loads(line)
        _reply({'ms': [_milliseconds(run) for _ in range(request['run'])]})
    return 0


def _milliseconds(run):
    started = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - started)


def _reply(message):
    print(json.dumps(message), flush=True)


if __name__ == '__main__':
    sys.exit(main(sys.argv))
