"""Batches: drawn from seed and step alone, weighed rightly, shared evenly."""

import numpy as np
import pytest
import torch
from tiny_training import SIZE_PX, Labelled, one_hot, tiny_recipe, two_kinds_of_faces

from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.mixed_set import MixedFaces
from facial_emotion_ros.training.loop.batch_sampler import BatchSampler, batches
from facial_emotion_ros.training.loop.phases import stages_of

GEOMETRY = CropGeometry(size_px=SIZE_PX)


def draws(faces=None, branches=2, labels=None, rank=0, processes=1, seed=1, **phase):
    """Return the BatchSampler of a phase."""
    stage = stages_of(tiny_recipe(dict({'steps': 4}, **phase), branches=branches))[0]
    return BatchSampler(faces or two_kinds_of_faces(), stage, GEOMETRY, seed, 0, labels, rank, processes)


def test_batches_are_the_same_when_made_again_and_differ_by_step_and_seed():
    first, again, other = draws()[2], draws()[2], draws(seed=2)[2]
    assert all(torch.equal(*pair) for pair in zip(first, again))
    assert not torch.equal(first.crops, other.crops) and not torch.equal(first.crops, draws()[3].crops)
    assert first.crops.shape == (4, 1, SIZE_PX, SIZE_PX) and first.distributions.shape == (4, 8)


@pytest.mark.parametrize('workers', [0, 2])
def test_batches_do_not_depend_on_who_makes_them_when_workers_read_ahead(workers):
    torch.manual_seed(5)
    made = list(batches(draws(mixup=0.3), 1, 4, workers))
    assert len(made) == 3
    for step, batch in enumerate(made, 1):
        assert all(torch.equal(*pair) for pair in zip(batch, draws(mixup=0.3)[step]))
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))  # nothing was taken from torch's own generator


def test_each_face_comes_once_an_epoch_when_no_emotion_is_rare():
    source = draws()
    assert source.steps_per_epoch == 4
    for epoch in range(2):
        rows = np.concatenate([source.rows_of(4 * epoch + step) for step in range(4)])
        assert sorted(rows) == list(range(16))
    assert list(source.rows_of(0)) != list(source.rows_of(4))


def test_rare_emotions_come_oftener_when_the_recipe_says_so():
    faces = Labelled(one_hot(*['disgust'] * 4, *['happy'] * 12))
    source = draws(faces, rare={'disgust': 2.5, 'happy': 0.5})
    assert source.steps_per_epoch == 4
    counts = np.zeros(16)
    for step in range(4 * 60):
        np.add.at(counts, source.rows_of(step), 1)
    np.testing.assert_allclose(counts[:4] / 60, 2.5, atol=0.35)
    np.testing.assert_allclose(counts[4:] / 60, 0.5, atol=0.25)


def test_weights_of_a_branch_sum_to_one_when_it_takes_part_at_all():
    batch = draws(bootstrap=0.6, branches=5)[0]
    sums = batch.category_weights.sum(0)
    assert ((sums - 1).abs() < 1e-6).logical_or(sums == 0).all()
    assert (batch.category_weights == 0).any()


def test_other_branches_learn_in_each_step_when_a_step_has_few():
    source = draws(branches=5, branches_a_step=2, bootstrap=0.6)
    drawn = [tuple(source[step].branches.tolist()) for step in range(40)]
    assert all(len(set(places)) == 2 for places in drawn) and len(set(drawn)) > 5
    assert set(np.concatenate(drawn)) == set(range(5))
    few, whole = source[3], draws(branches=5, bootstrap=0.6)[3]
    assert torch.equal(few.category_weights, whole.category_weights[:, few.branches])
    assert whole.branches.tolist() == [0, 1, 2, 3, 4]
    assert draws(branches=3, branches_a_step=7)[0].branches.tolist() == [0, 1, 2]


def test_processes_share_a_batch_when_there_are_several():
    whole = draws(bootstrap=0.6)[1]
    parts = [draws(bootstrap=0.6, rank=rank, processes=2)[1] for rank in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.crops, whole.crops[rank::2])
        torch.testing.assert_close(part.category_weights / 2, whole.category_weights[rank::2])


