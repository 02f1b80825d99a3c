"""FacialEmotionLearner's fit() and eval() on a few drawn faces in AffectNet's layout."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from prepared_affectnet import prepare
from tiny_training import Labelled, one_hot, quick_learner, quick_trainings, two_kinds_of_faces  # noqa: F401

from facial_emotion_ros.core.errors import BadDataset, BadModel, BadParameter
from facial_emotion_ros.emotion.ensemble import softmax
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training import FacialEmotionLearner
from facial_emotion_ros.training.data.affectnet import AffectNet
from facial_emotion_ros.training.data.augmentation import plain
from facial_emotion_ros.training.loop.curves import read_rows
from facial_emotion_ros.training.loop.fit import Fit
from facial_emotion_ros.training.loop.phases import stages_of
from facial_emotion_ros.training.loop.recipe import read_recipe
from facial_emotion_ros.training.loop.saved_network import PUBLISHED, InputSpec
from facial_emotion_ros.training.model.author_checkpoints import read_published
from facial_emotion_ros.training.opendr.fit import categorical_recipe, dimensional_recipe


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
    """Keep what is remembered of pictures out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='module')
def affectnet(tmp_path_factory):
    """Return the folder of a prepared AffectNet: 12 faces to learn from, 7 to judge by."""
    root = tmp_path_factory.mktemp('affectnet')
    return str(prepare(prepare(root, 12), 7, 'valid'))


def small(affectnet, folder, **settings):
    """Return a learner of two branches whose trainings take seconds."""
    return quick_learner(folder, **dict({'ensemble_size': 2, 'base_path_to_dataset': affectnet}, **settings))


@pytest.fixture(scope='module')
def trained(affectnet, tmp_path_factory):
    """Return a learner after fit() of both kinds, what fit() returned, and the experiment's folder."""
    place = tmp_path_factory.mktemp('experiments')
    learner = small(affectnet, place)
    figures = learner.fit(verbose=False)
    return learner, figures, place / 'esr_9'


def test_the_best_weights_are_saved_where_opendr_saves_them(trained):
    learner, figures, folder = trained
    saved = folder / 'trained_models'
    assert set(os.listdir(saved)) == {
        'Net-Base-Shared_Representations.pt',
        'Net-Branch_1.pt',
        'Net-Branch_2.pt',
        'esr_9.json',
    }
    for name, tensor in read_published(saved).items():
        assert torch.equal(tensor, learner.model.state_dict()[name]), name
    assert figures['steps'] == 3 + 3 + 3 and 0 <= figures['held_out_accuracy'] <= 1
    assert figures['held_out_rmse_valence'] < 2
    other = FacialEmotionLearner(device='cpu')
    other.load(2, saved)
    assert other.reading == learner.reading and other.reading.geometry.color == 'bgr'


def test_branches_are_trained_one_by_one_and_curves_are_kept_for_each_kind(trained):
    _, _, folder = trained
    assert [row['branches'] for row in read_rows(folder / 'curves.csv')] == ['1', '2']
    assert [row['branches'] for row in read_rows(folder / 'dimensional' / 'curves.csv')] == ['2']
    for place in (folder, folder / 'dimensional'):
        assert (place / 'recipe.yaml').is_file() and not (place / 'state.pt').exists()


def test_settings_become_a_recipe(affectnet, tmp_path):
    learner = small(
        affectnet,
        tmp_path,
        lr=0.1,
        batch_size=8,
        max_training_epoch=5,
        max_tuning_epoch=3,
        momentum=0.8,
        validation_interval=2,
        ensemble_size=3,
        diversify=True,
    )
    faces = AffectNet(affectnet)
    recipe = categorical_recipe(learner, faces)
    phase = recipe.phases[0]
    assert (phase.learning_rate, phase.batch_size, phase.momentum, phase.check_epochs) == (0.1, 8, 0.8, 2)
    assert phase.older_learning_rate == 0.1 and phase.diversity == 1 and recipe.network.diversified
    assert [(stage.branches, stage.epochs) for stage in stages_of(recipe)] == [(1, 5), (2, 3), (3, 3)]
    assert recipe.faces.color == 'bgr' and not phase.rare and phase.keeps == 'best'
    learner.init_model(3)
    recipe = dimensional_recipe(learner, faces, learner.model.state_dict(), InputSpec())
    assert (recipe.phases[0].trains, recipe.phases[0].epochs, recipe.phases[0].size_px) == ('affect', 3, 96)
    assert recipe.phases[0].learning_rate <= 0.01


