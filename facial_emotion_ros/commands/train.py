"""Train an ESR on FER+ votes: `ros2 run facial_emotion_ros train`."""

import argparse
import sys
from dataclasses import fields

from facial_emotion_ros.errors import FacialEmotionError


def parser():
    """Return the command's argument parser: one option for each field of the recipe."""
    from facial_emotion_ros.learning.fit import Recipe

    arguments = argparse.ArgumentParser(
        prog='train', description='Train an ESR on the votes of FER+; goes on where --output was left.'
    )
    arguments.add_argument('--dataset', required=True, metavar='NPZ', help='training split of FER+')
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder for state, weights and losses')
    arguments.add_argument('--start', metavar='SAFETENSORS', help='weights to start from; fewer branches are widened')
    arguments.add_argument('--threads', type=int, default=0, help="torch's threads; 0: as torch chooses")
    for field in fields(Recipe):
        option = '--' + field.name.replace('_', '-')
        arguments.add_argument(option, type=field.type, default=field.default, help='default: %(default)s')
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when trained to the last step, 1 for bad input.
    """
    try:
        import torch

        from facial_emotion_ros.learning.checkpoint import load_weights
        from facial_emotion_ros.learning.datasets import read_ferplus
        from facial_emotion_ros.learning.fit import Fit, Recipe
    except ImportError as error:
        print(f'train: {error}; training needs torch and safetensors: scripts/setup --tests', file=sys.stderr)
        return 1
    options = parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    try:
        split = read_ferplus(options.dataset)
        rows, distributions = split.soft_labels()
        start = load_weights(options.start) if options.start else None
        fit = Fit(recipe, split.faces(rows), distributions, options.output, start)
        print(f'{len(rows)} faces with votes, ESR-{recipe.branches}, step {fit.resume()} of {recipe.steps}', flush=True)
        fit.run(report=lambda line: print(line, flush=True))
    except FacialEmotionError as error:
        print(f'train: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
