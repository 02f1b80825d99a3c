"""Choose the fastest inference engine by measurement, once for each machine and model."""

import json
import logging
import os
import time
from statistics import median
from typing import Any, Callable, Dict, List, Mapping, NamedTuple

import numpy as np
import onnxruntime

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.files import read_cached, write_atomic
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import CPU, TENSORRT, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.openvino_backend import OPENVINO, openvino_version
from facial_emotion_ros.inference.tensorrt_cache import EngineCache, board, kept_engines
from facial_emotion_ros.system.cpu_info import cpuinfo, model_name

#: File of cached choices, in the engine cache's folder.
CHOICES_FILE = 'engine_choices.json'

#: Timed runs of each candidate; candidates alternate, so that other load affects all of them.
_ROUNDS = 15
_WARM_UP = 3

_log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """Arguments of ProviderPlan that change, and the reason as text."""

    changes: Dict[str, Any]
    reason: str


def choose(
    bundle: ModelBundle, plan: Dict[str, Any], cache: EngineCache, clock: Callable[[], float] = time.perf_counter
) -> Choice:
    """Choose the engine for a network, and cache the choice.

    TensorRT is a candidate if its engines are cached, OpenVINO if it is installed. Later starts with the same machine,
    versions, model, threads and precision use the cached choice.

    :param bundle: of the emotion network.
    :param plan: arguments of ProviderPlan without cache and engine.
    :param cache: its folder also contains the file of choices.
    :param clock: returns seconds.
    :returns: Choice; ONNX Runtime on the requested providers if nothing can be measured.
    """
    path = os.path.join(cache.root, CHOICES_FILE)
    key = _key(bundle, plan)
    known = read_cached(path) or {}
    candidates = _candidates(bundle, plan, cache)
    try:
        found = known[key]
        name, date, ms = found['choice'], found['date'], found['ms']
        return Choice(candidates[name], '%s, as measured on %s: %s' % (name, date, _times_text(ms, name)))
    except (AttributeError, KeyError, TypeError):
        pass  # not cached, damaged, or no longer a candidate
    took_ms = _measure(bundle, plan, cache, candidates, clock)
    if not took_ms:
        return Choice({'engine': 'onnxruntime'}, 'onnxruntime: nothing could be measured')
    best = min(took_ms, key=lambda name: took_ms[name])
    known[key] = {'choice': best, 'ms': took_ms, 'date': time.strftime('%Y-%m-%d')}
    try:
        write_atomic(path, (json.dumps(known, indent=2, sort_keys=True) + '\n').encode('utf-8'))
    except OSError as error:
        _log.warning(
            'The choice of the engine cannot be cached in %s (%s): it is measured at every start', path, error.strerror
        )
    return Choice(candidates[best], '%s, the fastest for one face: %s' % (best, _times_text(took_ms, best)))


def _candidates(bundle: ModelBundle, plan: Dict[str, Any], cache: EngineCache) -> Dict[str, Dict[str, Any]]:
    """Return the candidates: name -> arguments of ProviderPlan that change."""
    found: Dict[str, Dict[str, Any]] = {}
    if plan.get('precision') != 'bf16':
        asked = ProviderPlan(cache=cache, **plan)
        for name in asked.candidates():
            if name == TENSORRT and not kept_engines(asked.engine_folder(bundle)):
                continue
            found[name] = {
                'engine': 'onnxruntime',
                'providers': [each for each in plan.get('providers', [CPU]) if name in each] or [name],
            }
    if openvino_version() and plan.get('precision') != 'fp16':
        found[OPENVINO] = {'engine': 'openvino'}
    return found


def _measure(
    bundle: ModelBundle,
    plan: Dict[str, Any],
    cache: EngineCache,
    candidates: Dict[str, Dict[str, Any]],
    clock: Callable[[], float],
) -> Dict[str, float]:
    """Return the median time for one face, in milliseconds, of each candidate that works."""
    engines: Dict[str, EsrEngine] = {}
    took: Dict[str, List[float]] = {}
    for name, changes in candidates.items():
        try:
            engine = EsrEngine(bundle, ProviderPlan(cache=cache, **dict(plan, **changes)))
            crop = np.zeros((1, engine.geometry.planes) + (engine.geometry.size_px,) * 2, np.uint8)
            for _ in range(_WARM_UP):
                engine.run(crop)
        except FacialEmotionError as error:
            _log.info('%s is left out of the choice of the engine: %s', name, error)
            continue
        if not engine.degraded:
            engines[name] = engine
    for _ in range(_ROUNDS):
        for name, engine in engines.items():
            started = clock()
            engine.run(crop)
            took.setdefault(name, []).append(1e3 * (clock() - started))
    return {name: round(median(each), 3) for name, each in took.items()}


def _key(bundle: ModelBundle, plan: Dict[str, Any]) -> str:
    """Return the cache key: all that the choice depends on, in one line."""
    return ' | '.join(
        [
            model_name(cpuinfo()) or board(),
            '%d cores' % (os.cpu_count() or 1),
            'onnxruntime ' + onnxruntime.__version__,
            'openvino ' + (openvino_version() or 'none'),
            bundle.sha256[:16],
            json.dumps(plan, sort_keys=True),
        ]
    )


def _times_text(took_ms: Mapping[str, float], best: str) -> str:
    """Format the times, the best one first."""
    others = sorted((pair for pair in took_ms.items() if pair[0] != best), key=lambda pair: pair[1])
    return ', '.join('%s %.1f ms' % pair for pair in [(best, took_ms[best])] + others)
