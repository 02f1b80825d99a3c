"""Prepare AffectNet for training: `ros2 run facial_emotion_ros prepare_affectnet`."""

import argparse
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.cli.common.terminal import progress
from facial_emotion_ros.core.text import show

_SETS = ('automatic', 'training', 'validation')


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='prepare_affectnet',
        description="Crop AffectNet's faces to 96x96, into folders that train and evaluate read. The same "
        'command resumes an interrupted run.',
    )
    arguments.add_argument(
        '--images', required=True, metavar='DIR', help='folder of Manually_Annotated_Images... or train_set, val_set'
    )
    arguments.add_argument(
        '--annotations', required=True, metavar='DIR', help='folder of training.csv..., or of train_set, val_set'
    )
    arguments.add_argument(
        '--output', required=True, metavar='DIR', help='folder for Training_Labeled, Validation and Training_Unlabeled'
    )
    arguments.add_argument(
        '--sets', nargs='+', choices=_SETS, default=_SETS[1:], metavar='SET', help='default: training validation'
    )
    arguments.add_argument('--threads', type=whole_number(1), metavar='N', help='default: one per CPU core')
    return arguments


@report_errors('prepare_affectnet', 'data sets need numpy and OpenCV')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when all sets are prepared, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.training.data.affectnet_preparation import pre_process_affect_net

    for name in options.sets:
        with progress('faces', quiet=True) as report:
            preparation = pre_process_affect_net(
                options.images, options.annotations, options.output, _SETS.index(name), options.threads, report
            )
        left_out = ', '.join(f'{count} {reason}' for reason, count in preparation.left_out.items()) or 'none'
        show(
            f'{preparation.folder}: {preparation.written + preparation.found} faces ({preparation.found} from an '
            f'earlier run), {len(preparation.damaged)} damaged; rows without a usable label: {left_out}'
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
