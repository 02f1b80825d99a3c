"""Run a model bundle in ONNX Runtime, and report which execution provider runs it."""

import logging
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Set, Tuple, Union

import numpy as np
import onnxruntime

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.execution_providers import CPU, TENSORRT, ProviderPlan, is_int8
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnx_proto import with_signed_activations
from facial_emotion_ros.inference.precision import int8_is_fast
from facial_emotion_ros.inference.tensorrt_cache import kept_engines
from facial_emotion_ros.system.watchdog import long_silence

if TYPE_CHECKING:
    from facial_emotion_ros.inference.openvino_backend import OpenVinoModel

#: How idle threads wait. By default, ONNX Runtime spins for tens of milliseconds, which takes CPU time from the camera
#: and the subscribers. One millisecond covers the gaps within a run; the option exists from 1.26 on, and older versions
#: ignore it. Measured: docs/performance.md.
_SPINNING = {False: {'allow_spinning': '0'}, True: {'allow_spinning': '1', 'spin_duration_us': '1000'}}

_log = logging.getLogger(__name__)


def open_model(bundle: ModelBundle, plan: ProviderPlan) -> Union['OrtModel', 'OpenVinoModel']:
    """Open a bundle's model in the inference engine that a plan names.

    :returns: OrtModel or OpenVinoModel: both have `run`, `provider`, `degraded`, `face_batch` and `names`.
    :raises BadParameter: if the engine is not installed, or does not support the precision.
    :raises BadModel: if the model does not load.
    """
    if plan.engine == 'openvino':
        from facial_emotion_ros.inference.openvino_backend import OpenVinoModel

        return OpenVinoModel(bundle, plan)
    return OrtModel(bundle, plan)


def open_session(bundle: ModelBundle, plan: ProviderPlan) -> Tuple[onnxruntime.InferenceSession, str]:
    """Open a bundle's model on the first execution provider that works, and warn if that is not the first one.

    :returns: the session, and the provider that runs it, such as 'CUDAExecutionProvider'.
    :raises BadModel: if the model does not load on any provider, the CPU included.
    """
    faults: Dict[str, str] = {}
    for name in plan.candidates():
        try:
            session = _open(bundle, plan, name)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            faults[name] = f'{name} failed: {error}'
            continue
        if name not in session.get_providers():  # ONNX Runtime falls back without an exception
            faults[name] = f'{name} could not start'
            continue
        for each, fault in faults.items():
            plan.failed(each, fault)
        plan.opened_on(name)
        return session, name
    # The model is at fault: the plan's other models may still use these providers.
    raise BadModel(
        f'Model bundle {bundle.folder!r} does not load in ONNX Runtime {onnxruntime.__version__}: '
        + '; '.join(filter(None, (plan.failures(), *faults.values())))
    )


class ModelRunner:
    """Base of a network and a detector: properties of the model that they run, `_model`."""

    _model: Any

    @property
    def bundle(self) -> ModelBundle:
        """The bundle that runs, without the model's bytes once they are loaded."""
        return self._model.bundle

    @property
    def provider(self) -> str:
        """The execution provider that runs the model."""
        return self._model.provider

    @property
    def degraded(self) -> str:
        """Why that is not the requested one; '' if it is."""
        return self._model.degraded


class OrtModel:
    """A bundle's model, ready to run.

    A provider that raises while running, or returns NaN or infinity, is replaced by the CPU for good. On the CPU,
    `bundle` drops the model's bytes, so that the weights are in memory only once.
    """

    def __init__(self, bundle: ModelBundle, plan: ProviderPlan):
        """Open the model as :func:`open_session` does."""
        self.bundle = bundle
        self._plan = plan
        #: When the session was opened, until it has run.
        self._opened_s: Optional[float] = time.monotonic()
        self._open_session()

    @property
    def degraded(self) -> str:
        """Why the provider is not the requested one; '' if it is."""
        return self._plan.degraded(self.provider)

    @property
    def face_batch(self) -> int:
        """Number of faces that each run takes; 0 for any."""
        return self._plan.face_batch if self._plan.pads(self.provider) else 0

    @property
    def names(self) -> Set[str]:
        """Names of the model's inputs and outputs."""
        return {node.name for node in self._session.get_inputs() + self._session.get_outputs()}

    def run(self, outputs: Sequence[str], feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Run the model.

        :param outputs: names of the requested outputs.
        :param feed: name of each input -> array.
        :returns: the outputs in that order. On the CPU they may hold NaN or infinity.
        :raises BadModel: if it fails on the CPU as well.
        """
        if self._plan.broken and self.provider != CPU:  # it failed another model of the same plan
            self._open_session()
        try:
            arrays: List[np.ndarray] = self._session.run(outputs, feed)
            if self.provider == CPU or all(np.isfinite(array).all() for array in arrays):
                self._log_first_run()
                return arrays
            cause = 'it returned NaN or infinity'
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            if self.provider == CPU:
                raise BadModel(f'{self.bundle.name} failed on {CPU}: {cause}') from error
        self._plan.broke(self.provider, f'{self.bundle.name}: {cause}')
        self._open_session()
        return self.run(outputs, feed)

    def _log_first_run(self) -> None:
        """Log when TensorRT is ready: with dynamic shapes it builds the engine during the first run."""
        if self._opened_s is not None and self.provider == TENSORRT:
            _log.info('%s is ready on TensorRT after %.1f s', self.bundle.name, time.monotonic() - self._opened_s)
        self._opened_s = None

    def _open_session(self) -> None:
        self._session, self.provider = open_session(self.bundle, self._plan)
        if self.provider == CPU:  # else the CPU may still need the bytes to take over
            self.bundle = self.bundle.without_model()


def _open(bundle: ModelBundle, plan: ProviderPlan, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.threads
    options.inter_op_num_threads = 1
    for key, value in _SPINNING[plan.spin].items():
        options.add_session_config_entry('session.intra_op.' + key, value)
    # x86 without VNNI adds int8 products in 16 bits, which overflow: this selects exact kernels, at the speed of fp32.
    # VNNI is exact anyway, and some processors with it (Sapphire Rapids) would take three times as long.
    if not int8_is_fast():
        options.add_session_config_entry('session.x64quantprecision', '1')
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only: `degraded` says what its warnings say about providers
    for dimension, size in plan.fixed_dimensions(name).items():
        options.add_free_dimension_override_by_name(dimension, size)
    entries = plan.entries(name, bundle)
    model_bytes = bundle.model_bytes
    if name == TENSORRT:
        if is_int8(bundle):
            model_bytes = with_signed_activations(model_bytes)
        folder = plan.engine_folder(bundle)
        if kept_engines(folder):
            _log.info('%s: TensorRT loads its engine from %s', bundle.name, folder)
        else:
            _log.info(
                '%s: TensorRT builds its engine now, which takes minutes on a small board; it is cached in %s',
                bundle.name,
                folder or 'no folder, and built again at the next start',
            )
    with long_silence():
        session = onnxruntime.InferenceSession(model_bytes, options, providers=entries)
    session.disable_fallback()  # else `run` replaces a failing provider without notice
    if hasattr(session, '_model_bytes'):
        session._model_bytes = None  # only needed for that fallback
    return session
