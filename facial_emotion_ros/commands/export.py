"""Make a calibrated, measured and described model bundle from trained weights: `ros2 run facial_emotion_ros export`."""

import argparse
import json
import os
import sys
import tempfile

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.plain_text import show

#: What a bundle says of weights that nothing is known of; recipes/esr_9_ferplus.json says more of ours.
_UNKNOWN = {
    'version': '0.0.1',
    'affect_derived_from': 'unknown',
    'source': {'architecture': 'ESR, Siqueira, Magg and Wermter, AAAI 2020'},
    'licence': {'spdx': 'NOASSERTION', 'note': 'Nobody has said what licence these weights have.'},
    'training': {'dataset': 'unknown'},
}

#: Figures that are printed; the manifest and the card hold all of them.
_SHOWN = ('accuracy', 'accuracy_vote', 'macro_recall', 'ece', 'confidence_auroc', 'agreement_auroc')

#: What stays true of weights when their bundle is calibrated and measured anew.
_SAID_OF_WEIGHTS = ('version', 'source', 'licence', 'training', 'limits')


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='export', description='Make a model bundle from trained weights: calibrated on held-out faces of the '
        'training set, measured on others, with a model card.')
    arguments.add_argument('--weights', required=True, metavar='WEIGHTS', help='safetensors that train wrote, or a '
                           'bundle to calibrate and measure anew')
    arguments.add_argument('--output', required=True, metavar='DIR', help="the bundle's folder, which names it")
    arguments.add_argument('--size-px', type=int, help="side of the network's input; default: the bundle's, or 96")
    arguments.add_argument('--description', metavar='JSON', help='fields of the manifest: version, licence...; '
                           'its `input` changes how faces are cut, such as {"size_px": 64, "level_eyes": true}')
    arguments.add_argument('--train', metavar='PATH', help='the training set, some of whose faces were held out')
    arguments.add_argument('--dev', metavar='TXT', help='names of the held-out faces, one a line: the temperature is '
                           'fitted on these')
    arguments.add_argument('--rare-cost', type=float, metavar='SHARE', help='favour rare classes as far as that costs '
                           'this share of accuracy on --dev, such as 0.005; default: not at all')
    arguments.add_argument('--valid', metavar='PATH', help='faces whose figures go into manifest and model card')
    arguments.add_argument('--copies', metavar='TXT', help='names in --valid that also occur in training')
    arguments.add_argument('--format', help='of the sets of faces; default: recognised by what lies there')
    arguments.add_argument('--threads', type=int, default=os.cpu_count(), help='default: %(default)s')
    return arguments


