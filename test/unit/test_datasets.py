"""Sets of faces are recognised by what lies there, and OpenDR's names serve torch."""

import numpy as np
import pytest
import torch
from affectnet_tree import COLORS, AffectNetTree

from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.training.data import datasets
from facial_emotion_ros.training.data.datasets import AffectNetCategorical, AffectNetDimensional, open_faces

pytestmark = pytest.mark.usefixtures('own_cache')


@pytest.fixture
def affectnet(tmp_path):
    """Return the folder of a small AffectNet, laid out for training: 4 faces of each class, and one unrated."""
    tree = AffectNetTree(tmp_path)
    tree.add_many(32)
    tree.add(5, (-2, -2))
    tree.write('validation.csv')
    for set_index in (1, 2):
        datasets.pre_process_affect_net(tree.write(), tree.root, str(tmp_path / 'faces'), set_index)
    return str(tmp_path / 'faces')


def test_nothing_is_guessed_when_nothing_known_lies_there(tmp_path):
    with pytest.raises(BadDataset, match='no such file or folder'):
        open_faces(str(tmp_path / 'absent'))
    with pytest.raises(BadDataset, match='found none of them; see docs/datasets.md'):
        open_faces(str(tmp_path))
    with pytest.raises(BadParameter, match='format ferplus, affectnet, folder'):
        open_faces(str(tmp_path), 'imagenet')
    with pytest.raises(BadDataset, match='expected.* AffectNet'):
        open_faces(str(tmp_path), 'affectnet')


def test_samples_are_opendrs_when_torch_loads_them(affectnet):
    samples = AffectNetCategorical(
        idx_set=2,
        max_loaded_images_per_label=2,
        transforms=None,
        is_norm_by_mean_std=False,
        base_path_to_affectnet=affectnet,
    )
    assert len(samples) == 16 and np.bincount(samples.labels).tolist() == [2] * 8
    faces, labels = next(iter(torch.utils.data.DataLoader(samples, batch_size=16)))
    assert faces.shape == (16, 3, 96, 96) and faces.dtype == torch.float32 and labels.tolist() == list(samples.labels)
    # Blue first, as ESR wants it, from 0 to 1.
    np.testing.assert_allclose(faces[6, :, 3, 3] * 255, COLORS[6], atol=25)
    assert samples.get_class(1) == 'Happy'


def test_affect_comes_with_the_faces_when_samples_are_dimensional(affectnet):
    samples = AffectNetDimensional(idx_set=0, max_loaded_images_per_label=5, base_path_to_affectnet=affectnet)
    assert len(samples) == 10  # arousal is never negative here: two quadrants
    face, affect = samples[0]
    assert affect.dtype == np.float32 and affect[1] == np.float32(0.57)
    everything = AffectNetDimensional(base_path_to_affectnet=affectnet)
    assert len(everything) == 32 and everything.get_class(3) == 3


def test_the_same_seed_draws_the_same_samples_when_there_are_more_than_wanted(affectnet):
    first, again, other = (
        AffectNetCategorical(max_loaded_images_per_label=1, base_path_to_affectnet=affectnet, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first.names.tolist() == again.names.tolist() != other.names.tolist()
    assert sorted(first.labels) == sorted(other.labels) == list(range(8))


def test_each_colour_is_scaled_by_its_own_mean_when_asked_for(affectnet):
    def gray(face):
        return np.full_like(face, 100)

    samples = AffectNetCategorical(2, transforms=gray, base_path_to_affectnet=affectnet)
    face, _ = samples[0]
    np.testing.assert_allclose(
        face[:, 0, 0],
        [(100 - 102.67609) / 60.435623, (100 - 117.06477) / 61.907074, (100 - 149.35457) / 69.18084],
        rtol=1e-5,
    )


@pytest.mark.parametrize('kind', [AffectNetCategorical, AffectNetDimensional])
def test_samples_have_the_attributes_of_opendr_s(affectnet, kind):
    samples = kind(2, base_path_to_affectnet=affectnet)
    faces, labels = samples.loaded_data
    assert faces.shape == (len(samples), 96, 96, 3) and faces.dtype == np.uint8 and len(labels) == len(samples)
    assert samples.num_labels == (8 if kind is AffectNetCategorical else 4)
    assert samples.mean == pytest.approx([102.67609 / 255, 117.06477 / 255, 149.35457 / 255])
    normalized = samples.online_normalization(faces[0])
    assert torch.equal(normalized, samples[0][0])
    shown = samples.norm_input_to_orig_input(normalized)
    np.testing.assert_allclose(255 * shown.numpy().transpose(1, 2, 0)[..., ::-1], faces[0], atol=0.01)


def test_transforms_of_pil_images_are_applied_as_opendr_s_are(affectnet):
    image_ops = pytest.importorskip('PIL.ImageOps', reason='Pillow is not installed: transforms need it')
    plain = AffectNetCategorical(2, is_norm_by_mean_std=False, base_path_to_affectnet=affectnet)
    mirrored = AffectNetCategorical(
        2, transforms=image_ops.mirror, is_norm_by_mean_std=False, base_path_to_affectnet=affectnet
    )
    for row in range(3):
        np.testing.assert_array_equal(mirrored[row][0], plain[row][0].flip(-1))


def test_the_transforms_of_opendr_s_training_run_when_torchvision_is_there(affectnet):
    transforms = pytest.importorskip(
        'torchvision.transforms',
        reason='torchvision is not installed: nothing here needs it but code written for OpenDR',
    )
    listed = transforms.Compose(
        [
            transforms.ColorJitter(brightness=0.5, contrast=0.5),
            transforms.RandomHorizontalFlip(p=0.5),
            transforms.RandomAffine(degrees=30, translate=(0.1, 0.1), scale=(1.0, 1.25)),
        ]
    )
    face, _ = AffectNetCategorical(2, transforms=listed, is_norm_by_mean_std=False, base_path_to_affectnet=affectnet)[0]
    assert face.shape == (3, 96, 96) and 0 <= face.min() and face.max() <= 1


def test_the_reason_is_given_when_samples_cannot_be_opened(affectnet):
    with pytest.raises(BadParameter, match='idx_set'):
        AffectNetCategorical(3, base_path_to_affectnet=affectnet)
    with pytest.raises(BadDataset, match='base_path_to_affectnet'):
        AffectNetCategorical()
    with pytest.raises(BadDataset, match='Training_Unlabeled'):
        AffectNetCategorical(1, base_path_to_affectnet=affectnet)
