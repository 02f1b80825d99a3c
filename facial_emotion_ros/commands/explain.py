"""Show what each branch looks at: `python -m facial_emotion_ros.commands.explain PICTURE...`."""

import argparse
import os
import sys

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadImage, FacialEmotionError


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='explain',
        description="Draw for each face which places speak for each branch's emotion (Grad-CAM), one PNG a face.",
        epilog='A map tells where the network looks, not why a face looks as it does.',
    )
    arguments.add_argument('pictures', nargs='+', metavar='PICTURE', help='picture files, or folders of them')
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder for NAME_face_1.png and so on')
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR',
                           help="an ESR's bundle, a folder or an embedded one (default: %(default)s)")
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='the same for the face detector')
    arguments.add_argument('--emotion', choices=EMOTIONS,
                           help="show what speaks for this emotion, in place of each branch's own")
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when a face was drawn, 1 when none was, or a picture cannot be read, or a model is no good.
    """
    options = parser().parse_args(argv)
    try:
        from facial_emotion_ros.learning.explanation import Explainer
        from facial_emotion_ros.learning.explanation_picture import draw_explanation
    except ImportError as error:
        print(f'explain: {error}; it needs torch, onnx and matplotlib: scripts/setup --tests', file=sys.stderr)
        return 1
    from facial_emotion_ros.atomic_file import write_whole
    from facial_emotion_ros.pictures import read_picture

    drawn = failed = 0
    names = set()
    try:
        explainer = Explainer(options.bundle, options.detector)
        for path in _pictures(options.pictures):
            try:
                readings = explainer.read(read_picture(path))
            except BadImage as error:
                print(f'explain: {path}: {error}', file=sys.stderr)
                failed += 1
                continue
            stem = _free_name(os.path.splitext(os.path.basename(path))[0], names)
            if not readings:
                print(f'{path}: no face found')
            for number, reading in enumerate(readings, 1):
                target = os.path.join(options.output, f'{stem}_face_{number}.png')
                title = f'{os.path.basename(path)}, face {number} of {len(readings)}'
                write_whole(target, draw_explanation(reading, title, options.emotion))
                print(f'{path}: {_said(reading)}: {target}')
                drawn += 1
    except OSError as error:
        print(f'explain: {options.output} cannot be written ({error.strerror}); name another --output', file=sys.stderr)
        return 1
    except FacialEmotionError as error:
        print(f'explain: {error}', file=sys.stderr)
        return 1
    return 0 if drawn and not failed else 1


def _pictures(paths):
    """List picture files; folders give theirs, in the order of their names."""
    from facial_emotion_ros.pictures import PICTURE_SUFFIXES

    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        names = sorted(name for name in os.listdir(path) if name.lower().endswith(PICTURE_SUFFIXES))
        if not names:
            raise BadImage(f'{path}: pictures expected in this folder, there is none')
        for name in names:
            yield os.path.join(path, name)


def _free_name(stem, taken):
    """Give pictures of the same name in two folders names of their own."""
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f'{stem}-{number}'
    taken.add(name)
    return name


def _said(reading):
    choice = int(reading.scores.argmax())
    with_it = int((reading.branch_scores.argmax(1) == choice).sum())
    return f'{EMOTIONS[choice]} {100 * reading.scores[choice]:.0f}%, {with_it} of {len(reading.branch_scores)} branches'


if __name__ == '__main__':
    sys.exit(main())
