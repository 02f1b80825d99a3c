"""Operating points of an emotion network: the class frequencies (prior) that its scores assume.

A network trained on web pictures assumes their class frequencies: a third of all faces neutral, one in a hundred
disgusted. An operating point of a bundle's manifest corrects this: scores are divided by prior ** prior_exponent and
normalised.

Source: Saerens, Latinne and Decaestecker, Neural Computation 14(1), 2002; Menon et al., ICLR 2021, section 4.
"""

import math
import re
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.emotion.ensemble import OperatingPoint
from facial_emotion_ros.inference.bundle_manifest import POINT_BOUNDS


def operating_points(manifest: Mapping[str, Any]) -> Dict[str, OperatingPoint]:
    """Return the operating points of a bundle by name, the default first; a bundle without any has one named ''.

    :param manifest: of an ESR, checked.
    """
    logits = manifest['outputs']['logits']
    points = logits.get('operating_points')
    if not points:
        return {'': _unnamed(logits)}
    names = sorted(points, key=lambda each: each != logits['operating_point'])
    return {name: _point(name, points[name], logits) for name in names}


def choose_point(
    manifest: Mapping[str, Any], name: str = '', prior: Union[str, Sequence[float]] = ''
) -> OperatingPoint:
    """Return an operating point, with the user's prior.

    With a prior, scores are multiplied by prior / training prior (Bayes' rule) instead of the point's prior_exponent.
    Temperature and bounds stay the point's.

    :param manifest: of an ESR, checked.
    :param name: '' for the bundle's default.
    :param prior: class frequencies where the robot works: eight numbers in the order of EMOTIONS, or a text of them;
        they need not sum to 1. '' for the point's.
    :raises BadParameter: for an unknown point, an invalid prior, or a prior for a bundle without class_prior.
    """
    points = operating_points(manifest)
    if name and name not in points:
        raise BadParameter(
            'expected one of the operating points of %s (%s), got %r; %s'
            % (manifest['name'], ', '.join(filter(None, points)) or 'it has none', name, "'' is its default")
        )
    point = points[name or next(iter(points))]
    expected = parse_prior(prior)
    if expected is None:
        return point
    trained = manifest['outputs']['logits'].get('class_prior')
    if trained is None:
        raise BadParameter(
            'expected no prior, since the manifest of %s has no class_prior to replace, got %r; export the '
            'bundle again, or leave the prior empty' % (manifest['name'], prior)
        )
    return point._replace(
        prior=tuple(expected.tolist()), class_weights=tuple((expected / np.asarray(trained)).tolist())
    )


def scores_as_trained(manifest: Mapping[str, Any]) -> OperatingPoint:
    """Return the operating point of prior_exponent 0, as in published protocols.

    :param manifest: of an ESR, checked.
    """
    for point in operating_points(manifest).values():
        if not point.prior_exponent:
            return point
    return _unnamed(manifest['outputs']['logits'])


def calibration_of(point: OperatingPoint) -> Dict[str, Any]:
    """Return an operating point as a JSON object for evaluation results."""
    return {
        'operating_point': point.name,
        'prior_exponent': point.prior_exponent,
        'prior': point.prior,
        'temperature': point.temperature,
        'offsets': point.offsets,
    }


def point_words(point: OperatingPoint) -> str:
    """Describe an operating point, like 'balanced' or 'balanced, prior 0.3 0.2 0.1 ...'; '' without name and prior."""
    prior = 'prior ' + ' '.join('%.3g' % each for each in point.prior) if point.prior else ''
    return ', '.join(filter(None, (point.name, prior)))


def parse_prior(prior: Union[str, Sequence[float]]) -> Optional[np.ndarray]:
    """Parse a user's prior.

    :param prior: see :func:`choose_point`; numbers in a text are separated by spaces or commas.
    :returns: (8,) float64 that sums to 1; None for ''.
    :raises BadParameter: if it is not eight finite numbers of 0 or more, not all of them 0.
    """
    try:
        words: Sequence[Any] = list(filter(None, re.split(r'[,\s]+', prior))) if isinstance(prior, str) else list(prior)
        if not words:
            return None
        numbers = [float(each) for each in words]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != len(EMOTIONS) or not all(0 <= each < math.inf for each in numbers) or not any(numbers):
        raise BadParameter(
            'expected a prior of eight numbers of 0 or more, not all of them 0, one for each of %s, or '
            "'', got %.200r" % (', '.join(EMOTIONS), prior)
        )
    shares = np.array(numbers) / max(numbers)  # their sum may overflow
    return shares / shares.sum()


def _unnamed(logits: Mapping[str, Any]) -> OperatingPoint:
    """Return the operating point given by the manifest's fields outside its named points."""
    return OperatingPoint('', float(logits.get('temperature', 1.0)), logits.get('offsets'))


def _point(name: str, fields: Mapping[str, Any], logits: Mapping[str, Any]) -> OperatingPoint:
    weights = None
    if fields['prior_exponent']:
        weights = tuple((np.asarray(logits['class_prior']) ** -float(fields['prior_exponent'])).tolist())
    bounds: Dict[str, Any] = {key: float(fields[key]) for key in POINT_BOUNDS if key in fields}
    return OperatingPoint(
        name, float(fields['temperature']), logits.get('offsets'), float(fields['prior_exponent']), weights, **bounds
    )
