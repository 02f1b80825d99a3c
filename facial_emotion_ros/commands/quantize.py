"""Make a bundle that computes in eight bits from one that does not: `ros2 run facial_emotion_ros quantize`."""

import argparse
import os
import sys

import numpy as np

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.plain_text import show

#: What stays true of a model when it is stored in another way.
_SAID_OF_MODEL = ('version', 'source', 'licence', 'training', 'limits', 'calibration')

_BATCH = 16


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='quantize', description='Make an int8 bundle of a master bundle: about three times as fast where the '
        'processor multiplies int8 (VNNI, dot product), and half its size. Faces of the training set say how large the '
        'numbers inside become; other faces, what was lost.')
    arguments.add_argument('--bundle', default='esr_9_ferplus', help='an ESR or CenterFace: name of an embedded '
                           'bundle or path of one; default: %(default)s')
    arguments.add_argument('--output', required=True, metavar='DIR', help="the new bundle's folder, which names it")
    arguments.add_argument('--faces', required=True, metavar='PATH', help='the training set')
    arguments.add_argument('--leave-out', metavar='TXT', help='names of faces in --faces that are not to be looked at, '
                           'one a line')
    arguments.add_argument('--count', type=int, default=512, help='of faces to look at; default: %(default)s')
    arguments.add_argument('--seed', type=int, default=0, help='of the choice of these; default: %(default)s')
    arguments.add_argument('--pictures', metavar='DIR', help='of CenterFace: photographs to look at besides scenes '
                           'that the faces are pasted into')
    arguments.add_argument('--valid', metavar='PATH', help='faces whose figures go into manifest and model card')
    arguments.add_argument('--copies', metavar='TXT', help='names in --valid that also occur in training')
    arguments.add_argument('--format', help='of the sets of faces; default: recognised by what lies there')
    arguments.add_argument('--threads', type=int, default=os.cpu_count(), help='default: %(default)s')
    return arguments


