"""Make a model bundle from trained weights: `python -m facial_emotion_ros.commands.export`."""

import argparse
import json
import os
import sys

from facial_emotion_ros.errors import BadModel, FacialEmotionError

#: What a bundle says of weights that nothing is known of; recipes/esr_9_ferplus.json says more of ours.
_UNKNOWN = {
    'version': '0.0.1',
    'affect_derived_from': 'unknown',
    'source': {'architecture': 'ESR, Siqueira, Magg and Wermter, AAAI 2020'},
    'licence': {'spdx': 'NOASSERTION', 'note': 'Nobody has said what licence these weights have.'},
    'training': {'dataset': 'unknown'},
}


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(prog='export', description='Make a model bundle from weights that train wrote.')
    arguments.add_argument('--weights', required=True, metavar='SAFETENSORS', help='weights of an ESR')
    arguments.add_argument('--output', required=True, metavar='DIR', help="the bundle's folder, which names it")
    arguments.add_argument('--description', metavar='JSON', help='fields of the manifest: version, licence...')
    arguments.add_argument('--valid', metavar='NPZ', help='split of FER+ whose figures go into the manifest')
    arguments.add_argument('--copies', metavar='TXT', help='names in --valid that also occur in train')
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when the bundle is written, 1 for bad input.
    """
    options = parser().parse_args(argv)
    try:
        bundle = export(options)
    except ImportError as error:
        print(f'export: {error}; export needs torch, onnx and safetensors: scripts/setup --tests', file=sys.stderr)
        return 1
    except FacialEmotionError as error:
        print(f'export: {error}', file=sys.stderr)
        return 1
    print(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0


def export(options):
    """Write the bundle, and where a split is given once more with its figures.

    :param options: what :func:`parser` gives.
    :returns: ModelBundle.
    :raises FacialEmotionError: if weights, description or split cannot be used.
    """
    from facial_emotion_ros.face_crop import CropGeometry
    from facial_emotion_ros.learning.checkpoint import load_weights
    from facial_emotion_ros.learning.export import halved, network_of, write_esr_bundle

    network = network_of(halved(load_weights(options.weights)))
    description = dict(_UNKNOWN, name=os.path.basename(os.path.abspath(options.output)))
    description.update(_read_description(options.description) if options.description else {})
    bundle = write_esr_bundle(options.output, network, CropGeometry(), description)
    if options.valid:
        description['metrics'] = _metrics(bundle, options.valid, options.copies)
        bundle = write_esr_bundle(options.output, network, CropGeometry(), description)
    return bundle


def _read_description(path):
    try:
        with open(path, encoding='utf-8') as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError) as error:
        raise BadModel(f'{path}: a JSON object expected, it cannot be read ({error})') from error


def _metrics(bundle, valid, copies):
    from facial_emotion_ros.esr_engine import EsrEngine
    from facial_emotion_ros.evaluation.dataset import figures, read_majority
    from facial_emotion_ros.learning.datasets import read_ferplus, read_names

    split = read_ferplus(valid)
    reading = read_majority(EsrEngine(bundle, threads=os.cpu_count()), split)
    metrics = {'protocol': 'FER+ valid, majority, single crop, mean of branch probabilities'}
    metrics['valid'] = figures(split, reading)
    if copies:
        metrics['valid_without_copies_of_train'] = figures(split, reading, read_names(copies))
    return metrics


if __name__ == '__main__':
    sys.exit(main())
