"""A network in ONNX Runtime, exported by this package or by OpenDR."""

import os

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnxruntime_backend import open_session

#: Execution providers by device.
_PROVIDERS = {'cuda': ('CUDAExecutionProvider', CPU), 'cpu': (CPU,)}


class OptimizedNetwork:
    """An ESR as an ONNX Runtime session.

    session: onnxruntime.InferenceSession.
    branches: number of branches.
    model_bytes: the ONNX file.
    """

    def __init__(self, model_bytes: bytes, name: str, device: str = 'cpu') -> None:
        """Open a session.

        :param model_bytes: ONNX file with one input (N, 3, S, S) and outputs logits (N, B, 8) and affect (N, B, 2), or,
            as OpenDR exports, B logits (N, 8) and B affects (N, 2).
        :param name: display name.
        :param device: 'cpu' or 'cuda', which falls back to the CPU with a warning.
        :raises BadModel: if it cannot be loaded, or has other inputs or outputs.
        """
        bundle = ModelBundle('', {'name': name}, model_bytes)
        plan = ProviderPlan(_PROVIDERS[device.partition(':')[0]], threads=os.cpu_count() or 1)
        self.session, _ = open_session(bundle, plan)
        self.model_bytes = model_bytes
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self._logits = [node.name for node in outputs if node.shape and node.shape[-1] == len(EMOTIONS)]
        affect = [node.name for node in outputs if node.shape and node.shape[-1] == 2]
        # OpenDR's plain ESR repeats its affect in place of the attention.
        is_repeated = len(affect) == 2 * len(self._logits)
        self._affect = affect[: len(self._logits)] if is_repeated else affect
        if len(inputs) != 1 or not self._logits or len(self._logits) != len(self._affect):
            shapes = ', '.join(f'{node.name} {node.shape}' for node in inputs + outputs)
            raise BadModel(f'{name}: expected an ESR with one input, logits (..., 8) and affect (..., 2), got {shapes}')
        self._input = inputs[0].name
        self._at_once = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else 0
        side = inputs[0].shape[-1]
        #: Side of the crops; None for any.
        self.size_px = side if isinstance(side, int) else None
        first = next(node for node in outputs if node.name == self._logits[0])
        self.branches = first.shape[1] if len(first.shape) == 3 else len(self._logits)

    def outputs(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run base and all branches.

        :param crops: (N, 3, S, S) float32 array; padded for OpenDR's files, whose batch size is fixed.
        :returns: logits (N, B, 8) and affect (N, B, 2), float32 arrays; N = 0 gives empty ones.
        """
        logits = [np.zeros((0, self.branches, len(EMOTIONS)), np.float32)]
        affect = [np.zeros((0, self.branches, 2), np.float32)]
        step = self._at_once or max(1, len(crops))
        for begin in range(0, len(crops), step):
            part = crops[begin : begin + step]
            filled = (
                np.concatenate([part, np.zeros((self._at_once - len(part),) + part.shape[1:], np.float32)])
                if self._at_once
                else part
            )
            results = self.session.run(self._logits + self._affect, {self._input: filled})
            for parts, arrays in ((logits, results[: len(self._logits)]), (affect, results[len(self._logits) :])):
                stacked = arrays[0] if arrays[0].ndim == 3 else np.stack(arrays, 1)
                parts.append(stacked[: len(part)])
        return np.concatenate(logits), np.concatenate(affect)
