"""Evaluate a bundle including detector and cropping: `ros2 run facial_emotion_ros evaluate_camera`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from facial_emotion_ros.cli.common.arguments import add_scenes, number, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.cli.common.terminal import progress
from facial_emotion_ros.core.files import expect_own_files, write_atomic
from facial_emotion_ros.core.text import show


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate_camera',
        description='Measure the accuracy of an ESR bundle after detection and cropping, on FER+ faces in synthetic '
        '640x480 scenes and on labelled photographs, and its robustness to variations of the images.',
    )
    arguments.add_argument(
        '--dataset', required=True, metavar='PATH', help='FER+ npz, or any data set framed like FER+'
    )
    arguments.add_argument('--portraits', metavar='DIR', help='labelled photographs: folder with labels.csv')
    add_scenes(arguments, 600)
    arguments.add_argument(
        '--varied',
        type=whole_number(0),
        metavar='N',
        help='number of scenes for each variation, or for rotated faces in a sweep; default: a third',
    )
    arguments.add_argument(
        '--sweep',
        nargs='*',
        metavar='FIELD=VALUE,VALUE',
        help='instead, try these values of the crop geometry; without arguments, a default list for each field',
    )
    arguments.add_argument('--grid', action='store_true', help='sweep all combinations instead of one field at a time')
    arguments.add_argument(
        '--spread',
        action='store_true',
        help='instead, measure the variation between crops of the same face at different sizes and positions',
    )
    arguments.add_argument(
        '--turned',
        type=number(0, 180),
        default=15.0,
        metavar='DEGREES',
        help='maximum rotation of faces in a sweep; default: %(default)s',
    )
    arguments.add_argument('--output', metavar='DIR', help='folder for camera.json, tables and plots')
    arguments.add_argument(
        '--save-scenes',
        type=whole_number(0),
        default=0,
        metavar='N',
        help='also write this many scenes; they contain pictures of the data set, under its licence',
    )
    return arguments


@report_errors('evaluate_camera', 'data sets and plots need torch and matplotlib')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when evaluated, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    if options.output:
        scenes = [f'scene_{place:04d}.png' for place in range(options.save_scenes)]
        names = ('camera.json', 'sweep.csv', 'sweep.png', 'robustness.png', *scenes)
        expect_own_files(options.output, names, 'camera.json', ('detector_sha256', 'geometry'))
    figures, files = measure(options)
    if options.output:
        from facial_emotion_ros.evaluation.prediction_metrics import plain_numbers

        record = json.dumps(plain_numbers(figures), indent=2).encode()
        # First, as it marks the other files as this command's, should the disk become full.
        for name, content in {'camera.json': record, **files}.items():
            write_atomic(os.path.join(options.output, name), content)
    return 0


def measure(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run the measurements and print the results.

    :param options: from :func:`parser`.
    :returns: content of camera.json, and further files: name -> bytes.
    :raises FacialEmotionError: if bundle, faces, photographs or sweep values cannot be used.
    """
    from facial_emotion_ros.emotion.operating_points import calibration_of, point_words
    from facial_emotion_ros.evaluation.camera.crop_sweep import cuts_to_try, parse_values
    from facial_emotion_ros.evaluation.camera.scenes import open_pipeline, open_scenes, read_portraits

    pipeline = open_pipeline(options.bundle, options.detector, options.threads, options.operating_point)
    cuts = None
    if options.sweep is not None:
        cuts = cuts_to_try(pipeline.engine.geometry, parse_values(options.sweep), options.grid)
    scenes = open_scenes(options.dataset, options.only, options.scenes, options.seed)
    portraits = read_portraits(options.portraits, pipeline.detector) if options.portraits else None
    some = min(len(scenes), options.varied if options.varied is not None else max(1, len(scenes) // 3))
    point, detector = pipeline.engine.point, pipeline.detector_bundle
    assert detector is not None
    figures = {
        'bundle': pipeline.esr_bundle.name,
        'version': pipeline.esr_bundle.version,
        'sha256': pipeline.esr_bundle.sha256,
        'geometry': dict(vars(pipeline.engine.geometry)),
        'detector': detector.name,
        'detector_sha256': detector.sha256,
        'dataset': os.path.basename(os.path.normpath(options.dataset)),
        'only': options.only and os.path.basename(options.only),
        'labelled_faces': scenes.labelled,
        'seed': options.seed,
        'calibration': calibration_of(point),
    }
    show(
        f'{figures["bundle"]} {figures["version"]}, operating point {point_words(point) or "none"}, on '
        f'{figures["dataset"]}: {len(scenes)} of {scenes.labelled} labelled faces\n'
    )
    files = _pictures(scenes, options.save_scenes)
    if options.spread:
        _spread(pipeline, scenes, portraits, figures)
    elif cuts:
        _sweep(pipeline, cuts, scenes, some, portraits, options.turned, figures, files)
    else:
        _evaluate(pipeline, scenes, some, portraits, figures, files)
    return figures, files


def _pictures(scenes, count):
    import cv2

    return {
        f'scene_{place:04d}.png': cv2.imencode('.png', face.image)[1].tobytes()
        for place, face in enumerate(scenes.draw(count) if count else ())
    }


def _evaluate(pipeline, scenes, some, portraits, figures, files):
    from facial_emotion_ros.evaluation.camera.end_to_end import portrait_figures, read_through_camera, scene_figures
    from facial_emotion_ros.evaluation.camera.plots import plot_robustness
    from facial_emotion_ros.evaluation.camera.robustness import measure_robustness
    from facial_emotion_ros.evaluation.camera.text import portraits_text, robustness_text, scenes_text

    models = pipeline.engine, pipeline.detector
    with progress('scenes', quiet=True) as report:
        figures['scenes'] = scene_figures(read_through_camera(*models, scenes.draw(), direct=True, report=report))
    _print(scenes_text(figures['scenes']))
    sets = {'scenes': list(scenes.draw(some))} if some else {}
    if portraits:
        figures['portraits'] = portrait_figures(read_through_camera(*models, portraits.faces), portraits)
        _print(portraits_text(figures['portraits']))
        sets['portraits'] = portraits.faces
    figures['robustness'] = tables = {}
    for which, faces in sets.items():
        if faces:
            with progress(f'variations of {which}', quiet=True) as report:
                tables[which] = measure_robustness(*models, faces, report=report)
    for which, table in tables.items():
        _print(robustness_text(which, table))
    if tables:
        files['robustness.png'] = plot_robustness(tables)


def _sweep(pipeline, cuts, scenes, some, portraits, most_degrees, figures, files):
    from facial_emotion_ros.evaluation.camera.crop_sweep import as_csv, sweep
    from facial_emotion_ros.evaluation.camera.plots import plot_sweep
    from facial_emotion_ros.evaluation.camera.text import sweep_text

    to_turn, photographs = scenes.draw(some) if some else (), portraits.faces if portraits else ()
    models = pipeline.engine, pipeline.detector
    with progress('faces', quiet=True) as report:
        table = sweep(*models, cuts, scenes.draw(), to_turn, photographs, most_degrees, report)
    figures['sweep'] = [
        {'cut': name, 'blur_px': cuts[name].blur_px, 'geometry': dict(vars(cuts[name].geometry)), **of_sets}
        for name, of_sets in table.items()
    ]
    files['sweep.csv'] = as_csv(table).encode()
    files['sweep.png'] = plot_sweep(table)
    _print(sweep_text(table))


def _spread(pipeline, scenes, portraits, figures):
    from facial_emotion_ros.evaluation.camera.crop_spread import crop_spread
    from facial_emotion_ros.evaluation.camera.text import spread_text

    figures['spread'] = {}
    for which, faces in {'scenes': scenes.draw(), **({'portraits': portraits.faces} if portraits else {})}.items():
        with progress(which, quiet=True) as report:
            table = crop_spread(pipeline.detector, faces, pipeline.engine.geometry, report=report)
        figures['spread'][which] = table
        _print(spread_text(which, table))


def _print(text):
    show(text + '\n', flush=True)


if __name__ == '__main__':
    sys.exit(main())
