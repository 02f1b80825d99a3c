"""Trainings: what they learn, what they leave behind, and that nothing stops them for good."""

import contextlib
import os

import numpy as np
import pytest
import torch
from tiny_training import (
    Labelled,
    one_hot,
    published_channels,  # noqa: F401
    quick_trainings,  # noqa: F401
    tiny_recipe,
    two_kinds_of_faces,
)
from training_server import TrainingServer

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.loop.checkpoint import load_state, load_weights
from facial_emotion_ros.training.loop.curves import read_rows
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.loop.fit import Diverged, Fit
from facial_emotion_ros.training.loop.precision import choose_precision
from facial_emotion_ros.training.loop.progress import Silence
from facial_emotion_ros.training.loop.recipe import plain_of
from facial_emotion_ros.training.model.network import ESR

FACES = two_kinds_of_faces(24)
LEARNED, HELD_OUT = FACES.rows(range(16)), FACES.rows(range(16, 24))

#: Every kind of phase, and all that is random: so many steps.
LONG_STEPS = 22
LONG = tiny_recipe(
    {'trains': 'branches', 'epochs': 1},
    {
        'steps': 10,
        'mixup': 0.3,
        'bootstrap': 0.7,
        'rare': {'happy': 1.5},
        'keeps': 'best',
        'check_epochs': 2,
    },
    {'trains': 'affect', 'steps': 4, 'learning_rate': 1e-5},
    branches=2,
)


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Have torch compute in one thread: the processors are the other tests' too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def server():
    """Return a TrainingServer."""
    server = TrainingServer()
    yield server
    server.close()


def content(*path):
    """Read a file."""
    with open(os.path.join(*map(str, path)), 'rb') as file:
        return file.read()


@pytest.mark.timeout(900)
def test_it_ends_as_if_nothing_had_happened_when_it_is_killed_again_and_again(server, tmp_path, long_form):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    server.start(output=str(whole), recipe=plain_of(LONG))
    begun = os.times().elapsed
    lines = server.lines_to_end()
    pace = (os.times().elapsed - begun) / LONG_STEPS
    assert lines[-1] == 'ended 0' and sum(line.startswith('step') for line in lines) == LONG_STEPS
    generator = np.random.default_rng()
    for kill in range(20 if long_form else 6):
        server.start(output=str(killed), recipe=plain_of(LONG))
        # A step is said before it is saved: behind the second, the first is saved.
        steps = int(generator.integers(0, 2)) if kill else 2
        seconds = float(generator.uniform(0, 0.9 * pace))
        assert server.kill(steps, seconds)[-1] == 'ended -9', f'kill {kill}, {seconds:.3f} s behind {steps} steps'
    server.start(output=str(killed), recipe=plain_of(LONG))
    lines = server.lines_to_end()
    assert lines[-1] == 'ended 0' and 'resumes after step' in ' '.join(lines)
    for name in ('weights.safetensors', 'best.safetensors', 'curves.csv', 'recipe.yaml'):
        assert content(whole, name) == content(killed, name), name
    assert not [name for name in os.listdir(killed) if name.endswith('.part')]


def test_the_last_good_state_is_left_when_the_disk_is_full(server, tmp_path):
    recipe = plain_of(tiny_recipe({'steps': 6}))
    server.start(output=str(tmp_path), recipe=recipe)
    assert server.kill(2, 0.0)[-1] == 'ended -9'
    before = load_state(str(tmp_path / 'state.pt'))
    # RLIMIT_FSIZE: the kernel refuses to write more, as it does on a full disk.
    server.start(output=str(tmp_path), recipe=recipe, file_limit=300_000)
    lines = server.lines_to_end()
    assert lines[-1] == 'ended 1'
    said = lines[-2]
    assert said.startswith('note CannotSave') and 'state.pt: cannot be written' in said
    assert 'the earlier file is intact' in said and 'MiB free' in said and 'Make room' in said
    after = load_state(str(tmp_path / 'state.pt'))
    assert after['total'] == before['total'] >= 1
    assert [name for name in os.listdir(tmp_path) if name.endswith('.part')] == []
    server.start(output=str(tmp_path), recipe=recipe)
    assert server.lines_to_end()[-1] == 'ended 0'
    assert load_state(str(tmp_path / 'state.pt'))['total'] == 6


