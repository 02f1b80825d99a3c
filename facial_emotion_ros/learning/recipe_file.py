"""Recipes as YAML: read with overrides, written, and listed for the docs.

`python -m facial_emotion_ros.learning.recipe_file` prints the table of docs/training.md; a test compares the two.
"""

import difflib
import os
from dataclasses import MISSING, asdict, fields, is_dataclass

import yaml

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.learning.recipe import Faces, Network, Phase, Recipe, values_of


def read_recipe(path, overrides=()):
    """Read a recipe.

    :param path: YAML file.
    :param overrides: texts like 'phases.0.epochs=3', the value in YAML; '*' stands for all phases.
    :returns: Recipe; faces.held_out of the file is made relative to the file's folder.
    :raises BadParameter: if the file cannot be read, or a name or value does not fit; the text names it.
    """
    try:
        with open(path, encoding='utf-8') as file:
            tree = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(f'{path}: a recipe in YAML expected, it cannot be read ({error})') from error
    if not isinstance(tree, dict):
        raise BadParameter(f'{path}: a recipe in YAML expected, with name, network and phases, got {tree!r}')
    faces = tree.get('faces')
    if isinstance(faces, dict) and isinstance(faces.get('held_out'), str) and faces['held_out']:
        faces['held_out'] = os.path.join(os.path.dirname(os.path.abspath(path)), faces['held_out'])
    for text in overrides:
        _override(tree, text)
    return recipe_of(tree, path)


def recipe_of(tree, where='recipe'):
    """Make a recipe of plain dicts, lists and numbers, as a file or a training's state holds them.

    :param tree: dict.
    :param where: what the recipe is called where something does not fit.
    :returns: Recipe.
    :raises BadParameter: if a name or value does not fit.
    """
    try:
        return _build(Recipe, tree, '')
    except BadParameter as error:
        raise BadParameter(f'{where}: {error}') from error


def write_recipe(recipe):
    """Write a recipe as YAML.

    :param recipe: Recipe.
    :returns: str, which :func:`read_recipe` reads as an equal recipe.
    """
    return yaml.safe_dump(plain_of(recipe), sort_keys=False, width=100)


def plain_of(recipe):
    """Turn a recipe into plain dicts, lists and numbers.

    :param recipe: Recipe.
    :returns: dict.
    """
    tree = asdict(recipe)
    return dict(tree, teachers=list(tree['teachers']), phases=list(tree['phases']))


def markdown_rows():
    """List every field for docs/training.md.

    :returns: list of str, lines of a table in Markdown.
    """
    rows = ['| Field | Default | Values | What it does |', '|---|---|---|---|']
    for prefix, kind in (('', Recipe), ('network.', Network), ('faces.', Faces), ('phases.N.', Phase)):
        for each in fields(kind):
            if 'says' not in each.metadata:
                continue
            default = yaml.safe_dump(_default(each), default_flow_style=True).splitlines()[0].replace("''", '')
            shown = f'`{default}`' if default else 'empty'
            rows.append(f'| `{prefix}{each.name}` | {shown} | {values_of(each)} | {each.metadata["says"]} |')
    return rows


#: A phase has one of these.
_EITHER = {'epochs': 'steps', 'steps': 'epochs'}


def _default(each):
    default = each.default_factory() if each.default is MISSING else each.default
    return list(default) if isinstance(default, tuple) else default


def _build(kind, tree, where):
    """Make a dataclass of a dict, naming the place of what does not fit."""
    if not isinstance(tree, dict):
        raise BadParameter(f'{where.rstrip(".") or "recipe"}: expected names and values, got {tree!r}')
    known = {each.name: each for each in fields(kind)}
    values = {}
    for name, value in tree.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f'{near[0]}?' if near else 'one of ' + ', '.join(known)
            raise BadParameter(f'{where}{name}: there is no such field; expected {hint}')
        values[name] = _converted(known[name], value, f'{where}{name}')
    try:
        return kind(**values)
    except BadParameter as error:
        raise BadParameter(f'{where}{error}') from error


def _converted(each, value, where):
    """Bring what YAML read into the field's type, where that loses nothing."""
    if is_dataclass(each.type):
        return _build(each.type, {} if value is None else value, where + '.')
    if each.name == 'phases' and isinstance(value, list):
        return tuple(_build(Phase, phase, f'{where}.{place}.') for place, phase in enumerate(value))
    if each.type is tuple and isinstance(value, list):
        return tuple(value)
    if each.type is float and isinstance(value, str):  # YAML 1.1 takes 5e-4 for a text
        try:
            return float(value)
        except ValueError:
            return value
    if value is None and each.type in (str, dict):
        return each.type()
    return value


def _override(tree, text):
    """Put one 'a.b.c=value' into a tree of dicts and lists."""
    path, equals, value = text.partition('=')
    if not equals:
        raise BadParameter(f'--set {text}: expected NAME=VALUE such as phases.0.epochs=3')
    try:
        value = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadParameter(f'--set {text}: a value in YAML expected ({error})') from error
    *parents, last = path.strip().split('.')
    places = [tree]
    for key in parents:
        places = [below for place in places for below in _below(place, key, text)]
    for place in places:
        if isinstance(place, list):
            _below(place, last, text)  # says what does not fit
            last = int(last)
        elif not isinstance(place, dict):
            raise BadParameter(f'--set {text}: {path} expected to lie in names and values, got {place!r}')
        place[last] = value
        if path.startswith('phases.') and last in _EITHER:  # one length replaces the other
            place.pop(_EITHER[last], None)


def _below(place, key, text):
    """Follow one step of a path: what lies there, all of it for '*'."""
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return [place[key]]
    if isinstance(place, list) and key == '*':
        return place
    if isinstance(place, list) and key.isdigit() and int(key) < len(place):
        return [place[int(key)]]
    came = f'only 0 to {len(place) - 1} are there' if isinstance(place, list) else f'there is {place!r}'
    raise BadParameter(f'--set {text}: no {key} to change, {came}')


if __name__ == '__main__':
    print('\n'.join(markdown_rows()))
