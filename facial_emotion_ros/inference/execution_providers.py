"""Select ONNX Runtime's execution providers: order of preference, options, and fallback after failures.

All models of a pipeline share one plan: when a provider fails for one, none uses it any more, with one warning.
"""

import logging
import re
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import onnxruntime

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.inference.tensorrt_cache import EngineCache

if TYPE_CHECKING:
    from facial_emotion_ros.inference.model_bundle import ModelBundle

CPU = 'CPUExecutionProvider'
CUDA = 'CUDAExecutionProvider'
TENSORRT = 'TensorrtExecutionProvider'

#: Inference engines. OpenVINO is optional, and faster on x86.
ENGINES = ('onnxruntime', 'openvino')

#: Precisions of TensorRT (all but bf16) and OpenVINO (all but fp16). auto is int8 for an int8 model, else fp32.
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')

#: Name of an execution provider, or (name, options).
Provider = Union[str, Tuple[str, Dict[str, Any]]]

#: First version of ONNX Runtime with each TensorRT option; with an unknown option it refuses the provider.
#: Source: pull requests 15546 and 15825 (profile shapes, 1.15) and 19362 (cache prefix, 1.17) of microsoft/onnxruntime;
#: the rest is the list of 1.11, the runtime for Jetson TX2.
_TENSORRT_SINCE: Dict[str, Tuple[int, int]] = {
    **dict.fromkeys(('device_id', 'trt_fp16_enable', 'trt_int8_enable', 'trt_dla_enable'), (1, 0)),
    **dict.fromkeys(('trt_engine_cache_enable', 'trt_engine_cache_path'), (1, 0)),
    **dict.fromkeys(('trt_max_workspace_size', 'trt_min_subgraph_size'), (1, 0)),
    **dict.fromkeys(('trt_timing_cache_enable', 'trt_profile_min_shapes'), (1, 15)),
    **dict.fromkeys(('trt_profile_opt_shapes', 'trt_profile_max_shapes'), (1, 15)),
    'trt_engine_cache_prefix': (1, 17),
}

_NEXT_STEP = {
    CUDA: 'it needs the GPU package of ONNX Runtime for this machine, see docs/jetson.md',
    TENSORRT: 'it needs TensorRT and the GPU package of ONNX Runtime for this machine, see docs/jetson.md',
}

_log = logging.getLogger(__name__)


def provider_name(provider: Provider) -> str:
    """Return the name of a provider.

    :raises BadParameter: if it is neither a name nor (name, options).
    """
    if isinstance(provider, str) and provider:
        return provider
    if isinstance(provider, (tuple, list)) and len(provider) == 2:
        name, options = provider
        if isinstance(name, str) and name and isinstance(options, dict):
            return name
    raise BadParameter(f'expected an execution provider as a name or as (name, options), got {provider!r}')


