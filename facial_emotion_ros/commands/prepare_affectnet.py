"""Lay out AffectNet for training: `python -m facial_emotion_ros.commands.prepare_affectnet`."""

import argparse
import sys

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.plain_text import show

_SETS = ('automatic', 'training', 'validation')


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='prepare_affectnet',
        description="Cut AffectNet's faces out, at 96x96, into folders that train and evaluate read. Interrupted, it "
        'goes on with the same arguments.',
    )
    arguments.add_argument(
        '--images', required=True, metavar='DIR', help='folder of Manually_Annotated_Images... or train_set, val_set'
    )
    arguments.add_argument(
        '--annotations', required=True, metavar='DIR', help='folder of training.csv..., or of train_set, val_set'
    )
    arguments.add_argument(
        '--output', required=True, metavar='DIR', help='where Training_Labeled, Validation, Training_Unlabeled come'
    )
    arguments.add_argument(
        '--sets', nargs='+', choices=_SETS, default=_SETS[1:], metavar='SET', help='default: training validation'
    )
    arguments.add_argument('--threads', type=int, metavar='N', help='default: as many as there are processors')
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when all sets are laid out, 1 for bad input.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.learning.affectnet_preparation import pre_process_affect_net

    for name in options.sets:
        try:
            preparation = pre_process_affect_net(
                options.images, options.annotations, options.output, _SETS.index(name), options.threads, _show
            )
        except FacialEmotionError as error:
            show(f'prepare_affectnet: {error}', file=sys.stderr)
            return 1
        left_out = ', '.join(f'{count} {reason}' for reason, count in preparation.left_out.items()) or 'none'
        show(
            f'{preparation.folder}: {preparation.written + preparation.found} faces ({preparation.found} of them from '
            f'before), {len(preparation.damaged)} damaged; rows with nothing to learn: {left_out}'
        )
    return 0


def _show(done, count):
    if sys.stderr.isatty():
        show(f'\r{done} of {count} faces', end='' if done < count else '\n', file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(main())
