"""The form for inference computes what the network computes."""

import numpy as np
import onnxruntime
import pytest
import torch
from test_export import used
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.face_crops import CropGeometry, normalize
from facial_emotion_ros.training.model.export import to_inference_onnx, to_onnx
from facial_emotion_ros.training.model.inference_network import used_side


def pixels_of(count, planes, size_px, seed=0):
    """Return random crops in whole numbers."""
    return np.random.default_rng(seed).integers(0, 256, (count, planes, size_px, size_px)).astype(np.uint8)


def open_onnx(model_bytes):
    """Open a model in ONNX Runtime, with exact int8 sums on every processor, as the product does."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry('session.x64quantprecision', '1')
    return onnxruntime.InferenceSession(model_bytes, options, providers=['CPUExecutionProvider'])


@pytest.mark.parametrize('size_px, side', [(96, 94), (64, 62), (54, 54), (55, 54), (80, 78)])
def test_what_no_result_depends_on_is_left_out_and_nothing_else(size_px, side):
    assert used_side(size_px) == side
    assert used_side(size_px, diversified=True) == size_px  # its attention sees what pooling drops
    network = used(1, False, 64)
    crops = torch.from_numpy(normalize(pixels_of(1, 1, size_px), CropGeometry(size_px=size_px)).copy())
    with torch.inference_mode():
        expected = network(crops)[0]
        beyond, within = crops.clone(), crops.clone()
        beyond[:, :, side:], beyond[:, :, :, side:] = 0, 0
        within[:, :, side - 1 :] = 0
        torch.testing.assert_close(network(beyond)[0], expected, rtol=0, atol=1e-5)
        assert (network(within)[0] - expected).abs().max() > 1e-4


@pytest.mark.parametrize(
    'branches, diversified, size_px, color',
    [
        (3, False, 64, 'gray_x3'),
        (1, False, 96, 'bgr'),
        (2, True, 64, 'gray_x3'),
        (2, False, 55, 'bgr'),
    ],
)
def test_logits_and_affect_are_the_network_s(branches, diversified, size_px, color):
    network = used(branches, diversified, 64)
    geometry = CropGeometry(size_px=size_px, color=color)
    session = open_onnx(to_inference_onnx(network, geometry))
    for count in (0, 1, 3):
        pixels = pixels_of(count, geometry.planes, size_px)
        with torch.inference_mode():
            expected = network(torch.from_numpy(normalize(pixels, geometry).copy()))
        for name, wanted in zip(('logits', 'affect'), expected):
            found = session.run([name], {'pixels': pixels})[0]
            assert found.shape == tuple(wanted.shape)
            np.testing.assert_allclose(found, wanted.numpy(), atol=2e-4)


def test_the_fp32_model_leaves_out_the_same_and_gives_the_same():
    network = used(2, False, 64)
    crops = normalize(pixels_of(2, 1, 64), CropGeometry(size_px=64)).copy()
    cut_off = crops.copy()
    cut_off[:, :, 62:] = 0.5
    session = open_onnx(to_onnx(network, 64, half=False))
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops))[0].numpy()
    for each in (crops, cut_off):
        np.testing.assert_allclose(session.run(['logits'], {'crops': each})[0], expected, atol=2e-4)


def test_a_size_that_leaves_nothing_is_refused():
    with pytest.raises(BadParameter, match='at least 54'):
        to_inference_onnx(used(1, False, 64), CropGeometry(size_px=53))
