"""One engine with one network in a process of its own, so that none disturbs another; it speaks JSON, line by line.

`python -m facial_emotion_ros.evaluation.benchmark_runner SPEC` opens what SPEC says and answers each line of stdin with
one of stdout: {"run": 10} with {"ms": [...]}, {"seconds": 3} with {"runs": ..., "seconds": ...}.
"""

import json
import sys
import time

import numpy as np

from facial_emotion_ros.process_memory import resident_mb

#: Runs before anything is measured.
_WARM_UP = 10


def open_reader(spec):
    """Open a network in an engine.

    :param spec: dict: engine ('torch', 'onnxruntime', 'openvino' or an execution provider of ONNX Runtime), precision,
        threads, bundle (path of one; a master for torch).
    :returns: function without arguments that reads one crop, and what runs the network.
    """
    if spec['engine'] == 'torch':
        from facial_emotion_ros.learning.baseline import open_baseline
        return open_baseline(spec['bundle'], spec['threads']), 'torch'
    from facial_emotion_ros.esr_engine import EsrEngine
    from facial_emotion_ros.execution_providers import CPU, ProviderPlan

    is_provider = spec['engine'].endswith('ExecutionProvider')
    # A float model computes as it says itself; precision is what TensorRT or OpenVINO make of it.
    own = spec['engine'] == 'openvino' or is_provider
    # The machine is this engine's alone while it has its turn: its threads may spin.
    plan = ProviderPlan([spec['engine'], CPU] if is_provider else [CPU], spec['threads'],
                        precision=spec['precision'] if own else 'fp32', face_batch=1 if is_provider else 0,
                        engine='openvino' if spec['engine'] == 'openvino' else 'onnxruntime', spin=True)
    engine = EsrEngine(spec['bundle'], plan)
    side = engine.geometry.size_px
    crop = np.random.default_rng(0).integers(0, 256, (1, engine.geometry.planes, side, side)).astype(np.uint8)
    if engine.degraded:
        raise RuntimeError(engine.degraded)
    return lambda: engine.estimate(crop), engine.provider


def main(argv):
    """Open, then answer until stdin ends."""
    spec = json.loads(argv[1])
    before_mb = resident_mb()
    try:
        read, provider = open_reader(spec)
        for _ in range(_WARM_UP):
            read()
    except Exception as error:  # whatever an engine throws: its absence is a line in the table, not the end
        _say({'error': '%s: %s' % (type(error).__name__, str(error).strip().split('\n')[0])})
        return 1
    _say({'provider': provider, 'memory_mb': resident_mb() - before_mb})
    for line in sys.stdin:
        asked = json.loads(line)
        if 'run' in asked:
            took = []
            for _ in range(asked['run']):
                started = time.perf_counter()
                read()
                took.append(1e3 * (time.perf_counter() - started))
            _say({'ms': took})
        else:
            runs, started = 0, time.perf_counter()
            while time.perf_counter() - started < asked['seconds']:
                read()
                runs += 1
            _say({'runs': runs, 'seconds': time.perf_counter() - started})
    return 0


def _say(answer):
    sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    sys.exit(main(sys.argv))
