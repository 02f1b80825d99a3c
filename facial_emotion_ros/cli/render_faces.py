"""Render labelled synthetic faces: `ros2 run facial_emotion_ros render_faces`."""

import argparse
import csv
import dataclasses
import io
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show

#: Side of the images.
_FACE_PX = 128


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='render_faces',
        description='Render labelled faces as a labelled folder for train: faces/*.png and labels.csv. See '
        'docs/synthetic_faces.md.',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='output folder')
    arguments.add_argument('--count', type=int, default=1000, metavar='N', help='default: %(default)s')
    arguments.add_argument('--seed', type=int, default=1, metavar='S', help='of the identities; default: %(default)s')
    arguments.add_argument(
        '--processes', type=int, default=1, metavar='P', help='default: %(default)s; does not change the faces'
    )
    arguments.add_argument(
        '--bundle',
        default='esr_9_ferplus',
        metavar='MODEL',
        help='model bundle whose cropping is used; default: %(default)s',
    )
    return arguments


@report_errors('render_faces', 'rendering needs OpenCV and numpy')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the faces are written, 1 for bad input.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.core.errors import BadParameter
    from facial_emotion_ros.core.files import write_atomic
    from facial_emotion_ros.training.data.labelled_folder import LABELS_FILE

    if options.count < 1 or options.seed < 0 or options.processes < 1:
        raise BadParameter(
            'expected --count and --processes of at least 1 and --seed of at least 0, got '
            f'{options.count}, {options.processes} and {options.seed}'
        )
    os.makedirs(os.path.join(options.output, 'faces'), exist_ok=True)
    if options.processes == 1:
        _begin(options)
        rows = _shown(map(_render, range(options.count)), options.count)
    else:
        with ProcessPoolExecutor(options.processes, initializer=_begin, initargs=(options,)) as pool:
            rows = _shown(pool.map(_render, range(options.count), chunksize=1), options.count)
    found = [row for row in rows if row]
    text = io.StringIO()
    table = csv.DictWriter(text, found[0] if found else ['file'], lineterminator='\n')
    table.writeheader()
    table.writerows(found)
    write_atomic(os.path.join(options.output, LABELS_FILE), text.getvalue().encode())
    show(f'{options.output}: {len(found)} faces; no face detected in {len(rows) - len(found)} renderings')
    return 0


#: What a process renders with.
_TOOLS: list[Any] = []


def _begin(options: argparse.Namespace) -> None:
    """Set up a process."""
    import cv2

    from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
    from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
    from facial_emotion_ros.training.synthetic.head_model import read_head_model

    cv2.setNumThreads(1)
    renderer = FaceRenderer(read_head_model())
    pipeline = EmotionPipeline(esr=options.bundle, threads=1)
    geometry = dataclasses.replace(pipeline.engine.geometry, size_px=_FACE_PX, via_px=0, color='bgr')
    _TOOLS[:] = options, renderer, pipeline.finder, geometry


def _render(number: int) -> dict[str, str] | None:
    """Render and write a face; return its row, or None if the detector finds none."""
    import cv2
    import numpy as np

    from facial_emotion_ros.core.files import write_atomic
    from facial_emotion_ros.perception.face_crops import cut_planes, eye_angles
    from facial_emotion_ros.training.synthetic.action_units import draw_expression
    from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

    options, renderer, finder, geometry = _TOOLS
    generator = np.random.default_rng([options.seed, number])
    person = draw_person(renderer.model, generator)
    expression = draw_expression(generator)
    image, pose, _ = renderer.draw(person, expression.actions, generator)
    faces = finder.find_alone(image)
    if not faces.ids:
        return None
    # The largest is the first.
    face = cut_planes(image, faces.boxes[:1], geometry, faces.landmarks[:1])[0].transpose(1, 2, 0)
    name = f'faces/{options.seed}_{number:06d}.png'
    write_atomic(os.path.join(options.output, name), cv2.imencode('.png', face)[1].tobytes())
    if geometry.level_eyes:  # the crop rotates the face
        pose = *pose[:2], pose[2] - float(np.degrees(eye_angles(faces.landmarks[:1])[0]))
    pose = {angle: f'{degrees:.1f}' for angle, degrees in zip(('yaw', 'pitch', 'roll'), pose)}
    traits = {'age': f'{person.age:.0f}', 'male': f'{person.male:.2f}', 'skin': f'{person.tone:.2f}'}
    return {'file': name, **expression.labels(), **pose, **traits}


def _shown(rows: Iterable[Any], count: int) -> list[Any]:
    """Collect rows, with progress on a terminal."""
    collected = []
    for row in rows:
        collected.append(row)
        if sys.stderr.isatty():
            show(
                f'\r{len(collected)} of {count} faces',
                end='' if len(collected) < count else '\n',
                file=sys.stderr,
                flush=True,
            )
    return collected


if __name__ == '__main__':
    sys.exit(main())
