"""Run a model bundle in OpenVINO, Intel's inference library for x86 processors, AMD's included."""

import contextlib
import ctypes
import threading
from typing import Any, Dict, Iterator, List, Sequence, Set

import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.system.watchdog import long_silence

#: Published as the provider.
OPENVINO = 'OpenVINO CPU'

#: Precision of the parameters -> OpenVINO's hint. An int8 model has its own conversions.
_HINTS = {'auto': 'f32', 'fp32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}

_SIGALTSTACK = ctypes.CDLL(None).sigaltstack
_SS_ONSTACK = 1  # sigaltstack(2): a handler runs on this stack, so it cannot be changed now


class _SignalStack(ctypes.Structure):
    """stack_t of Linux."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restore this thread's alternate signal stack at the end.

    OpenVINO installs its own, and may leave it installed after freeing it (2026.4.1: several models, closed in another
    order than opened). The next signal then kills the process.
    """
    before = _SignalStack()
    known = _SIGALTSTACK(None, ctypes.byref(before)) == 0 and not before.flags & _SS_ONSTACK
    try:
        yield
    finally:
        if known:
            _SIGALTSTACK(ctypes.byref(before), None)


def openvino_version() -> str:
    """Return the version of the package openvino, like '2026.4.1'; '' where it is not installed."""
    try:
        import openvino
    except ImportError:
        return ''
    return str(openvino.__version__).split('-')[0]


class OpenVinoModel:
    """A bundle's model, ready to run; the same interface as OrtModel."""

    provider = OPENVINO
    degraded = ''
    face_batch = 0

    def __init__(self, bundle: ModelBundle, plan: ProviderPlan):
        """Compile the model.

        :param bundle: an opened bundle.
        :param plan: with the threads and the precision: auto, fp32, bf16, or int8 for an int8 bundle.
        :raises BadParameter: if openvino is not installed, or does not support the precision.
        :raises BadModel: if the model does not compile.
        """
        try:
            import openvino
        except ImportError as error:
            raise BadParameter(
                'expected the package openvino, since inference.engine is openvino, got: %s; install it '
                '(pip install openvino), or use onnxruntime' % error
            ) from None
        if plan.precision not in _HINTS:
            raise BadParameter(
                'expected a precision among %s, since inference.engine is openvino, got %r'
                % (', '.join(sorted(_HINTS)), plan.precision)
            )
        self.bundle = bundle.without_model()
        with kept_signal_stack():
            self._request: Any = self._compile(openvino, bundle, plan)
            self._one_at_a_time = threading.Lock()
            ports = self._request.model_inputs + self._request.model_outputs
            self.names: Set[str] = {name for port in ports for name in port.get_names()}

    @staticmethod
    def _compile(openvino: Any, bundle: ModelBundle, plan: ProviderPlan) -> Any:
        core = openvino.Core()
        if plan.precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise BadParameter(
                'expected a processor with bf16 instructions, since inference.precision is bf16, but this one has '
                'none; use fp32 or int8'
            )
        options = {
            'INFERENCE_NUM_THREADS': plan.threads,
            'PERFORMANCE_HINT': 'LATENCY',
            'NUM_STREAMS': 1,
            'INFERENCE_PRECISION_HINT': _HINTS[plan.precision],
            'ENABLE_CPU_PINNING': False,
        }
        try:
            with long_silence():
                model = core.read_model(bundle.model_bytes, b'')
                return core.compile_model(model, 'CPU', options).create_infer_request()
        except Exception as error:  # RuntimeError, and others from its parser
            raise BadModel(
                'Model bundle %r does not load in OpenVINO %s: %s'
                % (bundle.folder, openvino_version(), str(error).strip())
            ) from error

    def run(self, outputs: Sequence[str], feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Run the model; threads that call this at the same time wait for each other.

        :param outputs: names of the requested outputs.
        :param feed: name of each input -> array.
        :returns: the outputs in that order; they may hold NaN or infinity.
        :raises BadModel: if it fails.
        """
        try:
            with kept_signal_stack(), self._one_at_a_time:
                self._request.infer(feed, share_inputs=True)
                # Copies, because the next run overwrites this memory.
                return [np.array(self._request.get_tensor(name).data) for name in outputs]
        except Exception as error:
            raise BadModel('%s failed on %s: %s' % (self.bundle.name, OPENVINO, str(error).strip())) from error

    def __del__(self) -> None:
        with kept_signal_stack():
            self._request = None
