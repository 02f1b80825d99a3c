"""Joint training of base and branches on FER+ votes."""

import csv
import math
import os
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.learning import augmentation, checkpoint
from facial_emotion_ros.learning.affect_coordinates import affect_of
from facial_emotion_ros.learning.network import ESR


@dataclass(frozen=True)
class Recipe:
    """What a training depends on, apart from the data and the weights it starts from.

    :param branches: n of ESR-n.
    :param steps: optimizer steps.
    :param batch_size: faces a step.
    :param learning_rate: peak of the cosine, after `warm_up_steps`.
    :param bootstrap: share of the faces that each branch learns from, drawn once, so that branches differ.
    :param augmentation: strength of the random variations, 0 to 1.
    :param averaging: decay of the moving average of the weights, which is what is kept.
    """

    branches: int = 9
    steps: int = 750
    batch_size: int = 64
    learning_rate: float = 0.03
    warm_up_steps: int = 30
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bootstrap: float = 0.8
    augmentation: float = 1.0
    averaging: float = 0.99
    affect_weight: float = 1.0
    seed: int = 1


def widen(weights, branches, generator):
    """Make weights of an ESR with fewer branches fit one with more.

    Each new branch is a copy of an existing one whose last layers are drawn anew, so that copies do not stay alike: the
    first round of copies loses its last convolution and heads, the second also the convolution before.

    :param weights: state dict of an ESR with at least one branch.
    :param branches: number of branches that are needed.
    :param generator: torch.Generator for the new layers.
    :returns: state dict of an ESR with that many branches.
    """
    prefix = 'convolutional_branches.'
    present = 1 + max(int(name.split('.')[1]) for name in weights if name.startswith(prefix))
    wide = {name: tensor.clone() for name, tensor in weights.items() if not name.startswith(prefix)}
    fresh = {0: (), 1: ('conv4', 'bn4', 'fc')}
    for branch in range(branches):
        renewed = fresh.get(branch // present, ('conv3', 'bn3', 'conv4', 'bn4', 'fc'))
        source = f'{prefix}{branch % present}.'
        for name, tensor in weights.items():
            if not name.startswith(source):
                continue
            layer = name[len(source):].split('.')[0]
            tensor = tensor.clone()
            if layer in renewed and name.endswith('weight') and tensor.dim() > 1:
                spread = math.sqrt(2.0 / tensor[0].numel())
                tensor = torch.randn(tensor.shape, generator=generator) * spread
            elif layer in renewed and name.endswith(('bias', 'running_mean')):
                tensor.zero_()
            elif layer in renewed and name.endswith(('weight', 'running_var')):
                tensor.fill_(1)
            wide[f'{prefix}{branch}.{name[len(source):]}'] = tensor
    return wide


def losses(logits, affect, distributions, targets, takes_part):
    """Cross entropy against the votes and squared error of affect, both over the branches that take part.

    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :param distributions: (N, 8), rows that sum to 1.
    :param targets: (N, 2), valence and arousal.
    :param takes_part: (N, B) float, 1 where the branch learns from the face.
    :returns: two scalars: categorical and dimensional loss.
    """
    entropy = -(distributions[:, None] * functional.log_softmax(logits, -1)).sum(-1)
    error = (affect - targets[:, None]).square().mean(-1)
    share = takes_part.sum().clamp(min=1)
    return (entropy * takes_part).sum() / share, (error * takes_part).sum() / share


class Fit:
    """A training that goes on where its folder's last state left it.

    Every step draws its faces and variations from (seed, step) alone, so a resumed run takes the very same steps.
    """

    def __init__(self, recipe, faces, distributions, output, start=None, geometry=None):
        """Prepare a training.

        :param recipe: Recipe.
        :param faces: (N, 48, 48) uint8, gray.
        :param distributions: (N, 8) float32, soft labels.
        :param output: folder for state.pt, weights.safetensors and losses.csv.
        :param start: state dict to start from, widened where it has fewer branches; None for random weights.
        :param geometry: CropGeometry.
        """
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.faces = faces
        self.distributions = distributions
        self.output = output
        self.geometry = geometry or CropGeometry()
        self.network = ESR(recipe.branches)
        if start is not None:
            generator = torch.Generator().manual_seed(recipe.seed)
            self.network.load_state_dict(widen(start, recipe.branches, generator))
        self.network = self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=True,
        )
        self.average = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.step = 0
        bootstrap = np.random.default_rng([recipe.seed, 0xB007])
        self._takes_part = bootstrap.random((len(faces), recipe.branches)) < recipe.bootstrap

    @property
    def state_path(self):
        """Where the training state lies."""
        return os.path.join(self.output, 'state.pt')

    def resume(self):
        """Go on from the folder's state where there is one.

        :returns: the step that comes next.
        :raises BadParameter: if the state was made by another recipe: steps of two recipes make neither.
        """
        if os.path.exists(self.state_path):
            state = checkpoint.load_state(self.state_path)
            for name, value in asdict(self.recipe).items():
                if state['recipe'].get(name) != value:
                    raise BadParameter(
                        f'{self.state_path}: expected {name} {state["recipe"].get(name)!r} as this training began, got '
                        f'{value!r}; give the same recipe, or another output folder'
                    )
            self.network.load_state_dict(state['network'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.average = state['average']
            self.step = state['step']
        return self.step

    def save(self):
        """Write state and averaged weights."""
        checkpoint.save_state(
            self.state_path,
            {
                'step': self.step,
                'network': self.network.state_dict(),
                'optimizer': self.optimizer.state_dict(),
                'average': self.average,
                'recipe': asdict(self.recipe),
            },
        )
        checkpoint.save_weights(os.path.join(self.output, 'weights.safetensors'), self.average)

    def learning_rate(self, step):
        """Linear warm-up, then half a cosine down to zero."""
        recipe = self.recipe
        if step < recipe.warm_up_steps:
            return recipe.learning_rate * (step + 1) / recipe.warm_up_steps
        done = (step - recipe.warm_up_steps) / max(1, recipe.steps - recipe.warm_up_steps)
        return 0.5 * recipe.learning_rate * (1 + math.cos(math.pi * done))

    def take_step(self):
        """Take one step.

        :returns: categorical and dimensional loss, floats.
        """
        recipe = self.recipe
        generator = np.random.default_rng([recipe.seed, self.step])
        chosen = self._rows_of(self.step)
        varied = augmentation.augment(self.faces[chosen], self.geometry, generator, recipe.augmentation)
        crops = torch.from_numpy(varied)
        distributions = torch.from_numpy(self.distributions[chosen])
        targets = torch.from_numpy(affect_of(self.distributions[chosen]))
        takes_part = torch.from_numpy(self._takes_part[chosen].astype(np.float32))
        for group in self.optimizer.param_groups:
            group['lr'] = self.learning_rate(self.step)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast('cpu', torch.bfloat16):
            logits, _ = self.network(crops.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        categorical, dimensional = losses(logits, self._affect(logits), distributions, targets, takes_part)
        (categorical + recipe.affect_weight * dimensional).backward()
        self.optimizer.step()
        self.step += 1
        self._follow()
        return categorical.item(), dimensional.item()

    def run(self, save_every=50, report=print):
        """Train to the last step, saving state on the way.

        :param save_every: steps between two states.
        :param report: called with one line of text now and then.
        :returns: state dict of the averaged weights.
        """
        os.makedirs(self.output, exist_ok=True)
        self.resume()
        begun, first = time.monotonic(), self.step
        with open(os.path.join(self.output, 'losses.csv'), 'a', newline='') as log:
            rows = csv.writer(log)
            while self.step < self.recipe.steps:
                categorical, dimensional = self.take_step()
                rows.writerow([self.step, f'{categorical:.4f}', f'{dimensional:.4f}'])
                if self.step % 10 == 0 or self.step == self.recipe.steps:
                    log.flush()
                    pace = (time.monotonic() - begun) / (self.step - first)
                    report(
                        f'step {self.step}/{self.recipe.steps}: loss {categorical:.3f}, affect {dimensional:.4f}, '
                        f'{pace:.1f} s a step, {pace * (self.recipe.steps - self.step) / 60:.0f} min to go'
                    )
                if self.step % save_every == 0 or self.step == self.recipe.steps:
                    self.save()
        return self.average

    def _affect(self, logits):
        """Affect from logits that carry no gradient: the dimensional layer learns, the backbone does not."""
        branches = self.network.convolutional_branches
        inputs = functional.relu(logits.detach())
        return torch.stack([branch.fc_dimensional(inputs[:, i]) for i, branch in enumerate(branches)], 1)

    def _rows_of(self, step):
        per_epoch = len(self.faces) // self.recipe.batch_size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.recipe.seed, 0xE90C, epoch]).permutation(len(self.faces))
        return np.sort(order[place * self.recipe.batch_size:(place + 1) * self.recipe.batch_size])

    def _follow(self):
        decay = min(self.recipe.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)
