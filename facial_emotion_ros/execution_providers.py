"""Where models are to run: ONNX Runtime's execution providers in order, their options, and which of them has failed.

All models of one pipeline share one plan: a provider that fails one of them is left by all, and it is told once.
"""

import logging
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import onnxruntime

from facial_emotion_ros.engine_cache import EngineCache
from facial_emotion_ros.errors import BadParameter

CPU = 'CPUExecutionProvider'
CUDA = 'CUDAExecutionProvider'
TENSORRT = 'TensorrtExecutionProvider'

#: What runs models. ONNX Runtime is always there; OpenVINO is faster on x86 where it is installed.
ENGINES = ('onnxruntime', 'openvino')

#: What TensorRT (all but bf16) and OpenVINO (all but fp16) may compute in; else a model computes as it says. auto
#: is int8 for a model that was made for it, else fp32.
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')

#: The name of an execution provider, alone or with its options.
Provider = Union[str, Tuple[str, Dict[str, Any]]]

#: ONNX Runtime refuses a provider together with an option that it does not know: the first version that knows each of
#: those that we set or that users give. Source: pull requests 15546 and 15825 (profile shapes, 1.15) and 19362 (cache
#: prefix, 1.17) of microsoft/onnxruntime; the list of 1.11 is that of the runtime for Jetson TX2.
OPTIONS_SINCE = {
    TENSORRT: {
        'device_id': (1, 0), 'trt_fp16_enable': (1, 0), 'trt_int8_enable': (1, 0), 'trt_engine_cache_enable': (1, 0),
        'trt_engine_cache_path': (1, 0), 'trt_max_workspace_size': (1, 0), 'trt_min_subgraph_size': (1, 0),
        'trt_dla_enable': (1, 0), 'trt_timing_cache_enable': (1, 15), 'trt_profile_min_shapes': (1, 15),
        'trt_profile_opt_shapes': (1, 15), 'trt_profile_max_shapes': (1, 15), 'trt_engine_cache_prefix': (1, 17),
    },
    CUDA: {'device_id': (1, 0), 'gpu_mem_limit': (1, 0), 'arena_extend_strategy': (1, 0),
           'cudnn_conv_algo_search': (1, 0), 'do_copy_in_default_stream': (1, 0)},
}  # type: Dict[str, Dict[str, Tuple[int, int]]]

_NEXT_STEP = {
    CUDA: 'it needs the GPU package of ONNX Runtime for this machine, see docs/jetson.md',
    TENSORRT: 'it needs TensorRT and the GPU package of ONNX Runtime for this machine, see docs/jetson.md',
}

_log = logging.getLogger(__name__)


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