def test_a_folder_serves_one_training_when_two_want_it(server, tmp_path):
    server.start(output=str(tmp_path), recipe=plain_of(tiny_recipe({'steps': 1000})))
    while not server.line().startswith('step'):
        pass
    with pytest.raises(BadParameter, match='another training is running'):
        Fit(tiny_recipe({'steps': 1000}), LEARNED, str(tmp_path)).run()
    server.kill(0, 0)


@pytest.mark.usefixtures('published_channels')
def test_it_learns_to_tell_two_kinds_of_faces_when_it_trains_all_at_once(tmp_path):
    # With this rate and number of steps any seed learns: of 8, the last loss was 0.04 to 0.22 of the first, and all
    # faces were told apart; without learning it is 0.95 to 1.07, and half of them at best. Rounding decides as a seed.
    recipe = tiny_recipe(
        {
            'epochs': 4,
            'learning_rate': 0.005,
            'affect_weight': 1.0,
            'averaging': 0.3,
            'check_epochs': 1,
        }
    )
    weights = Fit(recipe, LEARNED, str(tmp_path), HELD_OUT).run()
    rows = read_rows(str(tmp_path / 'curves.csv'))
    losses = [float(row['loss']) for row in rows]
    assert losses[-1] < 0.6 * losses[0]
    assert float(rows[-1]['held_out_accuracy']) >= 0.75 and float(rows[-1]['epoch']) == 4
    assert set(os.listdir(tmp_path)) == {
        '.lock',
        'best.safetensors',
        'curves.csv',
        'curves.png',
        'recipe.yaml',
        'state.pt',
        'tensorboard',
        'weights.safetensors',
    }
    saved = load_weights(str(tmp_path / 'weights.safetensors'))
    assert all(torch.equal(saved[name], tensor) for name, tensor in weights.items())


def test_branches_come_one_by_one_when_it_trains_as_the_paper_does(tmp_path):
    # Logits of a network that was barely trained are huge: at a usual rate valence and arousal would explode.
    recipe = tiny_recipe(
        {'trains': 'branches', 'epochs': 1}, {'trains': 'affect', 'steps': 3, 'learning_rate': 1e-5}, branches=2
    )
    weights = Fit(recipe, LEARNED, str(tmp_path), HELD_OUT).run()
    ESR(2).load_state_dict(weights)
    means = [name for name in weights if name.endswith('running_mean')]
    assert len(means) == 12 and all(weights[name].abs().sum() > 0 for name in means)  # of every branch too
    rows = read_rows(str(tmp_path / 'curves.csv'))
    assert [(row['stage'], row['branches']) for row in rows] == [('0', '1'), ('1', '2'), ('2', '2'), ('2', '2')]


@pytest.mark.parametrize(
    'phase, is_frozen',
    [
        ({'trains': 'affect'}, lambda name: 'fc_dimensional' not in name),
        ({'base_learning_rate': 0, 'learning_rate': 0.01}, lambda name: name.startswith('base.')),
    ],
)
def test_what_is_frozen_stays_as_it_is(tmp_path, phase, is_frozen):
    torch.manual_seed(0)
    start = ESR(2).state_dict()
    trained = Fit(tiny_recipe({'steps': 3, **phase}, branches=2), LEARNED, str(tmp_path), start=start).run()
    for name, tensor in start.items():
        assert torch.equal(tensor, trained[name]) == is_frozen(name), name


