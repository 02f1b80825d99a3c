"""Measures the peak rate of matrix products by precision on this machine: an upper bound of a network's speed.

Source: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009. Convolutional networks are compute-bound here,
not memory-bound.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from facial_emotion_ros.inference.openvino_backend import kept_signal_stack

#: Sides of the square matrices.
SIDES = (256, 512, 1024, 2048, 4096)

#: Each product is repeated for this many seconds and at least so many times; the fastest counts.
_SECONDS, _LEAST_REPEATS = 0.4, 3

_FLOAT = '<ir_version: 7, opset_import: ["": 13]> p (float[N, N] one) => (float[N, N] out) {out = MatMul(one, weights)}'
_INT8 = """<ir_version: 7, opset_import: ["": 13]> p (uint8[N, N] one) => (uint8[N, N] out) {
    a = DequantizeLinear(one, scale, zero)
    b = DequantizeLinear(weights, scale, int8_zero)
    c = MatMul(a, b)
    out = QuantizeLinear(c, out_scale, zero)
}"""

#: Computes one matrix product.
_Product = Callable[[], object]


def best_rates(
    threads: int, sides: Sequence[int] = SIDES, report: Callable[[str], object] = lambda line: None
) -> dict[str, tuple[float, str, int]]:
    """Measure the peak rate of each precision.

    :param threads: number of threads.
    :param sides: sides of the matrices.
    :param report: called with a line about each library and precision.
    :returns: precision -> (multiplications and additions per second, library, side), for the precisions that a library
        supports here.
    """
    best: dict[str, tuple[float, str, int]] = {}
    for library, precision, product_of in _products(threads):
        for side in sides:
            try:
                with kept_signal_stack():
                    rate = 2 * side**3 / _best_seconds(product_of(side))
            except Exception as error:  # libraries raise different errors for an unsupported precision
                report(f'{library} {precision}: {str(error).splitlines()[0] if str(error) else error!r}')
                break
            if rate > best.get(precision, (0.0,))[0]:
                best[precision] = rate, library, side
        if precision in best:
            rate, library, side = best[precision]
            report(f'{precision}: {rate / 1e9:.0f} GFLOP/s at best so far ({library}, {side} rows)')
    return best


def _best_seconds(product):
    product()
    took: list[float] = []
    started = time.perf_counter()
    while len(took) < _LEAST_REPEATS or time.perf_counter() - started < _SECONDS:
        begun = time.perf_counter()
        product()
        took.append(time.perf_counter() - begun)
    return min(took)


def _products(threads) -> Iterator[tuple[str, str, Callable[[int], _Product]]]:
    try:
        from facial_emotion_ros.evaluation.benchmark.torch_baseline import matrix_product
    except ImportError:
        pass
    else:
        for precision in ('fp32', 'bf16'):
            yield 'torch', precision, partial(matrix_product, precision=precision, threads=threads)
    for precision in ('fp32', 'int8'):
        yield 'onnxruntime', precision, partial(_onnx_product, precision=precision, threads=threads)
    for precision in ('fp32', 'bf16', 'int8'):
        yield 'openvino', precision, partial(_openvino_product, precision=precision, threads=threads)


def _onnx_product(side, precision, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    model, matrix = _model_and_input(side, precision)
    session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    bound = session.io_binding()
    bound.bind_cpu_input('one', matrix)
    bound.bind_output('out')
    return lambda: session.run_with_iobinding(bound)


def _openvino_product(side, precision, threads):
    import openvino

    core = openvino.Core()
    if precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        raise RuntimeError('this CPU does not support bf16')
    model, matrix = _model_and_input(side, precision)
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bf16' else 'f32',
        'PERFORMANCE_HINT': 'LATENCY',
        'ENABLE_CPU_PINNING': False,
    }
    request = core.compile_model(core.read_model(model, b''), 'CPU', settings).create_infer_request()
    request.set_tensor('one', openvino.Tensor(matrix))
    return request.infer


def _model_and_input(side, precision):
    """Make a model that multiplies its input by a constant matrix, and an input."""
    from onnx import numpy_helper, parser

    generator = np.random.default_rng(0)
    if precision == 'int8':
        matrix = generator.integers(0, 256, (side, side)).astype(np.uint8)
        constants = {
            'weights': generator.integers(-127, 128, (side, side)).astype(np.int8),
            'scale': np.float32(0.01),
            'out_scale': np.float32(1.0),
            'zero': np.uint8(0),
            'int8_zero': np.int8(0),
        }
    else:
        matrix = generator.random((side, side)).astype(np.float32)
        constants = {'weights': generator.random((side, side)).astype(np.float32)}
    model = parser.parse_model((_INT8 if precision == 'int8' else _FLOAT).replace('N', str(side)))
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items())
    return model.SerializeToString(), matrix
