"""FacialEmotionLearner without training: settings, what it infers from, what it saves, loads and exports."""

import inspect
import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import torch
from tiny_training import measured, published_channels, quick_trainings, write_published  # noqa: F401

from facial_emotion_ros.core.errors import BadImage, BadModel, BadParameter, FacialEmotionError
from facial_emotion_ros.inference.model_bundle import write_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training import Category, FacialEmotionLearner, Image
from facial_emotion_ros.training.loop import saved_network
from facial_emotion_ros.training.model import network
from facial_emotion_ros.training.model.export import write_esr_bundle
from facial_emotion_ros.training.opendr.inputs import crops_of
from facial_emotion_ros.training.opendr.network import OpenDrEsr

#: The constructor's parameters and defaults, as OpenDR's page lists them.
DEFAULTS = {
    'lr': 0.1,
    'batch_size': 32,
    'temp_path': 'temp',
    'device': 'cuda',
    'device_ind': [0],
    'validation_interval': 1,
    'max_training_epoch': 2,
    'momentum': 0.9,
    'ensemble_size': 9,
    'base_path_experiment': './experiments/',
    'name_experiment': 'esr_9',
    'dimensional_finetune': True,
    'categorical_train': False,
    'base_path_to_dataset': './data/AffectNet',
    'max_tuning_epoch': 1,
    'diversify': False,
}
NAMES = ('Neutral', 'Happy', 'Sad', 'Surprise', 'Fear', 'Disgust', 'Anger', 'Contempt')


def used(network):
    """Give a network running statistics and heads that tell faces apart."""
    measured(network, 96)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for branch in network.convolutional_branches:
            branch.fc.weight.normal_(0, 0.5, generator=generator)
            branch.fc_dimensional.weight.normal_(0, 0.3, generator=generator)
    return network


@pytest.fixture(scope='module')
def weights():
    """Return the state dict of an ESR-2."""
    torch.manual_seed(0)
    return used(OpenDrEsr('cpu', 2)).state_dict()


def write_bundle_of(weights, folder, **options):
    """Write a bundle of an ESR-2 for gray crops of 64 px; return its ModelBundle."""
    network = OpenDrEsr('cpu', 2)
    network.load_state_dict(weights)
    description = {
        'name': 'tiny',
        'version': '1',
        'affect_derived_from': 'nothing',
        'source': {},
        'licence': {'spdx': 'Apache-2.0'},
    }
    return write_esr_bundle(folder, network, CropGeometry(size_px=64), description, half=False, **options)


@pytest.fixture(scope='module')
def authors(weights, tmp_path_factory):
    """Return a folder as the authors' code has it: no JSON file."""
    folder = tmp_path_factory.mktemp('authors')
    write_published(folder, weights)
    return folder


@pytest.fixture(scope='module')
def picture():
    """Return a colourful face, (120, 100, 3) uint8, blue first."""
    picture = np.zeros((120, 100, 3), np.uint8)
    picture[:] = (200, 90, 20)
    cv2.ellipse(picture, (50, 60), (35, 50), 0, 0, 360, (60, 140, 230), -1)
    cv2.circle(picture, (38, 45), 6, (0, 0, 0), -1)
    return picture


@pytest.fixture
def learner(authors, tmp_path):
    """Return a learner with the authors' ESR-2."""
    learner = FacialEmotionLearner(device='cpu', ensemble_size=2, temp_path=str(tmp_path / 'temp'))
    learner.load(2, authors)
    return learner


@pytest.fixture(scope='module')
def optimized(authors, tmp_path_factory):
    """Return a learner after optimize(), and a folder that it was saved in, its files called mine."""
    place = tmp_path_factory.mktemp('optimized')
    learner = FacialEmotionLearner(device='cpu', ensemble_size=2, temp_path=str(place / 'temp'))
    learner.load(2, authors)
    learner.optimize()
    learner.save(path=place / 'saved', model_name='mine', verbose=False)
    return learner, place / 'saved'