def test_faces_without_a_label_add_nothing_when_it_is_trained():
    affect = np.full((6, 2), np.nan)
    affect[2:] = 0.5
    faces = Labelled(one_hot('happy', 'sad', 'happy', 'sad', None, None), affect)
    joint = draws(faces)
    assert set(np.concatenate([joint.rows_of(step) for step in range(20)])) == {0, 1, 2, 3}
    batch = joint[0]
    assert (batch.affect_weights.sum(1) > 0).tolist() == [False, False, True, True]
    assert all(torch.isfinite(tensor).all() for tensor in batch)
    rows = set(np.concatenate([draws(faces, trains='affect').rows_of(step) for step in range(20)]))
    assert rows == {2, 3, 4, 5}


def test_labels_and_crops_are_mixed_alike_when_mixup_is_on():
    batch = draws(mixup=1.0)[0]
    happy = batch.distributions[:, 1]
    assert ((happy > 0.02) & (happy < 0.98)).any()
    torch.testing.assert_close(batch.distributions.sum(1), torch.ones(4))
    plain = draws(mixup=0.0)[0]
    own, partners = happy.numpy(), plain.distributions[:, 1].numpy()
    for place in range(4):  # each crop is a mean of its own and some other one, by the share that its label shows
        errors = []
        for partner in range(4):
            if partners[place] == partners[partner]:
                continue
            share = (own[place] - partners[partner]) / (partners[place] - partners[partner])
            mixed = share * plain.crops[place] + (1 - share) * plain.crops[partner]
            errors.append(float((mixed - batch.crops[place]).abs().max()))
        if 0.02 < own[place] < 0.98:
            assert min(errors) < 1e-4


def test_a_face_is_not_mixed_with_one_that_lacks_its_label_when_affect_is_unknown():
    affect = np.full((4, 2), np.nan)
    affect[:2] = [[0.5, -0.5], [0.25, 0.75]]
    batch = draws(Labelled(one_hot(*['happy'] * 4), affect), mixup=1.0)[0]
    known = batch.affect_weights.sum(1) > 0
    values = batch.affect[known]
    assert (values[:, 0] >= 0.25 - 1e-6).all() and (values[:, 0] <= 0.5 + 1e-6).all()


def test_other_labels_are_learned_when_they_are_given():
    labels = np.full((16, 8), 1 / 8, np.float32)
    assert torch.equal(draws(labels=labels)[0].distributions, torch.full((4, 8), 1 / 8))


def test_a_stage_is_refused_when_faces_or_processes_do_not_suffice():
    with pytest.raises(BadDataset, match='with valence and arousal'):
        draws(Labelled(one_hot(*['happy'] * 8)), trains='affect')
    with pytest.raises(BadDataset, match='at least 32 faces'):
        draws(batch_size=32)
    with pytest.raises(BadParameter, match=r'a multiple of 3 \(processes\)'):
        draws(processes=3)


def test_a_second_set_is_drawn_for_its_share_when_two_are_mixed():
    first, second = Labelled(one_hot(*['happy'] * 12)), Labelled(one_hot(*['fear'] * 48))
    faces = MixedFaces(first, second, 0.25)
    source = draws(faces, batch_size=8)
    rows = np.concatenate([source.rows_of(step) for step in range(100 * source.steps_per_epoch)])
    assert len(faces) == 60 and 0.22 < (rows >= 12).mean() < 0.28
    assert set(rows[rows >= 12]) == set(range(12, 60))  # in turn, all of them
    np.testing.assert_allclose(source.prior[[1, 4]], [0.75, 0.25], atol=1e-6)  # happy, fear: as they are drawn


def test_mixed_sets_give_their_own_faces_when_rows_are_asked_for_or_kept():
    faces = MixedFaces(two_kinds_of_faces(), two_kinds_of_faces(), 0.5)
    half = len(faces) // 2
    rows = np.array([half + 3, 1, half, half - 1])
    for face, row in zip(faces.faces(rows), rows):
        np.testing.assert_array_equal(face, two_kinds_of_faces().faces(np.array([row % half]))[0])
    kept = faces.rows(rows)
    np.testing.assert_array_equal(kept.faces()[0], faces.faces(rows)[0])
    assert kept.names.tolist() == faces.names[rows].tolist() and len(kept.draw_factors) == 4
    with pytest.raises(BadDataset, match='at least one face'):
        MixedFaces(faces, faces.rows(np.zeros(0, int)), 0.5)
