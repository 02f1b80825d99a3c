"""Chooses device and numeric precision."""

import platform
import time

import torch

from facial_emotion_ros.core.errors import BadParameter

#: Precisions by name.
PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


def choose_device(wanted: str = 'auto') -> torch.device:
    """Choose the training device.

    :param wanted: auto, cpu, cuda or cuda:N.
    :returns: torch.device.
    :raises BadParameter: if there is no such device; there is no silent fallback.
    """
    if wanted == 'auto':
        wanted = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BadParameter(f'device: expected auto, cpu, cuda or cuda:N, got {wanted!r}') from error
    if device.type not in ('cpu', 'cuda'):
        raise BadParameter(f'device: expected auto, cpu, cuda or cuda:N, got {wanted!r}')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise BadParameter(
            f'device: expected {wanted}, torch finds {torch.cuda.device_count()} GPUs on this machine; check '
            "nvidia-smi and torch's build, or use --device cpu"
        )
    return device


def choose_precision(device: torch.device, wanted: str = 'auto') -> tuple[torch.dtype, str]:
    """Choose the numeric precision.

    :param device: torch.device.
    :param wanted: auto or a name of PRECISIONS.
    :returns: torch.dtype, and a sentence with the reason.
    :raises BadParameter: if there is no such precision.
    """
    if wanted != 'auto':
        if wanted not in PRECISIONS:
            raise BadParameter(f'precision: expected auto, {", ".join(PRECISIONS)}, got {wanted!r}')
        return PRECISIONS[wanted], f'{device}: {wanted}, as requested'
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
        if torch.cuda.get_device_capability(device)[0] >= 8:
            return torch.bfloat16, f'{device} ({name}): bfloat16, supported in hardware'
        return torch.float16, f'{device} ({name}): float16 with loss scaling, no bfloat16 in hardware'
    if is_faster_in_bfloat16():
        return torch.bfloat16, f'cpu ({platform.machine()}): bfloat16, faster than float32 here'
    return torch.float32, f'cpu ({platform.machine()}): float32, as fast as bfloat16 here'


def is_faster_in_bfloat16() -> bool:
    """Time a convolution and its gradient on the CPU.

    CPU flags do not decide it: with avx512_bf16 but without amx_bf16, bfloat16 takes 1.7 times as long on Intel.

    :returns: whether bfloat16 takes less than 80% of float32's time.
    """
    layer = torch.nn.Conv2d(64, 128, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = torch.zeros(4, 64, 30, 30).to(memory_format=torch.channels_last)
    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(6):
        for precision, taken in times.items():
            start = time.perf_counter()
            with torch.autocast('cpu', precision, enabled=precision != torch.float32):
                output = layer(features)
            output.float().sum().backward()
            taken.append(time.perf_counter() - start)
    return min(times[torch.bfloat16]) < 0.8 * min(times[torch.float32])
