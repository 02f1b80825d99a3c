"""Training: variations, losses, widening, exact resume."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')

from facial_emotion_ros.atomic_file import replace_whole  # noqa: E402
from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.errors import BadModel, BadParameter  # noqa: E402
from facial_emotion_ros.face_crop import CropGeometry  # noqa: E402
from facial_emotion_ros.learning import checkpoint  # noqa: E402
from facial_emotion_ros.learning.affect_coordinates import AFFECT_COORDINATES, affect_of  # noqa: E402
from facial_emotion_ros.learning.augmentation import augment, plain  # noqa: E402
from facial_emotion_ros.learning.fit import Fit, Recipe, losses, widen  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402

GEOMETRY = CropGeometry()
RECIPE = Recipe(branches=2, steps=4, batch_size=4, warm_up_steps=1)


def two_kinds_of_faces(count=16):
    """Return bright and dark pictures (count, 48, 48) uint8 and what they are (count, 8)."""
    faces = np.where(np.arange(count)[:, None, None] % 2, 220, 40) * np.ones((1, 48, 48))
    distributions = np.zeros((count, 8), np.float32)
    distributions[np.arange(count), np.arange(count) % 2] = 1
    return faces.astype(np.uint8), distributions


def test_variations_keep_shape_and_range_and_differ():
    faces = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype(np.uint8)
    first = augment(faces, GEOMETRY, np.random.default_rng(1))
    again = augment(faces, GEOMETRY, np.random.default_rng(1))
    other = augment(faces, GEOMETRY, np.random.default_rng(2))
    assert first.shape == (4, 3, 96, 96) and first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_array_equal(first[:, 0], first[:, 2])


def test_variations_are_centred_on_the_picture_as_the_robot_sees_it():
    ramp = np.tile(np.linspace(0, 255, 48), (48, 1)).astype(np.uint8)
    level = 0.5 * (ramp + ramp.T).astype(np.float32)
    faces = np.repeat(level.astype(np.uint8)[None], 400, 0)
    varied = augment(faces, GEOMETRY, np.random.default_rng(3)).mean((0, 1))
    assert abs(varied[40:56, 40:56].mean() - plain(faces[:1], GEOMETRY)[0, 0, 40:56, 40:56].mean()) < 0.03


def test_plain_crops_of_no_face_are_empty():
    assert plain(np.zeros((0, 48, 48), np.uint8), GEOMETRY).shape == (0, 3, 96, 96)


def test_votes_project_on_the_published_coordinates():
    np.testing.assert_allclose(affect_of(np.eye(8))[EMOTIONS.index('happy')], AFFECT_COORDINATES['happy'])
    half = np.zeros((1, 8))
    half[0, [EMOTIONS.index('happy'), EMOTIONS.index('sad')]] = 0.5
    np.testing.assert_allclose(affect_of(half), [[0.09, 0.12]], atol=1e-6)
    assert affect_of(np.zeros((0, 8))).shape == (0, 2)


def test_a_branch_that_does_not_take_part_adds_no_loss():
    logits = torch.zeros(2, 2, 8)
    logits[:, 1] = torch.randn(2, 8)
    distributions, targets = torch.full((2, 8), 1 / 8), torch.zeros(2, 2)
    takes_part = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    categorical, dimensional = losses(logits, torch.zeros(2, 2, 2), distributions, targets, takes_part)
    assert categorical.item() == pytest.approx(np.log(8)) and dimensional.item() == 0


def test_new_branches_are_copies_with_new_late_layers():
    torch.manual_seed(0)
    narrow = ESR(2).state_dict()
    wide = widen(narrow, 5, torch.Generator().manual_seed(0))
    ESR(5).load_state_dict(wide)
    prefix = 'convolutional_branches.'
    assert torch.equal(wide[prefix + '1.conv4.weight'], narrow[prefix + '1.conv4.weight'])
    assert torch.equal(wide[prefix + '3.conv3.weight'], narrow[prefix + '1.conv3.weight'])
    assert not torch.equal(wide[prefix + '3.conv4.weight'], narrow[prefix + '1.conv4.weight'])
    assert not torch.equal(wide[prefix + '4.conv3.weight'], narrow[prefix + '0.conv3.weight'])
    assert (wide[prefix + '3.bn4.running_var'] == 1).all() and (wide[prefix + '3.bn4.running_mean'] == 0).all()


def test_a_resumed_training_takes_the_very_same_steps(tmp_path):
    faces, distributions = two_kinds_of_faces()
    whole = Fit(RECIPE, faces, distributions, str(tmp_path / 'whole')).run(report=lambda line: None)
    first = Fit(RECIPE, faces, distributions, str(tmp_path / 'halves'))
    first.take_step()
    first.take_step()
    first.save()
    first.take_step()  # lost: it was not saved
    second = Fit(RECIPE, faces, distributions, str(tmp_path / 'halves'))
    assert second.resume() == 2
    resumed = second.run(report=lambda line: None)
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


@pytest.mark.parametrize('change', [{'branches': 3}, {'steps': 5}, {'seed': 7}, {'learning_rate': 0.1}])
def test_a_training_is_not_resumed_when_the_recipe_is_another_one(tmp_path, change):
    faces, distributions = two_kinds_of_faces(4)
    Fit(RECIPE, faces, distributions, str(tmp_path)).save()
    other = Fit(replace(RECIPE, **change), faces, distributions, str(tmp_path))
    with pytest.raises(BadParameter, match=list(change)[0]):
        other.resume()


def test_training_learns_to_tell_two_kinds_of_faces(tmp_path):
    faces, distributions = two_kinds_of_faces()
    recipe = Recipe(branches=2, steps=12, batch_size=8, warm_up_steps=2, averaging=0.5)
    fit = Fit(recipe, faces, distributions, str(tmp_path))
    history = [fit.take_step() for _ in range(recipe.steps)]
    assert history[-1][0] < 0.7 * history[0][0]
    assert history[-1][1] < history[0][1]


def test_weights_come_back_and_a_failed_save_leaves_the_last_good_file(tmp_path):
    path = str(tmp_path / 'weights.safetensors')
    weights = {'a': torch.randn(3, 4), 'n': torch.tensor(7)}
    checkpoint.save_weights(path, weights)
    with pytest.raises(OSError, match='disk'):
        def fail(temporary):
            with open(temporary, 'w') as file:
                file.write('half a file')
            raise OSError('disk full')
        replace_whole(path, fail)
    read = checkpoint.load_weights(path)
    assert torch.equal(read['a'], weights['a']) and read['n'] == 7
    assert [entry.name for entry in tmp_path.iterdir()] == ['weights.safetensors']


class Pickled:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        """Name a function to call."""
        return (print, ('this must not be printed',))


def test_state_that_would_run_code_is_refused(tmp_path, capsys):
    path = str(tmp_path / 'state.pt')
    torch.save({'step': Pickled()}, path)
    with pytest.raises(BadModel, match='training state expected'):
        checkpoint.load_state(path)
    assert capsys.readouterr().out == ''


def test_weights_are_refused_when_the_file_is_none(tmp_path):
    (tmp_path / 'weights.safetensors').write_bytes(b'no tensors')
    with pytest.raises(BadModel, match='safetensors file expected'):
        checkpoint.load_weights(str(tmp_path / 'weights.safetensors'))
