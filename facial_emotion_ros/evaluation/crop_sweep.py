"""Try values of the crop geometry end to end, to choose those that a bundle's manifest holds."""

import csv
import io
from dataclasses import replace
from itertools import product

import numpy as np

from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.evaluation.camera import Cut, interval, mean, read_through_camera
from facial_emotion_ros.evaluation.robustness import Variation, lit, mirrored, shrunk, turned, varied

#: What is tried where nothing else is asked for, each field alone, the others as the bundle has them.
VALUES = {
    'margin': (1.0, 1.1, 1.17, 1.25, 1.35, 1.5),
    'center_x': (0.48, 0.51, 0.54),
    'center_y': (0.45, 0.48, 0.513, 0.545, 0.58),
    'via_px': (0, 40, 48, 64, 80),
    'blur_px': (0.0, 0.7, 1.0, 1.5, 2.0),
    'color': ('gray_x3', 'bgr'),
    'level_eyes': (False, True),
}

#: Photographs are few: each of their faces is read in so many views, which differ in nothing that matters.
_VIEWS = 8

#: What is read with each cut, and what is said of each.
SETS = ('scenes', 'turned', 'portraits', 'views')
FIGURES = ('log_score', 'gain', 'gain_low', 'gain_high', 'accuracy')


def parse_values(words):
    """Read what to try from words such as margin=1.1,1.17 or level_eyes=false,true.

    :param words: sequence of str; empty for VALUES.
    :returns: dict of field -> tuple of values.
    :raises BadParameter: for another field or a value of another type.
    """
    chosen = {}
    for word in words:
        name, _, text = word.partition('=')
        if name not in VALUES or not text:
            raise BadParameter(f'FIELD=VALUE,VALUE... expected with a field of {", ".join(VALUES)}, got {word!r}')
        chosen[name] = tuple(_parse(name, value) for value in text.split(','))
    return chosen or dict(VALUES)


def _parse(name, text):
    like = VALUES[name][0]
    try:
        if isinstance(like, bool):
            return {'false': False, 'true': True}[text.lower()]
        return type(like)(text)
    except (KeyError, ValueError):
        raise BadParameter(f'{name}: a value like {like!r} expected, got {text!r}') from None


def cuts_to_try(geometry, values, grid=False):
    """List the ways to cut, the bundle's own first.

    :param geometry: CropGeometry of the bundle.
    :param values: dict of field -> values, as :func:`parse_values` gives it.
    :param grid: try all combinations; else one field at a time.
    :returns: dict of name -> Cut, in the order to try them.
    :raises BadParameter: if no crop can have a value.
    """
    own = Cut(geometry)
    if grid:
        choices = [dict(zip(values, combination)) for combination in product(*values.values())]
    else:
        choices = [{name: value} for name, some in values.items() for value in some]
    cuts = {"the bundle's": own}
    for choice in choices:
        cut = Cut(replace(geometry, **{name: value for name, value in choice.items() if name != 'blur_px'}),
                  choice.get('blur_px', 0.0))
        try:
            cut.geometry.check()
        except BadModel as error:
            raise BadParameter(f'the sweep wants what no crop can have: {error}') from None
        if cut.blur_px < 0:
            raise BadParameter(f'blur_px: 0 or more pixels expected, got {cut.blur_px}')
        if cut not in cuts.values():
            cuts[' '.join(f'{name}={value}' for name, value in choice.items())] = cut
    return cuts


def sweep(engine, detector, cuts, scenes=(), to_turn=(), portraits=(), most_degrees=15.0, report=None):
    """Read the same faces, each found once, with every way to cut.

    :param engine: EsrEngine; the cuts' size_px is its own.
    :param detector: anything with `detect(image) -> Faces`.
    :param cuts: dict of name -> Cut; the first is what the others are compared with.
    :param scenes: iterable of LabelledFace, read as they are.
    :param to_turn: iterable of LabelledFace, each turned by up to `most_degrees` either way.
    :param portraits: sequence of LabelledFace in photographs, read as they are and in a few views.
    :param most_degrees: see `to_turn`.
    :param report: called with the set's name and the number of faces done.
    :returns: dict of name -> dict of set -> dict of FIGURES and n. log_score is the mean natural logarithm of the
        label's score, which notices what changes no category yet; a gain is that of log_score over the first cut's,
        with its 95% interval.
    """
    def turn(face, generator):
        return turned(generator.uniform(0, most_degrees))(face, generator)

    faces = {'scenes': scenes, 'turned': varied(to_turn, Variation('turned at random', turn)),
             'portraits': portraits, 'views': _views(portraits)}
    table = {name: {} for name in cuts}
    for which in SETS:
        told = None if report is None else (lambda done, which=which: report(which, done))
        reading = read_through_camera(engine, detector, faces[which], list(cuts.values()), report=told)
        logarithms = [_log_scores(reading, place) for place in range(len(cuts))]
        for place, name in enumerate(cuts):
            table[name][which] = _figures(reading, place, logarithms)
    return table


def _views(portraits):
    """Show each face slightly turned, shrunk and lit otherwise, every other time mirrored."""
    for place, face in enumerate(portraits):
        for view in range(_VIEWS if face.middle is not None else 0):
            generator = np.random.default_rng([place, view])
            seen = mirrored(face, generator) if view % 2 else face
            seen = turned(generator.uniform(0, 5))(seen, generator)
            seen = lit(generator.uniform(0.8, 1.2))(seen, generator)
            yield shrunk(seen, generator.uniform(0.7, 1.0))


def _log_scores(reading, place):
    rows = np.flatnonzero(reading.is_found)
    return np.log(np.maximum(reading.scores[place, rows, reading.labels[rows]], 1e-6))


def _figures(reading, place, logarithms):
    # Several views of one face are one observation.
    names = reading.names[reading.is_found]
    gains = logarithms[place] - logarithms[0]
    gains = [gains[names == name].mean() for name in np.unique(names)]
    low, high = interval(gains)
    return {'n': len(names), 'log_score': mean(logarithms[place]), 'gain': mean(gains), 'gain_low': low,
            'gain_high': high, 'accuracy': mean(reading.is_right(place)[reading.is_found])}


def as_csv(table):
    """Write a sweep as a table, one row for each cut.

    :param table: as :func:`sweep` gives it.
    :returns: str, CSV.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['cut', *(f'{which}_{figure}' for which in SETS for figure in FIGURES)])
    for name, of_sets in table.items():
        writer.writerow([name, *(f'{of_sets[which][figure]:.5f}' for which in SETS for figure in FIGURES)])
    return text.getvalue()
