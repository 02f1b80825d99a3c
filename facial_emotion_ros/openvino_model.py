"""Run a model bundle in OpenVINO, Intel's inference library, which serves every x86 processor (AMD's too)."""

from typing import Dict, List, Sequence, Set

import numpy as np

from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.execution_providers import ProviderPlan
from facial_emotion_ros.freeze_guard import long_silence
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.signal_stack import kept_signal_stack

#: What is published as the provider that runs a model here.
OPENVINO = 'OpenVINO CPU'

#: What OpenVINO calls a precision. A model in int8 says by itself where it computes in eight bits.
_HINTS = {'auto': 'f32', 'fp32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}


def openvino_version() -> str:
    """Return the version of the package openvino, like '2026.4.1'; '' where it is not installed."""
    try:
        import openvino
    except ImportError:
        return ''
    return openvino.__version__.split('-')[0]


class OpenVinoModel:
    """A bundle's model, ready to run; what it offers is what RunningModel offers."""

    provider = OPENVINO
    #: It runs where it was asked to run, or not at all.
    degraded = ''
    #: Any number of faces at once.
    face_batch = 0

    def __init__(self, bundle: ModelBundle, plan: ProviderPlan):
        """Compile the model.

        :param bundle: an opened bundle; the bytes whose hash it checked are what runs.
        :param plan: its threads and its precision count: auto, fp32, bf16, or int8 for a bundle that was made for it.
        :raises BadParameter: if openvino is not installed, or does not know the precision.
        :raises BadModel: if it cannot compile the model.
        """
        try:
            import openvino
        except ImportError as error:
            raise BadParameter('expected the package openvino, since inference.engine is openvino, got: %s; install it '
                               '(pip install openvino), or take onnxruntime' % error) from None
        if plan.precision not in _HINTS:
            raise BadParameter('expected a precision among %s, since inference.engine is openvino, got %r'
                               % (', '.join(sorted(_HINTS)), plan.precision))
        self.bundle = bundle.without_model()
        with kept_signal_stack():
            self._request = self._compile(openvino, bundle, plan)
            ports = self._request.model_inputs + self._request.model_outputs
            self.names: Set[str] = set(name for port in ports for name in port.get_names())

    @staticmethod
    def _compile(openvino, bundle, plan):
        core = openvino.Core()
        if plan.precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise BadParameter('expected a processor that computes in bf16, since inference.precision is bf16, but '
                               'this one does not; take fp32 or int8')
        options = {'INFERENCE_NUM_THREADS': plan.threads, 'PERFORMANCE_HINT': 'LATENCY', 'NUM_STREAMS': 1,
                   'INFERENCE_PRECISION_HINT': _HINTS[plan.precision], 'ENABLE_CPU_PINNING': False}
        try:
            with long_silence():
                model = core.read_model(bundle.model_bytes, b'')
                return core.compile_model(model, 'CPU', options).create_infer_request()
        except Exception as error:  # OpenVINO throws RuntimeError and, for what its parser meets, others
            raise BadModel('Model bundle %r does not load in OpenVINO %s: %s' % (
                bundle.folder, openvino_version(), str(error).strip())) from error

    def run(self, outputs: Sequence[str], feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Run the model.

        :param outputs: names of the outputs that are wanted.
        :param feed: name of each input -> array.
        :returns: the outputs in that order. They may hold NaN or infinity.
        :raises BadModel: if it fails.
        """
        try:
            with kept_signal_stack():
                self._request.infer(feed, share_inputs=True)
                # Copies: the next run writes into the same memory.
                return [np.array(self._request.get_tensor(name).data) for name in outputs]
        except Exception as error:
            raise BadModel('%s failed on %s: %s' % (self.bundle.name, OPENVINO, str(error).strip())) from error

    def __del__(self):
        """Let go of the model, which touches the thread's signal stack once more."""
        with kept_signal_stack():
            self._request = None
