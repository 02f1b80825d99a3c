"""Exports weights as a calibrated and evaluated bundle."""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.calibration import calibrate
from facial_emotion_ros.evaluation.model_card import card_files
from facial_emotion_ros.evaluation.prediction_metrics import manifest_metrics, plain_numbers
from facial_emotion_ros.evaluation.predictions import read_faces
from facial_emotion_ros.inference.bundle_manifest import POINT_BOUNDS
from facial_emotion_ros.inference.model_bundle import (
    MANIFEST_FILE,
    ModelBundle,
    check_replaceable,
    resolve_bundle,
    write_bundle,
)
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.datasets import held_out, open_faces, read_names
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.data.near_duplicates import exact_copies
from facial_emotion_ros.training.loop.warm_start import read_start
from facial_emotion_ros.training.model.author_checkpoints import AFFECT_OF_LOGITS
from facial_emotion_ros.training.model.export import halved, network_of, write_esr_bundle
from facial_emotion_ros.training.model.network import Weights

#: Description of weights of unknown origin; recipes/esr_9_ferplus.json describes ours.
_UNKNOWN = {
    'version': '0.0.1',
    'affect_derived_from': 'unknown',
    'source': {'architecture': 'ESR, Siqueira, Magg and Wermter, AAAI 2020'},
    'licence': {'spdx': 'NOASSERTION', 'note': 'The licence of these weights is unknown.'},
    'training': {'dataset': 'unknown'},
}

#: Printed metrics; manifest and model card hold all of them.
_SHOWN = ('accuracy', 'accuracy_vote', 'macro_recall', 'ece', 'confidence_auroc', 'agreement_auroc')

#: Manifest fields that a recalibrated bundle keeps.
_KEPT_FIELDS = ('version', 'source', 'licence', 'training', 'limits')


def export_bundle(options: argparse.Namespace, report: Callable[[str], object]) -> ModelBundle:
    """Calibrate, evaluate and write the bundle; --output is replaced at the end.

    :param options: of :func:`facial_emotion_ros.cli.export.parser`.
    :param report: called with a message about each step.
    :returns: ModelBundle.
    :raises FacialEmotionError: if an input is invalid.
    """
    _check(options)
    check_replaceable(options.output)
    if options.valid:  # fail early: the card's plots need an optional package
        import facial_emotion_ros.evaluation.png_charts  # noqa: F401
    weights, geometry, description = _read_weights(options)
    description['name'] = os.path.basename(os.path.abspath(options.output))
    description.update(_read_description(options.description) if options.description else {})
    geometry = _geometry(geometry, description.pop('input', {}), options)
    network = network_of(halved(weights))
    with tempfile.TemporaryDirectory() as folder:
        raw = write_esr_bundle(os.path.join(folder, 'raw'), network, geometry, description)
    engine = EsrEngine(raw, threads=options.threads)
    manifest = dict(raw.manifest)
    train = open_faces(options.train, options.format) if options.train else None
    if train is not None:
        _calibrate(options, train, engine, manifest, report)
    if options.valid:
        manifest['metrics'] = _measure(options, train, engine, manifest, report)
    return write_bundle(options.output, manifest, raw.model_bytes, card_files)


def _check(options: argparse.Namespace) -> None:
    if bool(options.train) != bool(options.dev):
        raise BadParameter('expected both --train and --dev, or neither: --dev lists faces of --train')
    if options.operating_point and not options.dev:
        raise BadParameter('--operating-point needs --dev: it is fitted on held-out faces')
    if options.copies and not options.valid:
        raise BadParameter('--copies needs --valid, of which it lists faces')


def _read_weights(options: argparse.Namespace) -> tuple[Weights, CropGeometry, dict[str, Any]]:
    """Read the weights, and the input and description of their bundle."""
    lacks: list[str] = []
    weights, geometry = read_start(options.weights, lacks.append)
    description = dict(_UNKNOWN)
    if lacks:
        description['affect_derived_from'] = AFFECT_OF_LOGITS
    is_name = not os.path.exists(options.weights)  # of an embedded bundle
    if is_name or os.path.isfile(os.path.join(options.weights, MANIFEST_FILE)):
        manifest = ModelBundle.open(resolve_bundle(options.weights), expect='esr').manifest
        description.update({key: manifest[key] for key in _KEPT_FIELDS if key in manifest})
        description['affect_derived_from'] = manifest['outputs']['affect'].get('derived_from', 'unknown')
    return weights, geometry or CropGeometry(), description


