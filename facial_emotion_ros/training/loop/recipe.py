"""Recipes: everything a training depends on except the faces and the initial weights; read from and written as YAML.

`python -m facial_emotion_ros.training.loop.recipe` prints the table of fields in docs/training.md; a test compares the
two.
"""

import difflib
import os
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter


def _number(value: Any) -> Any:
    """Parse numbers such as 5e-4, which YAML 1.1 reads as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# Strict: true is not a number. An empty YAML value becomes an empty text or mapping.
_Flag = Annotated[bool, Strict()]
_Integer = Annotated[int, Strict()]
_Number = Annotated[float, Strict(), BeforeValidator(_number)]
_Text = Annotated[str, BeforeValidator(lambda value: '' if value is None else value)]
_EMPTY = BeforeValidator(lambda value: {} if value is None else value)
_Options = Annotated[dict[str, Any], _EMPTY]
_Factor = Annotated[_Number, Field(gt=0, le=100)]
_Factors = Annotated[dict[Literal[EMOTIONS], _Factor], _EMPTY]  # type: ignore[valid-type]


class _Checked(BaseModel):
    """Immutable fields; invalid values raise pydantic.ValidationError, a ValueError."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)


class Network(_Checked):
    """The network to train."""

    branches: _Integer = Field(9, ge=1, le=100, description='Number of branches, the n of ESR-n.')
    diversified: _Flag = Field(False, description='Train an ESR*: CBAM after each block.')


class Faces(_Checked):
    """The training data; the options `--data` and `--held-out` override it."""

    path: _Text = Field('', description='Training faces: file or folder.')
    format: _Text = Field('', description='ferplus, affectnet or folder; empty: detected.')
    options: _Options = Field({}, description='Further options of the format, by name.')
    held_out: _Text = Field(
        '',
        description='Text file (.txt) of names to hold out of training and validate on, or a separate data set; '
        'relative to the recipe.',
    )
    held_out_options: _Options = Field(
        {},
        description='Options for reading a separate held-out set, such as {split: valid} for AffectNet; without '
        'held_out it is read from path.',
    )
    further: _Text = Field('', description='Second set of training faces to mix in, such as rendered ones.')
    further_share: _Number = Field(
        0.15, ge=0.001, le=0.9, description='Fraction of the drawn faces that come from `further`, before `rare`.'
    )
    color: Literal['gray_x3', 'bgr'] = Field('gray_x3', description='Colour of the network input.')


#: Fields that earlier versions wrote into recipe.yaml; dropped where they are 0.
_FORMER = ('sharpness_radius', 'recalibration_faces')


