"""Defects of OpenDR's ESR code, each with a test that it is not repeated here.

More of them have their tests where the part is: the determinant without a diagonal in test_diversity.py, rows and
columns of the face box exchanged in test_affectnet.py, interrupted downloads that count as done in test_download.py,
code in pickled weights, faces that are no numbers, Images that are cut to zero or read red first, exports for one
number of faces and ONNX files that are loaded for nothing in test_learner.py, a "fixed" backbone whose statistics drift
in test_learner_fit.py, the last face alone in the node's tests.
"""

import copy
import os

import numpy as np
import pytest
import torch
from prepared_affectnet import prepare
from tiny_training import Labelled, one_hot, quick_learner, quick_trainings, write_published  # noqa: F401

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training import FacialEmotionLearner
from facial_emotion_ros.training.loop.batch_sampler import BatchSampler
from facial_emotion_ros.training.loop.curves import read_rows
from facial_emotion_ros.training.loop.phases import learning_rate, stages_of
from facial_emotion_ros.training.loop.saved_network import InputSpec
from facial_emotion_ros.training.model.author_checkpoints import read_published
from facial_emotion_ros.training.opendr.fit import categorical_recipe

SMALL = InputSpec(CropGeometry(size_px=56, color='bgr'))
FACE = torch.rand(3, 56, 56, generator=torch.Generator().manual_seed(0))


def with_branches_that_say(*rows, **settings):
    """Return a learner whose branches give these logits, whatever the face."""
    learner = FacialEmotionLearner(device='cpu', **settings)
    learner.init_model(len(rows))
    learner.reading = SMALL
    with torch.no_grad():
        for branch, row in zip(learner.model.convolutional_branches, rows):
            branch.fc.weight.zero_()
            branch.fc.bias.copy_(torch.as_tensor(row))
    return learner


def sure_of(emotion, logit=20.0):
    """Return logits of a branch that is sure of an emotion."""
    return [logit * (each == emotion) for each in EMOTIONS]


def of_one_branch(folder, **settings):
    """Return a learner whose trainings of one branch take seconds."""
    return quick_learner(folder, **dict({'ensemble_size': 1, 'dimensional_finetune': False}, **settings))


@pytest.fixture(scope='module')
def faces():
    """Return eight gray faces with labels and affect."""
    return Labelled(one_hot(*['happy', 'sad'] * 4), np.tile([[0.5, 0.1], [-0.5, -0.1]], (4, 1)))


