"""The phases of a recipe as stages, each with one network and one optimizer."""

import math
from typing import NamedTuple

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.learning.recipe import Phase


class Stage(NamedTuple):
    """A part of a training in which neither the network's shape nor the optimizer changes.

    :param place: the phase's place in the recipe.
    :param phase: Phase.
    :param branches: number of branches that the network has here.
    :param epochs: its length; 0 where the phase counts steps.
    """

    place: int
    phase: Phase
    branches: int
    epochs: float

    @property
    def title(self):
        """Name it for people: 'phase 1 (joint, 64 px)'."""
        adds = f', branch {self.branches}' if self.phase.trains == 'branches' else ''
        return f'phase {self.place} ({self.phase.trains}{adds}, {self.phase.size_px} px)'

    def steps(self, steps_per_epoch):
        """Give the length in steps.

        :param steps_per_epoch: steps that pass over the faces once.
        :returns: int, at least 1.
        """
        return max(1, round(self.epochs * steps_per_epoch)) if self.epochs else self.phase.steps


def stages_of(recipe, present=0):
    """Spread a recipe's phases over stages: branch by branch is one stage for each branch.

    :param recipe: Recipe.
    :param present: branches of the weights that the training starts from; 0 for random ones.
    :returns: list of Stage.
    :raises BadParameter: if there is no branch left to add, or there are more than the recipe wants.
    """
    wanted = recipe.network.branches
    if present > wanted:
        raise BadParameter(f'weights of at most {wanted} branches expected to start from, got {present}; set '
                           f'network.branches={present}')
    stages = []
    for place, phase in enumerate(recipe.phases):
        if phase.trains != 'branches':
            stages.append(Stage(place, phase, wanted, phase.epochs))
            continue
        if present == wanted:
            raise BadParameter(f'phases.{place}: branches are to be added one by one, but the weights to start from '
                               f'have all {wanted}; train joint, or start from fewer branches or from none')
        for count in range(present + 1, wanted + 1):
            further = count > 1 and phase.further_epochs
            stages.append(Stage(place, phase, count, phase.further_epochs if further else phase.epochs))
    return stages


def learning_rate(phase, step, steps, steps_per_epoch=1):
    """Give the learning rate of a step: a linear rise, then half a cosine down to the floor, or falls by epochs.

    It depends on the step within the stage and on nothing else: no scheduler counts along, which could be asked too
    often (OpenDR's is, once a batch, and leaves 1e-7 after 200 of them) or be forgotten when a training is resumed.

    :param phase: Phase.
    :param step: 0 for the first.
    :param steps: of the stage.
    :param steps_per_epoch: steps that pass over the faces once.
    :returns: float.
    """
    # A short stage that only warmed up would end at its highest rate, and leave worse weights than it began with.
    warm_up = min(phase.warm_up_steps, steps // 10)
    if step < warm_up:
        return phase.learning_rate * (step + 1) / warm_up
    if phase.decay_epochs:
        return phase.learning_rate * phase.decay ** int(step / steps_per_epoch / phase.decay_epochs)
    done = (step - warm_up) / max(1, steps - warm_up)
    return phase.floor + 0.5 * (phase.learning_rate - phase.floor) * (1 + math.cos(math.pi * done))


def choose_parameters(network, stage):
    """Fix the parameters that a stage does not train, and group the others.

    :param network: ESR with the stage's branches; `requires_grad` of its parameters is set.
    :param stage: Stage.
    :returns: list of parameter groups for an optimizer, each with `weight_decay` and with `factor`, by which its
        learning rate differs from the stage's.
    """
    phase = stage.phase
    older = phase.older_learning_rate if phase.trains == 'branches' and stage.branches > 1 else 1.0
    parts = [(network.base, phase.base_learning_rate * older)]
    for place, branch in enumerate(network.convolutional_branches):
        parts.append((branch, 1.0 if place == stage.branches - 1 else older))
    groups = {}
    for part, factor in parts:
        for name, parameter in part.named_parameters():
            is_dimensional = name.startswith('fc_dimensional.')
            learns = is_dimensional if phase.trains == 'affect' else (not is_dimensional or phase.affect_weight > 0)
            parameter.requires_grad_(learns)
            if learns:
                decay = phase.weight_decay if parameter.dim() > 1 else 0.0
                groups.setdefault((factor, decay), []).append(parameter)
    return [{'params': parameters, 'factor': factor, 'weight_decay': decay}
            for (factor, decay), parameters in groups.items()]
