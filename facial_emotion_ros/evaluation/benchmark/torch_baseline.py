"""Torch baselines of the benchmark: the reference network, operation counts, and matrix products."""

from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from facial_emotion_ros.inference.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.training.model.export import network_of, weights_of
from facial_emotion_ros.training.model.network import ESR


def open_baseline(bundle: str, threads: int) -> Callable[[], tuple[int, np.ndarray]]:
    """Reproduce OpenDR's infer with its plurality vote, but in evaluation mode and without gradients.

    :param bundle: path or name of an fp32 bundle.
    :param threads: torch threads.
    :returns: function that classifies one random crop.
    :raises BadModel: if the bundle is invalid or not fp32.
    """
    torch.set_num_threads(threads)
    opened = ModelBundle.open(resolve_bundle(bundle), expect='esr')
    network = network_of(weights_of(opened))
    side = opened.manifest['input']['size_px']
    crop = np.random.default_rng(0).integers(0, 256, (1, 3, side, side)).astype(np.float32) / 255

    def read():
        with torch.inference_mode():
            logits, affect = network(torch.from_numpy(crop))
            votes = torch.bincount(logits[0].argmax(1), minlength=logits.shape[2])
            return int(votes.argmax()), affect.mean(1).numpy()

    return read


def random_esr(branches: int, diversified: bool) -> ESR:
    """Make an ESR or ESR* with fixed random weights, in evaluation mode."""
    torch.manual_seed(0)
    return ESR(branches, diversified).eval()


def counts(network: ESR, size_px: int) -> tuple[int, float]:
    """Count the parameters of a network in evaluation mode, and its operations for one face.

    :param size_px: side of the crop.
    :returns: parameters, and multiplications plus additions of the convolutions and linear layers: 5.68e9 for ESR-9 at
        96 px.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, size_px, size_px))
    return sum(each.numel() for each in network.parameters()), float(counter.get_total_flops())


def matrix_product(side: int, precision: str, threads: int) -> Callable[[], torch.Tensor]:
    """Prepare a product of two random matrices.

    :param side: of the square matrices.
    :param precision: 'fp32' or 'bf16'.
    :param threads: torch threads.
    :returns: function without arguments that multiplies them.
    """
    torch.set_num_threads(threads)
    dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16}[precision]
    one, two, out = (torch.rand(side, side).to(dtype) for _ in range(3))
    return lambda: torch.mm(one, two, out=out)
