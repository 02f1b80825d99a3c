"""Expands the phases of a recipe into stages, each with one network shape and one optimizer."""

import math
from typing import Any, NamedTuple

import torch

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.loop.recipe import Phase, Recipe
from facial_emotion_ros.training.model.network import ESR


class Stage(NamedTuple):
    """A part of a training with one network shape and one optimizer.

    :param place: index of the phase in the recipe.
    :param phase: Phase.
    :param branches: number of branches of the network.
    :param epochs: length; 0 where the phase counts steps.
    """

    place: int
    phase: Phase
    branches: int
    epochs: float

    @property
    def title(self) -> str:
        """Display name, such as 'phase 1 (joint, 64 px)'."""
        adds = f', branch {self.branches}' if self.phase.trains == 'branches' else ''
        return f'phase {self.place} ({self.phase.trains}{adds}, {self.phase.size_px} px)'

    def steps(self, steps_per_epoch: int) -> int:
        """Return the length in steps, at least 1."""
        return max(1, round(self.epochs * steps_per_epoch)) if self.epochs else self.phase.steps


def stages_of(recipe: Recipe, present: int = 0) -> list[Stage]:
    """Expand phases into stages: `branches` has one stage per branch.

    :param recipe: Recipe.
    :param present: number of branches of the initial weights; 0 for random ones.
    :returns: list of Stage.
    :raises BadParameter: if there is no branch left to add, or there are more than in the recipe.
    """
    wanted = recipe.network.branches
    if present > wanted:
        raise BadParameter(
            f'expected initial weights of at most {wanted} branches, got {present}; set network.branches={present}'
        )
    stages = []
    for place, phase in enumerate(recipe.phases):
        if phase.trains != 'branches':
            stages.append(Stage(place, phase, wanted, phase.epochs))
            continue
        if present == wanted:
            raise BadParameter(
                f'phases.{place}: no branch to add: the initial weights have all {wanted}; train joint, or '
                f'start from fewer branches or from none'
            )
        for count in range(present + 1, wanted + 1):
            further = count > 1 and phase.further_epochs
            stages.append(Stage(place, phase, count, phase.further_epochs if further else phase.epochs))
    return stages


def learning_rate(phase: Phase, step: int, steps: int, steps_per_epoch: int = 1) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine down to the floor, or step decay.

    A function of the step, where a torch scheduler would be state to save and to step at the right times (OpenDR steps
    its scheduler once per batch: 1e-7 after 200 of them).

    :param phase: Phase.
    :param step: of the stage, from 0.
    :param steps: of the stage.
    """
    # A short stage that only warms up would end at its peak rate, with worse weights than it started with.
    warm_up = min(phase.warm_up_steps, steps // 10)
    if step < warm_up:
        return phase.learning_rate * (step + 1) / warm_up
    if phase.decay_epochs:
        return phase.learning_rate * phase.decay ** int(step / steps_per_epoch / phase.decay_epochs)
    done = (step - warm_up) / max(1, steps - warm_up)
    return phase.floor + 0.5 * (phase.learning_rate - phase.floor) * (1 + math.cos(math.pi * done))


def choose_parameters(network: ESR, stage: Stage) -> list[dict[str, Any]]:
    """Freeze the parameters that a stage does not train, and group the others.

    :param network: ESR with the stage's branches; `requires_grad` of its parameters is set.
    :param stage: Stage.
    :returns: parameter groups for an optimizer, with `weight_decay` and `factor` of the learning rate.
    """
    phase = stage.phase
    older = phase.older_learning_rate if phase.trains == 'branches' and stage.branches > 1 else 1.0
    parts: list[tuple[torch.nn.Module, float]] = [(network.base, phase.base_learning_rate * older)]
    for place, branch in enumerate(network.convolutional_branches):
        parts.append((branch, 1.0 if place == stage.branches - 1 else older))
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for part, factor in parts:
        for name, parameter in part.named_parameters():
            is_dimensional = name.startswith('fc_dimensional.')
            learns = is_dimensional if phase.trains == 'affect' else (not is_dimensional or phase.affect_weight > 0)
            learns = learns and factor > 0
            parameter.requires_grad_(learns)
            if learns:
                decay = phase.weight_decay if parameter.dim() > 1 else 0.0
                groups.setdefault((factor, decay), []).append(parameter)
    return [
        {'params': parameters, 'factor': factor, 'weight_decay': decay}
        for (factor, decay), parameters in groups.items()
    ]
