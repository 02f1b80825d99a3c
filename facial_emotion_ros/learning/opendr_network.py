"""The ESR that `FacialEmotionLearner.model` is: our network with the methods and outputs of OpenDR's."""

import torch

from facial_emotion_ros.learning.network import ESR
from facial_emotion_ros.learning.published import joined, parts_of


class OpenDrEsr(ESR):
    """An ESR or ESR* in evaluation mode that answers as OpenDR's does: lists with one entry for each branch.

    Base, branches and names of weights are ESR's own.
    """

    def __init__(self, device='cpu', ensemble_size=9, diversified=False):
        """Make a network with random weights.

        :param device: where it computes.
        :param ensemble_size: number of branches, at least 1.
        :param diversified: ESR*, with CBAM behind each block.
        :raises BadParameter: if there is no branch.
        """
        super().__init__(ensemble_size, diversified)
        self.to(device).eval()

    @property
    def device(self):
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def ensemble_size(self):
        """The number of branches."""
        return self.branches

    def forward(self, crops, base_gradient=1.0):
        """Run base and all branches.

        :param crops: (N, 3, S, S) float.
        :param base_gradient: see ESR.
        :returns: list of logits (N, 8) of each branch; list of affect (N, 2) of each branch; and of an ESR* the list of
            its branches' attention to places (n, N, F, F) and to channels (n, N, 512), of a plain ESR 0.
        """
        logits, affect, *attention = super().forward(crops, base_gradient, with_attention=self.diversified)
        attended = [attention[0].spatial.transpose(0, 1), attention[0].channel.transpose(0, 1)] if attention else 0
        return list(logits.unbind(1)), list(affect.unbind(1)), attended

    def outputs(self, crops):
        """Run base and all branches, as :meth:`ESR.forward` does, without a gradient.

        :param crops: (N, 3, S, S) float32 array.
        :returns: logits (N, n, 8) and affect (N, n, 2), float32 arrays.
        """
        with torch.inference_mode():
            outputs = super().forward(torch.from_numpy(crops).to(self.device))
        return tuple(output.float().cpu().numpy() for output in outputs)

    def get_ensemble_size(self):
        """Return the number of branches."""
        return self.branches

    def to_device(self, device_to_process='cpu'):
        """Move to a device."""
        self.to(device_to_process)

    def to_state_dict(self):
        """Copy the weights.

        :returns: list of state dicts: the base's, then one for each branch.
        """
        parts = parts_of(self.state_dict())
        return [{name: tensor.detach().clone() for name, tensor in part.items()} for part in parts]

    def reload(self, best_configuration):
        """Take weights.

        :param best_configuration: list as :meth:`to_state_dict` gives it.
        """
        self.load_state_dict(joined(best_configuration))
