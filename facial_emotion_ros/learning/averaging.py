"""The weights that are kept: a moving average, and batch norm statistics that belong to it."""

import contextlib
import copy

import torch


class Average:
    """A moving average of a network's weights and statistics, as a network in evaluation mode."""

    def __init__(self, network, decay):
        """Begin where a network stands.

        :param network: ESR.
        :param decay: share of the former average that stays at each step; less in the first steps.
        """
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, network, step):
        """Move towards a network.

        :param network: ESR of the same shape.
        :param step: how many steps the training has taken.
        """
        decay = min(self.decay, step / (step + 10))
        mine, its = self.network.state_dict(), network.state_dict()
        names = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in names], [its[name] for name in names], 1 - decay)
        for name in mine.keys() - set(names):
            mine[name].copy_(its[name])


@contextlib.contextmanager
def batch_norms(network, momentum):
    """Have a network's batch norm collect statistics otherwise for a while.

    :param network: module.
    :param momentum: share of what is new; 0: the statistics stay. None: plain mean over the batches.
    :returns: context manager that gives the list of them; in the end each has its own momentum again.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = momentum
    try:
        yield norms
    finally:
        for norm, former in zip(norms, momenta):
            norm.momentum = former


@torch.no_grad()
def recalibrate(network, crops, precision=torch.float32):
    """Measure anew the statistics that batch norm normalises by.

    An average of weights goes through layers that none of the averaged networks had: the statistics that it inherits
    belong to others. Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization",
    UAI 2018, section 3.2.

    :param network: ESR in evaluation mode; its statistics are replaced, its mode stays.
    :param crops: iterable of (N, 3, S, S) float32 on the network's device; batches count alike.
    :param precision: torch.dtype that convolutions are computed in.
    """
    with batch_norms(network, None) as norms:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        for batch in crops:
            with torch.autocast(batch.device.type, precision, enabled=precision != torch.float32):
                network(batch.contiguous(memory_format=torch.channels_last))
        for norm in norms:
            norm.eval()
