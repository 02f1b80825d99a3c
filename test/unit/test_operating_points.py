"""What an operating point makes of a network's logits, and how one is chosen."""

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.emotion.ensemble import OperatingPoint, combine
from facial_emotion_ros.emotion.operating_points import (
    choose_point,
    operating_points,
    parse_prior,
    point_words,
    scores_as_trained,
)
from facial_emotion_ros.inference.bundle_manifest import check_manifest
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

PRIOR = [0.36, 0.25, 0.16, 0.09, 0.04, 0.04, 0.05, 0.01]


def manifest(**logits):
    """Return as much of a manifest as matters: two operating points, or what else is given."""
    said = {
        'class_prior': PRIOR,
        'operating_point': 'fair',
        'temperature': 0.7,
        'operating_points': {
            'as_trained': {'prior_exponent': 0, 'temperature': 0.7},
            'fair': {'prior_exponent': 0.5, 'temperature': 0.8, 'min_confidence': 0.4},
        },
    }
    said.update(logits)
    return {'name': 'esr', 'outputs': {'logits': {key: value for key, value in said.items() if value is not None}}}


@pytest.fixture(scope='module')
def embedded():
    """Return the manifest of the embedded network."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus')).manifest


def outputs(count=50):
    """Return logits (N, 3, 8) and affect (N, 3, 2) of an invented network."""
    generator = np.random.default_rng(1)
    return generator.normal(0, 2, (count, 3, 8)), generator.normal(0, 0.3, (count, 3, 2))


def test_scores_are_those_as_trained_divided_by_the_prior_to_the_exponent():
    point = choose_point(manifest())
    assert (point.name, point.temperature, point.min_confidence, point.min_agreement) == ('fair', 0.8, 0.4, 0.73)
    fair, trained = combine(*outputs(), point), combine(*outputs(), OperatingPoint(temperature=0.8))
    expected = trained.scores / np.sqrt(PRIOR)
    np.testing.assert_allclose(fair.scores, expected / expected.sum(1, keepdims=True), rtol=1e-5)
    assert fair.scores.sum(1) == pytest.approx(1, abs=1e-5)
    assert (fair.scores.argmax(1) != trained.scores.argmax(1)).any()
    np.testing.assert_array_equal(fair.valence, trained.valence)
    np.testing.assert_array_equal(fair.arousal, trained.arousal)


def test_the_default_comes_first_and_others_are_had_by_name():
    assert list(operating_points(manifest())) == ['fair', 'as_trained']
    assert choose_point(manifest(), 'as_trained') == OperatingPoint('as_trained', 0.7)
    assert scores_as_trained(manifest()).name == 'as_trained'


@pytest.mark.parametrize('said', [{'temperature': 0.7}, {'temperature': 0.7, 'offsets': [0, 0, 0, 0, 1, 1, 0, 1]}])
def test_a_bundle_that_names_no_points_is_read_as_before(said):
    described = {'name': 'older', 'outputs': {'logits': said}}
    point = choose_point(described)
    assert point == OperatingPoint('', 0.7, said.get('offsets')) == scores_as_trained(described)
    with pytest.raises(BadParameter, match='operating points of older .it has none., got .balanced.'):
        choose_point(described, 'balanced')
    with pytest.raises(BadParameter, match='class_prior'):
        choose_point(described, prior='1 1 1 1 1 1 1 1')


def test_an_unknown_point_is_refused_with_those_that_there_are():
    with pytest.raises(BadParameter, match=r"\(fair, as_trained\), got 'fairer'"):
        choose_point(manifest(), 'fairer')


@pytest.mark.parametrize('name', ['fair', 'as_trained'])
def test_a_user_s_prior_takes_the_place_of_the_point_s(name):
    prior = [1, 1, 2, 0, 1, 1, 4, 1]
    point = choose_point(manifest(), name, ' '.join(map(str, prior)))
    plain = combine(*outputs(), OperatingPoint(temperature=point.temperature))
    expected = plain.scores * prior / PRIOR  # Bayes' rule, whatever the point's prior_exponent
    scores = combine(*outputs(), point).scores
    np.testing.assert_allclose(scores, expected / expected.sum(1, keepdims=True), rtol=1e-5, atol=1e-12)
    assert not scores[:, EMOTIONS.index('surprise')].any()
    assert point_words(point).startswith(name + ', prior 0.0909 0.0909 0.182 0 ')


def test_the_training_prior_as_the_user_s_gives_scores_as_trained():
    trained, given = choose_point(manifest(), 'as_trained'), choose_point(manifest(), 'as_trained', PRIOR)
    np.testing.assert_allclose(combine(*outputs(), given).scores, combine(*outputs(), trained).scores, rtol=1e-5)


def test_a_best_class_is_found_when_the_only_sure_one_is_excluded():
    logits = np.zeros((1, 3, 8))
    logits[..., 1] = 500.0
    scores = combine(logits, np.zeros((1, 3, 2)), choose_point(manifest(), '', '1 0 1 1 1 1 1 1')).scores[0]
    assert np.isfinite(scores).all() and scores.sum() == pytest.approx(1) and scores[1] == 0


@pytest.mark.parametrize(
    'text, expected',
    [
        ('', None),
        ('  ', None),
        ((), None),
        ('1 1 1 1 1 1 1 1', [0.125] * 8),
        ('1,1,1,1, 1 1 1 1', [0.125] * 8),
        ('0 0 0 0 0 0 2 2', [0] * 6 + [0.5] * 2),
        ('1e308 1e308 1 1 1 1 1 1', [0.5] * 2 + [0] * 6),
        ('5e-324 5e-324 0 0 0 0 0 0', [0.5] * 2 + [0] * 6),
        ([1, 1, 1, 1, 1, 1, 1, 1], [0.125] * 8),
    ],
)
def test_a_prior_is_eight_numbers_in_any_unit(text, expected):
    found = parse_prior(text)
    assert (found is None) if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(
    'bad',
    [
        '1 1 1 1 1 1 1',
        '1 1 1 1 1 1 1 1 1',
        '1 1 1 1 1 1 1 -1',
        '0 0 0 0 0 0 0 0',
        '1 1 1 1 1 1 1 x',
        '1 1 1 1 1 1 1 nan',
        '1 1 1 1 1 1 1 inf',
        '0.5',
        0.5,
        [None] * 8,
        [10**400] * 8,
    ],
)
def test_another_prior_is_refused_with_the_order_of_the_classes(bad):
    with pytest.raises(BadParameter, match='eight numbers of 0 or more, not all of them 0, one for each of neutral, '):
        parse_prior(bad)


@pytest.mark.parametrize(
    'changes, words',
    [
        ({'operating_point': None}, 'operating_point in'),
        ({'operating_point': 'other'}, "'as_trained' or 'fair'"),
        ({'class_prior': None}, 'class_prior'),
        ({'operating_points': None}, 'operating_points'),
        ({'operating_points': {'fair': {'prior_exponent': 0.5}}}, 'fair.temperature'),
        ({'operating_points': {'fair': {'temperature': 1}}}, 'fair.prior_exponent'),
        ({'operating_points': {'fair': {'prior_exponent': 1.5, 'temperature': 1}}}, 'from 0 to 1'),
        ({'operating_points': {'fair': {'prior_exponent': 0, 'temperature': 1, 'min_agreement': 2}}}, 'min_agreement'),
        ({'operating_points': {'a b': {'prior_exponent': 0, 'temperature': 1}}}, 'lower-case'),
    ],
)
def test_a_manifest_of_impossible_points_is_refused(embedded, changes, words):
    given = manifest(**changes)['outputs']['logits']
    kept = {key: embedded['outputs']['logits'][key] for key in ('name', 'branches', 'labels')}
    sound = dict(embedded['outputs'], logits=dict(kept, **manifest()['outputs']['logits']))
    check_manifest(dict(embedded, outputs=sound), 'esr')
    with pytest.raises(BadModel, match=words):
        check_manifest(dict(embedded, outputs=dict(sound, logits=dict(kept, **given))), 'esr')


def test_the_embedded_network_has_a_balanced_default_and_ferplus_s_protocol(embedded):
    points = operating_points(embedded)
    assert list(points) == ['balanced', 'ferplus'] and points['ferplus'].prior_exponent == 0
    valid = embedded['metrics']['operating_points']
    assert valid['balanced']['macro_recall'] > valid['ferplus']['macro_recall'] > 0.72
    assert valid['ferplus']['accuracy'] > valid['balanced']['accuracy'] > 0.865
    assert all(each['ece'] <= 0.03 for each in valid.values())
