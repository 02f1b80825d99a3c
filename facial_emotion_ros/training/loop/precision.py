"""Chooses device and numeric precision."""

import platform

import torch

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.system.cpu_info import cpuinfo, flags

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
    if multiplies_bfloat16(cpuinfo()):
        return torch.bfloat16, 'cpu: bfloat16, supported in hardware'
    return torch.float32, f'cpu ({platform.machine()}): float32, no bfloat16 in hardware'


def multiplies_bfloat16(processor: str) -> bool:
    """Return whether a CPU has bfloat16 arithmetic; without it, bfloat16 is slower than float32.

    :param processor: contents of /proc/cpuinfo.
    """
    found = flags(processor)
    return bool(found) and all({'avx512_bf16', 'amx_bf16', 'bf16'} & each for each in found)
