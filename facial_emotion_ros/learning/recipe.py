"""What a training does: the fields of a recipe, and which values they take.

:mod:`.recipe_file` reads and writes recipes as YAML.
"""

import math
from dataclasses import dataclass, field, fields, is_dataclass

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadParameter

#: What a phase may train; :mod:`.phases` says what each of them means.
TRAINS = ('joint', 'branches', 'affect')


def _is(default, says, low=None, high=None, choices=()):
    """Declare a field: its default, its sentence in the docs, and which values it takes."""
    extra = {'says': says, 'low': low, 'high': high, 'choices': choices}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=extra)
    return field(default=default, metadata=extra)


class _Checked:
    """Refuses values of a wrong type or out of range, whether they come from a file or from Python."""

    def __post_init__(self):
        for each in fields(self):
            _check(each, getattr(self, each.name))


@dataclass(frozen=True)
class Network(_Checked):
    """Which network is trained."""

    branches: int = _is(9, 'n of ESR-n.', 1, 100)
    diversified: bool = _is(False, 'Train an ESR*: CBAM behind each block.')


@dataclass(frozen=True)
class Faces(_Checked):
    """What it is trained on; the command line's `--data` and `--held-out` come before."""

    path: str = _is('', 'Training faces: file or folder.')
    format: str = _is('', 'ferplus, affectnet or folder; empty: as it looks.')
    options: dict = _is({}, 'Further options of the format, by name.')
    held_out: str = _is('', 'A text file (.txt) of names that are left out of training and judged instead, or a data '
                            'set of its own; relative to the recipe.')
    held_out_options: dict = _is({}, 'Options of the format for a held-out set of its own; without held_out it lies at '
                                    'path too, such as {split: valid} of AffectNet.')
    color: str = _is('gray_x3', 'What the network sees.', choices=('gray_x3', 'bgr'))


@dataclass(frozen=True)
class Phase(_Checked):
    """One part of a training, with an optimizer of its own."""

    trains: str = _is('joint', 'joint: base and all branches at once. branches: one branch after the other, with what '
                               'is older at a lower rate. affect: the dimensional layers alone, on a fixed backbone.',
                      choices=TRAINS)
    size_px: int = _is(96, 'Side of the crops.', 56, 512)
    epochs: float = _is(0.0, 'Length in passes over the faces; give this or steps.', 0, 1e4)
    steps: int = _is(0, 'Length in steps of the optimizer; give this or epochs.', 0, 10 ** 8)
    further_epochs: float = _is(0.0, 'Of branches: epochs for each branch after the first; 0: as many.', 0, 1e4)
    batch_size: int = _is(64, 'Faces a step, of all processes together.', 2, 65536)
    learning_rate: float = _is(0.04, 'Peak of the learning rate.', 0, 10)
    floor: float = _is(0.0, 'Learning rate of the last step, which half a cosine leads down to.', 0, 10)
    decay_epochs: float = _is(0.0, 'Epochs after which the learning rate is multiplied by decay, again and again, in '
                                   'place of the cosine; 0: cosine.', 0, 1e4)
    decay: float = _is(0.5, 'See decay_epochs.', 0, 1)
    warm_up_steps: int = _is(30, 'Steps in which the learning rate rises to its peak; at most a tenth of the stage.', 0,
                             10 ** 6)
    base_learning_rate: float = _is(1.0, 'Factor of the learning rate for the base.', 0, 10)
    older_learning_rate: float = _is(0.1, 'Of branches: factor for the base and the branches that were there before.',
                                     0, 10)
    base_gradient: str = _is('mean', "What the base learns from: the mean of the branches' losses, or their sum.",
                             choices=('mean', 'sum'))
    momentum: float = _is(0.9, 'Momentum of SGD (Nesterov).', 0, 0.9999)
    sharpness_radius: float = _is(0.0, 'Sharpness-aware steps: each gradient is taken where the loss is worst, so far '
                                       'from the weights; twice the price a step; 0: not.', 0, 10)
    weight_decay: float = _is(5e-4, 'Weight decay; biases and norms have none.', 0, 1)
    augmentation: float = _is(0.8, 'Strength of the random variations.', 0, 1)
    mixup: float = _is(0.0, 'Faces are mixed in pairs, by shares drawn from Beta(mixup, mixup); 0: not.', 0, 10)
    averaging: float = _is(0.998, 'Decay of the moving average of the weights, which is what is kept; 0: none.',
                           0, 0.99999)
    bootstrap: float = _is(1.0, 'Share of the faces that each branch learns from, drawn once, so that branches '
                                'differ.', 0.01, 1)
    branches_a_step: int = _is(0, 'Learn in each step with so many of the branches, drawn anew for each: steps are '
                                  'cheaper, and the base learns as much; 0: all.', 0, 100)
    rare: dict = _is({}, 'How much oftener faces are drawn, by emotion: a factor of 4 for disgust draws a face with '
                         'half its votes there 2.5 times an epoch.')
    prior_exponent: float = _is(0.0, 'Balanced softmax: the loss takes the logits plus so many times the logarithm of '
                                     'the class frequencies in training, so that the scores are those of equally '
                                     'frequent classes; 0: off, 1: fully.', 0, 2)
    affect_weight: float = _is(0.1, 'Weight of the loss of valence and arousal; it never moves the backbone.', 0, 100)
    diversity: float = _is(0.0, 'Weight of the loss of branches that attend to the same (ESR* only).', 0, 100)
    teacher: float = _is(0.0, "Share of the teachers' probabilities in the labels.", 0, 1)
    recalibration_faces: int = _is(0, 'At the end the averaged network gets the batch norm statistics of so many '
                                      'unvaried training faces; 0: the averaged ones stay.', 0, 10 ** 6)
    check_epochs: float = _is(1.0, 'Epochs from one look at the held-out faces to the next.', 0.01, 1e4)
    keeps: str = _is('last', 'Which weights go on to the next phase: the last, or the best on the held-out faces.',
                     choices=('last', 'best'))

    def __post_init__(self):
        """Refuse what does not go together.

        :raises BadParameter: naming the field.
        """
        super().__post_init__()
        if (self.epochs > 0) == (self.steps > 0):
            raise BadParameter(f'epochs: expected either epochs or steps above 0, got {self.epochs} and {self.steps}')
        if self.floor > self.learning_rate:
            raise BadParameter(f'floor: expected at most the learning rate {self.learning_rate}, got {self.floor}')
        if self.recalibration_faces and self.trains == 'affect':
            raise BadParameter(f'recalibration_faces: expected 0 where the backbone is fixed, got '
                               f'{self.recalibration_faces}')
        for emotion, factor in self.rare.items():
            if emotion not in EMOTIONS or not _is_number(factor) or not 0 < factor <= 100:
                raise BadParameter(f'rare: expected factors above 0, at most 100, for some of {", ".join(EMOTIONS)}, '
                                   f'got {emotion}: {factor!r}')