def test_further_phases_are_trained_when_they_are_added_to_a_recipe_that_is_done(tmp_path):
    first, second = {'steps': 2}, {'steps': 3, 'learning_rate': 0.001}
    Fit(tiny_recipe(first), LEARNED, str(tmp_path / 'a')).run()
    added = Fit(tiny_recipe(first, second), LEARNED, str(tmp_path / 'a'))
    weights = added.run()
    assert added.total == 5
    at_once = Fit(tiny_recipe(first, second), LEARNED, str(tmp_path / 'b')).run()
    assert all(torch.equal(weights[name], tensor) for name, tensor in at_once.items())


@pytest.mark.parametrize(
    'change, text',
    [
        ({'network': {'branches': 2}}, 'network'),
        ({'seed': 7}, 'started with seed 1, got 7'),
        ({'phases': [{'steps': 5}]}, r'phases\.0\.steps'),
        ({'phases': [{'steps': 2, 'learning_rate': 0.1}]}, r'phases\.0\.learning_rate 0\.02'),
    ],
)
def test_it_is_not_resumed_when_the_recipe_is_another_one(tmp_path, change, text):
    Fit(tiny_recipe({'steps': 2}), LEARNED, str(tmp_path)).save()
    state = load_state(str(tmp_path / 'state.pt'))
    state['begun'] = 1
    torch.save(state, str(tmp_path / 'state.pt'))
    change = dict(change)
    phases = change.pop('phases', [{'steps': 2}])
    with pytest.raises(BadParameter, match=text):
        Fit(tiny_recipe(*phases, **change), LEARNED, str(tmp_path)).resume()


@pytest.mark.parametrize('place, value, is_refused', [(0, 0.0, False), (0, 0.1, True), (1, 0.1, False)])
def test_a_training_of_an_earlier_version_goes_on_unless_it_began_with_an_option_that_is_gone(
    tmp_path, place, value, is_refused
):
    recipe = tiny_recipe({'steps': 2}, {'steps': 2})
    Fit(recipe, LEARNED, str(tmp_path)).save()
    state = load_state(str(tmp_path / 'state.pt'))
    state['begun'] = 1
    state['recipe']['phases'][place]['sharpness_radius'] = value
    torch.save(state, str(tmp_path / 'state.pt'))
    refused = pytest.raises(BadParameter, match=r'state\.pt: phases\.0\.sharpness_radius: unknown field')
    with refused if is_refused else contextlib.nullcontext():
        assert Fit(recipe, LEARNED, str(tmp_path)).resume()


def test_it_is_not_resumed_when_the_faces_are_others(tmp_path):
    Fit(tiny_recipe({'steps': 2}), LEARNED, str(tmp_path)).save()
    with pytest.raises(BadParameter, match='started with other faces'):
        Fit(tiny_recipe({'steps': 2}), HELD_OUT, str(tmp_path)).resume()


def test_it_stops_behind_a_step_and_goes_on_when_it_is_asked_to(tmp_path):
    class Stops(Silence):
        def step(self, done, losses):
            fit.stop()

    fit = Fit(tiny_recipe({'steps': 3}), LEARNED, str(tmp_path))
    assert fit.run(progress=Stops()) is None and fit.total == 1
    again = Fit(tiny_recipe({'steps': 3}), LEARNED, str(tmp_path))
    assert again.run() is not None and again.total == 3


def test_nothing_bad_is_saved_when_the_loss_is_no_number(tmp_path):
    recipe = tiny_recipe({'steps': 30, 'learning_rate': 10.0, 'momentum': 0.99, 'warm_up_steps': 0, 'floor': 10.0})
    start = {
        name: tensor * (float('nan') if name.endswith('fc.weight') else 1)
        for name, tensor in ESR(1).state_dict().items()
    }
    with pytest.raises(Diverged, match='lower learning rate'):
        Fit(recipe, LEARNED, str(tmp_path), start=start).run(save_every_s=0)
    assert not os.path.exists(tmp_path / 'state.pt')