class Phase(_Checked):
    """One part of a training, with its own optimizer."""

    trains: Literal['joint', 'branches', 'affect'] = Field(
        'joint',
        description='joint: base and all branches at once. branches: one branch after the other, older layers at a '
        'lower rate. affect: the dimensional layers alone, on a frozen backbone.',
    )
    size_px: _Integer = Field(96, ge=56, le=512, description='Side of the crops.')
    epochs: _Number = Field(0.0, ge=0, le=1e4, description='Length in epochs; give this or steps.')
    steps: _Integer = Field(0, ge=0, le=10**8, description='Length in optimizer steps; give this or epochs.')
    further_epochs: _Number = Field(
        0.0, ge=0, le=1e4, description='branches: epochs of each branch after the first; 0: same as epochs.'
    )
    batch_size: _Integer = Field(64, ge=2, le=65536, description='Faces per step, over all processes.')
    learning_rate: _Number = Field(0.04, ge=0, le=10, description='Peak learning rate.')
    floor: _Number = Field(0.0, ge=0, le=10, description='Final learning rate of the half-cosine decay.')
    decay_epochs: _Number = Field(
        0.0,
        ge=0,
        le=1e4,
        description='Multiply the learning rate by decay every so many epochs instead of the cosine; 0: cosine.',
    )
    decay: _Number = Field(0.5, ge=0, le=1, description='See decay_epochs.')
    warm_up_steps: _Integer = Field(
        30, ge=0, le=10**6, description='Steps of linear warm-up; at most a tenth of the stage.'
    )
    base_learning_rate: _Number = Field(
        1.0, ge=0, le=10, description='Learning rate factor of the base; 0 freezes it, with its batch norms.'
    )
    older_learning_rate: _Number = Field(
        0.1, ge=0, le=10, description='branches: learning rate factor of the base and of earlier branches.'
    )
    base_gradient: Literal['mean', 'sum'] = Field(
        'mean', description="Gradient of the base: mean or sum of the branches' gradients."
    )
    momentum: _Number = Field(0.9, ge=0, le=0.9999, description='Momentum of SGD (Nesterov).')
    weight_decay: _Number = Field(5e-4, ge=0, le=1, description='Weight decay; not applied to biases and norms.')
    augmentation: _Number = Field(0.8, ge=0, le=1, description='Strength of the augmentation.')
    camera: _Number = Field(
        0.0,
        ge=0,
        le=1,
        description='Strength and frequency of camera effects: occlusion, uneven light, gamma, motion blur, low '
        'resolution, noise, JPEG; 0: off.',
    )
    mixup: _Number = Field(0.0, ge=0, le=10, description='Alpha of mixup: shares come from Beta(mixup, mixup); 0: off.')
    averaging: _Number = Field(
        0.998, ge=0, le=0.99999, description='Decay of the average of the weights (EMA), which is saved; 0: off.'
    )
    bootstrap: _Number = Field(
        1.0, ge=0.01, le=1, description='Fraction of the faces that each branch learns from, drawn once per training.'
    )
    branches_a_step: _Integer = Field(
        0,
        ge=0,
        le=100,
        description='Random branches to train in each step; faster, and the base still learns in each step; 0: all.',
    )
    rare: _Factors = Field(
        {},
        description='Sampling factors by emotion: with 4 for disgust, a face with half its votes there is drawn 2.5 '
        'times per epoch.',
    )
    prior_exponent: _Number = Field(
        0.0,
        ge=0,
        le=2,
        description='Logit adjustment (balanced softmax): the loss adds this times the log class frequencies to the '
        'logits; 0: off, 1: full.',
    )
    affect_weight: _Number = Field(
        0.1, ge=0, le=100, description='Weight of the valence-arousal loss; its gradient never reaches the backbone.'
    )
    diversity: _Number = Field(0.0, ge=0, le=100, description='Weight of the attention diversity loss (ESR* only).')
    teacher: _Number = Field(0.0, ge=0, le=1, description="Fraction of the teachers' probabilities in the labels.")
    check_epochs: _Number = Field(1.0, ge=0.01, le=1e4, description='Epochs between two validations.')
    keeps: Literal['last', 'best'] = Field(
        'last', description='Weights handed to the next phase: the last, or the best on the held-out faces.'
    )

    @model_validator(mode='before')
    @classmethod
    def _drop_former(cls, fields: Any) -> Any:
        if isinstance(fields, dict):
            return {name: value for name, value in fields.items() if value or name not in _FORMER}
        return fields

    @model_validator(mode='after')
    def _check_together(self) -> 'Phase':
        if (self.epochs > 0) == (self.steps > 0):
            raise ValueError(f'epochs: expected either epochs or steps above 0, got {self.epochs:g} and {self.steps}')
        if self.floor > self.learning_rate:
            raise ValueError(f'floor: expected at most the learning rate {self.learning_rate:g}, got {self.floor:g}')
        return self


class Recipe(_Checked):
    """Everything a training depends on, except the faces and the initial weights."""

    name: _Text = Field('training', description='Name of the training.')
    seed: _Integer = Field(1, ge=0, le=10**9, description='Seed; all random numbers derive from it and the step.')
    network: Network = Network()
    faces: Faces = Faces()
    teachers: tuple[str, ...] = Field(
        (), description="Weights or bundles whose mean probabilities a phase's `teacher` mixes into the labels."
    )
    phases: tuple[Phase, ...] = ()

    @model_validator(mode='after')
    def _check_together(self) -> 'Recipe':
        if not self.phases:
            raise ValueError('phases: expected at least one phase, got none')
        for place, phase in enumerate(self.phases):
            if phase.trains == 'branches' and place:
                raise ValueError(
                    f'phases.{place}.trains: branches can be added in the first phase only; expected joint or affect'
                )
            if phase.diversity and not self.network.diversified:
                raise ValueError(
                    f'phases.{place}.diversity: expected 0, or network.diversified true: only an ESR* has attention, '
                    f'got {phase.diversity:g}'
                )
            if phase.teacher and not self.teachers:
                raise ValueError(f'phases.{place}.teacher: expected teachers (or --teacher), got none')
        return self