def same(results, others, tolerance=1e-5):
    """Compare two results of infer()."""
    assert [each.data for each in results[0]] == [each.data for each in others[0]]
    for one, other in zip(results[0], others[0]):
        assert float(one.confidence) == pytest.approx(float(other.confidence), abs=tolerance)
    torch.testing.assert_close(results[1], others[1], atol=tolerance, rtol=tolerance)
    return True


def test_parameters_and_defaults_are_opendr_s():
    parameters = inspect.signature(FacialEmotionLearner).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == DEFAULTS
    learner = FacialEmotionLearner(**dict(DEFAULTS, device='cpu'))
    for name, value in dict(DEFAULTS, device='cpu').items():
        assert getattr(learner, name) == value
    assert list(parameters) == list(DEFAULTS)
    assert learner.model is None and learner.ort_session is None and learner.output_device == 0
    assert (
        learner.iters,
        learner.optimizer,
        learner.lr_schedule,
        learner.backbone,
        learner.network_head,
        learner.checkpoint_after_iter,
        learner.checkpoint_load_iter,
        learner.threshold,
        learner.scale,
    ) == (10, 'sgd', '', 'default', '', 0, 0, 0.0, 1.0)
    assert learner.reset() is None
    assert learner.get_hyperparameters() is None and learner.get_objective_function() is None


@pytest.mark.parametrize(
    'method, leading',
    [
        ('init_model', ['num_branches']),
        ('fit', ['verbose']),
        ('infer', ['input_batch']),
        ('eval', ['eval_type', 'current_branch_on_training']),
        ('save', ['state_dicts', 'base_path_to_save_model', 'verbose']),
        (
            'load',
            [
                'ensemble_size',
                'path_to_saved_network',
                'file_name_base_network',
                'file_name_conv_branch',
                'fix_backbone',
            ],
        ),
        ('optimize', ['do_constant_folding']),
        ('download', ['path', 'mode', 'url']),
    ],
)
def test_methods_take_opendr_s_parameters_in_its_order(method, leading):
    parameters = list(inspect.signature(getattr(FacialEmotionLearner, method)).parameters)
    assert parameters[1 : 1 + len(leading)] == leading


def test_torch_stays_unloaded_when_the_package_of_the_learner_is_imported():
    code = (
        'import sys, facial_emotion_ros.training as learning; assert "FacialEmotionLearner" in dir(learning); '
        'print("torch" in sys.modules)'
    )
    root = pathlib.Path(__file__).parents[2]
    assert subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True).stdout == 'False\n'


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has CUDA: nothing falls back')
def test_the_cpu_computes_and_one_warning_says_so_when_cuda_is_missing():
    with pytest.warns(RuntimeWarning, match='CUDA is not available') as caught:
        learner = FacialEmotionLearner(ensemble_size=1)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert learner.device == 'cpu'
    learner.init_model(1)
    assert next(learner.model.parameters()).device.type == 'cpu'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        FacialEmotionLearner(device='cpu')


@pytest.mark.parametrize(
    'wrong', [{'lr': 'fast'}, {'batch_size': 2.5}, {'temp_path': 3}, {'device': 7}, {'batch_size': True}]
)
def test_a_setting_of_another_type_is_refused_as_in_opendr(wrong):
    with pytest.raises(TypeError, match=next(iter(wrong))) as caught:
        FacialEmotionLearner(**dict({'device': 'cpu'}, **wrong))
    assert isinstance(caught.value, BadParameter)


def test_a_setting_is_converted_when_that_loses_nothing(tmp_path):
    learner = FacialEmotionLearner(device='cpu', lr=1, temp_path=tmp_path)
    assert learner.lr == 1.0 and isinstance(learner.lr, float) and learner.temp_path == str(tmp_path)


def test_an_unknown_device_is_refused():
    with pytest.raises(BadParameter, match='tpu'):
        FacialEmotionLearner(device='tpu')


