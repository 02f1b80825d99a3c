"""What is benchmarked: which networks, in which engines that this machine has."""

import os
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.evaluation.engine_benchmark import Subject
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle

#: The networks of the published tables: name -> (branches, diversified). Source: OpenDR's page of FacialEmotionLearner.
NETWORKS = {'ESR-9': (9, False), 'ESR-15': (15, False), 'ESR*-9': (9, True), 'ESR*-15': (15, True)}

#: The embedded bundles, the master and the same in eight bits.
SHIPPED = ('esr_9_ferplus', 'esr_9_ferplus_int8')

#: What the published figures were measured at.
PUBLISHED_SIZE_PX = 96

#: Engines, and the precisions of each.
_ENGINES = (('torch', ('fp32',)), ('onnxruntime', ('fp32', 'int8')), ('openvino', ('fp32', 'bf16', 'int8')))
_GPU_PROVIDERS = (('CUDAExecutionProvider', ('fp32',)), ('TensorrtExecutionProvider', ('fp16', 'int8')))


class Network(NamedTuple):
    """A network that is benchmarked."""

    #: Such as 'ESR-9'.
    name: str
    size_px: int
    #: Paths of the bundle in floating point and of that in eight bits; '' where there is none.
    master: str
    int8: str
    #: 'shipped' or 'random'.
    weights: str
    #: Number of parameters, and operations for one face; None where torch is missing.
    parameters: int | None
    operations: float | None
    #: Accuracy of master and of int8 as their manifests have it; None where nobody measured it.
    accuracy: float | None
    int8_accuracy: float | None


def shipped_network():
    """Return the embedded ESR-9.

    :returns: Network.
    :raises BadModel: if the bundle is refused.
    """
    bundles = [_open_embedded(name) for name in SHIPPED]
    master, int8 = bundles
    branches = master.manifest['outputs']['logits']['branches']
    size_px = master.manifest['input']['size_px']
    try:
        from facial_emotion_ros.learning.baseline import counts
    except ImportError:  # a robot has no torch
        parameters = operations = None
    else:
        parameters, operations = counts(branches, False, size_px)
    return Network(f'ESR-{branches}', size_px, master.folder, int8.folder if int8 else '', 'shipped', parameters,
                   operations, *(_accuracy(each) for each in bundles))


def random_network(name, size_px, folder):
    """Make a network of random weights, and its bundles.

    :param name: a key of NETWORKS.
    :param size_px: side of the crops.
    :param folder: where the bundles go.
    :returns: Network.
    :raises BadParameter: for another name.
    :raises ImportError: where torch or onnx is missing.
    """
    from facial_emotion_ros.face_crop import CropGeometry
    from facial_emotion_ros.learning.baseline import counts, random_esr
    from facial_emotion_ros.learning.export import pixels_input, to_inference_onnx, write_esr_bundle
    from facial_emotion_ros.learning.quantization import quantize
    from facial_emotion_ros.model_bundle import write_bundle

    if name not in NETWORKS:
        raise BadParameter(f'a network among {", ".join(NETWORKS)} expected, got {name!r}')
    branches, diversified = NETWORKS[name]
    network = random_esr(branches, diversified)
    geometry = CropGeometry(size_px=size_px)
    plain_name = name.lower().replace('*', '_star').replace('-', '_')
    said = {'name': plain_name, 'version': '0.0.0', 'affect_derived_from': 'nothing: random weights',
            'source': {'architecture': name}, 'licence': {'spdx': 'Apache-2.0'}}
    master = write_esr_bundle(os.path.join(folder, plain_name), network, geometry, said)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, size_px, size_px)).astype(np.uint8)
    manifest = {key: each for key, each in master.manifest.items() if key not in ('format', 'model')}
    manifest['model'] = {'precision': 'int8'}
    manifest['input'] = pixels_input(geometry)
    int8 = write_bundle(os.path.join(folder, plain_name + '_int8'), manifest,
                        quantize(to_inference_onnx(network, geometry), [pixels]))
    return Network(name, size_px, master.folder, int8.folder, 'random', *counts(branches, diversified, size_px), None,
                   None)


def subjects_of(network, threads, engines=None):
    """List the lines of the table for one network.

    :param network: Network.
    :param threads: int.
    :param engines: names of engines to take; None for all that could be here.
    :returns: list of Subject. Engines that are not installed are among them: the table says so.
    """
    import onnxruntime

    available = onnxruntime.get_available_providers()
    rows = _ENGINES + tuple((name, precisions) for name, precisions in _GPU_PROVIDERS if name in available)
    subjects = []
    for engine, precisions in rows:
        if engines is not None and engine not in engines:
            continue
        for precision in precisions:
            bundle = network.int8 if precision == 'int8' else network.master
            if bundle:
                subjects.append(Subject(network.name, network.size_px, engine, precision, threads, bundle))
    return subjects


def known_engines():
    """Return the names that `subjects_of` takes."""
    return [name for name, _ in _ENGINES + _GPU_PROVIDERS]


def _open_embedded(name):
    try:
        return ModelBundle.open(embedded_bundle(name), expect='esr')
    except BadModel:
        if name == SHIPPED[0]:
            raise
        return None  # a checkout of weights alone, before `quantize`


def _accuracy(bundle):
    return None if bundle is None else bundle.manifest.get('metrics', {}).get('valid', {}).get('accuracy')
