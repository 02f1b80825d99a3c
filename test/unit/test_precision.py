"""What a device computes in."""

import pytest
import torch

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.loop import precision


@pytest.mark.parametrize('is_faster', [True, False])
def test_precision_is_what_the_processor_is_fast_in_when_nobody_says(is_faster, monkeypatch):
    assert precision.is_faster_in_bfloat16() in (True, False)
    monkeypatch.setattr(precision, 'is_faster_in_bfloat16', lambda: is_faster)
    chosen, sentence = precision.choose_precision(torch.device('cpu'))
    assert chosen == (torch.bfloat16 if is_faster else torch.float32)
    assert sentence.startswith('cpu') and str(chosen)[6:] in sentence
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