def runtime_version(text: Optional[str] = None) -> Tuple[int, int]:
    """Return ONNX Runtime's version as numbers.

    :param text: like '1.11.0'; None takes the one that runs.
    :returns: (major, minor); (0, 0) for a text that begins with no such numbers.
    """
    found = re.match(r'(\d+)\.(\d+)', onnxruntime.__version__ if text is None else text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def known_options(name: str, options: Dict[str, Any], version: Tuple[int, int]) -> Dict[str, Any]:
    """Leave away the options that this ONNX Runtime does not know; it would refuse the whole provider.

    :param name: of the provider; of one without a list here, all options are passed on.
    :param options: option -> value.
    :param version: (major, minor) of ONNX Runtime.
    :returns: those that it knows.
    """
    since = OPTIONS_SINCE.get(name)
    if since is None:
        return dict(options)
    # An option that is on no list here came later than the lists: it is the user's, and passed on where all are known.
    newest = max(since.values())
    return {option: value for option, value in options.items() if version >= since.get(option, newest)}


class ProviderPlan:
    """Execution providers in order of preference, with all that a session needs to know, shared by all models."""

    def __init__(self, providers: Sequence[Provider] = (CPU,), threads: int = 1, precision: str = 'auto',
                 face_batch: int = 0, cache: Optional[EngineCache] = None, engine: str = 'onnxruntime',
                 spin: bool = False):
        """Check what is asked for; nothing is opened yet.

        :param providers: names or (name, options), the wanted one first; those that follow are what to fall back to.
            The CPU is added at the end where it is missing.
        :param threads: of one operator, at least 1; operators run one after the other.
        :param precision: what TensorRT or OpenVINO computes in, one of PRECISIONS.
        :param face_batch: faces that are read at once on another provider than the CPU, padded where there are fewer;
            the detector's input then has a fixed size too. 0 lets shapes follow the image.
        :param cache: where TensorRT keeps its engines; None keeps none.
        :param engine: one of ENGINES. OpenVINO runs on the CPU and looks at no provider.
        :param spin: whether ONNX Runtime's threads wait for the next operator with their processor busy. That is sooner
            where nobody else wants it, and takes it from the others where somebody does: the camera, or the reader.
        :raises BadParameter: for a value of another type or range.
        """
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise BadParameter(f'expected a whole number of threads, at least 1, got {threads!r}')
        if isinstance(providers, str) or not providers:
            raise BadParameter(f'expected a list of execution providers, got {providers!r}')
        if precision not in PRECISIONS:
            raise BadParameter(f'expected a precision among {", ".join(PRECISIONS)}, got {precision!r}')
        if engine not in ENGINES:
            raise BadParameter(f'expected an engine among {", ".join(ENGINES)}, got {engine!r}')
        if precision == 'bf16' and engine != 'openvino':
            raise BadParameter('expected the engine openvino, since inference.precision is bf16, got onnxruntime; take '
                               'that engine or another precision')
        if isinstance(face_batch, bool) or not isinstance(face_batch, int) or not 0 <= face_batch <= 64:
            raise BadParameter(f'expected a batch of 0 to 64 faces, got {face_batch!r}')
        if not isinstance(spin, bool):
            raise BadParameter(f'expected true or false for spin, got {spin!r}')
        self.names = [provider_name(provider) for provider in providers]
        self._given = {name: {} if isinstance(provider, str) else dict(provider[1])
                       for name, provider in zip(self.names, providers)}  # type: Dict[str, Dict[str, Any]]
        if CPU not in self.names:
            self.names.append(CPU)
        self.engine = engine
        self.threads = threads
        self.spin = spin
        self.precision = precision
        self.face_batch = face_batch
        self.cache = cache
        self._failures = {}  # type: Dict[str, str]
        #: What happened at work, '' while nothing did; from then on everything runs on the CPU.
        self._broken = ''
        self._told = ''

    @classmethod
    def of(cls, providers: Union['ProviderPlan', Sequence[Provider]], threads: int = 1) -> 'ProviderPlan':
        """Return the plan itself, or make one of a list of providers.

        :param providers: a plan, or what :class:`ProviderPlan` takes.
        :param threads: the same; a plan brings its own.
        :returns: the plan.
        :raises BadParameter: see :class:`ProviderPlan`.
        """
        return providers if isinstance(providers, cls) else cls(providers, threads)

    def candidates(self) -> List[str]:
        """Return the providers to try, in order; what this ONNX Runtime lacks is noted as failed.

        :returns: names that were neither missing nor failing so far; empty only where the CPU failed too.
        """
        available = onnxruntime.get_available_providers()
        for name in self.names:
            if name not in available:
                self._failures.setdefault(name, f'{name} is not part of this ONNX Runtime {onnxruntime.__version__}'
                                          + (f' ({_NEXT_STEP[name]})' if name in _NEXT_STEP else ''))
        if self._broken:
            return [CPU]
        return [name for name in self.names if name not in self._failures]

    def entries(self, name: str, bundle) -> List[Provider]:
        """Return what a session is opened with, so that one provider runs it.

        :param name: of a candidate.
        :param bundle: the ModelBundle; its hash is part of the engine cache's key.
        :returns: that provider with its options, and those behind it that take the operators that it lacks.
        """
        chain = [name]
        if name == TENSORRT and CUDA in self.candidates():
            chain.append(CUDA)
        if CPU not in chain:
            chain.append(CPU)
        version = runtime_version()
        entries = []  # type: List[Provider]
        for each in chain:
            options = known_options(each, self._options(each, bundle), version)
            entries.append((each, options) if options else each)
        return entries

    def engine_folder(self, bundle) -> str:
        """Return the folder where TensorRT keeps a bundle's engines; '' where it keeps none."""
        entry = self.entries(TENSORRT, bundle)[0]
        return '' if isinstance(entry, str) else entry[1].get('trt_engine_cache_path', '')

    def computes_in(self, bundle) -> str:
        """Return what TensorRT computes a bundle's model in: int8 only where the model was made for it."""
        if self.precision == 'auto':
            return 'int8' if is_int8(bundle) else 'fp32'
        if self.precision == 'int8' and not is_int8(bundle):
            return 'fp16'
        return self.precision

    def fixed_dimensions(self, name: str) -> Dict[str, int]:
        """Return the free dimensions of our models that a session on that provider fixes: name -> size."""
        return {'faces': self.face_batch, 'batch': 1} if self.pads(name) else {}

    def pads(self, name: str) -> bool:
        """Tell whether inputs are padded to fixed shapes on that provider; the CPU gains nothing by it."""
        return self.face_batch > 0 and name != CPU

    def failed(self, name: str, reason: str):
        """Note that a provider did not start; it is not tried again."""
        self._failures[name] = reason

    def broke(self, name: str, cause: str):
        """Note that a provider failed at work: all models run on the CPU from now on."""
        if not self._broken:
            self._broken = f'Running on {CPU} from now on: {name} failed at work: {cause}'
        self._tell()

    @property
    def broken(self) -> bool:
        """Whether a provider failed at work."""
        return bool(self._broken)

    def degraded(self, name: str) -> str:
        """Say why a model that runs on that provider does not run on the first one; '' when it does.

        :param name: the provider that really runs it.
        :returns: a sentence with every reason.
        """
        if self._broken:
            return self._broken
        ahead = self.names[:self.names.index(name)] if name in self.names else []
        if not ahead:
            return ''
        reasons = '; '.join(self._failures.get(each, f'{each} failed') for each in ahead)
        return f'Running on {name} instead of {self.names[0]}: {reasons}'

    def opened_on(self, name: str):
        """Note where a model runs; the first time that this is another provider than the first, it is told."""
        sentence = self.degraded(name)
        if sentence:
            self._tell(sentence)

    def failures(self) -> str:
        """Return every reason why a provider is not used, for an error's text."""
        return '; '.join(self._failures[name] for name in self.names if name in self._failures)

    def _tell(self, sentence: str = ''):
        sentence = self._broken or sentence
        if sentence != self._told:
            self._told = sentence
            _log.warning(sentence)

    def _options(self, name: str, bundle) -> Dict[str, Any]:
        options = {}  # type: Dict[str, Any]
        if name == TENSORRT:
            precision = self.computes_in(bundle)
            # Written as 1.10 and later take them: 'True' and 'False', and numbers as text.
            options['trt_fp16_enable'] = str(precision in ('fp16', 'int8'))
            options['trt_int8_enable'] = str(precision == 'int8')
            folder = self.cache.folder(bundle, precision, self.face_batch) if self.cache else ''
            options['trt_engine_cache_enable'] = str(bool(folder))
            if folder:
                options['trt_engine_cache_path'] = folder
                options['trt_timing_cache_enable'] = 'True'
        elif name == CUDA:
            # The exhaustive search, which is the default, tries every algorithm anew for every new shape of image.
            options['cudnn_conv_algo_search'] = 'HEURISTIC'
        options.update(self._given.get(name, {}))
        return options


def is_int8(bundle) -> bool:
    """Tell whether a bundle's model was quantised to int8, by its manifest."""
    return str(bundle.manifest['model'].get('precision', '')).startswith('int8')


def check_precision(plan: ProviderPlan, bundle):
    """Refuse int8 for a model that was not quantised: TensorRT would need a calibration that nobody has made.

    :param plan: what is asked for.
    :param bundle: the emotion network's ModelBundle.
    :raises BadParameter: naming what the bundle holds and what to do.
    """
    if plan.precision == 'int8' and not is_int8(bundle):
        raise BadParameter(f'expected a model bundle of precision int8, since inference.precision is int8, got '
                           f'{bundle.name} of {bundle.manifest["model"]["precision"]!r}: name an int8 bundle, or take '
                           'fp16')
