"""Fewer branches where time is short, all of them where it is not; and models cut into parts."""

import numpy as np
import onnx
import pytest
from test_commands import write_faces
from test_export import DESCRIPTION, used

from facial_emotion_ros.cli import quantize
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.emotion.anytime import AnytimeNetwork
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.bundle_quantization import quantize_bundle
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.onnx_proto import extract
from facial_emotion_ros.inference.openvino_backend import openvino_version
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.model.export import write_esr_bundle

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 1, 64, 64)).astype(np.uint8)


@pytest.fixture(scope='module')
def diversified(tmp_path_factory):
    """Return an int8 bundle of an ESR* with two branches of random weights."""
    folder = tmp_path_factory.mktemp('anytime')
    fp32 = write_esr_bundle(folder / 'esr', used(2, True, 64), CropGeometry(size_px=64), DESCRIPTION)
    faces = write_faces(folder / 'faces.npz', 8)
    arguments = ['--bundle', fp32.folder, '--output', str(folder / 'esr_int8'), '--faces', faces]
    return quantize_bundle(quantize.parser().parse_args(arguments))


@pytest.fixture(scope='module')
def embedded():
    """Return the embedded int8 bundle, of nine branches."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus_int8'))


@pytest.fixture(params=['embedded', 'diversified'])
def bundle(request):
    """Return each int8 bundle."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope='module')
def whole(embedded):
    """Return what the embedded network says of the pixels."""
    return EsrEngine(embedded).run(PIXELS)


class Clock:
    """A clock by which each look takes so long."""

    def __init__(self, step_s):
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self):
        self.now_s += self.step_s
        return self.now_s


def test_all_branches_give_the_model_s_outputs_while_there_is_time(bundle):
    whole = EsrEngine(bundle)
    for threads in (1, 2):
        engine = EsrEngine(bundle, threads=threads, anytime=True)
        for pixels in (PIXELS[:0], PIXELS[:1], PIXELS):
            for found, expected in zip(engine.run(pixels), whole.run(pixels)):
                assert found.shape == expected.shape
                np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.skipif(not openvino_version(), reason='openvino is not installed: it is optional')
def test_openvino_runs_the_parts_too(bundle):
    plan = ProviderPlan(engine='openvino')
    for found, expected in zip(EsrEngine(bundle, plan, anytime=True).run(PIXELS), EsrEngine(bundle, plan).run(PIXELS)):
        np.testing.assert_allclose(found, expected, atol=0.1)


def test_as_many_groups_run_as_the_time_allows_and_one_always(embedded, whole):
    network = AnytimeNetwork(embedded, ProviderPlan(), group=1)
    # Two looks at the clock a group, a second each: a group begins at 1, 3, 5 s, takes one, and is over a second later.
    for until_s, groups in (
        (None, 9),
        (-5.0, 1),
        (0.0, 1),
        (3.0, 1),
        (4.0, 2),
        (5.9, 2),
        (6.0, 3),
        (100.0, 9),
    ):
        logits, affect = network.run(PIXELS, until_s, Clock(1.0))
        assert logits.shape == (3, groups, 8) and affect.shape == (3, groups, 2), until_s
        np.testing.assert_allclose(logits, whole[0][:, :groups], atol=1e-4)
        np.testing.assert_allclose(affect, whole[1][:, :groups], atol=1e-4)


def test_estimates_of_fewer_branches_are_theirs(embedded, whole):
    engine = EsrEngine(embedded, anytime=True)
    estimates = engine.estimate(PIXELS, until_s=0.0)  # long over
    logits, affect = (each[:, :3] for each in whole)
    expected = combine(logits, affect, engine.point)
    np.testing.assert_allclose(estimates.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(estimates.agreement, expected.agreement, atol=1e-4)


def test_each_part_holds_its_own_weights_alone(bundle):
    parts = bundle.manifest['parts']
    sizes = [
        len(extract(bundle.model_bytes, ['pixels'], parts['shared'])),
        len(extract(bundle.model_bytes, parts['means'], ['logits', 'affect'])),
    ]
    sizes += [
        len(extract(bundle.model_bytes, [shared], [mean])) for shared, mean in zip(parts['shared'], parts['means'])
    ]
    assert sum(sizes) == pytest.approx(len(bundle.model_bytes), rel=0.05)
    for size in sizes[2:]:
        assert size > 0.1 * len(bundle.model_bytes)


@pytest.mark.parametrize(
    'inputs, outputs, text',
    [
        (['pixels'], ['nothing'], 'types of nothing'),
        (['nothing'], ['logits'], 'types of nothing'),
        (['MEAN'], ['logits'], 'needs .* too'),
    ],
)
def test_a_part_that_does_not_follow_is_refused(embedded, inputs, outputs, text):
    names = [embedded.manifest['parts']['means'][0] if name == 'MEAN' else name for name in inputs]
    with pytest.raises(BadModel, match=text):
        extract(embedded.model_bytes, names, outputs)


def test_a_part_is_a_sound_model(bundle):
    part = onnx.load_from_string(extract(bundle.model_bytes, ['pixels'], bundle.manifest['parts']['shared']))
    onnx.checker.check_model(part, full_check=True)
    assert part.ir_version == 7 and [each.version for each in part.opset_import] == [13]


def test_a_bundle_that_cannot_be_cut_and_a_gpu_are_refused(embedded):
    with pytest.raises(BadModel, match='quantize'):
        EsrEngine('esr_9_ferplus', anytime=True)
    with pytest.raises(BadParameter, match='deadline'):
        EsrEngine(embedded, ['CUDAExecutionProvider', 'CPUExecutionProvider'], anytime=True)


def test_a_pipeline_answers_with_the_embedded_network_however_late_it_is(embedded):
    image = read_picture(find_shared('samples', 'astronaut.jpg'))
    pipeline = EmotionPipeline(esr=embedded, anytime=True)
    (late,) = pipeline.estimate(image, 1.0, until_s=0.0)
    pipeline.reset()
    (calm,) = pipeline.estimate(image, 2.0)
    assert late.raw.emotion == calm.raw.emotion
    assert late.raw.scores != calm.raw.scores, 'three branches are not nine'
