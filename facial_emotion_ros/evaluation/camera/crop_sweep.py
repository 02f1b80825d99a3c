"""Sweeps the crop geometry end to end, to choose the values in a bundle's manifest."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.camera.end_to_end import RESAMPLES, Cut, mean, read_through_camera
from facial_emotion_ros.evaluation.camera.robustness import lit, mirrored, shrunk, turned, varied
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.evaluation.intervals import bootstrap_interval
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.perception.face_detector import FaceDetector

#: Default values to try, one field at a time, with the other fields as in the bundle.
VALUES = {
    'landmark_weight': (0.0, 0.5, 1.0),
    'margin': (1.0, 1.05, 1.1, 1.17, 1.25, 1.35),
    'center_x': (0.47, 0.5, 0.53),
    'center_y': (0.52, 0.55, 0.58, 0.61, 0.64),
    'via_px': (0, 40, 48, 64, 80),
    'blur_px': (0.0, 0.7, 1.0, 1.5, 2.0),
    'color': ('gray_x3', 'bgr'),
    'level_eyes': (False, True),
}

#: Centres of box and landmarks in FER+ images, from which the crop's centre follows by landmark_weight, unless a sweep
#: sets it. Source: medians of 1,144 held-out faces of train in scenes, detected by CenterFace; docs/camera.md.
_BOX_CENTER, _LANDMARKS_CENTER = (0.51, 0.513), (0.5, 0.58)

#: Number of varied views of each photograph, which are used for at most _FEW photographs.
_VIEWS, _FEW = 8, 100

#: Sets of faces, and metrics of each set.
SETS = ('scenes', 'turned', 'portraits', 'views')
FIGURES = ('log_score', 'gain', 'gain_low', 'gain_high', 'accuracy', 'macro_recall')


def parse_values(words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Parse arguments such as margin=1.1,1.17 or level_eyes=false,true.

    :param words: arguments; none for VALUES.
    :returns: values by field.
    :raises BadParameter: for another field or a value of another type.
    """
    chosen = {}
    for word in words:
        name, _, text = word.partition('=')
        if name not in VALUES or not text:
            raise BadParameter(f'expected FIELD=VALUE,VALUE... with a field of {", ".join(VALUES)}, got {word!r}')
        chosen[name] = tuple(_parse(name, value) for value in text.split(','))
    return chosen or dict(VALUES)


def _parse(name, text):
    like = VALUES[name][0]
    try:
        if isinstance(like, bool):
            return {'false': False, 'true': True}[text.lower()]
        return type(like)(text)
    except (KeyError, ValueError):
        raise BadParameter(f'{name}: expected a value like {like!r}, got {text!r}') from None


def cuts_to_try(geometry: CropGeometry, values: Mapping[str, Sequence[Any]], grid: bool = False) -> dict[str, Cut]:
    """List the crop settings to try, the bundle's own first.

    :param geometry: CropGeometry of the bundle.
    :param values: from :func:`parse_values`.
    :param grid: try all combinations; else one field at a time.
    :returns: Cut by name, in the order to try them.
    :raises BadParameter: if a value is invalid for a crop.
    """
    own = Cut(geometry)
    if grid:
        choices = [dict(zip(values, combination)) for combination in product(*values.values())]
    else:
        choices = [{name: value} for name, some in values.items() for value in some]
    cuts = {"the bundle's": own}
    for choice in choices:
        fields = {name: value for name, value in choice.items() if name != 'blur_px'}
        if 'landmark_weight' in fields:
            fields = {**_center(fields['landmark_weight']), **fields}
        cut = Cut(replace(geometry, **fields), choice.get('blur_px', 0.0))
        try:
            cut.geometry.check()
        except BadModel as error:
            raise BadParameter(f'invalid crop in the sweep: {error}') from None
        if cut.blur_px < 0:
            raise BadParameter(f'blur_px: expected 0 or more pixels, got {cut.blur_px}')
        if cut not in cuts.values():
            cuts[' '.join(f'{name}={value}' for name, value in choice.items())] = cut
    return cuts


