"""The network of FacialEmotionLearner: an ESR with OpenDR's methods and outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from facial_emotion_ros.training.model.author_checkpoints import joined, parts_of
from facial_emotion_ros.training.model.network import ESR, Weights


class OpenDrEsr(ESR):
    """An ESR or ESR* in evaluation mode with OpenDR's outputs: lists with one entry per branch."""

    def __init__(self, device: torch.device | str = 'cpu', ensemble_size: int = 9, diversified: bool = False) -> None:
        """Make a network with random weights.

        :param device: torch device.
        :param ensemble_size: number of branches, at least 1.
        :param diversified: ESR*, with CBAM after each block.
        :raises BadParameter: if there is no branch.
        """
        super().__init__(ensemble_size, diversified)
        self.to(device).eval()

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    @property
    def ensemble_size(self) -> int:
        """The number of branches."""
        return self.branches

    def forward(self, crops: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor], Any]:  # type: ignore[override]
        """Run base and all branches.

        :param crops: (N, 3, S, S) float.
        :returns: list of logits (N, 8) and list of affect (N, 2) of each branch; and for an ESR* the spatial attention
            (n, N, F, F) and channel attention (n, N, 512), for a plain ESR 0.
        """
        logits, affect, *attention = super().forward(crops, with_attention=self.diversified)
        attended = [attention[0].spatial.transpose(0, 1), attention[0].channel.transpose(0, 1)] if attention else 0
        return list(logits.unbind(1)), list(affect.unbind(1)), attended

    def outputs(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run base and all branches without gradients.

        :param crops: (N, 3, S, S) float32 array.
        :returns: logits (N, n, 8) and affect (N, n, 2), float32 arrays.
        """
        with torch.inference_mode():
            outputs = super().forward(torch.from_numpy(crops).to(self.device))
        return tuple(output.float().cpu().numpy() for output in outputs)

    def get_ensemble_size(self) -> int:
        """Return the number of branches."""
        return self.branches

    def to_device(self, device_to_process: torch.device | str = 'cpu') -> None:
        """Move to a device."""
        self.to(device_to_process)

    def to_state_dict(self) -> list[Weights]:
        """Copy the weights: state dicts of the base, then of each branch."""
        parts = parts_of(self.state_dict())
        return [{name: tensor.detach().clone() for name, tensor in part.items()} for part in parts]

    def reload(self, best_configuration: Sequence[Weights]) -> None:
        """Load weights from :meth:`to_state_dict`."""
        self.load_state_dict(joined(best_configuration))
