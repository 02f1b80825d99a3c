"""Draw faces to hold out of a training: `python -m facial_emotion_ros.commands.hold_out`."""

import argparse
import os
import sys

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.plain_text import show


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='hold_out',
        description='Draw faces that have no copy elsewhere, for stopping, temperature and thresholds; writes their '
        'names.',
    )
    arguments.add_argument('--dataset', required=True, metavar='PATH', help='set to hold out from (docs/datasets.md)')
    arguments.add_argument(
        '--others', nargs='*', default=[], metavar='PATH', help='sets that the faces shall not occur in either'
    )
    arguments.add_argument('--count', type=int, default=3000, help='default: %(default)s')
    arguments.add_argument('--seed', type=int, default=2020, help='default: %(default)s')
    arguments.add_argument('--output', required=True, metavar='TXT', help='list of names to write')
    return arguments


@tells_errors('hold_out', 'sets of faces need torch')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when the list is written, 1 for bad input.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.learning.datasets import open_faces

    face_set = open_faces(options.dataset)
    others = [open_faces(path) for path in options.others]
    held_out = _draw(face_set, others, options)
    show(held_out.describe())
    return 0


def _draw(face_set, others, options):
    from facial_emotion_ros.atomic_file import write_whole
    from facial_emotion_ros.learning.copies import SAME_PICTURE, choose_held_out
    from facial_emotion_ros.learning.ferplus import FerPlus

    candidates = face_set.with_any_votes() if isinstance(face_set, FerPlus) else None
    chosen = choose_held_out(face_set, others, options.count, options.seed, candidates)
    beside = f' or in {", ".join(other.name for other in others)} (mirrored or not)' if others else ''
    command = ['python -m facial_emotion_ros.commands.hold_out --dataset', _base(options.dataset)]
    command += ['--others', *map(_base, options.others)] if options.others else []
    command += [f'--count {options.count} --seed {options.seed}']
    lines = [
        f'# {len(chosen)} faces of {face_set.name} with votes for an emotion and no copy elsewhere in it{beside}; '
        f'copies: 16x16 thumbnails of zero mean that correlate more than {SAME_PICTURE}. Made by: {" ".join(command)}',
        *face_set.names[chosen],
    ]
    write_whole(options.output, ''.join(f'{line}\n' for line in lines).encode())
    return face_set.rows(chosen)


def _base(path):
    return os.path.basename(os.path.abspath(path))


if __name__ == '__main__':
    sys.exit(main())
