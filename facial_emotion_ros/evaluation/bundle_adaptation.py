"""Adapts a network's bundle, and its int8 version, to labelled images of a few persons."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadImage, BadModel
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.operating_points import operating_points
from facial_emotion_ros.evaluation.adaptation_metrics import compare, comparison_table, criterion_text
from facial_emotion_ros.evaluation.calibration import bounds, pooled_scores
from facial_emotion_ros.evaluation.model_card import card_files
from facial_emotion_ros.evaluation.prediction_metrics import rounding_figures
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, check_replaceable, resolve_bundle, write_bundle
from facial_emotion_ros.inference.onnxruntime_backend import open_model
from facial_emotion_ros.inference.precision import INT8_SUFFIX, bundle_for
from facial_emotion_ros.perception.face_crops import CropGeometry, cut_planes, normalize
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.crop_estimation import with_border
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.adaptation.correction_graph import FEATURES, with_correction, with_features
from facial_emotion_ros.training.adaptation.fit import Adaptation, adapt
from facial_emotion_ros.training.data.labelled_folder import LabelledFolder, read_labelled_folder

#: Manifest fields that an adapted bundle keeps.
_KEPT = ('version', 'architecture', 'input', 'source', 'licence', 'training', 'limits', 'parts')

_BATCH = 32


def adapt_bundle(options: argparse.Namespace, report: Callable[[str], object]) -> list[ModelBundle]:
    """Fit and write the bundles; --output is replaced at the end.

    :param options: of :func:`facial_emotion_ros.cli.adapt.parser`.
    :param report: called with a message about each step.
    :returns: the adapted ModelBundle, and its int8 version if the bundle has one; empty if the unchanged network is as
        good.
    :raises FacialEmotionError: if an input is invalid.
    """
    folder = resolve_bundle(options.bundle)
    masters = [ModelBundle.open(folder, 'esr') for folder in _with_int8(folder)]
    if 'quantization' in masters[0].manifest:
        raise BadModel(
            f'{folder}: expected a bundle in floating point, got one in int8; adapt '
            f'{masters[0].manifest["quantization"]["of"]["name"]}, and its int8 version is adapted with it'
        )
    for each in masters:
        if 'adaptation' in each.manifest:
            raise BadModel(
                f'{each.folder}: expected an unadapted bundle; adapt '
                f'{each.manifest["adaptation"]["of"]["name"]} to all images together'
            )
        if os.path.realpath(options.output) == os.path.realpath(each.folder):
            raise BadModel(f'{options.output}: expected another folder than the bundle, which would be lost')
    for place in _places(options, len(masters)):
        check_replaceable(place)
    faces = _open(options.faces, report)
    rows, crops = _crops(masters[0], options, faces, report)
    faces = faces.rows(rows)
    persons = _persons(faces, report)
    _report_counts(faces, persons, report)
    point = next(iter(operating_points(masters[0].manifest).values()))
    logits, affect, features = _run(masters[0], crops, options.threads)
    found = adapt(features, logits, faces.labels, persons, point)
    figures = compare(
        pooled_scores(logits, point),
        pooled_scores(found.held_out, point._replace(temperature=found.temperature)),
        faces.labels,
        persons,
    )
    report('\nOn held-out persons:\n\n' + comparison_table(figures) + '\n')
    report(criterion_text(found.gain, found.gain_error, found.gain_required) + '\n')
    if found.correction is None:
        report(
            f'Nothing is written: no correction improves {masters[0].name} significantly on these faces. '
            'Check the labels, add persons or images of each expression, and try again.'
        )
        return []
    return _write(options, masters, found, figures, (faces, crops, affect), report)


def _places(options: argparse.Namespace, count: int) -> list[str]:
    """Return the folders of the new bundle, and of its int8 version."""
    folder = os.path.abspath(options.output)
    return [folder, folder + INT8_SUFFIX][:count]


def _with_int8(folder: str) -> list[str]:
    """Return the bundle's folder, and that of its int8 version if there is one."""
    other = bundle_for(folder, ProviderPlan(precision='int8'))
    return [folder] + [str(other)] * (other != folder)


def _open(path: str, report: Callable[[str], object]) -> LabelledFolder:
    """Open the labelled images: those with a label, and not struck out."""
    table = path if os.path.isfile(path) else None
    folder = os.path.dirname(os.path.abspath(path)) if table else path
    faces = read_labelled_folder(folder, table, report=report, crops=False)
    return faces.rows(faces.labels >= 0)


def _crops(
    bundle: ModelBundle, options: argparse.Namespace, faces: LabelledFolder, report: Callable[[str], object]
) -> tuple[list[int], np.ndarray]:
    """Crop the largest face of each image, as the robot does.

    :returns: (M,) rows of the images with a face, and (M, C, S, S) uint8 crops.
    """
    pipeline = EmotionPipeline(bundle, options.detector, providers=ProviderPlan(threads=options.threads))
    rows, crops, missed = [], [], []
    for row, name in enumerate(faces.names):
        try:
            image = read_picture(os.path.join(faces.root, name))
        except BadImage as error:
            raise BadDataset(f'{faces.root}: {name}: {error}') from None
        image, found = _largest_face(pipeline.finder, image)
        if not found.ids:
            missed.append(name)
            continue
        rows.append(row)
        crops.append(cut_planes(image, found.boxes[:1], pipeline.engine.geometry, found.landmarks[:1]))
    if missed:
        report(
            f'{len(missed)} of {len(faces)} images are skipped: no face was found in {", ".join(missed[:5])}'
            + (', ...' if len(missed) > 5 else '')
        )
    if not rows:
        raise BadDataset(f'{faces.root}: no face was found in any of the {len(faces)} labelled images')
    return rows, np.concatenate(crops)