def _geometry(geometry: CropGeometry, fields_given: Any, options: argparse.Namespace) -> CropGeometry:
    """Apply the description's `input` and --size-px to the crop geometry."""
    unknown = sorted(set(fields_given) - set(vars(geometry))) if isinstance(fields_given, dict) else [fields_given]
    if unknown:
        raise BadModel(
            f'{options.description}: input: expected fields of the crop ({", ".join(vars(geometry))}), got '
            f'{unknown[0]!r}'
        )
    fields = dict(vars(geometry), **fields_given)
    if options.size_px is not None:
        fields['size_px'] = options.size_px
    return CropGeometry.from_manifest(fields)


def _read_description(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding='utf-8') as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError) as error:
        raise BadModel(f'{path}: expected a JSON object, it cannot be read ({error})') from error


def _exponents(words: Sequence[str]) -> dict[str, float]:
    """Parse NAME=EXPONENT; default: a nameless operating point of 0."""
    exponents = {}
    for each in words or ['=0']:
        name, _, value = each.partition('=')
        try:
            exponents[name] = float(value)
        except ValueError:
            raise BadParameter(
                f'--operating-point: expected NAME=EXPONENT, such as balanced=0.5, got {each!r}'
            ) from None
    return exponents


def _calibrate(
    options: argparse.Namespace,
    train: FaceSet,
    engine: EsrEngine,
    manifest: dict[str, Any],
    report: Callable[[str], object],
) -> None:
    """Fit the operating points on the held-out faces, and add them to the manifest."""
    learned, dev = held_out(train, read_names(options.dev))
    prior = learned.distributions[learned.where_category()].astype(np.float64).mean(0)
    prior = prior ** (1 - options.prior_exponent)  # the part that balanced softmax did not remove
    prior = (prior / prior.sum()).tolist()
    exponents = _exponents(options.operating_point)
    found = calibrate(read_faces(engine, dev).labelled(), prior, exponents)
    logits = dict(manifest['outputs']['logits'], class_prior=prior)
    # Read by releases without operating points.
    logits['temperature'] = found.points[min(exponents, key=exponents.__getitem__)].temperature
    if options.operating_point:
        logits['operating_point'] = next(iter(exponents))
        logits['operating_points'] = {
            name: {
                'prior_exponent': point.prior_exponent,
                'temperature': point.temperature,
                **{bound: getattr(point, bound) for bound in POINT_BOUNDS},
            }
            for name, point in found.points.items()
        }
    manifest['outputs'] = dict(manifest['outputs'], logits=logits)
    manifest['calibration'] = plain_numbers(
        {
            'fitted_on': f'fitted on the faces of {dev.name} that {os.path.basename(options.dev)} lists',
            'minimised': 'negative log-likelihood of the labels',
            'n': found.n,
            'before': found.before,
            'after': found.after,
        }
    )
    for name, point in found.points.items():
        report(
            f'{name or "dev"}, {found.n} faces: temperature {point.temperature:g}, min confidence '
            f'{point.min_confidence:g}, min agreement {point.min_agreement:g}'
        )
        for key in found.before:
            report(f'  {key:14} {found.before[key]:.4f} before, {found.after[name][key]:.4f} after')


def _expect_others(faces: FaceSet, learned: FaceSet, copies: Sequence[str], report: Callable[[str], object]) -> None:
    """Reject an evaluation on training faces; report a few copies that --copies does not list."""
    found = exact_copies(faces, learned)
    if 2 * found.sum() > len(faces):
        raise BadParameter(
            f'--valid: expected faces that the network was not trained on, got {found.sum()} of {len(faces)} that are '
            'in --train too: metrics on training faces do not apply to others; use another set, or omit --valid'
        )
    unlisted = int((found & ~np.isin(faces.names, list(copies))).sum())
    if unlisted:
        report(
            f'{unlisted} of the {len(faces)} faces of {faces.name} are in --train too, and not listed in --copies: '
            'the metrics are slightly too good.'
        )


def _measure(
    options: argparse.Namespace,
    train: FaceSet | None,
    engine: EsrEngine,
    manifest: dict[str, Any],
    report: Callable[[str], object],
) -> dict[str, Any]:
    """Compute the metrics of the manifest."""
    faces = open_faces(options.valid, options.format)
    copies = read_names(options.copies) if options.copies else ()
    if train is not None:
        _expect_others(faces, train, copies, report)
    metrics = manifest_metrics(read_faces(engine, faces), faces.name, manifest, copies)
    for key, part in metrics.items():
        if key.startswith('valid'):
            shown = [name for name in _SHOWN if part[name] is not None]
            report(f'{key}, {part["n"]} faces: ' + ', '.join(f'{name} {part[name]:.4f}' for name in shown))
    return metrics
