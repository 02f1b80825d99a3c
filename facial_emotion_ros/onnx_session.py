"""Open and run a model bundle in ONNX Runtime, and say which execution provider really does it."""

import logging
from typing import Any, Dict, List, NamedTuple, Sequence, Set, Tuple, Union

import numpy as np
import onnxruntime

from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.model_bundle import ModelBundle

CPU = 'CPUExecutionProvider'

#: The name of an execution provider, alone or with its options.
Provider = Union[str, Tuple[str, Dict[str, Any]]]

_log = logging.getLogger(__name__)


class OpenSession(NamedTuple):
    """A session and what it runs on."""

    session: onnxruntime.InferenceSession
    #: The provider that runs the model, such as 'CUDAExecutionProvider'.
    provider: str
    #: '' while that is the first one asked for, else a sentence that says what failed.
    degraded: str


def provider_name(provider: Provider) -> str:
    """Return the name of a provider that may come with options.

    :param provider: name, or (name, options).
    :returns: the name.
    :raises BadParameter: if it is neither.
    """
    if isinstance(provider, str) and provider:
        return provider
    if isinstance(provider, (tuple, list)) and len(provider) == 2:
        name, options = provider
        if isinstance(name, str) and name and isinstance(options, dict):
            return name
    raise BadParameter(f'expected an execution provider as a name or as (name, options), got {provider!r}')


def open_session(bundle: ModelBundle, providers: Sequence[Provider] = (CPU,), threads: int = 1) -> OpenSession:
    """Open a bundle's model on the first of some execution providers that works, else on the CPU, and loudly so.

    :param bundle: an opened bundle; the bytes whose hash it checked are what runs.
    :param providers: names or (name, options), the wanted one first; those that follow are what to fall back to.
    :param threads: of one operator, at least 1; operators run one after the other.
    :returns: the session, the provider that really runs it, and '' or why that is not the first one.
    :raises BadParameter: threads or providers of another type or range.
    :raises BadModel: when not even the CPU can load the model.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise BadParameter(f'expected a whole number of threads, at least 1, got {threads!r}')
    if isinstance(providers, str) or not providers:
        raise BadParameter(f'expected a list of execution providers, got {providers!r}')
    wanted = list(providers)
    names = [provider_name(provider) for provider in wanted]
    if CPU not in names:
        wanted.append(CPU)
        names.append(CPU)
    failures = []  # type: List[str]
    for position, name in enumerate(names):
        if name not in onnxruntime.get_available_providers():
            failures.append(f'{name} is not part of this ONNX Runtime {onnxruntime.__version__}')
            continue
        # The CPU stands behind every other provider: operators that the other lacks need it.
        entries = wanted[position:position + 1] + ([CPU] if name != CPU else [])
        try:
            session = _open(bundle, entries, threads)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            failures.append(f'{name} failed: {error}')
            continue
        if name not in session.get_providers():  # it falls back by itself, with no exception
            failures.append(f'{name} could not start')
            continue
        degraded = ''
        if position:
            degraded = f'{bundle.name} runs on {name} instead of {names[0]}: {"; ".join(failures)}'
            _log.warning(degraded)
        return OpenSession(session, name, degraded)
    raise BadModel(f'Model bundle {bundle.folder!r} does not load in ONNX Runtime {onnxruntime.__version__}: '
                   + '; '.join(failures))


class RunningModel:
    """A bundle's model, ready to run. A provider that fails while running is exchanged for the CPU once, for good."""

    def __init__(self, bundle: ModelBundle, providers: Sequence[Provider] = (CPU,), threads: int = 1):
        """Open the model as :func:`open_session` does, with its parameters and errors."""
        self.bundle = bundle
        self._threads = threads
        self._session, self.provider, self.degraded = open_session(bundle, providers, threads)

    @property
    def names(self) -> Set[str]:
        """Names of the model's inputs and outputs."""
        return {node.name for node in self._session.get_inputs() + self._session.get_outputs()}

    def run(self, outputs: Sequence[str], feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
        """Run the model.

        :param outputs: names of the outputs that are wanted.
        :param feed: name of each input -> array.
        :returns: the outputs in that order.
        :raises BadModel: if it fails on the CPU as well.
        """
        try:
            return self._session.run(outputs, feed)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            if self.provider == CPU:
                raise BadModel(f'{self.bundle.name} failed on {CPU}: {cause}') from error
        failed = self.provider
        self._session, self.provider, _ = open_session(self.bundle, (CPU,), self._threads)
        self.degraded = f'{self.bundle.name} runs on {CPU} from now on: {failed} failed at work: {cause}'
        _log.warning(self.degraded)
        return self.run(outputs, feed)


def _open(bundle: ModelBundle, entries: List[Provider], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors: what its warnings say about providers, `degraded` says better
    session = onnxruntime.InferenceSession(bundle.model_bytes, options, providers=entries)
    session.disable_fallback()  # else a failing provider is exchanged for another one in the middle of `run`
    return session
