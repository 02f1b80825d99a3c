"""What a device computes in: found out, not assumed."""

import platform

import torch

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.processor import cpuinfo, flags

#: Kinds of numbers by the name that people give.
PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


def choose_device(wanted='auto'):
    """Find the device to train on.

    :param wanted: auto, cpu, cuda or cuda:N.
    :returns: torch.device.
    :raises BadParameter: if there is no such device; nothing falls back in silence.
    """
    if wanted == 'auto':
        wanted = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BadParameter(f'device: auto, cpu, cuda or cuda:N expected, got {wanted!r}') from error
    if device.type not in ('cpu', 'cuda'):
        raise BadParameter(f'device: auto, cpu, cuda or cuda:N expected, got {wanted!r}')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise BadParameter(f'device: {wanted} expected, this machine offers torch {torch.cuda.device_count()} GPUs; '
                           "see nvidia-smi and torch's build, or take --device cpu")
    return device


def choose_precision(device, wanted='auto'):
    """Find what to compute in.

    :param device: torch.device.
    :param wanted: auto or a name of PRECISIONS.
    :returns: torch.dtype, and a sentence that says what it is and why.
    :raises BadParameter: if there is no such precision.
    """
    if wanted != 'auto':
        if wanted not in PRECISIONS:
            raise BadParameter(f'precision: auto, {", ".join(PRECISIONS)} expected, got {wanted!r}')
        return PRECISIONS[wanted], f'{device}: {wanted}, as wanted'
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
        if torch.cuda.get_device_capability(device)[0] >= 8:
            return torch.bfloat16, f'{device} ({name}): bfloat16, which it multiplies natively'
        return torch.float16, f'{device} ({name}): float16 with scaled losses, it has no bfloat16'
    if multiplies_bfloat16(cpuinfo()):
        return torch.bfloat16, 'cpu: bfloat16, which this processor multiplies natively'
    return torch.float32, f'cpu ({platform.machine()}): float32, this processor does not multiply bfloat16'


def multiplies_bfloat16(processor):
    """Tell whether a processor multiplies bfloat16 natively: elsewhere it is slower than float32.

    :param processor: text of /proc/cpuinfo.
    :returns: bool.
    """
    found = flags(processor)
    return bool(found) and all({'avx512_bf16', 'amx_bf16', 'bf16'} & each for each in found)
