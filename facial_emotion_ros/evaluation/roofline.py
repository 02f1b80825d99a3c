"""How fast this machine could be at best: the fastest matrix product of each precision.

Source: Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009. Networks of convolutions are bound by arithmetic
here, not by memory, so the ceiling is the arithmetic's: the best rate that any library reaches in a plain product of
two matrices of the same precision.
"""

import time

import numpy as np

from facial_emotion_ros.signal_stack import kept_signal_stack

#: Sides of the square matrices.
SIDES = (256, 512, 1024, 2048, 4096)

#: Each product is repeated for about so long, and the best counts.
_SECONDS = 0.4
_LEAST_REPEATS = 3

_PRECISIONS = ('fp32', 'bf16', 'int8')


def best_rates(threads, sides=SIDES, report=lambda line: None):
    """Measure the best rate of each precision.

    :param threads: of each library.
    :param sides: of the matrices.
    :param report: called with a line of text about each library and precision.
    :returns: dict: precision -> (operations a second, multiplications and additions counted singly; library; side).
        Only precisions that some library here computes.
    """
    best = {}
    for library, precision, product_of in _products(threads):
        for side in sides:
            try:
                with kept_signal_stack():
                    rate = 2 * side ** 3 / _best_seconds(product_of(side))
            except Exception as error:  # what a library throws for what it has not
                report(f'{library} {precision}: {str(error).splitlines()[0] if str(error) else error!r}')
                break
            if rate > best.get(precision, (0,))[0]:
                best[precision] = rate, library, side
        if precision in best:
            report(f'{precision}: {best[precision][0] / 1e9:.0f} GFLOP/s at best so far '
                   f'({best[precision][1]}, {best[precision][2]} rows)')
    return best


def _best_seconds(product):
    product()
    took, started = [], time.perf_counter()
    while len(took) < _LEAST_REPEATS or time.perf_counter() - started < _SECONDS:
        begun = time.perf_counter()
        product()
        took.append(time.perf_counter() - begun)
    return min(took)


def _products(threads):
    """Yield (library, precision, function of the side that gives a product to call)."""
    try:
        from facial_emotion_ros.learning.baseline import matrix_product
    except ImportError:
        matrix_product = None
    if matrix_product is not None:
        for precision in ('fp32', 'bf16'):
            yield 'torch', precision, lambda side, precision=precision: matrix_product(side, precision, threads)
    try:
        import onnx  # noqa: F401
    except ImportError:
        return
    for precision in ('fp32', 'int8'):
        yield 'onnxruntime', precision, lambda side, precision=precision: _onnx_product(side, precision, threads)
    for precision in _PRECISIONS:
        yield 'openvino', precision, lambda side, precision=precision: _openvino_product(side, precision, threads)


def _onnx_product(side, precision, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_product_model(side, precision), options,
                                           providers=['CPUExecutionProvider'])
    feed = {'one': _input(side, precision)}
    bound = session.io_binding()
    bound.bind_cpu_input('one', feed['one'])
    bound.bind_output('out')
    return lambda: session.run_with_iobinding(bound)


def _openvino_product(side, precision, threads):
    import openvino

    core = openvino.Core()
    if precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        raise RuntimeError('this processor does not compute in bf16')
    compiled = core.compile_model(
        core.read_model(_product_model(side, precision), b''), 'CPU',
        {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bf16' else 'f32',
         'PERFORMANCE_HINT': 'LATENCY', 'ENABLE_CPU_PINNING': False})
    request = compiled.create_infer_request()
    request.set_tensor('one', openvino.Tensor(_input(side, precision)))
    return request.infer


def _input(side, precision):
    generator = np.random.default_rng(0)
    if precision == 'int8':
        return generator.integers(0, 256, (side, side)).astype(np.uint8)
    return generator.random((side, side)).astype(np.float32)


def _product_model(side, precision):
    """Return a model that multiplies a matrix with a constant one; int8 with a constant scale for each."""
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(1)
    if precision == 'int8':
        constants = {'weights': generator.integers(-127, 128, (side, side)).astype(np.int8),
                     's': np.float32(0.01), 'z': np.uint8(0), 'sw': np.float32(0.01), 'zw': np.int8(0),
                     'so': np.float32(1.0)}
        nodes = [helper.make_node('DequantizeLinear', ['one', 's', 'z'], ['a']),
                 helper.make_node('DequantizeLinear', ['weights', 'sw', 'zw'], ['b']),
                 helper.make_node('MatMul', ['a', 'b'], ['c']),
                 helper.make_node('QuantizeLinear', ['c', 'so', 'z'], ['out'])]
        kind = TensorProto.UINT8
    else:
        constants = {'weights': generator.random((side, side)).astype(np.float32)}
        nodes = [helper.make_node('MatMul', ['one', 'weights'], ['out'])]
        kind = TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, kind, [side, side]) for name in ('one', 'out')]
    graph = helper.make_graph(nodes, 'product', values[:1], values[1:],
                              [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7).SerializeToString()
