"""Anytime inference: base, groups of branches and heads run as separate models, until a deadline."""

import time
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnx_proto import extract
from facial_emotion_ros.inference.onnxruntime_backend import OrtModel, open_model

if TYPE_CHECKING:
    from facial_emotion_ros.inference.openvino_backend import OpenVinoModel

#: Branches per group: a smaller group gives finer steps, but each group costs a call.
GROUP = 3


class AnytimeNetwork:
    """An ESR whose groups of branches run one after the other until a deadline; the first always runs.

    Each part has only its own weights, so they are in memory once. The first k branches are a smaller ensemble.
    """

    def __init__(self, bundle: ModelBundle, plan: ProviderPlan, group: int = GROUP) -> None:
        """Split the model and open its parts.

        :param bundle: an ESR made by `quantize`: its manifest names the tensors between the parts.
        :param plan: where the parts run: on the CPU, in either engine.
        :param group: branches per group, at least 1.
        :raises BadParameter: if the plan's first provider is not the CPU.
        :raises BadModel: if the bundle cannot be split.
        """
        if plan.engine == 'onnxruntime' and plan.names[0] != CPU:
            raise BadParameter(
                'expected %s as the first of inference.providers, since inference.deadline_ms is set, '
                'got %s; deadlines work on the CPU only' % (CPU, plan.names[0])
            )
        parts = bundle.manifest.get('parts')
        if not parts:
            raise BadModel(
                'Model bundle %r: expected one that can be split into parts, since inference.deadline_ms is set, '
                'got one without `parts` in its manifest; make it with `quantize`' % bundle.folder
            )
        self._input = bundle.manifest['input']['name']
        self._outputs = [bundle.manifest['outputs'][key]['name'] for key in ('logits', 'affect')]
        self._shared, self._means = list(parts['shared']), list(parts['means'])
        self._base = self._open(bundle, [self._input], self._shared, plan)
        self._groups = []
        for first in range(0, len(self._shared), group):
            names = self._shared[first : first + group], self._means[first : first + group]
            self._groups.append((names[0], names[1], self._open(bundle, names[0], names[1], plan)))
        self._heads = self._open(bundle, self._means, self._outputs, plan)
        self.bundle = bundle.without_model()

    @property
    def provider(self) -> str:
        """The execution provider that runs the parts."""
        return self._base.provider

    @property
    def degraded(self) -> str:
        """Always '': the CPU is what was requested."""
        return self._base.degraded

    def run(
        self, crops: np.ndarray, until_s: Optional[float] = None, clock: Callable[[], float] = time.monotonic
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Run the base, as many groups of branches as the deadline allows, and the heads.

        :param crops: (N, C, S, S) uint8, N at least 1.
        :param until_s: deadline, by the clock; None for all branches.
        :param clock: returns seconds.
        :returns: logits (N, k, 8) and affect (N, k, 2), float32, of the first k branches, at least one group.
        :raises BadModel: if a part fails.
        """
        shared = dict(zip(self._shared, self._base.run(self._shared, {self._input: crops})))
        means: List[np.ndarray] = []
        took_s = 0.0
        for takes, gives, model in self._groups:
            started_s = clock()
            # Assumes that the next group takes as long as the last one.
            if means and until_s is not None and started_s + took_s > until_s:
                break
            means += model.run(gives, {name: shared[name] for name in takes})
            took_s = clock() - started_s
        count = len(means)
        missing = [np.zeros_like(means[0])] * (len(self._means) - count)
        logits, affect = self._heads.run(self._outputs, dict(zip(self._means, means + missing)))
        return logits[:, :count], affect[:, :count]

    @staticmethod
    def _open(
        bundle: ModelBundle, inputs: Sequence[str], outputs: Sequence[str], plan: ProviderPlan
    ) -> 'Union[OrtModel, OpenVinoModel]':
        part = ModelBundle(bundle.folder, bundle.manifest, extract(bundle.model_bytes, inputs, outputs))
        return open_model(part, plan)