@pytest.mark.parametrize('diversify', [False, True])
def test_the_model_answers_as_opendr_s(diversify):
    learner = FacialEmotionLearner(device='cpu', diversify=diversify)
    assert learner.init_model(num_branches=3) is None
    model = learner.model
    assert model.get_ensemble_size() == model.ensemble_size == 3 and model.device.type == 'cpu' and not model.training
    with torch.inference_mode():
        emotions, affect, attention = model(torch.rand(2, 3, 96, 96))
    assert [tuple(each.shape) for each in emotions] == [(2, 8)] * 3
    assert [tuple(each.shape) for each in affect] == [(2, 2)] * 3
    if diversify:
        assert [tuple(each.shape) for each in attention] == [(3, 2, 6, 6), (3, 2, network.BRANCH_CHANNELS[-1])]
    else:
        assert attention == 0
    parts = model.to_state_dict()
    assert len(parts) == 4 and 'conv1.weight' in parts[0] and 'fc_dimensional.bias' in parts[3]
    assert ('cbam4.SpatialGate.spatial.conv.weight' in parts[1]) == diversify
    with torch.no_grad():
        model.base.conv1.weight.zero_()
    assert parts[0]['conv1.weight'].abs().sum() > 0
    model.reload(parts)
    assert torch.equal(model.base.conv1.weight, parts[0]['conv1.weight'])
    model.add_branch()
    model.to_device('cpu')
    assert model.get_ensemble_size() == 4


def test_categories_and_dimensions_have_opendr_s_form(learner, picture):
    categories, dimensions = learner.infer([picture, picture[::-1].copy(), 255 - picture])
    assert len(categories) == 3 and tuple(dimensions.shape) == (3, 2)
    assert dimensions.dtype == torch.float32 and dimensions.device.type == 'cpu' and not dimensions.requires_grad
    assert dimensions.abs().max() <= 1
    for category in categories:
        assert isinstance(category, Category) and isinstance(category.data, int)
        assert category.description == NAMES[category.data]
        assert category.confidence.shape == () and 1 / 8 <= category.confidence.item() <= 1
        assert category.description in str(category)
    # What OpenDR's own demo does with the results.
    assert np.array([row.cpu().detach().numpy() for row in dimensions]).shape == (3, 2)


@pytest.mark.parametrize('color', ['bgr', 'gray_x3'])
def test_every_form_of_the_same_face_gives_the_same_crop(picture, color):
    geometry = CropGeometry(color=color)
    small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
    planes = small.transpose(2, 0, 1)
    floats = torch.from_numpy(planes.astype(np.float32) / 255)
    expected = crops_of(small, geometry)
    assert expected.shape == (1, 3, 96, 96) and expected.dtype == np.float32
    if color == 'bgr':
        np.testing.assert_allclose(expected[0], floats, atol=1e-6)
    forms = {
        'image': Image(small),
        'image of planes': Image(planes[::-1]),
        'image of floats': Image(floats),
        'planes': np.ascontiguousarray(planes),
        'whole tensor': torch.from_numpy(planes.copy()),
        'tensor': floats,
        'batch': floats[None],
        'array of floats': floats.numpy(),
        'batch array': floats[None].numpy(),
        'pictures': small[None],
        'list': [small],
        'tuple': (Image(small),),
        'list of tensors': [floats],
        'converted': Image(small).convert('channels_last', 'bgr'),
        'long': torch.from_numpy(planes.astype(np.int64)),
    }
    # A gray of whole numbers is rounded, one of floats is not.
    tolerance = 1e-6 if color == 'bgr' else 0.51 / 255
    for name, form in forms.items():
        np.testing.assert_allclose(crops_of(form, geometry), expected, atol=tolerance, err_msg=name)


def test_planes_are_the_last_of_an_array_and_the_first_of_a_tensor_when_both_could_be():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    geometry = CropGeometry(color='bgr')
    as_planes = crops_of(np.ascontiguousarray(pixels.transpose(1, 2, 0)), geometry)
    np.testing.assert_array_equal(crops_of(torch.from_numpy(pixels), geometry), as_planes)
    assert np.abs(crops_of(pixels, geometry) - as_planes).max() > 0.1


