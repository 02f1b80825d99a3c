"""Draw faces to hold out of a training: `ros2 run facial_emotion_ros hold_out`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facial_emotion_ros.cli.common.arguments import expect_places_of_files, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show

if TYPE_CHECKING:
    from facial_emotion_ros.training.data.face_set import FaceSet


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='hold_out',
        description='Draw faces without copies elsewhere, for model selection and calibration, and write their names.',
    )
    arguments.add_argument('--dataset', required=True, metavar='PATH', help='data set (docs/datasets.md)')
    arguments.add_argument(
        '--others', nargs='*', default=[], metavar='PATH', help='data sets that must not contain the faces either'
    )
    arguments.add_argument('--count', type=whole_number(1), default=3000, help='default: %(default)s')
    arguments.add_argument('--seed', type=whole_number(0), default=2020, help='default: %(default)s')
    arguments.add_argument('--output', required=True, metavar='TXT', help='list of names, replaced if it exists')
    return arguments


@report_errors('hold_out', 'data sets need torch')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the list is written, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    expect_places_of_files(options.output)
    from facial_emotion_ros.training.data.datasets import open_faces

    face_set = open_faces(options.dataset)
    others = [open_faces(path) for path in options.others]
    held_out = _draw(face_set, others, options)
    show(held_out.describe())
    return 0


def _draw(face_set: 'FaceSet', others: list['FaceSet'], options: argparse.Namespace) -> 'FaceSet':
    from facial_emotion_ros.core.files import write_atomic
    from facial_emotion_ros.training.data.ferplus import FerPlus
    from facial_emotion_ros.training.data.near_duplicates import SAME_PICTURE, choose_held_out

    candidates = face_set.with_any_votes() if isinstance(face_set, FerPlus) else None
    chosen = choose_held_out(face_set, others, options.count, options.seed, candidates)
    beside = f' or in {", ".join(other.name for other in others)} (mirrored or not)' if others else ''
    command = ['python -m facial_emotion_ros.cli.hold_out --dataset', _base(options.dataset)]
    command += ['--others', *map(_base, options.others)] if options.others else []
    command += [f'--count {options.count} --seed {options.seed}']
    lines = [
        f'# {len(chosen)} faces of {face_set.name} with votes for an emotion and no copy elsewhere in it{beside}; '
        f'copies: 16x16 thumbnails of zero mean that correlate more than {SAME_PICTURE}. Made by: {" ".join(command)}',
        *face_set.names[chosen],
    ]
    write_atomic(options.output, ''.join(f'{line}\n' for line in lines).encode())
    return face_set.rows(chosen)


def _base(path: str) -> str:
    return os.path.basename(os.path.abspath(path))


if __name__ == '__main__':
    sys.exit(main())
