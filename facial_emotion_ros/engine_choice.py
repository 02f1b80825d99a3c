"""Find out by measuring which inference engine is the fastest here, once for each machine and model."""

import json
import logging
import math
import os
import time
from statistics import median
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import onnxruntime

from facial_emotion_ros.atomic_file import read_cached, write_whole
from facial_emotion_ros.engine_cache import EngineCache, board, kept_engines
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.execution_providers import CPU, TENSORRT, ProviderPlan
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.openvino_model import OPENVINO, openvino_version
from facial_emotion_ros.processor import cpuinfo, model_name

#: The file of choices, in the folder that the engine cache has.
CHOICES_FILE = 'engine_choices.json'

#: How often each candidate reads a face: in turn, so that a machine that is busy for a while is so for all of them.
_ROUNDS = 15
_WARM_UP = 3

_log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """What was found: arguments of ProviderPlan that are to be changed, and the reason in words."""

    changes: Dict[str, Any]
    reason: str


def choose(bundle: ModelBundle, plan: Dict[str, Any], cache: EngineCache,
           clock: Callable[[], float] = time.perf_counter) -> Choice:
    """Choose the engine for a network, and remember it.

    Only what runs at once is measured: TensorRT takes part where its engines lie in the cache, OpenVINO where it is
    installed. Later starts with the same machine, versions, model, threads and precision take the remembered choice.

    :param bundle: the emotion network's.
    :param plan: arguments of ProviderPlan but cache and engine.
    :param cache: where engines lie, and beside them the file of choices.
    :param clock: returns seconds.
    :returns: Choice. Where nothing works, that is ONNX Runtime on the providers that were asked for.
    """
    path = os.path.join(cache.root, CHOICES_FILE)
    key = _key(bundle, plan)
    known = _read(path)
    candidates = _candidates(bundle, plan, cache)
    if known.get(key, {}).get('choice') in candidates:
        found = known[key]
        return Choice(candidates[found['choice']], '%s, as measured on %s: %s' % (
            found['choice'], found.get('date', 'an earlier day'), _said(found['ms'])))
    took_ms = _measure(bundle, plan, cache, candidates, clock)
    if not took_ms:
        return Choice({'engine': 'onnxruntime'}, 'onnxruntime: nothing could be measured')
    best = min(took_ms, key=lambda name: took_ms[name])
    known[key] = {'choice': best, 'ms': took_ms, 'date': time.strftime('%Y-%m-%d')}
    try:
        write_whole(path, (json.dumps(known, indent=2, sort_keys=True) + '\n').encode('utf-8'))
    except OSError as error:
        _log.warning('The choice of the engine cannot be kept in %s (%s): it is measured at each start', path,
                     error.strerror)
    return Choice(candidates[best], '%s, the fastest for one face: %s' % (best, _said(took_ms)))


def _candidates(bundle, plan, cache) -> Dict[str, Dict[str, Any]]:
    """Return what runs at once: name -> arguments of ProviderPlan that it changes."""
    found: Dict[str, Dict[str, Any]] = {}
    if plan.get('precision') != 'bf16':
        asked = ProviderPlan(cache=cache, **plan)
        for name in asked.candidates():
            if name == TENSORRT and not kept_engines(asked.engine_folder(bundle)):
                continue
            found[name] = {'engine': 'onnxruntime', 'providers': [each for each in plan.get('providers', [CPU])
                                                                   if name in each] or [name]}
    if openvino_version() and plan.get('precision') != 'fp16':
        found[OPENVINO] = {'engine': 'openvino'}
    return found


def _measure(bundle, plan, cache, candidates, clock) -> Dict[str, float]:
    """Return how many milliseconds each candidate that works takes for a face, the median."""
    engines: Dict[str, EsrEngine] = {}
    took: Dict[str, List[float]] = {}
    for name, changes in candidates.items():
        try:
            engine = EsrEngine(bundle, ProviderPlan(cache=cache, **dict(plan, **changes)))
            crop = np.zeros((1, engine.geometry.planes) + (engine.geometry.size_px,) * 2, np.uint8)
            for _ in range(_WARM_UP):
                engine.run(crop)
        except FacialEmotionError as error:
            _log.info('%s takes no part in the choice of the engine: %s', name, error)
            continue
        if not engine.degraded:
            engines[name] = engine
    for _ in range(_ROUNDS):
        for name, engine in engines.items():
            started = clock()
            engine.run(crop)
            took.setdefault(name, []).append(1e3 * (clock() - started))
    return {name: round(median(each), 3) for name, each in took.items()}


def _key(bundle, plan) -> str:
    """Return what the choice depends on, in one line."""
    return ' | '.join([
        model_name(cpuinfo()) or board(), '%d cores' % (os.cpu_count() or 1), 'onnxruntime ' + onnxruntime.__version__,
        'openvino ' + (openvino_version() or 'none'), bundle.sha256[:16], json.dumps(plan, sort_keys=True)])


def _read(path: str) -> Dict[str, Any]:
    """Return the choices so far; what is damaged counts as none, and is measured anew."""
    return {key: each for key, each in (read_cached(path) or {}).items() if _is_choice(each)}


def _is_choice(kept) -> bool:
    if not (isinstance(kept, dict) and isinstance(kept.get('choice'), str) and isinstance(kept.get('ms'), dict)):
        return False
    return kept['choice'] in kept['ms'] and all(
        isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each) and each >= 0
        for each in kept['ms'].values())


def _said(took_ms) -> str:
    return ', '.join('%s %.1f ms' % pair for pair in sorted(took_ms.items(), key=lambda pair: pair[1]))