def test_a_list_may_mix_forms_and_order_is_kept(learner, picture):
    small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
    floats = torch.from_numpy(small.transpose(2, 0, 1).astype(np.float32) / 255)
    alone = learner.infer(small)
    many = learner.infer([255 - small, Image(small), floats])
    assert len(many[0]) == 3
    assert same((many[0][1:2], many[1][1:2]), alone) and same((many[0][2:], many[1][2:]), alone)
    assert not torch.allclose(many[1][0], many[1][1])


def test_the_published_weights_see_blue_first_over_255_at_96_px(learner, picture):
    small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA)
    crops = torch.from_numpy(small.astype(np.float32).transpose(2, 0, 1)[None] / 255)
    with torch.inference_mode():
        logits, affect, _ = learner.model(crops)
    scores = torch.stack(logits).softmax(-1).mean(0)[0]
    categories, dimensions = learner.infer(picture)
    assert categories[0].data == int(scores.argmax())
    assert float(categories[0].confidence) == pytest.approx(float(scores.max()), abs=1e-5)
    torch.testing.assert_close(dimensions, torch.stack(affect).mean(0).clamp(-1, 1), atol=1e-5, rtol=1e-5)
    other = learner.infer(np.ascontiguousarray(picture[:, :, ::-1]))
    assert abs(float(other[0][0].confidence) - float(scores.max())) > 1e-4


def test_gray_faces_and_no_face_are_read(learner):
    gray = np.full((48, 48), 90, np.uint8)
    assert same(learner.infer(gray), learner.infer(np.repeat(gray[:, :, None], 3, 2)))
    assert same(learner.infer(gray[None]), learner.infer(gray[:, :, None]))
    for nothing in ([], torch.zeros(0, 3, 96, 96)):
        categories, dimensions = learner.infer(nothing)
        assert categories == [] and tuple(dimensions.shape) == (0, 2)


@pytest.mark.parametrize(
    'wrong, words',
    [
        (None, 'NoneType'),
        ('face.jpg', 'str'),
        (np.zeros((5, 7, 9), np.uint8), 'one or three channels'),
        (np.zeros((0, 0, 3), np.uint8), 'shape'),
        (np.zeros(3, np.uint8), 'shape'),
        (np.full((3, 96, 96), np.nan), 'NaN'),
        (np.full((3, 96, 96), 128.0), 'divide by 255'),
        (np.full((9, 9, 3), 300), '0 to 255'),
        (np.zeros((9, 9, 3), complex), 'complex'),
    ],
)
def test_what_is_no_face_is_refused(learner, wrong, words):
    with pytest.raises(BadImage, match=words):
        learner.infer(wrong)


def test_a_warning_is_given_when_floats_do_not_lie_where_esr_wants_them(learner):
    with pytest.warns(RuntimeWarning, match='ESR expects no mean'):
        learner.infer(torch.randn(1, 3, 96, 96))


@pytest.mark.parametrize(
    'call',
    [
        lambda learner: learner.infer(np.zeros((9, 9, 3), np.uint8)),
        lambda learner: learner.optimize(),
        lambda learner: learner.save(path='nowhere'),
    ],
)
def test_it_says_so_when_there_is_no_network(call):
    with pytest.raises(UserWarning, match='init_model') as caught:
        call(FacialEmotionLearner(device='cpu'))
    assert isinstance(caught.value, FacialEmotionError)


def test_an_image_keeps_planes_red_first_whatever_it_is_made_of(picture, tmp_path):
    image = Image(picture)
    assert image.data.shape == (3, 120, 100) and image.data.dtype == image.dtype == np.uint8
    np.testing.assert_array_equal(image.data[0], picture[:, :, 2])
    np.testing.assert_array_equal(image.opencv(), picture)
    np.testing.assert_array_equal(image.convert('channels_last', 'rgb'), picture[:, :, ::-1])
    np.testing.assert_array_equal(image.convert('channels_first', 'bgr'), picture.transpose(2, 0, 1))
    np.testing.assert_array_equal(Image(image.data).data, image.data)
    copy = image.numpy()
    copy[:] = 0
    assert image.data.any() and str(image) == str(image.data)
    path = tmp_path / 'face.png'
    cv2.imwrite(str(path), picture)
    np.testing.assert_array_equal(Image.open(path).opencv(), picture)
    kept = Image(picture, guess_format=False)
    np.testing.assert_array_equal(kept.data, picture)