@dataclass(frozen=True)
class Recipe(_Checked):
    """What a training depends on, apart from the faces and the weights that it starts from."""

    name: str = _is('training', 'What it is called.')
    seed: int = _is(1, 'Everything random is drawn from it and the step.', 0, 10 ** 9)
    network: Network = field(default_factory=Network)
    faces: Faces = field(default_factory=Faces)
    teachers: tuple = _is((), "Weights or bundles whose mean probabilities a phase's `teacher` mixes into the labels.")
    phases: tuple = field(default=())

    def __post_init__(self):
        """Refuse what does not go together.

        :raises BadParameter: naming the field.
        """
        super().__post_init__()
        if not self.phases or not all(isinstance(phase, Phase) for phase in self.phases):
            raise BadParameter('phases: expected at least one phase, got none')
        for place, phase in enumerate(self.phases):
            if phase.trains == 'branches' and place:
                raise BadParameter(f'phases.{place}.trains: branches can be added in the first phase only, later all '
                                   f'{self.network.branches} are there; expected joint or affect')
            if phase.diversity and not self.network.diversified:
                raise BadParameter(f'phases.{place}.diversity: only a diversified network has attention to compare; '
                                   f'expected 0, or network.diversified true, got {phase.diversity}')
            if phase.teacher and not self.teachers:
                raise BadParameter(f'phases.{place}.teacher: expected teachers (or --teacher) for a share of '
                                   f'{phase.teacher}, got none')


def values_of(each):
    """Say which values a field takes.

    :param each: dataclasses.Field of this module's classes.
    :returns: str.
    """
    if each.metadata.get('choices'):
        return 'one of ' + ', '.join(each.metadata['choices'])
    named = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a text', dict: 'names and values',
             tuple: 'a list'}[each.type]
    low, high = each.metadata.get('low'), each.metadata.get('high')
    return named if low is None else f'{named} from {low} to {high}'


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check(each, value):
    kinds = {float: (int, float), tuple: tuple}.get(each.type, each.type)
    fits = isinstance(value, kinds) and (each.type is bool or not isinstance(value, bool))
    low, high, choices = (each.metadata.get(key) for key in ('low', 'high', 'choices'))
    if fits and low is not None:
        fits = math.isfinite(value) and low <= value <= high
    if fits and choices:
        fits = value in choices
    if not fits:
        expected = each.type.__name__ if is_dataclass(each.type) else values_of(each)
        raise BadParameter(f'{each.name}: expected {expected}, got {value!r}')
