"""Open and run a model bundle in ONNX Runtime, and say which execution provider really does it."""

import logging
import time
from typing import Dict, List, NamedTuple, Sequence, Set, Union

import numpy as np
import onnxruntime

from facial_emotion_ros.engine_cache import kept_engines
from facial_emotion_ros.errors import BadModel
from facial_emotion_ros.execution_providers import CPU, TENSORRT, Provider, ProviderPlan, is_int8, provider_name
from facial_emotion_ros.freeze_guard import long_silence
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.onnx_file import with_signed_activations

__all__ = ['CPU', 'OpenSession', 'Provider', 'ProviderPlan', 'RunningModel', 'open_session', 'provider_name']

#: How threads wait that have nothing to do. ONNX Runtime's default is to spin for tens of milliseconds, which takes the
#: processor from camera and reader. One millisecond bridges the gaps within a run; it can be said from 1.26 on, and
#: older versions pass over it. Measured: docs/performance.md.
_SPINNING = {False: {'allow_spinning': '0'}, True: {'allow_spinning': '1', 'spin_duration_us': '1000'}}

_log = logging.getLogger(__name__)


class OpenSession(NamedTuple):
    """A session and what it runs on."""

    session: onnxruntime.InferenceSession
    #: The provider that runs the model, such as 'CUDAExecutionProvider'.
    provider: str
    #: '' while that is the first one asked for, else a sentence that says what failed.
    degraded: str


def open_session(bundle: ModelBundle, providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,),
                 threads: int = 1) -> OpenSession:
    """Open a bundle's model on the first of some execution providers that works, else on the CPU, and loudly so.

    :param bundle: an opened bundle; the bytes whose hash it checked are what runs.
    :param providers: names or (name, options), the wanted one first; those that follow are what to fall back to. A
        ProviderPlan that several models share leaves a provider that failed one of them, and tells it once.
    :param threads: of one operator, at least 1; a plan brings its own.
    :returns: the session, the provider that really runs it, and '' or why that is not the first one.
    :raises BadParameter: threads or providers of another type or range.
    :raises BadModel: when not even the CPU can load the model.
    """
    plan = ProviderPlan.of(providers, threads)
    for name in plan.candidates():
        try:
            session = _open(bundle, plan, name)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            plan.failed(name, f'{name} failed: {error}')
            continue
        if name not in session.get_providers():  # it falls back by itself, with no exception
            plan.failed(name, f'{name} could not start')
            continue
        plan.opened_on(name)
        return OpenSession(session, name, plan.degraded(name))
    raise BadModel(f'Model bundle {bundle.folder!r} does not load in ONNX Runtime {onnxruntime.__version__}: '
                   + plan.failures())


class RunningModel:
    """A bundle's model, ready to run.

    A provider that throws while running, or gives what is not finite, is exchanged for the CPU once, for good. On the
    CPU the weights are there once: `bundle` is then without its model's bytes.
    """

    def __init__(self, bundle: ModelBundle, providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,),
                 threads: int = 1):
        """Open the model as :func:`open_session` does, with its parameters and errors."""
        self.bundle = bundle
        self._plan = ProviderPlan.of(providers, threads)
        #: When a session on TensorRT was opened that has not run yet.
        self._opened_s = time.monotonic()
        self._open_session()

    @property
    def degraded(self) -> str:
        """Why the provider is not the one that was asked for; '' while it is."""
        return self._plan.degraded(self.provider)

    @property
    def face_batch(self) -> int:
        """How many faces each run takes, no more and no fewer; 0 for any number."""
        return self._plan.face_batch if self._plan.pads(self.provider) else 0

    @property
    def names(self) -> Set[str]:
        """Names of the model's inputs and outputs."""
        return {node.name for node in self._session.get_inputs() + self._session.get_outputs()}

    def run(self, outputs: Sequence[str], feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Run the model.

        :param outputs: names of the outputs that are wanted.
        :param feed: name of each input -> array.
        :returns: the outputs in that order.
        :raises BadModel: if it fails on the CPU as well. What the CPU gives may hold NaN or infinity.
        """
        if self._plan.broken and self.provider != CPU:  # another model of the same plan has seen it fail
            self._open_session()
        try:
            arrays = self._session.run(outputs, feed)
            if self.provider == CPU or all(np.isfinite(array).all() for array in arrays):
                self._tell_first_run()
                return arrays
            cause = 'NaN or infinity came out'
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            if self.provider == CPU:
                raise BadModel(f'{self.bundle.name} failed on {CPU}: {cause}') from error
        self._plan.broke(self.provider, f'{self.bundle.name}: {cause}')
        self._open_session()
        return self.run(outputs, feed)

    def _tell_first_run(self):
        """End the silence that was announced; an engine for free shapes is built no sooner than at the first run."""
        if self._opened_s is not None and self.provider == TENSORRT:
            _log.info('%s is ready on TensorRT after %.1f s', self.bundle.name, time.monotonic() - self._opened_s)
        self._opened_s = None

    def _open_session(self):
        """Open the model on what the plan has left: on the CPU, once a provider has broken."""
        self._session, self.provider, _ = open_session(self.bundle, self._plan)
        if self.provider == CPU:  # else its bytes are what the CPU may have to take over with
            self.bundle = self.bundle.without_model()


def _open(bundle: ModelBundle, plan: ProviderPlan, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.threads
    options.inter_op_num_threads = 1
    for key, value in _SPINNING[plan.spin].items():
        options.add_session_config_entry('session.intra_op.' + key, value)
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors: what its warnings say about providers, `degraded` says better
    for dimension, size in plan.fixed_dimensions(name).items():
        options.add_free_dimension_override_by_name(dimension, size)
    entries = plan.entries(name, bundle)
    model_bytes = bundle.model_bytes
    if name == TENSORRT:
        if is_int8(bundle):
            model_bytes = with_signed_activations(model_bytes)
        _announce_build(bundle, plan.engine_folder(bundle))
    with long_silence():
        session = onnxruntime.InferenceSession(model_bytes, options, providers=entries)
    session.disable_fallback()  # else a failing provider is exchanged for another one in the middle of `run`
    if hasattr(session, '_model_bytes'):
        session._model_bytes = None  # kept for that fallback alone
    return session


def _announce_build(bundle: ModelBundle, folder: str):
    """Say before the long silence what it is, and whether it will come again."""
    if kept_engines(folder):
        _log.info('%s: TensorRT takes its engine from %s', bundle.name, folder)
    else:
        _log.info('%s: TensorRT builds its engine now, which takes minutes on a small board; it is kept in %s',
                  bundle.name, folder or 'no folder, and built again at the next start')