def runtime_version(text: Optional[str] = None) -> Tuple[int, int]:
    """Parse ONNX Runtime's version.

    :param text: like '1.11.0'; None for the installed one.
    :returns: (major, minor); (0, 0) for a text without them.
    """
    found = re.match(r'(\d+)\.(\d+)', onnxruntime.__version__ if text is None else text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def known_options(name: str, options: Dict[str, Any], version: Tuple[int, int]) -> Dict[str, Any]:
    """Drop the options that this version of ONNX Runtime does not know.

    :param name: of the provider; all options of others than TensorRT are kept.
    :param options: option -> value.
    :param version: (major, minor) of ONNX Runtime.
    """
    # An unlisted option is a user's and newer than the list: kept where all listed ones are known.
    since, newest = _TENSORRT_SINCE, max(_TENSORRT_SINCE.values())
    kept = [option for option in options if name != TENSORRT or version >= since.get(option, newest)]
    return {option: options[option] for option in kept}


class ProviderPlan:
    """Execution providers in order of preference and the options of sessions, shared by all models."""

    def __init__(
        self,
        providers: Sequence[Provider] = (CPU,),
        threads: int = 1,
        precision: str = 'auto',
        face_batch: int = 0,
        cache: Optional[EngineCache] = None,
        engine: str = 'onnxruntime',
        spin: bool = False,
    ):
        """Check the options; nothing is opened yet.

        :param providers: names or (name, options) in order of preference. The CPU is appended where it is missing.
        :param threads: threads of one operator, at least 1; operators run one after the other.
        :param precision: of TensorRT or OpenVINO, one of PRECISIONS.
        :param face_batch: fixed batch size, padded, on other providers than the CPU; the detector's input then has a
            fixed size too. 0 for dynamic shapes.
        :param cache: where TensorRT caches its engines; None for no cache.
        :param engine: one of ENGINES. OpenVINO runs on the CPU and ignores the providers.
        :param spin: whether ONNX Runtime's threads spin while they wait for the next operator: faster on an idle
            machine, and at the cost of all other processes on a busy one.
        :raises BadParameter: for a value of another type or range.
        """
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise BadParameter(f'expected an integer of at least 1 as threads, got {threads!r}')
        if isinstance(providers, str) or not providers:
            raise BadParameter(f'expected a list of execution providers, got {providers!r}')
        if precision not in PRECISIONS:
            raise BadParameter(f'expected a precision among {", ".join(PRECISIONS)}, got {precision!r}')
        if engine not in ENGINES:
            raise BadParameter(f'expected an engine among {", ".join(ENGINES)}, got {engine!r}')
        if precision == 'bf16' and engine != 'openvino':
            raise BadParameter(
                'expected the engine openvino, since inference.precision is bf16, got onnxruntime; use '
                'that engine or another precision'
            )
        if isinstance(face_batch, bool) or not isinstance(face_batch, int) or not 0 <= face_batch <= 64:
            raise BadParameter(f'expected a batch of 0 to 64 faces, got {face_batch!r}')
        if not isinstance(spin, bool):
            raise BadParameter(f'expected true or false for spin, got {spin!r}')
        self.names = [provider_name(provider) for provider in providers]
        self._user_options: Dict[str, Dict[str, Any]] = {
            name: {} if isinstance(provider, str) else dict(provider[1])
            for name, provider in zip(self.names, providers)
        }
        if CPU not in self.names:
            self.names.append(CPU)
        self.engine = engine
        self.threads = threads
        self.spin = spin
        self.precision = precision
        self.face_batch = face_batch
        self.cache = cache
        self._failures: Dict[str, str] = {}
        #: How a provider failed while running, '' if none did; everything then runs on the CPU.
        self._broken = ''
        self._warning = ''

    @classmethod
    def of(cls, providers: Union['ProviderPlan', Sequence[Provider]], threads: int = 1) -> 'ProviderPlan':
        """Return a plan unchanged, or make one from a list of providers; see :class:`ProviderPlan`."""
        return providers if isinstance(providers, ProviderPlan) else cls(providers, threads)

    def candidates(self) -> List[str]:
        """Return the providers to try, in order; those that this ONNX Runtime lacks count as failed."""
        available = onnxruntime.get_available_providers()
        for name in self.names:
            if name not in available:
                self._failures.setdefault(
                    name,
                    f'{name} is not part of this ONNX Runtime {onnxruntime.__version__}'
                    + (f' ({_NEXT_STEP[name]})' if name in _NEXT_STEP else ''),
                )
        if self._broken:
            return [CPU]
        return [name for name in self.names if name not in self._failures]

    def entries(self, name: str, bundle: 'ModelBundle') -> List[Provider]:
        """Return a session's `providers`: a candidate with its options, then fallbacks for operators that it lacks."""
        chain = [name]
        if name == TENSORRT and CUDA in self.candidates():
            chain.append(CUDA)
        if CPU not in chain:
            chain.append(CPU)
        version = runtime_version()
        entries: List[Provider] = []
        for each in chain:
            options = known_options(each, self._options(each, bundle), version)
            entries.append((each, options) if options else each)
        return entries

    def engine_folder(self, bundle: 'ModelBundle') -> str:
        """Return the folder where TensorRT caches a bundle's engines; '' for no cache."""
        entry = self.entries(TENSORRT, bundle)[0]
        return '' if isinstance(entry, str) else str(entry[1].get('trt_engine_cache_path', ''))

    def computes_in(self, bundle: 'ModelBundle') -> str:
        """Return TensorRT's precision for a bundle: int8 only for an int8 model, else fp16 in its place."""
        if self.precision == 'auto':
            return 'int8' if is_int8(bundle) else 'fp32'
        if self.precision == 'int8' and not is_int8(bundle):
            return 'fp16'
        return self.precision

    def fixed_dimensions(self, name: str) -> Dict[str, int]:
        """Return the dimensions of our models that are fixed on a provider: name -> size."""
        return {'faces': self.face_batch, 'batch': 1} if self.pads(name) else {}

    def pads(self, name: str) -> bool:
        """Return whether inputs are padded to fixed shapes on a provider; not on the CPU, which gains nothing by it."""
        return self.face_batch > 0 and name != CPU

    def failed(self, name: str, reason: str) -> None:
        """Record that a provider did not start; it is not tried again."""
        self._failures[name] = reason

    def broke(self, name: str, cause: str) -> None:
        """Record that a provider failed while running: all models run on the CPU from now on."""
        if not self._broken:
            self._broken = f'Running on {CPU} from now on: {name} failed while running: {cause}'
        self._warn(self._broken)

    @property
    def broken(self) -> bool:
        """Whether a provider failed while running."""
        return bool(self._broken)

    def degraded(self, name: str) -> str:
        """Return a sentence saying why a model runs on this provider, not on the first; '' if it is the first."""
        if self._broken:
            return self._broken
        ahead = self.names[: self.names.index(name)] if name in self.names else []
        if not ahead:
            return ''
        reasons = '; '.join(self._failures.get(each, f'{each} failed') for each in ahead)
        return f'Running on {name} instead of {self.names[0]}: {reasons}'

    def opened_on(self, name: str) -> None:
        """Record which provider runs a model; warn once if it is not the first one."""
        self._warn(self.degraded(name))

    def failures(self) -> str:
        """Return why each unused provider is not used, for an error's text."""
        return '; '.join(self._failures[name] for name in self.names if name in self._failures)

    def _warn(self, sentence: str) -> None:
        if sentence and sentence != self._warning:
            self._warning = sentence
            _log.warning(sentence)

    def _options(self, name: str, bundle: 'ModelBundle') -> Dict[str, Any]:
        options: Dict[str, Any] = {}
        if name == TENSORRT:
            precision = self.computes_in(bundle)
            # ONNX Runtime takes 'True', 'False' and numbers as text.
            options['trt_fp16_enable'] = str(precision in ('fp16', 'int8'))
            options['trt_int8_enable'] = str(precision == 'int8')
            folder = self.cache.folder(bundle, precision, self.face_batch) if self.cache else ''
            options['trt_engine_cache_enable'] = str(bool(folder))
            if folder:
                options['trt_engine_cache_path'] = folder
                options['trt_timing_cache_enable'] = 'True'
        elif name == CUDA:
            # The default, an exhaustive search, tries every algorithm for every new image shape.
            options['cudnn_conv_algo_search'] = 'HEURISTIC'
        options.update(self._user_options.get(name, {}))
        return options


def is_int8(bundle: 'ModelBundle') -> bool:
    """Return whether a bundle's model is quantized to int8, by its manifest."""
    return str(bundle.manifest['model'].get('precision', '')).startswith('int8')


def check_precision(plan: ProviderPlan, bundle: 'ModelBundle') -> None:
    """Refuse int8 for a model that is not quantized: TensorRT would need a calibration.

    :raises BadParameter: if the plan's precision is int8 and the bundle's is not.
    """
    if plan.precision == 'int8' and not is_int8(bundle):
        raise BadParameter(
            f'expected a model bundle of precision int8, since inference.precision is int8, got '
            f'{bundle.name} of {bundle.manifest["model"]["precision"]!r}: use an int8 bundle, or fp16'
        )