def test_an_image_of_floats_keeps_them():
    floats = torch.rand(3, 8, 8)
    image = Image(floats)
    np.testing.assert_array_equal(image.data, floats.numpy())
    np.testing.assert_array_equal(image.opencv(), floats.numpy().transpose(1, 2, 0))
    assert Image(floats, dtype=np.float64).data.dtype == np.float64


@pytest.mark.parametrize(
    'wrong, words',
    [
        (None, 'None'),
        (np.zeros((4, 4)), 'shape'),
        (np.full((4, 4, 3), 256), '0 to 255'),
        (object(), 'shape'),
    ],
)
def test_an_image_of_something_else_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        Image(wrong)
    assert isinstance(caught.value, BadImage)


def test_an_image_file_that_is_absent_or_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Image.open(tmp_path / 'absent.png')
    (tmp_path / 'text.png').write_text('no picture')
    with pytest.raises(BadImage, match='text.png: expected a picture file'):
        Image.open(tmp_path / 'text.png')
    with pytest.raises(BadParameter, match='rgb or bgr'):
        Image(np.zeros((4, 4, 3), np.uint8)).convert(channel_order='gray')


def test_a_category_is_made_by_its_own_names_and_by_opendr_s():
    ours = Category(1, 'Happy', 0.75)
    theirs = Category(prediction=1, confidence=0.75, description='Happy')
    for category in (ours, theirs):
        assert (category.data, category.confidence, category.description) == (1, 0.75, 'Happy')
        assert str(category) == 'Class 1 (Happy) with confidence 0.750'
    assert str(Category(2)) == 'Class 2'
    for wrong in (
        {'data': 'Happy'},
        {'data': None},
        {'data': 1, 'description': 0.75},
        {'prediction': 1, 'confidence': 'Happy'},
    ):
        with pytest.raises(ValueError):
            Category(**wrong)


def test_weights_come_back_from_each_form_of_saving(learner, picture, tmp_path):
    expected = learner.infer(picture)
    model = learner.model
    for place, save in {
        'opendr': lambda folder: learner.save(model.to_state_dict(), folder),
        'keywords': lambda folder: learner.save(state_dicts=model.to_state_dict(), base_path_to_save_model=folder),
        'state dict': lambda folder: learner.save(model.state_dict(), str(folder)),
        'page': lambda folder: learner.save(path=str(folder), model_name='mine'),
        'positional': lambda folder: learner.save(folder, 'mine'),
        'own': lambda folder: learner.save(base_path_to_save_model=folder),
    }.items():
        assert save(tmp_path / place) is True
        other = FacialEmotionLearner(device='cpu', ensemble_size=2)
        assert other.load(2, tmp_path / place) is True
        assert same(other.infer(picture), expected), place
    many = {'Net-Base-Shared_Representations.pt', 'Net-Branch_1.pt', 'Net-Branch_2.pt', 'esr_9.json'}
    assert set(os.listdir(tmp_path / 'opendr')) == many
    assert set(os.listdir(tmp_path / 'page')) == {'mine.pt', 'mine.json'} == set(os.listdir(tmp_path / 'positional'))


def test_metadata_have_opendr_s_keys(learner, optimized, tmp_path, capsys):
    learner.save(learner.model.to_state_dict(), tmp_path / 'torch', verbose=False)
    optimized[0].save(learner.model.to_state_dict(), tmp_path / 'onnx', verbose=False)
    assert capsys.readouterr().out == ''
    for kind, optimized in (('torch', False), ('onnx', True)):
        metadata = json.loads((tmp_path / kind / 'esr_9.json').read_text())
        assert set(metadata) == {
            'model_paths',
            'framework',
            'format',
            'has_data',
            'inference_params',
            'optimized',
            'optimizer_info',
        }
        assert metadata['optimized'] is optimized and metadata['format'] == ('onnx' if optimized else 'pt')
        assert metadata['model_paths'] == [str(tmp_path / kind)] and metadata['has_data'] is False