def test_at_most_5000_faces_of_a_class_are_drawn_an_epoch(tmp_path):
    many = Labelled(np.concatenate([one_hot('happy').repeat(20000, 0), one_hot('disgust').repeat(100, 0)]), side_px=8)
    recipe = categorical_recipe(small('', tmp_path), many)
    assert recipe.phases[0].rare == {'happy': 0.25} and recipe.faces.color == 'gray_x3'


def test_dimensional_layers_learn_slower_when_logits_are_large(affectnet, tmp_path):
    faces = AffectNet(affectnet)
    learner = small(affectnet, tmp_path, lr=0.1)
    learner.init_model(1)
    reading = InputSpec(CropGeometry(size_px=56, color='bgr'))
    rates = []
    for scale in (0.0, 100.0):
        with torch.no_grad():
            learner.model.convolutional_branches[0].fc.bias.fill_(scale)
        rates.append(dimensional_recipe(learner, faces, learner.model.state_dict(), reading).phases[0].learning_rate)
    assert rates[0] == pytest.approx(0.01) and 0 < rates[1] < 1e-5


def test_valence_and_arousal_are_learned_for_weights_that_were_loaded(trained, affectnet, tmp_path):
    _, _, folder = trained
    learner = small(affectnet, tmp_path, categorical_train=False, max_tuning_epoch=4)
    learner.load(2, folder / 'trained_models')
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    rmse = learner.eval('dimensional')['rmse_valence']
    learner.fit(verbose=False)
    changed = {name for name, tensor in learner.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if '.fc_dimensional.' in name}
    assert learner.eval('dimensional')['rmse_valence'] < rmse
    again = small(affectnet, tmp_path, categorical_train=False)
    again.fit(verbose=False)  # nothing was loaded: what lies in trained_models is tuned further
    assert again.model.get_ensemble_size() == 2


def test_it_says_so_when_there_is_nothing_to_train_or_to_tune(affectnet, tmp_path):
    with pytest.raises(UserWarning, match='both are False'):
        small(affectnet, tmp_path, categorical_train=False, dimensional_finetune=False).fit()
    with pytest.raises(BadModel, match='trained_models'):
        small(affectnet, tmp_path, categorical_train=False).fit()
    with pytest.raises(BadDataset, match='expected faces to validate on'):
        small(affectnet, tmp_path).fit(dataset=two_kinds_of_faces())
    with pytest.raises(BadDataset, match='Training_Labeled'):
        small(str(tmp_path), tmp_path).fit()
    assert os.listdir(tmp_path) == []


class Interrupting(Labelled):
    """Faces whose reading ends the program once so many were read."""

    left = 10**9

    def faces(self, rows=None):
        """Return pictures, or be interrupted."""
        Interrupting.left -= 1
        if Interrupting.left < 0:
            raise KeyboardInterrupt
        return super().faces(rows)


def test_an_interrupted_training_goes_on_and_ends_as_if_nothing_had_been(tmp_path, affectnet):
    faces = Interrupting(one_hot(*['happy', 'sad'] * 6), np.tile([[0.5, 0.1], [-0.5, -0.1]], (6, 1)))
    whole = small('', tmp_path / 'whole', dimensional_finetune=False)
    whole.fit(False, faces, faces)
    learner = small('', tmp_path / 'halves', dimensional_finetune=False)
    Interrupting.left = 25
    with pytest.raises(KeyboardInterrupt):
        learner.fit(False, faces, faces)
    Interrupting.left = 10**9
    assert [row['branches'] for row in read_rows(tmp_path / 'halves' / 'esr_9' / 'curves.csv')] == ['1']
    other = small('', tmp_path / 'halves', dimensional_finetune=False, lr=0.03)
    with pytest.raises(BadParameter, match='learning_rate.*remove'):
        other.fit(False, faces, faces)
    learner.fit(False, faces, faces)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, learner.model.state_dict()[name]), name