def _largest_face(finder: Any, image: np.ndarray) -> tuple[np.ndarray, Any]:
    """Detect faces, the largest first; without any, retry with a border, for crops that end at the chin."""
    found = finder.find_alone(image)
    if not found.ids:
        image, _ = with_border(image)
        found = finder.find_alone(image)
    return image, found


def _persons(faces: LabelledFolder, report: Callable[[str], object]) -> np.ndarray:
    """Number the persons; an image without a person counts as one of its own."""
    nameless = faces.persons == ''
    if nameless.any():
        report(
            f'{nameless.sum()} images have no person, and count as one person each. If images of a person are both '
            'fitted and held out, the metrics are too optimistic: add a column `person` to labels.csv, or a subfolder '
            'per person to the class folders.'
        )
    names = [person or f'\0{name}' for person, name in zip(faces.persons, faces.names)]
    return np.unique(names, return_inverse=True)[1]


def _report_counts(faces: LabelledFolder, persons: np.ndarray, report: Callable[[str], object]) -> None:
    counts = np.bincount(faces.labels, minlength=len(EMOTIONS))
    words = ', '.join(f'{emotion} {count}' for emotion, count in zip(EMOTIONS, counts))
    report(f'{faces.name}: {len(faces)} faces of {len(np.unique(persons))} persons ({words})')
    if not counts.all():
        report('Expressions without an image keep their scores relative to the mean of the others.')


def _run(bundle: ModelBundle, crops: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits, affect and features (N, B, F) of crops."""
    manifest = bundle.manifest
    model = open_model(ModelBundle(bundle.folder, manifest, with_features(bundle)), ProviderPlan(threads=threads))
    if manifest['input'].get('dtype') != 'uint8':
        crops = normalize(crops, CropGeometry.from_manifest(manifest['input']))
    outputs = [manifest['outputs'][key]['name'] for key in ('logits', 'affect')] + [FEATURES]
    logits, affect, features = _in_batches(lambda batch: model.run(outputs, {manifest['input']['name']: batch}), crops)
    return logits, affect, features[:, :, 0]


def _in_batches(run: Callable[[np.ndarray], Sequence[np.ndarray]], crops: np.ndarray) -> list[np.ndarray]:
    """Run a network in batches, and concatenate each output."""
    parts = [run(crops[first : first + _BATCH]) for first in range(0, len(crops), _BATCH)]
    return [np.concatenate(each) for each in zip(*parts)]


def _write(
    options: argparse.Namespace,
    masters: list[ModelBundle],
    found: Adaptation,
    figures: dict[str, Any],
    read: tuple[Any, np.ndarray, np.ndarray],
    report: Callable[[str], object],
) -> list[ModelBundle]:
    """Write the adapted bundles."""
    faces, crops, affect = read
    correction = found.correction
    assert correction is not None
    written: list[ModelBundle] = []
    for master, place in zip(masters, _places(options, len(masters))):
        manifest = _manifest(master, found, affect)
        manifest['name'] = os.path.basename(place)
        manifest['adaptation'] = {
            'of': {'name': master.name, 'version': master.version, 'sha256': master.sha256},
            'strength': found.strength,
            'gain': found.gain,
            'gain_error': found.gain_error,
            'gain_required': found.gain_required,
            **figures,
        }
        model_bytes = with_correction(master, correction)
        if written:
            manifest['quantization'] = _int8_figures(master, written[0], manifest, model_bytes, faces, crops, options)
            report(f'int8: {manifest["quantization"]["categories_changed"]:.1%} of the categories differ from fp32')
        written.append(write_bundle(place, manifest, model_bytes, card_files))
    if len(masters) == 1:
        report(f'No int8 bundle is written: {masters[0].folder} has none; create one with `quantize`, and adapt again.')
    return written


def _manifest(master: ModelBundle, found: Adaptation, affect: np.ndarray) -> dict[str, Any]:
    """Make the manifest: operating points keep their exponents, and get a new temperature and bounds."""
    source = master.manifest
    manifest = {key: source[key] for key in _KEPT if key in source}
    manifest['model'] = {'precision': source['model']['precision']}
    of = f'Of {master.name} {master.version}, and not measured again after the adaptation'
    manifest['limits'] = [f'{of}: {limit}' for limit in source.get('limits', ())]
    temperature = round(found.temperature, 4)
    logits = dict(source['outputs']['logits'], temperature=temperature)
    if 'operating_points' in logits:
        logits['operating_points'] = {
            name: {
                'prior_exponent': point.prior_exponent,
                'temperature': temperature,
                **bounds(found.held_out, affect, point._replace(temperature=temperature)),
            }
            for name, point in operating_points(source).items()
        }
    manifest['outputs'] = dict(source['outputs'], logits=logits)
    return manifest


def _int8_figures(
    master: ModelBundle,
    other: ModelBundle,
    manifest: dict[str, Any],
    model_bytes: bytes,
    faces: LabelledFolder,
    crops: np.ndarray,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Compare the adapted int8 bundle with the fp32 one on the fitted faces."""

    def read(bundle):
        engine = EsrEngine(bundle, threads=options.threads)
        return combine(*_in_batches(engine.run, crops), engine.point)

    return {
        **{key: master.manifest['quantization'][key] for key in ('looked_at', 'how')},
        'of': {'name': other.name, 'version': other.version, 'sha256': other.sha256},
        'on': 'the fitted faces',
        **rounding_figures(faces.labels, read(other), read(ModelBundle('', manifest, model_bytes))),
    }