def test_scores_are_as_trained_unless_an_operating_point_is_asked_for(weights, picture, tmp_path):
    plain = write_bundle_of(weights, tmp_path / 'plain')
    manifest = dict(plain.manifest)
    manifest['outputs']['logits'].update(class_prior=[0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], operating_point='fair')
    manifest['outputs']['logits']['operating_points'] = {
        'fair': {'prior_exponent': 1, 'temperature': 1},
        'trained': {'prior_exponent': 0, 'temperature': 1},
    }
    write_bundle(tmp_path / 'points', manifest, plain.model_bytes)
    confidences = []
    for folder, point in (('plain', ''), ('points', ''), ('points', 'fair')):
        learner = FacialEmotionLearner(device='cpu', ensemble_size=2)
        learner.operating_point = point
        learner.load(2, tmp_path / folder)
        confidences.append(float(learner.infer(picture)[0][0].confidence))
    assert confidences[0] == confidences[1] != confidences[2]
    learner.save(path=tmp_path / 'saved', verbose=False)
    again = FacialEmotionLearner(device='cpu', ensemble_size=2)
    again.load(2, tmp_path / 'saved')
    assert same(again.infer(picture), learner.infer(picture))


def test_colour_and_calibration_go_with_the_weights(weights, picture, tmp_path):
    write_bundle_of(weights, tmp_path / 'bundle', temperature=0.5)
    learner = FacialEmotionLearner(device='cpu', ensemble_size=2, temp_path=str(tmp_path / 'temp'))
    learner.load(2, tmp_path / 'bundle')
    assert learner.reading.geometry == CropGeometry(size_px=64) and learner.reading.point.temperature == 0.5
    expected = learner.infer(picture)
    assert same(learner.infer(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)), expected)
    learner.save(path=tmp_path / 'torch', verbose=False)
    learner.optimize()
    assert same(learner.infer(picture), expected, 1e-4)
    learner.save(path=tmp_path / 'onnx', verbose=False)
    for place in ('torch', 'onnx'):
        other = FacialEmotionLearner(device='cpu', ensemble_size=2)
        other.load(2, tmp_path / place)
        assert other.reading == learner.reading
        assert same(other.infer(picture), expected, 1e-4)


@pytest.mark.usefixtures('published_channels')
def test_our_embedded_network_is_loaded_by_its_name():
    learner = FacialEmotionLearner(device='cpu', ensemble_size=3)
    learner.load(3, 'esr_9_ferplus')
    assert learner.model.get_ensemble_size() == 3 and learner.reading.geometry.color == 'gray_x3'


def test_the_first_branches_are_taken_when_fewer_are_asked_for(authors, learner, picture):
    one = FacialEmotionLearner(device='cpu', ensemble_size=1)
    one.load(1, authors)
    assert one.model.get_ensemble_size() == 1
    with torch.inference_mode():
        whole = learner.model(torch.zeros(1, 3, 96, 96))
        first = one.model(torch.zeros(1, 3, 96, 96))
    torch.testing.assert_close(first[0][0], whole[0][0])
    for branches in (3, 0):
        with pytest.raises(FacialEmotionError, match='no Net-Branch_3.pt|at least 1'):
            one.load(branches, authors)


def test_gradients_are_those_of_the_dimensional_layers_when_the_backbone_is_fixed(authors):
    for finetune, fix, expected in ((True, True, 4), (True, False, 68), (False, True, 68)):
        learner = FacialEmotionLearner(device='cpu', dimensional_finetune=finetune)
        learner.load(2, authors, fix_backbone=fix)
        named = [name for name, each in learner.model.named_parameters() if each.requires_grad]
        assert len(named) == (4 if expected == 4 else len(list(learner.model.parameters())))
        if expected == 4:
            assert all('.fc_dimensional.' in name for name in named)


