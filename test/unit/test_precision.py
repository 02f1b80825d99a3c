"""What a device computes in."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')

from facial_emotion_ros.core.errors import BadParameter  # noqa: E402
from facial_emotion_ros.training.loop import precision  # noqa: E402

ZEN_4 = 'processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor\t: 1\nflags\t\t: fpu avx2 avx512_bf16\n'
HASWELL = 'processor\t: 0\nflags\t\t: fpu avx avx2 fma\n'
GRAVITON_3 = 'processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n'
MIXED = ZEN_4 + HASWELL


@pytest.mark.parametrize(
    'processor, multiplies',
    [(ZEN_4, True), (GRAVITON_3, True), (HASWELL, False), (MIXED, False), ('', False), ('flags : not_bf16\n', False)],
)
def test_bfloat16_is_found_when_every_processor_multiplies_it(processor, multiplies):
    assert precision.multiplies_bfloat16(processor) == multiplies


def test_precision_is_what_the_processor_offers_when_nobody_says():
    chosen, sentence = precision.choose_precision(torch.device('cpu'))
    assert chosen in (torch.bfloat16, torch.float32) and sentence.startswith('cpu') and str(chosen)[6:] in sentence
    assert precision.choose_precision(torch.device('cpu'), 'float32')[0] == torch.float32
    with pytest.raises(BadParameter, match='expected auto, float32, bfloat16, float16'):
        precision.choose_precision(torch.device('cpu'), 'int8')


def test_a_device_is_refused_when_it_is_not_there():
    assert precision.choose_device('cpu').type == 'cpu'
    assert precision.choose_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
    for name in ('toaster', 'meta'):
        with pytest.raises(BadParameter, match='auto, cpu, cuda'):
            precision.choose_device(name)
    with pytest.raises(BadParameter, match='GPUs'):
        precision.choose_device('cuda:99')
