"""An ensemble that answers in time: base, groups of branches and heads as models of their own, run while time lasts."""

import time
from typing import Callable, List, Optional, Tuple

import numpy as np

from facial_emotion_ros.engines import open_model
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.onnx_parts import extract

#: Branches that run together: fewer make finer steps, and each group costs a call.
GROUP = 3


class AnytimeNetwork:
    """A bundle's ESR, whose groups of branches run one after the other until a deadline; the first always does.

    The weights are held once: each part has its own. Branches learned side by side and know as much as each other, so
    fewer of them are a smaller ensemble, no worse network.
    """

    def __init__(self, bundle: ModelBundle, plan: ProviderPlan, group: int = GROUP):
        """Cut the model and open its parts.

        :param bundle: an ESR's that `quantize` made: its manifest names the tensors between the parts.
        :param plan: where the parts are to run: on the CPU, in either engine.
        :param group: branches that run together, at least 1.
        :raises BadParameter: if a GPU is asked for.
        :raises BadModel: if the bundle cannot be cut.
        """
        if plan.engine == 'onnxruntime' and plan.names[0] != CPU:
            raise BadParameter('expected %s as the first of inference.providers, since inference.deadline_ms is set, '
                               'got %s; a deadline is kept on the CPU alone' % (CPU, plan.names[0]))
        said = bundle.manifest.get('parts')
        if not said:
            raise BadModel('Model bundle %r: expected one that can be cut into parts, as inference.deadline_ms needs, '
                           'got one without `parts` in its manifest; make it with `quantize`' % bundle.folder)
        self._input = bundle.manifest['input']['name']
        self._outputs = [bundle.manifest['outputs'][key]['name'] for key in ('logits', 'affect')]
        self._shared, self._means = list(said['shared']), list(said['means'])
        self._base = self._open(bundle, [self._input], self._shared, plan)
        self._groups = []
        for first in range(0, len(self._shared), group):
            names = self._shared[first:first + group], self._means[first:first + group]
            self._groups.append((names[0], names[1], self._open(bundle, names[0], names[1], plan)))
        self._heads = self._open(bundle, self._means, self._outputs, plan)
        self.bundle = bundle.without_model()

    @property
    def provider(self) -> str:
        """What runs the parts."""
        return self._base.provider

    @property
    def degraded(self) -> str:
        """'': a deadline is kept on the CPU, which is what is asked for."""
        return self._base.degraded

    def run(self, crops: np.ndarray, until_s: Optional[float] = None,
            clock: Callable[[], float] = time.monotonic) -> Tuple[np.ndarray, np.ndarray]:
        """Run base and heads, and between them as many groups of branches as the time allows.

        :param crops: (N, C, S, S) uint8, N at least 1.
        :param until_s: when the answer shall be there, by the clock; None for all branches.
        :param clock: returns seconds.
        :returns: logits (N, k, 8) and affect (N, k, 2), float32: of the first k branches, one group's at least.
        :raises BadModel: if a part fails.
        """
        shared = dict(zip(self._shared, self._base.run(self._shared, {self._input: crops})))
        means: List[np.ndarray] = []
        took_s = 0.0
        for takes, gives, model in self._groups:
            started_s = clock()
            # What one group took, the next one will take as well.
            if means and until_s is not None and started_s + took_s > until_s:
                break
            means += model.run(gives, {name: shared[name] for name in takes})
            took_s = clock() - started_s
        count = len(means)
        missing = [np.zeros_like(means[0])] * (len(self._means) - count)
        logits, affect = self._heads.run(self._outputs, dict(zip(self._means, means + missing)))
        return logits[:, :count], affect[:, :count]

    @staticmethod
    def _open(bundle, inputs, outputs, plan):
        part = ModelBundle(bundle.folder, bundle.manifest, extract(bundle.model_bytes, inputs, outputs))
        return open_model(part, plan)
