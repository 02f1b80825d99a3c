"""Show what each branch looks at: `python -m facial_emotion_ros.commands.explain PICTURE...`."""

import argparse
import contextlib
import functools
import math
import os
import sys
import time

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadImage, FacialEmotionError
from facial_emotion_ros.plain_text import printable


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='explain',
        description="Draw for each face which places speak for each branch's emotion (Grad-CAM), one PNG a face and "
                    'image: of pictures, films or a camera.',
        epilog='A map tells where the network looks, not why a face looks as it does.',
    )
    arguments.add_argument('pictures', nargs='*', metavar='PICTURE', help='picture files, or folders of them')
    arguments.add_argument('--video', action='append', default=[], metavar='FILE',
                           help='a film, of which one image every --every seconds is looked at; may be given again')
    arguments.add_argument('--camera', type=int, metavar='N', help='a camera, likewise, until Ctrl-C or --seconds')
    arguments.add_argument('--every', type=float, default=1.0, metavar='S',
                           help='seconds of a film or camera from one image to the next (default: %(default)s)')
    arguments.add_argument('--seconds', type=float, default=math.inf, metavar='S',
                           help='end a film or camera after so long (default: at its end)')
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
    if not (options.pictures or options.video or options.camera is not None):
        parser().error('pictures, --video or --camera expected, got none of them')
    if not (0 < options.every < math.inf and options.seconds > 0):
        parser().error(f'--every and --seconds above 0 expected, got {options.every} and {options.seconds}')
    try:
        from facial_emotion_ros.learning.explanation import Explainer
        from facial_emotion_ros.learning.explanation_picture import draw_explanation
    except ImportError as error:
        print(f'explain: {error}; it needs torch, onnx and matplotlib: scripts/setup --tests', file=sys.stderr)
        return 1
    from facial_emotion_ros.atomic_file import write_whole

    drawn = failed = 0
    names = set()
    try:
        explainer = Explainer(options.bundle, options.detector)
        for name, stem, read in _images(options):
            name = printable(name)
            try:
                readings = explainer.read(read())
            except BadImage as error:
                print(f'explain: {name}: {error}', file=sys.stderr)
                failed += 1
                continue
            stem = _free_name(stem, names)
            if not readings:
                print(f'{name}: no face found')
            for number, reading in enumerate(readings, 1):
                target = os.path.join(options.output, f'{stem}_face_{number}.png')
                title = f'{os.path.basename(name)}, face {number} of {len(readings)}'
                write_whole(target, draw_explanation(reading, title, options.emotion))
                print(f'{name}: {_said(reading)}: {printable(target)}')
                drawn += 1
    except KeyboardInterrupt:
        print(f'explain: ended; {drawn} faces are drawn')
    except OSError as error:
        print(f'explain: {options.output} cannot be written ({error.strerror}); name another --output', file=sys.stderr)
        return 1
    except FacialEmotionError as error:
        print(f'explain: {error}', file=sys.stderr)
        return 1
    return 0 if drawn and not failed else 1


def _images(options):
    """Give for each image what to call it, the beginning of its files' names, and a function that reads it."""
    from facial_emotion_ros.pictures import read_picture

    for path in _pictures(options.pictures):
        yield path, os.path.splitext(os.path.basename(path))[0], functools.partial(read_picture, path)
    for path in options.video:
        stem = os.path.splitext(os.path.basename(path))[0]
        for time_s, image in _video_frames(path, options):
            yield f'{path} at {time_s:g} s', f'{stem}_{time_s:g}s', lambda image=image: image
    if options.camera is not None:
        for time_s, image in _camera_frames(options):
            yield (f'camera {options.camera} at {time_s:.1f} s', f'camera_{options.camera}_{time_s:.1f}s',
                   lambda image=image: image)


def _video_frames(path, options):
    """Give an image of a film every so often, with its time in seconds."""
    from facial_emotion_ros.media import open_medium

    film = open_medium('video', path, rate_hz=1 / options.every)
    with contextlib.closing(film):
        for number, frame in enumerate(iter(film.read, None)):
            if number * options.every > options.seconds:
                return
            yield number * options.every, frame.image


def _camera_frames(options):
    """Give an image of a camera every so often, with its time in seconds; what comes meanwhile is dropped."""
    from facial_emotion_ros.media import open_medium

    camera = open_medium('camera', camera=options.camera)
    with contextlib.closing(camera):
        first_s, due_s = time.monotonic(), 0.0
        while True:
            image, time_s = camera.read().image, time.monotonic() - first_s
            if time_s > options.seconds:
                return
            if time_s >= due_s:
                yield time_s, image
                due_s = time_s + options.every


def _pictures(paths):
    """List picture files; folders give theirs, in the order of their names."""
    from facial_emotion_ros.pictures import list_pictures

    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        listed, left_out = list_pictures(path)
        for name, reason in left_out:
            print(f'explain: {printable(os.path.join(path, name))} is left out: {reason}', file=sys.stderr)
        if not listed:
            raise BadImage(f'{path}: pictures expected in this folder, there is none')
        yield from listed


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