def test_it_ends_when_the_loss_explodes(tmp_path):
    recipe = tiny_recipe({'trains': 'affect', 'steps': 40, 'learning_rate': 10.0, 'floor': 10.0, 'warm_up_steps': 0})
    with pytest.raises(Diverged, match=r'not finite or above 1e\+09 at step \d'):
        Fit(recipe, LEARNED, str(tmp_path)).run()


def test_a_student_learns_what_its_teacher_says_when_it_has_one(tmp_path):
    teacher = ESR(1).eval()
    with torch.no_grad():
        teacher.convolutional_branches[0].fc.weight.zero_()
        teacher.convolutional_branches[0].fc.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]))
    recipe = tiny_recipe({'epochs': 5, 'teacher': 1.0}, teachers=['surprised'])
    fit = Fit(recipe, LEARNED, str(tmp_path), HELD_OUT, teachers=[(teacher, None)])
    fit.run()
    row = read_rows(str(tmp_path / 'curves.csv'))[-1]
    assert float(row['loss']) < 0.2 and float(row['held_out_accuracy']) == 0.0  # 0.59 at first; all are surprised
    assert os.path.exists(tmp_path / 'teachers.pt')


def test_unknown_labels_do_no_harm_when_a_set_has_them(tmp_path):
    affect = np.full((8, 2), np.nan)
    affect[:3] = 0.3
    faces = Labelled(one_hot('happy', 'sad', 'happy', 'sad', 'happy', 'fear', None, None), affect)
    recipe = tiny_recipe({'steps': 3, 'affect_weight': 1.0}, {'trains': 'affect', 'steps': 2, 'batch_size': 2})
    weights = Fit(recipe, faces, str(tmp_path), faces).run()
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


@pytest.mark.parametrize(
    'phase, text', [({'keeps': 'best'}, 'held-out faces, got none'), ({'teacher': 0.5}, 'expected teachers')]
)
def test_it_is_refused_when_something_that_the_recipe_needs_is_not_there(tmp_path, phase, text):
    with pytest.raises(BadParameter, match=text):
        Fit(tiny_recipe(dict({'steps': 2}, **phase), teachers=['a']), LEARNED, str(tmp_path))


@pytest.mark.parametrize('precision', [torch.bfloat16, torch.float16])
def test_it_learns_when_it_computes_in_half_precision(tmp_path, precision):
    start = ESR(1).state_dict()
    weights = Fit(tiny_recipe({'steps': 1}), LEARNED, str(tmp_path), start=start, precision=precision).run()
    assert not torch.equal(weights['base.conv1.weight'], start['base.conv1.weight'])
    assert all(
        tensor.dtype in (torch.float32, torch.int64) and torch.isfinite(tensor).all() for tensor in weights.values()
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no GPU (CUDA)')
@pytest.mark.parametrize('wanted', ['auto', 'float16', 'float32'])
def test_it_learns_and_resumes_when_there_is_a_gpu(tmp_path, wanted):
    device = torch.device('cuda', 0)
    precision, _ = choose_precision(device, wanted)
    first, second = {'steps': 3}, {'trains': 'affect', 'steps': 2}
    for phases in ((first,), (first, second)):
        fit = Fit(
            tiny_recipe(*phases, branches=2),
            LEARNED,
            str(tmp_path),
            HELD_OUT,
            precision=precision,
            workers=2,
            processes=Processes(device=device),
        )
        weights = fit.run()
    assert fit.total == 5 and all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_branches_are_kept_apart_when_a_diversified_network_is_trained(tmp_path):
    recipe = tiny_recipe({'steps': 2, 'diversity': 1.0}, branches=2, network={'diversified': True})
    Fit(recipe, LEARNED, str(tmp_path)).run()
    assert float(read_rows(str(tmp_path / 'curves.csv'))[-1]['diversity_loss']) > 0
