"""Stages, learning rates and which parameters learn."""

import pytest
from tiny_training import tiny_recipe

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.loop.phases import choose_parameters, learning_rate, stages_of
from facial_emotion_ros.training.loop.recipe import Phase
from facial_emotion_ros.training.model.network import ESR


def test_the_learning_rate_is_what_the_recipe_says_when_200_batches_are_done():
    # OpenDR halves its rate every ten batches in place of every ten epochs: 0.1 is 1e-7 after 200 of them.
    cosine = Phase(steps=10000, learning_rate=0.1)
    assert learning_rate(cosine, 200, 10000) > 0.099
    falling = Phase(epochs=50, learning_rate=0.1, decay_epochs=10, warm_up_steps=0)
    assert [learning_rate(falling, step, 40000, 800) for step in (200, 7999, 8000, 16000)] == [0.1, 0.1, 0.05, 0.025]


def test_the_learning_rate_rises_then_falls_to_its_floor_when_steps_pass():
    phase = Phase(steps=100, learning_rate=0.04, floor=0.004, warm_up_steps=10)
    rates = [learning_rate(phase, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.004) and max(rates) == pytest.approx(0.04)
    assert rates[9] == pytest.approx(0.04) == rates[10]
    assert all(before >= after for before, after in zip(rates[10:], rates[11:]))
    assert rates[-1] == pytest.approx(0.004, abs=1e-4)
    assert learning_rate(Phase(steps=1, warm_up_steps=30), 0, 1) == Phase(steps=1).learning_rate


def test_a_short_stage_ends_at_a_low_rate_when_its_warm_up_would_fill_it():
    rates = [learning_rate(Phase(steps=31, learning_rate=0.1), step, 31) for step in range(31)]
    assert rates.index(max(rates)) <= 3 and rates[-1] < 0.01


def test_branches_come_one_by_one_when_a_phase_adds_them():
    recipe = tiny_recipe(
        {'trains': 'branches', 'epochs': 4, 'further_epochs': 2}, {'trains': 'affect', 'steps': 7}, branches=3
    )
    stages = stages_of(recipe)
    assert [(stage.place, stage.branches, stage.steps(10)) for stage in stages] == [
        (0, 1, 40),
        (0, 2, 20),
        (0, 3, 20),
        (1, 3, 7),
    ]
    assert [stage.branches for stage in stages_of(recipe, present=2)] == [3, 3]
    assert 'branch 2' in stages[1].title
    with pytest.raises(BadParameter, match='have all 3'):
        stages_of(recipe, present=3)
    with pytest.raises(BadParameter, match='at most 3 branches'):
        stages_of(recipe, present=4)


def factors(network, groups):
    """Map each parameter that learns to (factor, weight decay)."""
    by_id = {
        id(parameter): (group['factor'], group['weight_decay']) for group in groups for parameter in group['params']
    }
    return {name: by_id.get(id(parameter)) for name, parameter in network.named_parameters()}


def test_older_parts_learn_at_a_tenth_of_the_rate_when_a_branch_is_added():
    stage = stages_of(tiny_recipe({'trains': 'branches', 'epochs': 1, 'weight_decay': 0.1}, branches=2))[1]
    network = ESR(2)
    chosen = factors(network, choose_parameters(network, stage))
    branch = 'convolutional_branches.'
    assert chosen['base.conv1.weight'] == chosen[branch + '0.conv1.weight'] == (0.1, 0.1)
    assert chosen[branch + '1.conv1.weight'] == (1.0, 0.1)
    assert chosen[branch + '1.bn1.weight'] == chosen[branch + '1.conv1.bias'] == (1.0, 0.0)
    assert chosen[branch + '0.fc_dimensional.weight'] == (0.1, 0.1)


def test_the_first_branch_and_the_base_learn_at_the_full_rate_when_there_is_nothing_older():
    stage = stages_of(tiny_recipe({'trains': 'branches', 'epochs': 1}))[0]
    network = ESR(1)
    assert {group['factor'] for group in choose_parameters(network, stage)} == {1.0}


def test_only_dimensional_layers_learn_when_the_phase_trains_affect():
    network = ESR(2)
    choose_parameters(network, stages_of(tiny_recipe({'trains': 'affect', 'steps': 1}, branches=2))[0])
    learns = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in network.named_parameters() if '.fc_dimensional.' in name}
    choose_parameters(network, stages_of(tiny_recipe({'steps': 1, 'affect_weight': 0}, branches=2))[0])
    learns = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in network.named_parameters() if '.fc_dimensional.' not in name}
