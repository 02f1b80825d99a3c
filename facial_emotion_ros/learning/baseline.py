"""What the benchmark needs of torch: the network that others are compared with, its operations, and plain products."""

import numpy as np
import torch

from facial_emotion_ros.learning.export import network_of, weights_of
from facial_emotion_ros.learning.network import ESR
from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle


def open_baseline(bundle, threads):
    """Do what OpenDR's infer does, but for its slips: in evaluation mode, without gradients, plurality vote.

    :param bundle: path or name of a master bundle.
    :param threads: of torch.
    :returns: function without arguments that reads one random crop.
    :raises BadModel: if the bundle is refused or no master.
    """
    torch.set_num_threads(threads)
    bundle = ModelBundle.open(resolve_bundle(bundle), expect='esr')
    network = network_of(weights_of(bundle))
    side = bundle.manifest['input']['size_px']
    crop = np.random.default_rng(0).integers(0, 256, (1, 3, side, side)).astype(np.float32) / 255

    def read():
        with torch.inference_mode():
            logits, affect = network(torch.from_numpy(crop))
            votes = torch.bincount(logits[0].argmax(1), minlength=logits.shape[2])
            return int(votes.argmax()), affect.mean(1).numpy()
    return read


def random_esr(branches, diversified):
    """Make an ESR or ESR* of random weights, always the same ones.

    :param branches: n.
    :param diversified: ESR*.
    :returns: ESR in evaluation mode.
    """
    torch.manual_seed(0)
    return ESR(branches, diversified).eval()


def counts(branches, diversified, size_px):
    """Count a network's parameters and operations.

    :param branches, diversified: see :func:`random_esr`.
    :param size_px: side of the crop.
    :returns: number of parameters, and of operations for one face.
    """
    network = ESR(branches, diversified)
    return sum(each.numel() for each in network.parameters()), float(operations(network, size_px))


def operations(network, size_px):
    """Count what a network computes for one face.

    :param network: torch module.
    :param size_px: side of the crop.
    :returns: multiplications and additions of its convolutions and linear layers, counted singly; ESR-9 at 96 px has
        5.68e9.
    """
    total = []

    def count(module, inputs, output):
        places = output.numel() if isinstance(module, torch.nn.Linear) else output[0].numel()
        total.append(2 * module.weight[0].numel() * places)
    hooks = [module.register_forward_hook(count) for module in network.modules()
             if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, size_px, size_px))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(total)


def matrix_product(side, precision, threads):
    """Prepare a product of two random matrices.

    :param side: of the square matrices.
    :param precision: 'fp32' or 'bf16'.
    :param threads: of torch.
    :returns: function without arguments that multiplies them.
    """
    torch.set_num_threads(threads)
    dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16}[precision]
    one, two, out = (torch.rand(side, side).to(dtype) for _ in range(3))
    return lambda: torch.mm(one, two, out=out)