def test_the_learning_rate_does_not_fall_with_every_batch():
    """OpenDR steps a schedule that is meant for epochs once a batch: 1e-7 after 200 batches."""
    learner = FacialEmotionLearner(device='cpu', lr=0.1, max_training_epoch=10, ensemble_size=1)
    recipe = categorical_recipe(learner, Labelled(one_hot('happy'), side_px=8))
    phase = stages_of(recipe)[0].phase
    rates = [learning_rate(phase, step, 2000) for step in range(2000)]
    assert rates[200] > 0.09 and rates[1000] > 0.04 and max(rates) == 0.1
    assert 0.1 * 0.5 ** (200 // 10) < 1e-6  # what OpenDR has there


@pytest.mark.parametrize('votes, opendr_says', [(9, 0.999), (5, 0.71)])
def test_confidence_is_no_softmax_over_counts_of_votes(votes, opendr_says):
    counts = np.array([votes, 9 - votes, 0, 0, 0, 0, 0, 0])
    assert np.exp(votes) / np.exp(counts).sum() == pytest.approx(opendr_says, abs=0.01)
    learner = with_branches_that_say(*[sure_of('happy')] * votes, *[sure_of('sad')] * (9 - votes))
    category = learner.infer(FACE)[0][0]
    assert category.description == 'Happy' and float(category.confidence) == pytest.approx(votes / 9, abs=1e-4)


def test_confidence_is_low_when_all_branches_agree_without_being_sure():
    """OpenDR gives 0.999 here: all votes go to one class."""
    category = with_branches_that_say(*[sure_of('fear', 0.2)] * 3).infer(FACE)[0][0]
    assert category.description == 'Fear' and float(category.confidence) < 0.16


def test_branches_that_tie_are_not_settled_by_the_order_of_classes():
    """OpenDR's vote takes the first class of those that tie, neutral before all others."""
    unsure = [1.0, 0, 0, 0.9, 0, 0, 0, 0]
    assert with_branches_that_say(unsure, sure_of('surprise')).infer(FACE)[0][0].description == 'Surprise'


def test_infer_runs_on_the_session_that_optimize_made(tmp_path):
    """OpenDR's infer() never looks at it."""
    learner = with_branches_that_say(sure_of('anger'), temp_path=str(tmp_path))
    learner.optimize()
    with torch.no_grad():
        learner.model.convolutional_branches[0].fc.bias.copy_(torch.as_tensor(sure_of('happy')))
    assert learner.infer(FACE)[0][0].description == 'Anger'
    learner.ort_session = None
    assert learner.infer(FACE)[0][0].description == 'Happy'


def test_a_face_alone_gives_what_it_gives_among_others_whatever_mode_the_network_is_in():
    """The authors' eval() never reaches their branches, which lie in a plain list."""
    torch.manual_seed(0)
    learner = FacialEmotionLearner(device='cpu')
    learner.init_model(2)
    learner.reading = SMALL
    faces = torch.rand(3, 3, 56, 56)
    learner.model.train()
    alone, among = learner.infer(faces[1]), learner.infer(faces)
    torch.testing.assert_close(alone[1][0], among[1][1], atol=1e-5, rtol=1e-5)
    assert float(alone[0][0].confidence) == pytest.approx(float(among[0][1].confidence), abs=1e-5)


def test_all_branches_that_were_loaded_count(tmp_path):
    """OpenDR loads nine and, with ensemble_size=1, asks only the first."""
    source = with_branches_that_say(sure_of('happy'), sure_of('sad'), sure_of('sad'))
    write_published(tmp_path, source.model.state_dict())
    learner = FacialEmotionLearner(device='cpu', ensemble_size=1)
    learner.load(3, tmp_path)
    assert learner.infer(FACE)[0][0].description == 'Sad'


def test_nothing_has_to_be_made_before_loading_and_no_branch_stays_random(tmp_path):
    """OpenDR needs init_model() and a JSON file, and leaves branches beyond ensemble_size as they are."""
    write_published(tmp_path, with_branches_that_say(sure_of('sad')).model.state_dict())
    learner = FacialEmotionLearner(device='cpu')
    learner.load(1, tmp_path)
    assert learner.model.get_ensemble_size() == 1
    learner.init_model(3)
    learner.load(1, tmp_path)
    assert learner.model.get_ensemble_size() == 1


def test_valence_and_arousal_lie_in_their_range():
    """OpenDR returns a linear layer's output as it is."""
    learner = with_branches_that_say(sure_of('happy', 100.0))
    with torch.no_grad():
        learner.model.convolutional_branches[0].fc_dimensional.weight.fill_(1)
    assert learner.infer(FACE)[1].tolist() == [[1.0, 1.0]]


def test_fit_leaves_the_learner_s_settings_as_they_are(faces, tmp_path):
    """OpenDR overwrites max_training_epoch, first by max_tuning_epoch and then by 2."""
    learner = of_one_branch(tmp_path, max_tuning_epoch=2, dimensional_finetune=True, ensemble_size=2)
    before = {name: copy.deepcopy(value) for name, value in vars(learner).items() if not name.startswith('_')}
    learner.fit(False, faces, faces)
    after = {name: value for name, value in vars(learner).items() if not name.startswith('_')}
    for name in set(before) - {'model', 'reading'}:
        assert after[name] == before[name], name
    rows = read_rows(tmp_path / 'esr_9' / 'curves.csv')
    assert [(row['branches'], row['epoch']) for row in rows] == [('1', '1'), ('2', '1'), ('2', '2')]


def test_the_last_epoch_is_judged_and_the_best_weights_are_the_learner_s(faces, tmp_path):
    """OpenDR forgets the last epochs between two looks, and keeps the last branch's last weights, not its best."""
    learner = of_one_branch(tmp_path, max_training_epoch=3, validation_interval=2)
    learner.fit(False, faces, faces)
    assert [row['epoch'] for row in read_rows(tmp_path / 'esr_9' / 'curves.csv')] == ['2', '3']
    saved = read_published(tmp_path / 'esr_9' / 'trained_models')
    assert all(torch.equal(tensor, saved[name]) for name, tensor in learner.model.state_dict().items())


def test_a_training_saves_its_weights_when_the_network_was_optimized_before(faces, tmp_path):
    """OpenDR's fit() then saves the old ONNX file in place of each of the new weights."""
    learner = of_one_branch(tmp_path)
    learner.init_model(1)
    learner.optimize()
    learner.fit(False, faces, faces)
    assert learner.ort_session is None
    assert 'Net-Branch_1.pt' in os.listdir(tmp_path / 'esr_9' / 'trained_models')


def test_each_branch_sees_other_faces(faces):
    """The authors draw at most 5000 faces of a class anew for each branch, OpenDR once for all of them."""
    many = Labelled(one_hot('happy').repeat(6000, 0), side_px=8)
    learner = FacialEmotionLearner(device='cpu', ensemble_size=2, batch_size=100)
    recipe = categorical_recipe(learner, many)
    drawn = []
    for place, stage in enumerate(stages_of(recipe)):
        draws = BatchSampler(many, stage, SMALL.geometry, recipe.seed, place)
        drawn.append(set(np.concatenate([draws.rows_of(step) for step in range(draws.steps_per_epoch)]).tolist()))
        assert 4900 <= len(drawn[-1]) <= 5000
    assert len(drawn[0] | drawn[1]) > 5500


def test_figures_do_not_depend_on_the_mode_or_on_the_size_of_batches(tmp_path, monkeypatch):
    """OpenDR's eval() runs in whatever mode the network is in, and takes the mean of the batches' means."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    torch.manual_seed(0)
    root = prepare(tmp_path / 'data', 5, 'valid')
    learner = FacialEmotionLearner(device='cpu', base_path_to_dataset=root)
    learner.init_model(1)
    learner.reading = SMALL
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    losses = []
    for learner.batch_size in (1, 4):
        learner.model.train()
        losses.append(learner.eval()['running_emotion_loss'])
    assert losses[0] == losses[1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.state_dict().items())


def test_learners_do_not_share_their_lists():
    """OpenDR's default for device_ind is one list for all learners."""
    first, second = FacialEmotionLearner(device='cpu'), FacialEmotionLearner(device='cpu')
    first.device_ind.append(1)
    assert second.device_ind == [0]
