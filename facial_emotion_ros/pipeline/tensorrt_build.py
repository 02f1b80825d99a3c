"""Build TensorRT engines in a child process, which writes them to the engine cache.

Building takes minutes on a small board, and most versions of ONNX Runtime block all other threads of the process
meanwhile: the node would not respond, not even to signals.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Dict, Optional

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.inference.execution_providers import TENSORRT, ProviderPlan
from facial_emotion_ros.inference.model_bundle import opened_bundle
from facial_emotion_ros.inference.precision import bundle_for
from facial_emotion_ros.inference.tensorrt_cache import EngineCache, kept_engines
from facial_emotion_ros.pipeline.backend_autotune import choose
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

#: Program of the child. It first asks to be killed with its parent (prctl option 1, PR_SET_PDEATHSIG), and checks that
#: the parent is still there.
_BUILDER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    from facial_emotion_ros.pipeline.tensorrt_build import build
    build(sys.argv[2])
"""

_CANCELLED = "Building TensorRT's engines was cancelled, since the node shuts down."

_log = logging.getLogger(__name__)


class EngineBuild:
    """Build missing engines before a start; another thread may cancel it."""

    def __init__(self, models: Dict[str, Any], plan: Dict[str, Any]) -> None:
        """Set the arguments; nothing is built yet.

        :param models: arguments of EmotionPipeline without the providers; JSON values.
        :param plan: arguments of ProviderPlan, with 'engine_cache' (its root) for the cache; the engine may be 'auto'.
        """
        self._models = models
        self._plan = plan
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen] = None
        self._cancelled = False

    def plan(self) -> ProviderPlan:
        """Return a new plan for the pipeline; for engine 'auto', the choice is measured or read from the cache.

        :raises BadParameter: see ProviderPlan.
        :raises BadModel: if the engine has to be measured and the bundle is refused.
        """
        given = dict(self._plan)
        cache = EngineCache(given.pop('engine_cache'))
        if given.get('engine') == 'auto':
            del given['engine']
            # OpenVINO stands for the CPU here; the precision on a GPU follows from its plan.
            name = bundle_for(self._models['esr'], ProviderPlan(**dict(given, engine='openvino')))
            choice = choose(opened_bundle(name, expect='esr'), given, cache)
            _log.info('Engine %s', choice.reason)
            given.update(choice.changes)
        return ProviderPlan(cache=cache, **given)

    def run(self, plan: ProviderPlan) -> None:
        """Build the missing engines, and wait for them.

        :param plan: where the models run. If the build crashes, TensorRT is removed from it, since the node would crash
            too. If the build fails otherwise, the pipeline will fail with the reason.
        :raises BadModel: if a bundle is refused.
        :raises FacialEmotionError: if it was cancelled.
        """
        if plan.engine != 'onnxruntime' or TENSORRT not in plan.candidates()[:1] or not self._missing(plan):
            return
        with self._lock:
            if self._cancelled:
                raise FacialEmotionError(_CANCELLED)
            # In a new session, so that Ctrl-C reaches only the node, which then cancels the build.
            process = self._process = subprocess.Popen(
                [sys.executable, '-c', _BUILDER, str(os.getpid()), json.dumps([self._models, self._plan])],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        _log.info(
            'TensorRT builds its engines now, in process %d, which takes minutes on a small board; the cache is %s',
            process.pid,
            plan.cache.root if plan.cache else '',
        )
        status = process.wait()
        if self._cancelled:
            raise FacialEmotionError(_CANCELLED)
        if status < 0:
            plan.failed(
                TENSORRT,
                '%s ended with signal %d (%s) while it built its engines'
                % (TENSORRT, -status, signal.Signals(-status).name),
            )

    def cancel(self) -> None:
        """Kill a running build, and prevent later ones."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _missing(self, plan: ProviderPlan) -> bool:
        """Return whether an engine is missing in a writable cache."""
        bundles = (opened_bundle(bundle_for(self._models[part], plan)) for part in ('esr', 'detector'))
        return any(folder and not kept_engines(folder) for folder in map(plan.engine_folder, bundles))


def build(description: str) -> None:
    """Open the models and run each once, which builds the engines.

    :param description: arguments of EngineBuild as JSON.
    """
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    models, plan = json.loads(description)
    EmotionPipeline(providers=EngineBuild(models, plan).plan(), **models).warm_up()