def test_ctrl_c_saves_and_the_same_call_goes_on(tmp_path, affectnet):
    script = (
        'import sys, pytest, tiny_training; from facial_emotion_ros.training import FacialEmotionLearner as F\n'
        'tiny_training.make_trainings_quick(pytest.MonkeyPatch())\n'
        "f = F(device='cpu', batch_size=4, lr=.02, max_training_epoch=4000, ensemble_size=1,"
        'categorical_train=True, dimensional_finetune=False, base_path_to_dataset=sys.argv[1],'
        'base_path_experiment=sys.argv[2])\n'
        'f.size_px = 56; f.fit()'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', script, affectnet, str(tmp_path)],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any(line.startswith('step 3,') for line in process.stdout), process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0 and 'call it again to resume' in errors
    state = torch.load(tmp_path / 'esr_9' / 'state.pt', weights_only=True)
    done = int(re.search(r'after step (\d+)', errors).group(1))
    assert 3 <= done < 12000 and state['total'] == done


@pytest.mark.parametrize('name', ['criterion_cat', 'criterion_dim'])
def test_a_loss_of_one_s_own_is_refused_rather_than_ignored(name):
    learner = FacialEmotionLearner(device='cpu')
    assert isinstance(getattr(learner, name), torch.nn.Module)
    with pytest.raises(BadParameter, match=name):
        setattr(learner, name, torch.nn.MSELoss())


def test_paths_that_are_one_level_off_are_named_with_the_right_one(tmp_path, affectnet):
    deep = small(os.path.join(affectnet, 'Training_Labeled'), tmp_path)
    with pytest.raises(BadDataset, match=re.escape(f'use {affectnet}')):
        deep.fit(verbose=False)
    deeper = small(os.path.join(affectnet, 'Training_Labeled', '0'), tmp_path)
    with pytest.raises(BadDataset, match=re.escape(f'use {affectnet}')):
        deeper.fit(verbose=False)
    shallow = small(os.path.dirname(affectnet), tmp_path)
    with pytest.raises(BadDataset, match='use .*affectnet'):
        shallow.fit(verbose=False)
    (tmp_path / 'a_file').write_text('')
    with pytest.raises(BadParameter, match='base_path_experiment.*a file'):
        small(affectnet, tmp_path / 'a_file').fit(verbose=False)


def test_an_interrupted_tuning_is_refused_when_other_weights_are_to_be_tuned(tmp_path):
    faces = Interrupting(one_hot(*['happy', 'sad'] * 6), np.tile([[0.5, 0.1], [-0.5, -0.1]], (6, 1)))
    learner = small('', tmp_path, categorical_train=False, ensemble_size=1)
    first, second = (FacialEmotionLearner(device='cpu') for _ in range(2))
    for each in (first, second):
        each.init_model(1)
        each.save(base_path_to_save_model=tmp_path / str(id(each)), verbose=False)
    learner.load(1, tmp_path / str(id(first)))
    learner.fit(False, faces, faces)
    done = tmp_path / 'esr_9' / 'dimensional' / 'state.pt'
    Fit(read_recipe(done.parent / 'recipe.yaml'), faces, str(done.parent), faces, learner.model.state_dict()).run()
    learner.load(1, tmp_path / str(id(second)))
    with pytest.raises(BadParameter, match='started from other weights'):
        learner.fit(False, faces, faces)


def test_gray_faces_of_another_set_are_learned_from(tmp_path, capsys):
    learner = small('', tmp_path, ensemble_size=1, dimensional_finetune=False, max_training_epoch=2)
    figures = learner.fit(dataset=two_kinds_of_faces(), val_dataset=two_kinds_of_faces(6))
    assert learner.reading.geometry == CropGeometry(size_px=56) and figures['steps'] == 8
    shown = capsys.readouterr().out
    assert 'Starting: esr_9' in shown and 'Running on cpu' in shown and 'branch 1' in shown


def test_an_esr_star_is_trained_with_its_diversity(affectnet, tmp_path):
    learner = small(affectnet, tmp_path, diversify=True, dimensional_finetune=False, batch_size=6)
    learner.fit(verbose=False)
    rows = read_rows(tmp_path / 'esr_9' / 'curves.csv')
    assert learner.model.diversified and float(rows[-1]['diversity_loss']) > 0


def outputs(learner, faces):
    """Return logits and affect of faces by the learner's own torch network."""
    crops = torch.from_numpy(plain(faces.faces(), learner.reading.geometry))
    with torch.inference_mode():
        logits, affect, _ = learner.model(crops)
    return torch.stack(logits, 1).numpy(), torch.stack(affect, 1).numpy()


def test_categorical_figures_are_opendr_s_dictionary_and_more(trained, affectnet):
    learner = trained[0]
    faces = AffectNet(affectnet, 'valid', 'categorical')
    logits, _ = outputs(learner, faces)
    scores = softmax(logits)
    right = scores.argmax(2) == faces.labels[:, None]
    losses = -np.log(scores[np.arange(7), :, faces.labels]).mean(0)
    whole = int((scores.mean(1).argmax(1) == faces.labels).sum())
    figures = learner.eval(eval_type='categorical', current_branch_on_training=1)
    assert figures['valence_arousal_losses'] == [[], []]
    assert figures['running_emotion_loss'] == pytest.approx(losses.tolist(), abs=1e-4)
    assert figures['running_emotion_corrects'] == [*right.sum(0).tolist(), whole]
    assert figures['n'] == 7 and figures['accuracy'] == pytest.approx(whole / 7)
    assert figures['accuracy_of_branches'] == pytest.approx(right.mean(0).tolist())
    assert 0 <= figures['macro_recall'] <= 1 and 0 <= figures['accuracy_vote'] <= 1
    first = learner.eval()
    assert first['running_emotion_loss'] == [figures['running_emotion_loss'][0], 0.0]
    assert first['running_emotion_corrects'] == [int(right[:, 0].sum()), 0, int(right[:, 0].sum())]
    assert first['accuracy'] == figures['accuracy']


def test_dimensional_figures_are_opendr_s_dictionary_and_more(trained, affectnet):
    learner = trained[0]
    faces = AffectNet(affectnet, 'valid', 'dimensional')
    _, affect = outputs(learner, faces)
    figures = learner.eval(eval_type='dimensional', current_branch_on_training=1)
    for place, name in enumerate(('valence', 'arousal')):
        truth, values = faces.affect[:, place], affect[:, :, place]
        expected = [np.sqrt(((values[:, branch] - truth) ** 2).mean()) for branch in (0, 1)]
        expected.append(np.sqrt(((values.mean(1) - truth) ** 2).mean()))
        losses = figures['valence_arousal_losses'][place]
        assert all(torch.is_tensor(loss) and loss.shape == () for loss in losses)
        assert [float(loss) for loss in losses] == pytest.approx(expected, abs=1e-4)
        assert figures['rmse_' + name] == pytest.approx(expected[-1], abs=1e-4)
        assert -1 <= figures['ccc_' + name] <= 1
    assert figures['running_emotion_loss'] == [0.0, 0.0] and figures['running_emotion_corrects'] == [0, 0, 0]
    assert figures['affect_source'] == 'annotated'
    first = learner.eval('dimensional')['valence_arousal_losses'][0]
    assert float(first[0]) == float(first[2]) and float(first[1]) == 0 and PUBLISHED.color == 'bgr'


@pytest.mark.parametrize(
    'wrong', [{'eval_type': 'both'}, {'current_branch_on_training': 2}, {'current_branch_on_training': -1}]
)
def test_an_unknown_kind_or_branch_is_refused(trained, wrong):
    with pytest.raises(BadParameter, match=next(iter(wrong))):
        trained[0].eval(**wrong)


def test_figures_are_those_of_the_optimized_network_when_there_is_one(trained, affectnet, tmp_path):
    learner = small(affectnet, tmp_path)
    learner.load(2, trained[2] / 'trained_models')
    expected = learner.eval('categorical', 1)
    learner.optimize()
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.zero_()
    figures = learner.eval('categorical', 1)
    assert figures['running_emotion_loss'] == pytest.approx(expected['running_emotion_loss'], abs=1e-3)
