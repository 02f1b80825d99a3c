"""Draw Grad-CAM maps of each branch: `ros2 run facial_emotion_ros explain PICTURE...`."""

import argparse
import contextlib
import functools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facial_emotion_ros.cli.common.arguments import whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadImage, FacialEmotionError
from facial_emotion_ros.core.files import refuse_foreign, write_atomic
from facial_emotion_ros.core.text import printable, show
from facial_emotion_ros.ros.command_line import positive
from facial_emotion_ros.system.long_calls import signals_end_long_calls

if TYPE_CHECKING:
    from facial_emotion_ros.training.model.explanation import FaceReading


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='explain',
        description="Draw which regions of each face support each branch's emotion (Grad-CAM), one PNG per face, from "
        'images, videos or a camera.',
        epilog='A map shows where the network looks, not why a face looks as it does.',
    )
    arguments.add_argument('pictures', nargs='*', metavar='PICTURE', help='image files, or folders of them')
    arguments.add_argument(
        '--video',
        action='append',
        default=[],
        metavar='FILE',
        help='video, sampled every --every seconds; repeatable',
    )
    arguments.add_argument(
        '--camera', type=whole_number(0), metavar='N', help='camera, likewise, until Ctrl-C or --seconds'
    )
    arguments.add_argument(
        '--every',
        type=positive,
        default=1.0,
        metavar='S',
        help='sampling interval of a video or camera; default: %(default)s',
    )
    arguments.add_argument(
        '--seconds',
        type=positive,
        default=math.inf,
        metavar='S',
        help='stop after so long; default: at the end',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder for NAME_face_1.png and so on')
    arguments.add_argument(
        '--bundle',
        default='esr_9_ferplus',
        metavar='DIR',
        help='ESR model bundle: folder, or name of an embedded one; default: %(default)s',
    )
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='face detector bundle, likewise')
    arguments.add_argument('--emotion', choices=EMOTIONS, help="emotion to explain; default: each branch's own")
    return arguments


@report_errors('explain', 'it needs torch, onnx and matplotlib')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when a face was drawn and every image read, else 1.
    """
    options = parser().parse_args(argv)
    if not (options.pictures or options.video or options.camera is not None):
        parser().error('expected images, --video or --camera')
    from facial_emotion_ros.training.model.explanation import Explainer
    from facial_emotion_ros.training.model.explanation_image import draw_explanation

    drawn = failed = 0
    names: set[str] = set()

    def stop() -> int:
        show(f'explain: interrupted after {drawn} faces')
        return 0 if drawn and not failed else 1

    try:
        explainer = Explainer(options.bundle, options.detector)
        for name, stem, read in _images(options, stop):
            name = printable(name)
            try:
                readings = explainer.read(read())
            except BadImage as error:
                show(f'explain: {name}: {error}', file=sys.stderr)
                failed += 1
                continue
            stem = _free_name(stem, names)
            if not readings:
                show(f'{name}: no face found')
            for number, reading in enumerate(readings, 1):
                target = os.path.join(options.output, f'{stem}_face_{number}.png')
                if not _is_own(target):
                    refuse_foreign(options.output, [os.path.basename(target)])
                title = f'{os.path.basename(name)}, face {number} of {len(readings)}'
                write_atomic(target, draw_explanation(reading, title, options.emotion))
                show(f'{name}: {_reading_text(reading)}: {printable(target)}')
                drawn += 1
    except KeyboardInterrupt:
        return stop()
    except OSError as error:
        raise FacialEmotionError(
            f'{options.output}: cannot be written ({error.strerror}); choose another --output'
        ) from error
    return 0 if drawn and not failed else 1


def _is_own(path: str) -> bool:
    """Return whether a file may be replaced: there is none, or matplotlib drew it."""
    try:
        with open(path, 'rb') as file:
            return b'Matplotlib' in file.read(4096)
    except FileNotFoundError:
        return True


def _images(
    options: argparse.Namespace, stop: Callable[[], int]
) -> Iterator[tuple[str, str, Callable[[], np.ndarray]]]:
    """Yield for each image its name, the prefix of its output files, and a function that reads it."""
    from facial_emotion_ros.perception.image_files import read_picture

    for path in _pictures(options.pictures):
        yield path, os.path.splitext(os.path.basename(path))[0], functools.partial(read_picture, path)
    for path in options.video:
        stem = os.path.splitext(os.path.basename(path))[0]
        for time_s, image in _video_frames(path, options):
            yield f'{path} at {time_s:g} s', f'{stem}_{time_s:g}s', functools.partial(np.asarray, image)
    if options.camera is not None:
        for time_s, image in _camera_frames(options, stop):
            yield (
                f'camera {options.camera} at {time_s:.1f} s',
                f'camera_{options.camera}_{time_s:.1f}s',
                functools.partial(np.asarray, image),
            )


def _video_frames(path: str, options: argparse.Namespace) -> Iterator[tuple[float, np.ndarray]]:
    """Yield sampled images of a video with their times in seconds."""
    from facial_emotion_ros.demo.frame_sources import open_source

    video = open_source('video', path, rate_hz=1 / options.every)
    with contextlib.closing(video):
        for number, frame in enumerate(iter(video.read, None)):
            if number * options.every > options.seconds:
                return
            yield number * options.every, frame.image


def _camera_frames(options: argparse.Namespace, stop: Callable[[], int]) -> Iterator[tuple[float, np.ndarray]]:
    """Yield sampled images of a camera with their times in seconds; others are dropped."""
    from facial_emotion_ros.demo.frame_sources import open_source

    with signals_end_long_calls(stop), contextlib.closing(open_source('camera', camera=options.camera)) as camera:
        first_s, due_s = time.monotonic(), 0.0
        while True:
            frame, time_s = camera.read(), time.monotonic() - first_s
            if frame is None or time_s > options.seconds:
                return
            if time_s >= due_s:
                yield time_s, frame.image
                due_s = time_s + options.every


def _pictures(paths: Sequence[str]) -> Iterator[str]:
    """List image files; folders yield theirs, sorted by name."""
    from facial_emotion_ros.perception.image_files import list_pictures

    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        listed, left_out = list_pictures(path)
        for name, reason in left_out:
            show(f'explain: {printable(os.path.join(path, name))} skipped: {reason}', file=sys.stderr)
        if not listed:
            raise BadImage(f'{path}: expected images in this folder, found none')
        yield from listed


def _free_name(stem: str, taken: set[str]) -> str:
    """Make a name unique: two folders may hold images of the same name."""
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f'{stem}-{number}'
    taken.add(name)
    return name


def _reading_text(reading: 'FaceReading') -> str:
    choice = int(reading.scores.argmax())
    with_it = int((reading.branch_scores.argmax(1) == choice).sum())
    return f'{EMOTIONS[choice]} {100 * reading.scores[choice]:.0f}%, {with_it} of {len(reading.branch_scores)} branches'


if __name__ == '__main__':
    sys.exit(main())
