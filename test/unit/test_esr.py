"""The engine on the embedded bundle."""

import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadImage, BadModel
from facial_emotion_ros.emotion.ensemble import OperatingPoint, combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle


@pytest.fixture(scope='module')
def engine():
    """Return an engine on the embedded bundle."""
    return EsrEngine()


@pytest.fixture
def replaced(engine, monkeypatch):
    """Return a function that puts something in the place of the engine's session."""
    return lambda session: monkeypatch.setattr(engine._model, '_session', session)


#: Side of the embedded network's crops.
SIZE = 64


def random_crops(count, seed=0):
    """Return (count, 3, SIZE, SIZE) float32 in [0, 1]."""
    return np.random.default_rng(seed).random((count, 3, SIZE, SIZE)).astype(np.float32)


class BrokenSession:
    """Stands where ONNX Runtime's session stands, and throws as a lost GPU makes it throw."""

    def run(self, outputs, feed):
        """Fail."""
        raise RuntimeError('CUDA failure 700: an illegal memory access was encountered')


class AnsweringSession:
    """Stands where ONNX Runtime's session stands, and gives a fixed answer."""

    def __init__(self, logits, affect):
        self.answer = [logits, affect]

    def run(self, outputs, feed):
        """Give the answer."""
        return self.answer


@pytest.mark.parametrize('count', [0, 1, 3, 17])
def test_every_batch_size_gives_a_row_for_each_branch(engine, count):
    logits, affect = engine.run(random_crops(count))
    assert logits.shape == (count, 9, 8) and affect.shape == (count, 9, 2)
    assert logits.dtype == affect.dtype == np.float32


def test_a_face_gives_the_same_when_it_is_alone(engine):
    # The authors' code gives another answer: its batch norm never leaves training mode.
    crops = random_crops(5)
    whole, alone = engine.run(crops), engine.run(crops[3:4])
    np.testing.assert_allclose(whole[0][3:4], alone[0], atol=1e-4)
    np.testing.assert_allclose(whole[1][3:4], alone[1], atol=1e-4)


def test_branches_are_not_copies_of_each_other(engine):
    logits, _ = engine.run(random_crops(1))
    assert (np.abs(logits[0][:, None] - logits[0][None]).max(-1) > 1e-3).sum() == 9 * 8


@pytest.mark.parametrize(
    'said, temperature, offsets',
    [
        ({}, 1.0, None),
        ({'temperature': 0.5}, 0.5, None),
        ({'temperature': 2, 'offsets': [0, 0, 0, 0, 0.5, 1, 0, 3]}, 2.0, [0, 0, 0, 0, 0.5, 1, 0, 3]),
    ],
)
def test_estimates_are_calibrated_when_the_manifest_says_how(said, temperature, offsets):
    embedded = ModelBundle.open(embedded_bundle('esr_9_ferplus_int8'), expect='esr')
    logits = {
        key: value
        for key, value in embedded.manifest['outputs']['logits'].items()
        if key in ('name', 'branches', 'labels')
    }
    outputs = dict(embedded.manifest['outputs'], logits=dict(logits, **said))
    bundle = ModelBundle(embedded.folder, dict(embedded.manifest, outputs=outputs), embedded.model_bytes)
    engine = EsrEngine(bundle)
    assert (engine.point.temperature, engine.point.offsets) == (temperature, offsets)
    crops = random_crops(2)
    expected = combine(*engine.run(crops), OperatingPoint('', temperature, offsets))
    estimates = engine.estimate(crops)
    np.testing.assert_array_equal(estimates.scores, expected.scores)
    np.testing.assert_array_equal(estimates.agreement, expected.agreement)
    assert len(engine.estimate(crops[:0])) == 0


def test_uint8_crops_give_the_same_as_crops_in_the_network_s_range(engine):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, SIZE, SIZE)).astype(np.uint8)
    floats = np.repeat(pixels / np.float32(255), 3, axis=1)
    for found, expected in zip(engine.run(pixels), engine.run(floats)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert engine.run(pixels[:0])[0].shape == (0, 9, 8)


def test_a_network_with_uint8_input_gets_it_from_either():
    of_pixels, seen = EsrEngine('esr_9_ferplus_int8'), []

    class Looking:
        """Stands where the model stands, and keeps what it is given."""

        face_batch = 0

        def run(self, outputs, feed):
            """Give zeros."""
            seen.extend(feed.values())
            return [np.zeros((2, 9, 8), np.float32), np.zeros((2, 9, 2), np.float32)]

    of_pixels._model = Looking()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, SIZE, SIZE)).astype(np.uint8)
    of_pixels.run(pixels)
    of_pixels.run(np.repeat(pixels / np.float32(255), 3, axis=1))
    of_pixels.run(np.repeat(pixels / np.float32(255), 3, axis=1) * 300 - 20)
    for each in seen:
        assert each.dtype == np.uint8 and each.shape == (2, 1, SIZE, SIZE)
    np.testing.assert_array_equal(seen[0], pixels)
    np.testing.assert_array_equal(seen[1], pixels)
    assert seen[2].min() == 0 and seen[2].max() == 255  # never wrapped round


@pytest.mark.parametrize(
    'crops, expected, text',
    [
        (np.zeros((1, 3, SIZE, SIZE), np.uint8), BadImage, r'\(N, 1, %d, %d\) of uint8' % (SIZE, SIZE)),
        (np.full((1, 3, SIZE, SIZE), np.nan), BadImage, 'finite'),
        (np.full((1, 3, SIZE, SIZE), np.inf), BadImage, 'finite'),
        (np.zeros((1, 3, 80, 80)), BadImage, r'\(1, 3, 80, 80\)'),
        (np.zeros((3, SIZE, SIZE)), BadImage, r'\(3, %d, %d\)' % (SIZE, SIZE)),
    ],
)
def test_crops_are_refused_when_they_cannot_be_read(engine, crops, expected, text):
    with pytest.raises(expected, match=text):
        engine.run(crops)


def test_a_detector_s_bundle_is_refused():
    with pytest.raises(BadModel, match='esr'):
        EsrEngine('centerface')


def test_a_failure_on_the_cpu_is_an_error(engine, replaced):
    replaced(BrokenSession())
    with pytest.raises(BadModel, match='CUDA failure 700'):
        engine.run(random_crops(1))


@pytest.mark.parametrize(
    'logits, affect, text',
    [
        (np.full((1, 9, 8), np.nan, np.float32), np.zeros((1, 9, 2), np.float32), 'finite'),
        (np.zeros((1, 9, 8), np.float32), np.full((1, 9, 2), np.inf, np.float32), 'finite'),
        (np.zeros((1, 8), np.float32), np.zeros((1, 2), np.float32), r'\(1, 8\)'),
        (np.zeros((2, 9, 8), np.float32), np.zeros((2, 9, 2), np.float32), r'\(2, 9, 8\)'),
    ],
)
def test_outputs_are_refused_when_they_cannot_be_right(engine, replaced, logits, affect, text):
    replaced(AnsweringSession(logits, affect))
    with pytest.raises(BadModel, match=text):
        engine.run(random_crops(1))
