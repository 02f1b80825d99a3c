"""Quantizes a network's or a detector's bundle to int8, and measures the loss of accuracy."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.camera.detector_quantization import (
    calibration_images,
    compare_detectors,
    quantize_detector,
)
from facial_emotion_ros.evaluation.camera.scenes import pasted_scenes
from facial_emotion_ros.evaluation.model_card import card_files
from facial_emotion_ros.evaluation.prediction_metrics import manifest_metrics, rounding_figures
from facial_emotion_ros.evaluation.predictions import read_faces
from facial_emotion_ros.inference.model_bundle import ModelBundle, check_replaceable, resolve_bundle, write_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry, to_uint8
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.training.data.augmentation import augment, plain
from facial_emotion_ros.training.data.datasets import open_faces, read_names
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.model.export import network_of, pixels_input, to_inference_onnx, weights_of
from facial_emotion_ros.training.model.quantization import name_parts, quantize

#: Manifest fields that a quantized bundle keeps.
_KEPT_FIELDS = (
    'version',
    'architecture',
    'outputs',
    'source',
    'licence',
    'training',
    'limits',
    'calibration',
)

_BATCH = 16


def quantize_bundle(options: argparse.Namespace, report: Callable[[str], object] = lambda line: None) -> ModelBundle:
    """Write the quantized bundle; --output is replaced at the end.

    :param options: of :func:`facial_emotion_ros.cli.quantize.parser`.
    :param report: called with a message about each step.
    :returns: ModelBundle.
    :raises FacialEmotionError: if an input is invalid.
    """
    if options.copies and not options.valid:
        raise BadParameter('--copies needs --valid, of which it lists faces')
    source = ModelBundle.open(resolve_bundle(options.bundle))
    if 'quantization' in source.manifest:
        raise BadModel(f'{source.folder}: expected a bundle in floating point, got one in int8')
    if os.path.realpath(options.output) == os.path.realpath(source.folder):
        raise BadModel(f'{options.output}: expected another folder than the fp32 bundle, whose weights would be lost')
    check_replaceable(options.output)
    if options.valid and source.architecture == 'esr':  # fail early: the card's plots need an optional package
        import facial_emotion_ros.evaluation.png_charts  # noqa: F401
    manifest = {
        'name': os.path.basename(os.path.abspath(options.output)),
        'model': {'precision': 'int8'},
        'quantization': {
            'of': {'name': source.name, 'version': source.version, 'sha256': source.sha256},
            'how': 'weights by output channel, symmetric; activations by tensor, from least to largest',
        },
    }
    faces = open_faces(options.faces, options.format)
    rows = _chosen_rows(options, faces)
    if source.architecture == 'esr':
        return _quantize_network(options, source, manifest, faces.faces(rows), report)
    return _quantize_detector(options, source, manifest, calibration_images(faces, rows, options.pictures), report)


def _chosen_rows(options: argparse.Namespace, faces: FaceSet) -> np.ndarray:
    """Choose the calibration faces."""
    left_out = read_names(options.leave_out) if options.leave_out else ()
    rows = np.flatnonzero(~np.isin(faces.names, list(left_out)))
    if not len(rows):
        raise BadParameter(f'{options.leave_out} excludes all faces of {options.faces}')
    return np.sort(np.random.default_rng(options.seed).permutation(rows)[: options.count])


def _quantize_network(
    options: argparse.Namespace,
    source: ModelBundle,
    manifest: dict[str, Any],
    faces: Sequence[np.ndarray] | np.ndarray,
    report: Callable[[str], object],
) -> ModelBundle:
    """Quantize an ESR; the second half of the calibration faces is augmented."""
    geometry = CropGeometry.from_manifest(source.manifest['input'])
    half = (len(faces) + 1) // 2
    varied = augment(list(faces[half:]), geometry, np.random.default_rng(options.seed))
    crops = to_uint8(np.concatenate([plain(faces[:half], geometry), varied]), geometry)
    report(f'{len(crops)} faces of {os.path.basename(options.faces)}, half of them augmented, calibrate the ranges')
    model_bytes = quantize(
        to_inference_onnx(network_of(weights_of(source)), geometry),
        (crops[first : first + _BATCH] for first in range(0, len(crops), _BATCH)),
    )
    model_bytes, parts = name_parts(model_bytes)
    manifest.update({key: source.manifest[key] for key in _KEPT_FIELDS if key in source.manifest})
    manifest['input'] = pixels_input(geometry)
    manifest['quantization']['looked_at'] = (
        f'{options.count} faces of {os.path.basename(options.faces)}, half of them varied as in training'
    )
    if parts:
        manifest['parts'] = parts
    if options.valid:
        _compare_networks(options, source, manifest, model_bytes, report)
    return write_bundle(options.output, manifest, model_bytes, card_files)


def _compare_networks(
    options: argparse.Namespace,
    source: ModelBundle,
    manifest: dict[str, Any],
    model_bytes: bytes,
    report: Callable[[str], object],
) -> None:
    """Add the metrics, and the differences from the fp32 bundle, to the manifest."""
    faces = open_faces(options.valid, options.format)
    engines = [EsrEngine(each, threads=options.threads) for each in (source, ModelBundle('', manifest, model_bytes))]
    before, after = (read_faces(engine, faces) for engine in engines)
    copies = read_names(options.copies) if options.copies else ()
    manifest['metrics'] = manifest_metrics(after, faces.name, manifest, copies)
    old, new = (combine(each.logits, each.affect, engines[0].point) for each in (before, after))
    lost = manifest['quantization']
    lost.update(on=faces.name, **rounding_figures(before.labels, old, new))
    report(
        f'{faces.name}, {len(before)} faces: accuracy {lost["accuracy"]:.4f}, before {lost["accuracy_before"]:.4f}; '
        f'{lost["categories_changed"]:.2%} of the categories changed; RMS difference of valence '
        f'{lost["rmse_valence"]:.4f}, of arousal {lost["rmse_arousal"]:.4f}'
    )


def _quantize_detector(
    options: argparse.Namespace,
    source: ModelBundle,
    manifest: dict[str, Any],
    images: list[np.ndarray],
    report: Callable[[str], object],
) -> ModelBundle:
    """Quantize a detector."""
    report(f'{len(images)} images calibrate the ranges')
    model_bytes = quantize_detector(source, images)
    manifest = {**{key: each for key, each in source.manifest.items() if key != 'format'}, **manifest}
    section = manifest['quantization']
    section['looked_at'] = f'{len(images)} images: faces of {os.path.basename(options.faces)} in drawn scenes' + (
        ', and photographs' if options.pictures else ''
    )
    section['how'] += '; the first three and the last convolutions stay floating point'
    if options.valid:
        others = open_faces(options.valid, options.format)
        rows = np.sort(np.random.default_rng(options.seed).permutation(len(others))[: options.count])
        found = compare_detectors(
            FaceDetector(source),
            FaceDetector(ModelBundle('', manifest, model_bytes)),
            pasted_scenes(others.faces(rows), others.names[rows], others.labels[rows], seed=1),
        )
        section.update(found, on=f'faces of {others.name} in drawn scenes')
        overlap = 'unknown' if found['overlap'] is None else f'{found["overlap"]:.3f}'
        report(
            f'{found["scenes"]} scenes: {found["found"]} faces found, before {found["found_before"]}; '
            f'{found["besides"]} false detections, before {found["besides_before"]}; mean box overlap {overlap}'
        )
    with open(os.path.join(source.folder, 'LICENSE'), 'rb') as file:
        licence = file.read()
    return write_bundle(options.output, manifest, model_bytes, {'LICENSE': licence})