@tells_errors('quantize', 'quantize needs torch, onnx and safetensors')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when the bundle is written, 1 for bad input.
    """
    options = parser().parse_args(argv)
    bundle = quantize(options, report=print)
    show(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0


def quantize(options, report=lambda line: None):
    """Make the bundle; what --output held stays as it was until all of it has gone well.

    :param options: what :func:`parser` gives.
    :param report: called with a line of text about each step.
    :returns: ModelBundle.
    :raises FacialEmotionError: if bundle, faces or lists cannot be used.
    """
    from facial_emotion_ros.evaluation.model_card import card_files
    from facial_emotion_ros.learning.export import network_of, to_inference_onnx, weights_of
    from facial_emotion_ros.learning.quantization import name_parts
    from facial_emotion_ros.learning.quantization import quantize as quantize_model
    from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle, write_bundle

    if options.copies and not options.valid:
        raise BadParameter('--valid expected with --copies, which lists faces of it')
    if options.count < 1:
        raise BadParameter(f'at least 1 face to look at expected, got --count {options.count}')
    master = ModelBundle.open(resolve_bundle(options.bundle))
    if os.path.realpath(options.output) == os.path.realpath(master.folder):
        raise BadModel(f'{options.output}: another folder than the master bundle expected: nothing could be trained on '
                       'from what is left')
    if master.architecture != 'esr':
        return _quantize_detector(options, master, report)
    manifest = _manifest(master, options)
    crops = _crops(options, master)
    report(f'{len(crops)} faces of {os.path.basename(options.faces)}, half of them varied, give the ranges')
    network = network_of(weights_of(master))
    model_bytes = quantize_model(to_inference_onnx(network, _geometry(master)),
                                 (crops[first:first + _BATCH] for first in range(0, len(crops), _BATCH)))
    model_bytes, parts = name_parts(model_bytes)
    if parts:
        manifest['parts'] = parts
    if options.valid:
        _compare(options, master, manifest, model_bytes, report)
    return write_bundle(options.output, manifest, model_bytes, card_files)


def _geometry(bundle):
    from facial_emotion_ros.face_crop import CropGeometry

    return CropGeometry.from_manifest(bundle.manifest['input'])


def _manifest(master, options):
    """Say what the new bundle is; figures come later."""
    from facial_emotion_ros.learning.export import pixels_input

    said = master.manifest
    manifest = {
        'name': os.path.basename(os.path.abspath(options.output)), 'version': said['version'], 'architecture': 'esr',
        'model': {'precision': 'int8'},
        'input': pixels_input(_geometry(master)),
        'outputs': said['outputs'],
    }
    manifest.update({key: said[key] for key in _SAID_OF_MODEL if key in said})
    manifest['quantization'] = {
        'of': {'name': master.name, 'version': master.version, 'sha256': master.sha256},
        'looked_at': f'{options.count} faces of {os.path.basename(options.faces)}, half of them varied as in training',
        'how': 'weights by output channel, symmetric; activations by tensor, from least to largest',
    }
    return manifest


def _chosen_rows(options, faces):
    """Return which faces are looked at."""
    from facial_emotion_ros.learning.datasets import read_names

    left_out = read_names(options.leave_out) if options.leave_out else ()
    rows = np.flatnonzero(~np.isin(faces.names, list(left_out)))
    if not len(rows):
        raise BadParameter(f'faces to look at expected in {options.faces}, but {options.leave_out} leaves all out')
    return np.sort(np.random.default_rng(options.seed).permutation(rows)[:options.count])


def _crops(options, master):
    """Return faces as the robot sees them: (N, C, S, S) uint8, the later half varied."""
    from facial_emotion_ros.face_crop import whole_numbers
    from facial_emotion_ros.learning.augmentation import augment, plain
    from facial_emotion_ros.learning.datasets import open_faces

    faces = open_faces(options.faces, options.format)
    geometry = _geometry(master)
    pictures = list(faces.faces(_chosen_rows(options, faces)))
    half = (len(pictures) + 1) // 2
    varied = augment(pictures[half:], geometry, np.random.default_rng(options.seed))
    crops = np.concatenate([plain(pictures[:half], geometry), varied])
    return whole_numbers(crops, geometry)


def _compare(options, master, manifest, model_bytes, report):
    """Write into the manifest what the new model does on other faces, and what differs from the master."""
    from facial_emotion_ros.ensemble import combine
    from facial_emotion_ros.esr_engine import EsrEngine
    from facial_emotion_ros.evaluation.dataset import read_faces
    from facial_emotion_ros.evaluation.figures import manifest_metrics
    from facial_emotion_ros.learning.datasets import open_faces, read_names
    from facial_emotion_ros.model_bundle import ModelBundle

    faces = open_faces(options.valid, options.format)
    logits = manifest['outputs']['logits']
    calibration = logits.get('temperature', 1.0), logits.get('offsets')
    engines = EsrEngine(master, threads=options.threads), EsrEngine(ModelBundle('', manifest, model_bytes),
                                                                    threads=options.threads)
    before, after = (read_faces(engine, faces) for engine in engines)
    copies = read_names(options.copies) if options.copies else ()
    manifest['metrics'] = manifest_metrics(after, faces.name, calibration, copies)
    old, new = (combine(each.logits, each.affect, *calibration) for each in (before, after))
    right = [(each.scores.argmax(1) == before.labels).mean() for each in (old, new)]
    lost = manifest['quantization']
    lost['on'] = faces.name
    lost['faces'] = len(before)
    lost['accuracy_before'], lost['accuracy'] = (float(each) for each in right)
    lost['categories_changed'] = float((old.scores.argmax(1) != new.scores.argmax(1)).mean())
    lost['rmse_valence'], lost['rmse_arousal'] = (
        float(np.sqrt(np.mean((getattr(old, name) - getattr(new, name)) ** 2))) for name in ('valence', 'arousal'))
    report(f'{faces.name}, {len(before)} faces: accuracy {right[1]:.4f}, before {right[0]:.4f}; '
           f'{lost["categories_changed"]:.2%} of the categories changed; valence differs by '
           f'{lost["rmse_valence"]:.4f}, arousal by {lost["rmse_arousal"]:.4f} (root of the mean square)')


def _quantize_detector(options, master, report):
    """Make the bundle of a detector."""
    from facial_emotion_ros.evaluation.detector_quantization import (
        calibration_images,
        compare_detectors,
        detector_of,
        quantize_detector,
    )
    from facial_emotion_ros.evaluation.scenes import pasted_scenes
    from facial_emotion_ros.face_detector import open_detector
    from facial_emotion_ros.learning.datasets import open_faces
    from facial_emotion_ros.model_bundle import write_bundle

    faces = open_faces(options.faces, options.format)
    images = calibration_images(faces, _chosen_rows(options, faces), options.pictures)
    report(f'{len(images)} images give the ranges')
    model_bytes = quantize_detector(master, images)
    manifest = {key: each for key, each in master.manifest.items() if key not in ('format', 'model', 'name')}
    manifest['name'] = os.path.basename(os.path.abspath(options.output))
    manifest['model'] = {'precision': 'int8'}
    said = manifest['quantization'] = {
        'of': {'name': master.name, 'version': master.version, 'sha256': master.sha256},
        'looked_at': f'{len(images)} images: faces of {os.path.basename(options.faces)} in drawn scenes'
                     + (', and photographs' if options.pictures else ''),
        'how': 'weights by output channel, symmetric; activations by tensor, from least to largest; the '
               'first three and the last convolutions stay floating point'}
    if options.valid:
        others = open_faces(options.valid, options.format)
        rows = np.sort(np.random.default_rng(options.seed).permutation(len(others))[:options.count])
        found = compare_detectors(open_detector(master), detector_of(manifest, model_bytes), pasted_scenes(
            list(others.faces(rows)), others.names[rows], others.labels[rows], seed=1))
        said.update(found, on=f'faces of {others.name} in drawn scenes')
        overlap = 'nowhere' if found['overlap'] is None else f'by {found["overlap"]:.3f}'
        report(f'{found["scenes"]} scenes: {found["found"]} faces found, before {found["found_before"]}; '
               f'{found["besides"]} boxes besides, before {found["besides_before"]}; boxes overlap {overlap}')
    with open(os.path.join(master.folder, 'LICENSE'), 'rb') as file:
        licence = file.read()
    return write_bundle(options.output, manifest, model_bytes, {'LICENSE': licence})


if __name__ == '__main__':
    sys.exit(main())