@tells_errors('export', 'export needs torch, onnx and safetensors')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when the bundle is written, 1 for bad input.
    """
    options = parser().parse_args(argv)
    bundle = export(options, report=print)
    show(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0


def export(options, report=lambda line: None):
    """Calibrate, measure and write the bundle; what --output held stays as it was until all of it has gone well.

    :param options: what :func:`parser` gives.
    :param report: called with a line of text about each step.
    :returns: ModelBundle.
    :raises FacialEmotionError: if weights, description, faces or lists cannot be used.
    """
    from facial_emotion_ros.esr_engine import EsrEngine
    from facial_emotion_ros.evaluation.model_card import card_files
    from facial_emotion_ros.learning.export import halved, network_of, write_esr_bundle
    from facial_emotion_ros.model_bundle import write_bundle

    _check(options)
    weights, geometry, description = _read_weights(options)
    description['name'] = os.path.basename(os.path.abspath(options.output))
    description.update(_read_description(options.description) if options.description else {})
    geometry = _geometry(geometry, description.pop('input', {}), options)
    network = network_of(halved(weights))
    with tempfile.TemporaryDirectory() as folder:
        raw = write_esr_bundle(os.path.join(folder, 'raw'), network, geometry, description)
    engine = EsrEngine(raw, threads=options.threads)
    manifest = dict(raw.manifest)
    if options.dev:
        _calibrate(options, engine, manifest, report)
    if options.valid:
        manifest['metrics'] = _measure(options, engine, manifest['outputs']['logits'], report)
    return write_bundle(options.output, manifest, raw.model_bytes, card_files)


def _check(options):
    if bool(options.train) != bool(options.dev):
        raise BadParameter('both --train and --dev expected, or neither: --dev lists faces of --train')
    if options.rare_cost is not None and not options.dev:
        raise BadParameter('--dev expected with --rare-cost: what rare classes cost is measured on held-out faces')
    if options.copies and not options.valid:
        raise BadParameter('--valid expected with --copies, which lists faces of it')


def _read_weights(options):
    """Read the weights, and what a bundle of them says of its input and its origin."""
    from facial_emotion_ros.face_crop import CropGeometry
    from facial_emotion_ros.learning.published import AFFECT_OF_LOGITS, BASE_FILE
    from facial_emotion_ros.learning.warm_start import read_start
    from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle

    lacks = []
    weights, geometry = read_start(options.weights, lacks.append)
    description = dict(_UNKNOWN)
    if lacks:
        description['affect_derived_from'] = AFFECT_OF_LOGITS
    if geometry is not None and not os.path.isfile(os.path.join(options.weights, BASE_FILE)):
        manifest = ModelBundle.open(resolve_bundle(options.weights), expect='esr').manifest
        description.update({key: manifest[key] for key in _SAID_OF_WEIGHTS if key in manifest})
        description['affect_derived_from'] = manifest['outputs']['affect'].get('derived_from', 'unknown')
    return weights, geometry or CropGeometry(), description


def _geometry(geometry, said, options):
    """Change the crop's geometry as the description's `input` says, and --size-px before all."""
    unknown = sorted(set(said) - set(vars(geometry))) if isinstance(said, dict) else [said]
    if unknown:
        raise BadModel(f'{options.description}: input: fields of the crop ({", ".join(vars(geometry))}) expected, '
                       f'got {unknown[0]!r}')
    fields = dict(vars(geometry), **said)
    if options.size_px is not None:
        fields['size_px'] = options.size_px
    return type(geometry).from_manifest(fields)


def _read_description(path):
    try:
        with open(path, encoding='utf-8') as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError) as error:
        raise BadModel(f'{path}: a JSON object expected, it cannot be read ({error})') from error


def _calibrate(options, engine, manifest, report):
    """Fit temperature and offsets on the held-out faces, and write them into the manifest."""
    import numpy as np

    from facial_emotion_ros.evaluation.calibration import calibrate
    from facial_emotion_ros.evaluation.dataset import read_faces
    from facial_emotion_ros.evaluation.figures import plain_numbers
    from facial_emotion_ros.learning.datasets import held_out, open_faces, read_names

    learned, dev = held_out(open_faces(options.train, options.format), read_names(options.dev))
    reading = read_faces(engine, dev).labelled()
    counts = np.bincount(learned.labels[learned.labels >= 0], minlength=len(EMOTIONS))
    found = calibrate(reading.logits, reading.labels, counts, options.rare_cost)
    logits = dict(manifest['outputs']['logits'], temperature=found.temperature)
    logits.pop('offsets', None)
    if found.offsets:
        logits['offsets'] = found.offsets
    manifest['outputs'] = dict(manifest['outputs'], logits=logits)
    manifest['calibration'] = plain_numbers({
        'fitted_on': f'fitted on the faces of {dev.name} that {os.path.basename(options.dev)} lists',
        'minimised': 'negative log-likelihood of the labels', 'n': found.n, 'strength': found.strength,
        'before': found.before, 'after': found.after,
    })
    report(f'dev, {found.n} faces: temperature {found.temperature:g}, strength for rare classes {found.strength:g}')
    for key in found.before:
        report(f'  {key:14} {found.before[key]:.4f} before, {found.after[key]:.4f} after')


def _measure(options, engine, logits, report):
    """Compute the figures that the manifest holds."""
    from facial_emotion_ros.evaluation.dataset import read_faces
    from facial_emotion_ros.evaluation.figures import manifest_metrics
    from facial_emotion_ros.learning.datasets import open_faces, read_names

    faces = open_faces(options.valid, options.format)
    copies = read_names(options.copies) if options.copies else ()
    metrics = manifest_metrics(read_faces(engine, faces), faces.name, (logits['temperature'], logits.get('offsets')),
                               copies)
    for key, part in metrics.items():
        if key != 'protocol':
            shown = [name for name in _SHOWN if part[name] is not None]
            report(f'{key}, {part["n"]} faces: ' + ', '.join(f'{name} {part[name]:.4f}' for name in shown))
    return metrics


if __name__ == '__main__':
    sys.exit(main())