def test_files_of_other_names_are_loaded(weights, tmp_path, picture, learner):
    write_published(tmp_path, weights, 'base.pt', 'b{}.pt')
    other = FacialEmotionLearner(device='cpu')
    other.load(2, str(tmp_path), file_name_base_network='base.pt', file_name_conv_branch='b{}.pt')
    assert same(other.infer(picture), learner.infer(picture))


class Pickled:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        """Name a function to call."""
        return (print, ('this must not be printed',))


def test_a_file_that_would_run_code_is_refused_and_the_network_stays(learner, picture, tmp_path, capsys):
    expected = learner.infer(picture)
    learner.save(learner.model.to_state_dict(), tmp_path, verbose=False)
    torch.save({'conv1.weight': Pickled()}, tmp_path / 'Net-Branch_2.pt')
    with pytest.raises(BadModel, match='Net-Branch_2.pt'):
        learner.load(2, tmp_path)
    learner.save(path=tmp_path / 'page', model_name='esr_9', verbose=False)
    torch.save({'conv1.weight': Pickled()}, tmp_path / 'page' / 'esr_9.pt')
    with pytest.raises(BadModel, match='esr_9.pt'):
        learner.load(2, tmp_path / 'page')
    assert capsys.readouterr().out == ''
    assert same(learner.infer(picture), expected)


@pytest.mark.parametrize(
    'spoil, words',
    [
        (lambda folder: (folder / 'mine.json').write_text('{'), 'mine.json'),
        (lambda folder: (folder / 'mine.json').write_text('{"optimized": "perhaps"}'), 'neither true nor false'),
        (lambda folder: (folder / 'mine.onnx').unlink(), 'mine.onnx'),
        (lambda folder: (folder / 'mine.onnx').write_bytes(b'of another saving'), 'sha256'),
    ],
)
def test_a_damaged_saving_is_refused(optimized, tmp_path, spoil, words):
    shutil.copytree(optimized[1], tmp_path / 'saved')
    spoil(tmp_path / 'saved')
    other = FacialEmotionLearner(device='cpu', name_experiment='mine')
    with pytest.raises(BadModel, match=words):
        other.load(2, tmp_path / 'saved')


def test_it_says_which_when_several_networks_lie_in_a_folder(learner, tmp_path):
    for name in ('first', 'second'):
        learner.save(path=tmp_path, model_name=name, verbose=False)
    with pytest.raises(BadModel, match='first.json, second.json; set name_experiment'):
        learner.load(2, tmp_path)
    learner.name_experiment = 'second'
    learner.load(2, tmp_path)


@pytest.mark.parametrize('place', ['absent', './trained_models/esr_9'])
def test_an_absent_folder_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadModel, match="download\\(mode='pretrained'\\)"):
        FacialEmotionLearner(device='cpu').load(9, place)


@pytest.mark.parametrize('wrong', [{}, {'base.conv1.weight': torch.zeros(1)}, [{'x': torch.zeros(1)}]])
def test_weights_of_something_else_are_not_saved(learner, tmp_path, wrong):
    with pytest.raises(BadModel):
        learner.save(wrong, tmp_path / 'new')
    assert not (tmp_path / 'new').exists()
    with pytest.raises(UserWarning, match='expected a folder'):
        learner.save(learner.model.to_state_dict())


