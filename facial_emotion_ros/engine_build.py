"""Build TensorRT's engines in a process of its own, which leaves them in the engine cache.

Building takes minutes on a small board, and most versions of ONNX Runtime let no other thread of their process run
meanwhile: a node that built its engines itself would answer nobody, and could not even be told to end.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Dict

from facial_emotion_ros.engine_cache import EngineCache, kept_engines
from facial_emotion_ros.engine_choice import choose
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.execution_providers import TENSORRT, ProviderPlan
from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.pipeline import EmotionPipeline
from facial_emotion_ros.precision_choice import bundle_for

#: What the process of its own runs. Before it imports anything that takes time, it asks to be killed when the thread
#: that started it is gone (prctl's option 1, PR_SET_PDEATHSIG in Linux' prctl.h), and sees whether it is gone already.
_BUILDER = '''
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    from facial_emotion_ros.engine_build import build
    build(sys.argv[2])
'''

_CANCELLED = 'Building the engines of TensorRT was cancelled, since the node ends.'

_log = logging.getLogger(__name__)


class EngineBuild:
    """The build before a start, if one is needed; another thread may cancel it."""

    def __init__(self, models: Dict[str, Any], plan: Dict[str, Any]):
        """Take what the pipeline will be made of; nothing is built yet.

        :param models: arguments of EmotionPipeline but the providers, as JSON can hold them.
        :param plan: arguments of ProviderPlan but the cache, and 'engine_cache', its root; the engine may be 'auto'.
        """
        self._models = models
        self._plan = plan
        self._lock = threading.Lock()
        self._process = None
        self._cancelled = False

    def plan(self) -> ProviderPlan:
        """Return a new plan for the pipeline. Where the engine is 'auto', it is measured or remembered here, and told.

        :raises BadParameter: see ProviderPlan.
        :raises BadModel: if the engine has to be measured and the bundle is refused.
        """
        given = dict(self._plan)
        cache = EngineCache(given.pop('engine_cache'))
        if given.get('engine') == 'auto':
            del given['engine']
            # OpenVINO stands for the CPU here: a GPU that takes part in the choice computes in what its plan says.
            name = bundle_for(self._models['esr'], ProviderPlan(**dict(given, engine='openvino')))
            choice = choose(ModelBundle.open(resolve_bundle(name), expect='esr'), given, cache)
            _log.info('Engine %s', choice.reason)
            given.update(choice.changes)
        return ProviderPlan(cache=cache, **given)

    def run(self, plan: ProviderPlan):
        """Build the engines that are missing, and wait for them.

        :param plan: where the models are to run. A build that crashes makes it leave TensorRT: the crash would be the
            node's next. One that merely fails changes nothing: the pipeline will meet the same and tell the reason.
        :raises BadModel: if a bundle is refused.
        :raises FacialEmotionError: if it was cancelled.
        """
        if plan.engine != 'onnxruntime' or TENSORRT not in plan.candidates()[:1] or not self._missing(plan):
            return
        with self._lock:
            if self._cancelled:
                raise FacialEmotionError(_CANCELLED)
            # A session of its own: Ctrl-C in a terminal is for the node, which then cancels the build.
            self._process = subprocess.Popen(
                [sys.executable, '-c', _BUILDER, str(os.getpid()), json.dumps([self._models, self._plan])],
                stdin=subprocess.DEVNULL, start_new_session=True)
        _log.info('TensorRT builds its engines now, in a process of its own (%d), which takes minutes on a small '
                  'board; they are kept in %s', self._process.pid, plan.cache.root if plan.cache else '')
        status = self._process.wait()
        if self._cancelled:
            raise FacialEmotionError(_CANCELLED)
        if status < 0:
            plan.failed(TENSORRT, '%s ended with signal %d (%s) while it built its engines' % (
                TENSORRT, -status, signal.Signals(-status).name))

    def cancel(self):
        """End a build that is under way, and start none any more."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _missing(self, plan):
        """Return whether an engine is missing in a cache that could keep it."""
        for name in (self._models['esr'], self._models['detector']):
            folder = plan.engine_folder(ModelBundle.open(resolve_bundle(bundle_for(name, plan))))
            if folder and not kept_engines(folder):
                return True
        return False


def build(description: str):
    """Open the models and run each once, which builds the engines.

    :param description: what an EngineBuild is made of, as JSON.
    """
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    models, plan = json.loads(description)
    EmotionPipeline(providers=EngineBuild(models, plan).plan(), **models).warm_up()
