"""The networks and engines of the benchmark."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.evaluation.benchmark.engines import Subject
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

#: Networks of OpenDR's tables: name -> (branches, diversified). Source: its page of FacialEmotionLearner.
NETWORKS = {'ESR-9': (9, False), 'ESR-15': (15, False), 'ESR*-9': (9, True), 'ESR*-15': (15, True)}

#: The embedded bundles: fp32 and int8.
SHIPPED = ('esr_9_ferplus', 'esr_9_ferplus_int8')

#: Crop side in pixels in the published tables.
PUBLISHED_SIZE_PX = 96

#: Engines, and the precisions of each.
_ENGINES = (('torch', ('fp32',)), ('onnxruntime', ('fp32', 'int8')), ('openvino', ('fp32', 'bf16', 'int8')))
_GPU_PROVIDERS = (('CUDAExecutionProvider', ('fp32',)), ('TensorrtExecutionProvider', ('fp16', 'int8')))


class Network(NamedTuple):
    """A network to benchmark."""

    #: Such as 'ESR-9'.
    name: str
    size_px: int
    #: Paths of the fp32 and int8 bundles.
    fp32: str
    int8: str
    #: 'shipped' or 'random'.
    weights: str
    #: Number of parameters, and operations per face; None without torch.
    parameters: int | None
    operations: float | None
    #: Accuracy of fp32 and int8 from their manifests; None if not measured.
    accuracy: float | None
    int8_accuracy: float | None


def shipped_network() -> Network:
    """Return the embedded ESR-9.

    :raises BadModel: if a bundle is invalid.
    """
    fp32, int8 = bundles = [ModelBundle.open(embedded_bundle(name), expect='esr') for name in SHIPPED]
    branches = fp32.manifest['outputs']['logits']['branches']
    size_px = fp32.manifest['input']['size_px']
    try:
        from facial_emotion_ros.evaluation.benchmark.torch_baseline import counts, random_esr
    except ImportError:  # a robot has no torch
        parameters = operations = None
    else:
        parameters, operations = counts(random_esr(branches, False), size_px)
    return Network(
        f'ESR-{branches}',
        size_px,
        fp32.folder,
        int8.folder,
        'shipped',
        parameters,
        operations,
        *(each.manifest.get('metrics', {}).get('valid', {}).get('accuracy') for each in bundles),
    )


def random_network(name: str, size_px: int, folder: str) -> Network:
    """Make a network with random weights, and its bundles.

    :param name: a key of NETWORKS.
    :param size_px: side of the crops.
    :param folder: parent folder of the bundles.
    :raises BadParameter: for another name.
    :raises ImportError: without torch or onnx.
    """
    from facial_emotion_ros.evaluation.benchmark.torch_baseline import counts, random_esr
    from facial_emotion_ros.inference.model_bundle import write_bundle
    from facial_emotion_ros.perception.face_crops import CropGeometry
    from facial_emotion_ros.training.model.export import pixels_input, to_inference_onnx, write_esr_bundle
    from facial_emotion_ros.training.model.quantization import quantize

    if name not in NETWORKS:
        raise BadParameter(f'expected a network among {", ".join(NETWORKS)}, got {name!r}')
    branches, diversified = NETWORKS[name]
    network = random_esr(branches, diversified)
    geometry = CropGeometry(size_px=size_px)
    plain_name = name.lower().replace('*', '_star').replace('-', '_')
    description = {
        'name': plain_name,
        'version': '0.0.0',
        'affect_derived_from': 'nothing: random weights',
        'source': {'architecture': name},
        'licence': {'spdx': 'Apache-2.0'},
    }
    fp32 = write_esr_bundle(os.path.join(folder, plain_name), network, geometry, description)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, size_px, size_px)).astype(np.uint8)
    manifest = {key: each for key, each in fp32.manifest.items() if key not in ('format', 'model')}
    manifest['model'] = {'precision': 'int8'}
    manifest['input'] = pixels_input(geometry)
    int8 = write_bundle(
        os.path.join(folder, plain_name + '_int8'), manifest, quantize(to_inference_onnx(network, geometry), [pixels])
    )
    parameters, operations = counts(network, size_px)
    return Network(name, size_px, fp32.folder, int8.folder, 'random', parameters, operations, None, None)


def subjects_of(network: Network, threads: int, engines: Sequence[str] | None = None) -> list[Subject]:
    """List the rows of the table for one network.

    :param network: Network.
    :param threads: threads per inference.
    :param engines: names; None for all.
    :returns: list of Subject; engines that are not installed are included, and reported in the table.
    """
    import onnxruntime

    available = onnxruntime.get_available_providers()
    rows = _ENGINES + tuple((name, precisions) for name, precisions in _GPU_PROVIDERS if name in available)
    return [
        Subject(
            network.name,
            network.size_px,
            engine,
            precision,
            threads,
            network.int8 if precision == 'int8' else network.fp32,
        )
        for engine, precisions in rows
        if engines is None or engine in engines
        for precision in precisions
    ]


def known_engines() -> list[str]:
    """List the names of all engines."""
    return [name for name, _ in _ENGINES + _GPU_PROVIDERS]