def read_recipe(path: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe.

    :param path: YAML file.
    :param overrides: assignments such as 'phases.0.epochs=3', the value in YAML; '*' stands for all phases.
    :returns: Recipe; a relative faces.held_out of the file is resolved against the file's folder.
    :raises BadParameter: if the file cannot be read, or a field does not fit; the text names it.
    """
    try:
        with open(path, encoding='utf-8') as file:
            tree = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(f'{path}: expected a recipe in YAML, it cannot be read ({error})') from error
    if not isinstance(tree, dict):
        raise BadParameter(f'{path}: expected a recipe in YAML with name, network and phases, got {tree!r}')
    faces = tree.get('faces')
    if isinstance(faces, dict) and isinstance(faces.get('held_out'), str) and faces['held_out']:
        faces['held_out'] = os.path.join(os.path.dirname(os.path.abspath(path)), faces['held_out'])
    for assignment in overrides:
        _override(tree, assignment)
    return recipe_of(tree, path)


def written_format(path: str) -> str:
    """Return the faces.format in a recipe's file that :func:`read_recipe` reads, without overrides; '' for none."""
    with open(path, encoding='utf-8') as file:
        faces = yaml.safe_load(file).get('faces')
    return str(faces.get('format') or '') if isinstance(faces, dict) else ''


def recipe_of(tree: dict[str, Any], where: str = 'recipe') -> Recipe:
    """Make a recipe of plain dicts, lists and numbers, as a file or a saved training state holds them.

    :param tree: fields by name.
    :param where: prefix of the error.
    :returns: Recipe.
    :raises BadParameter: if a field does not fit.
    """
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        faults = '; '.join(_describe(fault) for fault in error.errors())
        raise BadParameter(f'{where}: {faults}') from error


def write_recipe(recipe: Recipe) -> str:
    """Write a recipe as YAML, which :func:`read_recipe` reads as an equal recipe."""
    return yaml.safe_dump(plain_of(recipe), sort_keys=False, width=100)


def plain_of(recipe: Recipe) -> dict[str, Any]:
    """Turn a recipe into plain dicts, lists and numbers."""
    return recipe.model_dump(mode='json')


def markdown_rows() -> list[str]:
    """Return the Markdown lines of the table of all fields in docs/training.md."""
    rows = ['| Field | Default | Values | What it does |', '|---|---|---|---|']
    for prefix, kind in (('', Recipe), ('network.', Network), ('faces.', Faces), ('phases.N.', Phase)):
        for name, schema in kind.model_json_schema()['properties'].items():
            if 'description' in schema:
                default = yaml.safe_dump(schema['default'], default_flow_style=True).splitlines()[0].replace("''", '')
                shown = f'`{default}`' if default else 'empty'
                rows.append(f'| `{prefix}{name}` | {shown} | {_values(schema)} | {schema["description"]} |')
    return rows


_TYPES = {'boolean': 'true or false', 'integer': 'integer', 'string': 'text', 'object': 'mapping', 'array': 'list'}

#: Mutually exclusive fields of a phase.
_EITHER = {'epochs': 'steps', 'steps': 'epochs'}


def _values(schema: dict[str, Any]) -> str:
    """Describe the values that a field takes, from its JSON schema."""
    if 'enum' in schema:
        return 'one of ' + ', '.join(schema['enum'])
    named = _TYPES.get(schema['type'], schema['type'])
    return f'{named} from {schema["minimum"]:.10g} to {schema["maximum"]:.10g}' if 'minimum' in schema else named


def _describe(fault: Any) -> str:
    """Format one of pydantic's errors: the field's path, what is wrong, and for an unknown field the closest name."""
    path, message = '.'.join(map(str, fault['loc'])), fault['msg']
    if fault['type'] == 'value_error':  # raised by _check_together: the text names the fields
        return '.'.join(filter(None, (path, message.removeprefix('Value error, '))))
    if fault['type'] == 'extra_forbidden':
        kind: Any = {'network': Network, 'faces': Faces, 'phases': Phase}.get(fault['loc'][0], Recipe)
        near = difflib.get_close_matches(str(fault['loc'][-1]), kind.model_fields, 1)
        return f'{path}: unknown field; expected {near[0] + "?" if near else ", ".join(kind.model_fields)}'
    return f'{path}: {message}, got {fault["input"]!r}'


def _override(tree: dict[str, Any], assignment: str) -> None:
    """Apply one 'a.b.c=value' to nested dicts and lists."""
    path, equals, text = assignment.partition('=')
    if not equals:
        raise BadParameter(f'--set {assignment}: expected NAME=VALUE such as phases.0.epochs=3')
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadParameter(f'--set {assignment}: expected a value in YAML ({error})') from error
    *parents, last = path.strip().split('.')
    places: list[Any] = [tree]
    for key in parents:
        places = [below for place in places for below in _below(place, key, assignment)]
    for place in places:
        if isinstance(place, list):
            _below(place, last, assignment)  # raises where there is no such element
            place[int(last)] = value
        elif isinstance(place, dict):
            place[last] = value
            if path.startswith('phases.') and last in _EITHER:  # one length replaces the other
                place.pop(_EITHER[last], None)
        else:
            raise BadParameter(f'--set {assignment}: expected {path} in a mapping, got {place!r}')


def _below(place: Any, key: str, assignment: str) -> list[Any]:
    """Follow one step of a path: the values there, all elements for '*'."""
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return [place[key]]
    if isinstance(place, list) and key == '*':
        return place
    if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
        return [place[int(key)]]
    came = f'only 0 to {len(place) - 1} exist' if isinstance(place, list) else f'got {place!r}'
    raise BadParameter(f'--set {assignment}: no {key} to change, {came}')


if __name__ == '__main__':
    print('\n'.join(markdown_rows()))