def _center(weight):
    x, y = (
        (1 - weight) * of_box + weight * of_landmarks for of_box, of_landmarks in zip(_BOX_CENTER, _LANDMARKS_CENTER)
    )
    return {'center_x': round(x, 4), 'center_y': round(y, 4)}


def sweep(
    engine: EsrEngine,
    detector: FaceDetector,
    cuts: Mapping[str, Cut],
    scenes: Iterable[LabelledFace] = (),
    to_turn: Iterable[LabelledFace] = (),
    portraits: Sequence[LabelledFace] = (),
    most_degrees: float = 15.0,
    report: Callable[[int], object] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Estimate the same faces, each detected once, with all crop settings.

    :param engine: EsrEngine; the cuts have its size_px.
    :param detector: FaceDetector.
    :param cuts: Cut by name; all are compared with the first.
    :param scenes: unchanged faces.
    :param to_turn: faces, each rotated by up to `most_degrees` in either direction.
    :param portraits: faces in photographs; up to _FEW of them are also used in varied views.
    :param most_degrees: see `to_turn`.
    :param report: called with the number of faces done in a set.
    :returns: by cut and set: FIGURES and n. log_score is the mean natural logarithm of the label's score, which is more
        sensitive than accuracy; gain is its difference from the first cut's, with a 95% interval; macro_recall is over
        the classes that occur.
    """

    def turn(face, generator):
        return turned(face, generator, generator.uniform(0, most_degrees))

    faces = {
        'scenes': scenes,
        'turned': varied(to_turn, turn),
        'portraits': portraits,
        'views': _views(portraits if len(portraits) <= _FEW else ()),
    }
    table: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in cuts}
    for which in SETS:
        reading = read_through_camera(engine, detector, faces[which], list(cuts.values()), report=report)
        logarithms = [_log_scores(reading, place) for place in range(len(cuts))]
        for place, name in enumerate(cuts):
            table[name][which] = _figures(reading, place, logarithms)
    return table


def _views(portraits):
    """Vary rotation, size and light of each face slightly, and mirror every second view."""
    for place, face in enumerate(portraits):
        for view in range(_VIEWS if face.middle is not None else 0):
            generator = np.random.default_rng([place, view])
            seen = mirrored(face, generator) if view % 2 else face
            seen = turned(seen, generator, generator.uniform(0, 5))
            seen = lit(seen, generator, generator.uniform(0.8, 1.2))
            yield shrunk(seen, generator.uniform(0.7, 1.0))


def _log_scores(reading, place):
    rows = np.flatnonzero(reading.is_found)
    return np.log(np.maximum(reading.scores[place, rows, reading.labels[rows]], 1e-6))


def _figures(reading, place, logarithms):
    # Several views of one face are one observation.
    names = reading.names[reading.is_found]
    gains = logarithms[place] - logarithms[0]
    gains = np.array([gains[names == name].mean() for name in np.unique(names)])
    low, high = bootstrap_interval(gains, RESAMPLES)
    is_right, labels = (each[reading.is_found] for each in (reading.is_right(place), reading.labels))
    return {
        'n': len(names),
        'log_score': mean(logarithms[place]),
        'gain': mean(gains),
        'gain_low': low,
        'gain_high': high,
        'accuracy': mean(is_right),
        'macro_recall': mean([mean(is_right[labels == label]) for label in np.unique(labels)]),
    }


def as_csv(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Format a sweep as CSV, one row per cut."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['cut', *(f'{which}_{figure}' for which in SETS for figure in FIGURES)])
    for name, of_sets in table.items():
        writer.writerow([name, *(f'{of_sets[which][figure]:.5f}' for which in SETS for figure in FIGURES)])
    return text.getvalue()