@pytest.mark.parametrize('folding, diversify', [(False, False), (True, True)])
def test_the_optimized_network_answers_as_torch_s_and_for_any_number_of_faces(tmp_path, folding, diversify):
    torch.manual_seed(1)
    learner = FacialEmotionLearner(device='cpu', temp_path=str(tmp_path / 'temp'), diversify=diversify, batch_size=2)
    learner.init_model(1)
    used(learner.model)
    faces = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    expected = learner.infer(faces)
    assert learner.optimize(do_constant_folding=folding) is True
    assert (tmp_path / 'temp' / 'esr_9.onnx').is_file() and learner.ort_session.get_inputs()[0].name == 'crops'
    assert same(learner.infer(faces), expected, 1e-4) and len(learner.infer([])[0]) == 0
    assert len(learner.infer(faces[:1])[0]) == 1
    learner.save(learner.model.to_state_dict(), tmp_path / 'saved', verbose=False)
    learner.ort_session = None
    assert same(learner.infer(faces), expected)
    other = FacialEmotionLearner(device='cpu')
    other.load(1, tmp_path / 'saved')
    assert other.ort_session is not None and same(other.infer(faces), expected, 1e-4)
    assert (other.model is None) == folding  # a folded file has no weights to train on from


def test_optimizing_twice_is_refused_and_so_is_a_foreign_session(optimized):
    with pytest.raises(UserWarning, match='optimized already'):
        optimized[0].optimize()
    with pytest.raises(BadParameter, match='None'):
        optimized[0].ort_session = object()


def test_weights_that_come_take_the_session_s_place(optimized, authors):
    learner = FacialEmotionLearner(device='cpu', name_experiment='mine')
    for take in (lambda: learner.load(2, authors), lambda: learner.init_model(1)):
        learner.load(2, optimized[1])
        assert learner.ort_session is not None
        take()
        assert learner.ort_session is None


@pytest.mark.parametrize('kind', ['plain', 'affect twice', 'diversified'])
def test_opendr_s_own_onnx_files_are_loaded(learner, tmp_path, picture, kind):
    """OpenDR exports a list of outputs for each branch, then its affect again or attention, for a number of faces."""

    class Listed(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, crops):
            emotions, affect, attention = self.network(crops)
            return {
                'plain': (emotions, affect),
                'affect twice': (emotions, affect, affect),
                'diversified': (emotions, affect, attention),
            }[kind]

    if kind == 'diversified':
        learner = FacialEmotionLearner(device='cpu', diversify=True)
        learner.init_model(2)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            Listed(learner.model),
            (torch.randn(2, 3, 96, 96),),
            str(tmp_path / 'esr_9.onnx'),
            opset_version=11,
            input_names=['onnx_input'],
            output_names=['onnx_out_emotions', 'onnx_out_va', 'onnx_attn'],
            dynamo=False,
        )
    metadata = {
        'model_paths': [str(tmp_path)],
        'framework': 'pytorch',
        'format': 'onnx',
        'has_data': False,
        'inference_params': {},
        'optimized': True,
        'optimizer_info': {},
    }
    (tmp_path / 'esr_9.json').write_text(json.dumps(metadata))
    other = FacialEmotionLearner(device='cpu')
    other.load(2, tmp_path)
    faces = [picture, 255 - picture, picture[::-1].copy()]
    assert same(other.infer(faces), learner.infer(faces), 1e-4)


def test_download_fills_opendr_s_layout_and_remembers_the_data(tmp_path, capsys):
    learner = FacialEmotionLearner(device='cpu', temp_path=str(tmp_path))
    there = tmp_path / 'data' / 'AffectNet_micro'
    there.mkdir(parents=True)
    assert learner.download() == str(there) == learner.dataset_path
    assert 'exists already' in capsys.readouterr().out
    with pytest.raises(UserWarning, match='demo_video'):
        learner.download(mode='everything')


def test_a_training_s_folder_is_loaded(weights, tmp_path, picture, learner):
    from facial_emotion_ros.training.loop.checkpoint import save_weights
    from facial_emotion_ros.training.loop.recipe import Faces, Phase, Recipe, write_recipe

    save_weights(str(tmp_path / 'weights.safetensors'), weights)
    recipe = Recipe(faces=Faces(color='bgr'), phases=(Phase(steps=1, size_px=96),))
    (tmp_path / 'recipe.yaml').write_text(write_recipe(recipe))
    other = FacialEmotionLearner(device='cpu')
    other.load(2, tmp_path)
    assert other.reading.geometry == saved_network.PUBLISHED
    assert same(other.infer(picture), learner.infer(picture))
