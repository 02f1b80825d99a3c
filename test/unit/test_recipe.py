"""Recipes: what they refuse, what overrides do, and that the docs list every field."""

import os

import pytest
from places import ROOT, read

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.loop.recipe import (
    Network,
    Phase,
    Recipe,
    markdown_rows,
    plain_of,
    read_recipe,
    recipe_of,
    write_recipe,
)

KEPT = sorted(name for name in os.listdir(os.path.join(ROOT, 'recipes')) if name.endswith('.yaml'))

SMALL = """
name: small
network: {branches: 2}
faces: {held_out: names.txt}
phases:
- {trains: joint, size_px: 64, steps: 5, weight_decay: 5e-4, rare: {disgust: 4}}
- {trains: affect, epochs: 1}
"""


@pytest.fixture
def small(tmp_path):
    """Return the path of a small recipe."""
    (tmp_path / 'small.yaml').write_text(SMALL)
    return str(tmp_path / 'small.yaml')


def test_a_recipe_is_read_when_yaml_names_some_fields(small, tmp_path):
    recipe = read_recipe(small)
    assert recipe.network == Network(branches=2, diversified=False)
    assert [phase.trains for phase in recipe.phases] == ['joint', 'affect']
    assert recipe.phases[0].weight_decay == 5e-4  # a text to YAML 1.1
    assert recipe.phases[1].batch_size == Phase(steps=1).batch_size
    assert recipe.faces.held_out == str(tmp_path / 'names.txt')


def test_a_recipe_comes_back_equal_when_it_was_written(small, tmp_path):
    recipe = read_recipe(small)
    (tmp_path / 'again').mkdir()
    (tmp_path / 'again' / 'recipe.yaml').write_text(write_recipe(recipe))
    assert read_recipe(str(tmp_path / 'again' / 'recipe.yaml')) == recipe
    assert recipe_of(plain_of(recipe)) == recipe


@pytest.mark.parametrize(
    'override, holds',
    [
        ('phases.0.steps=7', lambda recipe: recipe.phases[0].steps == 7),
        ('phases.0.epochs=3', lambda recipe: recipe.phases[0].epochs == 3 and recipe.phases[0].steps == 0),
        ('phases.*.size_px=96', lambda recipe: {phase.size_px for phase in recipe.phases} == {96}),
        ('phases.0.rare.fear=2', lambda recipe: recipe.phases[0].rare == {'disgust': 4, 'fear': 2}),
        ('phases.0.learning_rate=1e-3', lambda recipe: recipe.phases[0].learning_rate == 1e-3),
        ('seed=3', lambda recipe: recipe.seed == 3),
        ('faces.held_out=', lambda recipe: recipe.faces.held_out == ''),
        ('faces.held_out=here.txt', lambda recipe: recipe.faces.held_out == 'here.txt'),
        ('teachers=[a, b]', lambda recipe: recipe.teachers == ('a', 'b')),
        ('phases.0.sharpness_radius=0.0', lambda recipe: recipe.phases[0].steps == 5),
        ('phases=[{steps: 1}]', lambda recipe: recipe.phases == (Phase(steps=1),)),
    ],
)
def test_a_field_changes_when_it_is_overridden(small, override, holds):
    assert holds(read_recipe(small, [override]))


@pytest.mark.parametrize(
    'override, text',
    [
        ('phases.0.epoch=3', r'phases\.0\.epoch: unknown field; expected epochs\?'),
        ('phases.0.sharpness_radius=0.1', r'phases\.0\.sharpness_radius: unknown field'),
        ('phases.1.recalibration_faces=9', r'phases\.1\.recalibration_faces: unknown field'),
        ('phases.5.epochs=3', r'no 5 to change, only 0 to 1 exist'),
        ('phases.0.steps', 'NAME=VALUE'),
        ('phases.0.steps=[', 'expected a value in YAML'),
        ('phases.0.steps=0', 'either epochs or steps'),
        ('phases.0={steps: 1, epochs: 2}', 'either epochs or steps'),
        ('phases.0.steps=2.5', r'phases\.0\.steps: Input should be a valid integer, got 2\.5'),
        ('phases.0.size_px=48', r'size_px: Input should be greater than or equal to 56, got 48'),
        ('phases.0.learning_rate=fast', "learning_rate: Input should be a valid number, got 'fast'"),
        ('phases.0.learning_rate=.nan', 'learning_rate: Input should be a finite number, got nan'),
        ('phases.0.floor=0.5', 'floor: expected at most the learning rate'),
        ('phases.0.rare.joy=2', "rare.joy.*Input should be 'neutral', 'happy'.*got 'joy'"),
        ('phases.0.rare.fear=0', 'rare.fear: Input should be greater than 0, got 0'),
        ('phases.0.trains=all', "trains: Input should be 'joint', 'branches' or 'affect', got 'all'"),
        ('phases.1.trains=branches', 'in the first phase only'),
        ('phases.0.diversity=1', 'expected 0, or network.diversified true'),
        ('phases.0.teacher=0.5', 'expected teachers'),
        ('phases=[]', 'at least one phase'),
        ('network.branches=true', r'network\.branches: Input should be a valid integer, got True'),
        ('network=9', 'network: Input should be a valid dictionary or instance of Network, got 9'),
        ('phases=[{steps: x, size_px: 1}]', 'phases.0.size_px.*; phases.0.steps'),
        ('name.first=1', 'expected name.first in a mapping'),
    ],
)
def test_a_recipe_is_refused_when_a_name_or_value_does_not_fit(small, override, text):
    with pytest.raises(BadParameter, match=text):
        read_recipe(small, [override])


@pytest.mark.parametrize(
    'content, text',
    [(None, 'cannot be read'), ('a: [', 'cannot be read'), ('9', 'got 9'), ('name: x', 'at least one phase')],
)
def test_a_recipe_is_refused_when_the_file_is_none(tmp_path, content, text):
    if content is not None:
        (tmp_path / 'recipe.yaml').write_text(content)
    with pytest.raises(BadParameter, match=text):
        read_recipe(str(tmp_path / 'recipe.yaml'))


def test_values_are_checked_when_a_recipe_is_made_in_python():
    with pytest.raises(ValueError, match='batch_size'):
        Phase(steps=1, batch_size=1)
    with pytest.raises(ValueError, match='at least one phase'):
        Recipe(phases=())
    with pytest.raises(ValueError, match='frozen'):
        Phase(steps=1).steps = 2


@pytest.mark.parametrize('name', KEPT)
def test_a_kept_recipe_fits_when_it_is_read(name):
    recipe = read_recipe(os.path.join(ROOT, 'recipes', name))
    assert recipe.name == name[: -len('.yaml')]
    assert not recipe.faces.held_out or os.path.isfile(recipe.faces.held_out)


def test_the_paper_and_the_best_recipe_are_kept_when_the_folder_is_read():
    assert {'paper.yaml', 'esr_9_ferplus.yaml'} <= set(KEPT)


def test_every_field_is_in_the_docs_when_the_table_is_compared():
    lines = read('docs', 'training.md').splitlines()
    rows = markdown_rows()
    begin = lines.index(rows[0])
    assert lines[begin : begin + len(rows)] == rows, (
        'python -m facial_emotion_ros.training.loop.recipe prints the table'
    )
    assert not [line for line in lines[begin + len(rows) :] if line.startswith('|')]
