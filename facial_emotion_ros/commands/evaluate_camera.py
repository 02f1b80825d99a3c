"""Evaluate a bundle through detector and crop: `python -m facial_emotion_ros.commands.evaluate_camera`."""

import argparse
import json
import math
import os
import sys

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.commands.errors_told import tells_errors


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate_camera',
        description='What detector and crop leave of an ESR bundle\'s accuracy: FER+ faces in drawn 640x480 scenes, '
                    'labelled photographs, and how often a face keeps its category when its image is varied.',
    )
    arguments.add_argument('--dataset', required=True, metavar='PATH',
                           help='FER+ npz, or any set of faces that is framed like FER+')
    arguments.add_argument('--only', metavar='TXT', help='file of picture names, one a line: only these count')
    arguments.add_argument('--portraits', metavar='DIR', help='labelled photographs: pictures and labels.csv')
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--detector', default='centerface', metavar='DIR',
                           help='default: the embedded %(default)s')
    arguments.add_argument('--scenes', type=_count, default=600, metavar='N',
                           help='faces drawn from the split; 0 for all; default: %(default)s')
    arguments.add_argument('--varied', type=_count, metavar='N',
                           help='of these, read in each variation, or turned in a sweep; default: a third')
    arguments.add_argument('--sweep', nargs='*', metavar='FIELD=VALUE,VALUE',
                           help='instead: try values of the crop geometry; without any, those of the documentation')
    arguments.add_argument('--grid', action='store_true', help='sweep all combinations, not one field at a time')
    arguments.add_argument('--turned', type=float, default=15.0, metavar='DEGREES',
                           help='most that a sweep turns faces by; default: %(default)s')
    arguments.add_argument('--output', metavar='DIR', help='also write camera.json, tables and plots there')
    arguments.add_argument('--save-scenes', type=_count, default=0, metavar='N',
                           help='also write that many scenes as pictures; mind whose pictures they are')
    arguments.add_argument('--seed', type=_count, default=0, help='of faces, places, backgrounds; default: %(default)s')
    arguments.add_argument('--threads', type=_threads, default=os.cpu_count(), help='default: %(default)s')
    return arguments


def _count(text, least=0):
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f'{least} or more expected, got {number}')
    return number


def _threads(text):
    return _count(text, 1)


@tells_errors('evaluate_camera', 'sets of faces and plots need torch and matplotlib')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when evaluated, 1 for bad input.
    """
    options = parser().parse_args(argv)
    figures, files = measure(options)
    if options.output:
        files['camera.json'] = json.dumps(_without_nan(figures), indent=2).encode()
        for name, content in files.items():
            write_whole(os.path.join(options.output, name), content)
    return 0


def measure(options):
    """Measure and print.

    :param options: what :func:`parser` gives.
    :returns: dict for camera.json, and dict of further files: name -> bytes.
    :raises FacialEmotionError: if bundle, faces, photographs or values to try cannot be used.
    """
    from facial_emotion_ros.evaluation.crop_sweep import cuts_to_try, parse_values
    from facial_emotion_ros.evaluation.scenes import read_portraits
    from facial_emotion_ros.execution_providers import ProviderPlan
    from facial_emotion_ros.pipeline import EmotionPipeline

    # These very bundles: where int8 is the faster, a node would take those beside them.
    plan = ProviderPlan(threads=options.threads, precision='fp32')
    pipeline = EmotionPipeline(options.bundle, options.detector, providers=plan)
    cuts = None
    if options.sweep is not None:
        cuts = cuts_to_try(pipeline.engine.geometry, parse_values(options.sweep), options.grid)
    draw, drawn, labelled = _scenes(options)
    portraits = read_portraits(options.portraits, pipeline.detector) if options.portraits else None
    some = min(drawn, options.varied if options.varied is not None else max(1, drawn // 3))
    figures = {
        'bundle': pipeline.esr_bundle.name, 'version': pipeline.esr_bundle.version,
        'sha256': pipeline.esr_bundle.sha256, 'geometry': dict(vars(pipeline.engine.geometry)),
        'detector': pipeline.detector_bundle.name, 'detector_sha256': pipeline.detector_bundle.sha256,
        'dataset': os.path.basename(os.path.normpath(options.dataset)),
        'only': options.only and os.path.basename(options.only),
        'labelled_faces': labelled, 'seed': options.seed,
        'temperature': pipeline.engine.temperature, 'offsets': pipeline.engine.offsets,
    }
    print(f'{figures["bundle"]} {figures["version"]} on {figures["dataset"]}: {drawn} of {labelled} labelled faces\n')
    files = _pictures(draw, options.save_scenes)
    if cuts:
        return _sweep(pipeline, cuts, draw, some, portraits, options.turned, figures, files)
    return _evaluate(pipeline, draw, some, portraits, figures, files)


def _scenes(options):
    """Choose faces; return how to draw the first n of their scenes, how many there are, and out of how many."""
    import numpy as np

    from facial_emotion_ros.errors import BadDataset
    from facial_emotion_ros.evaluation.scenes import pasted_scenes
    from facial_emotion_ros.learning.datasets import open_faces
    from facial_emotion_ros.learning.face_set import held_out, read_names

    split = open_faces(options.dataset)
    if options.only:
        split = held_out(split, read_names(options.only))[1]
    labelled = np.flatnonzero(split.labels >= 0)
    if not len(labelled):
        raise BadDataset(f'{options.dataset}: faces with a clear label expected, there are none; take another split')
    rows = np.random.default_rng(options.seed).permutation(labelled)[:options.scenes or None]

    def draw(count=None):
        """Draw the first scenes, all of them for None."""
        some = rows[:count]
        return pasted_scenes(split.faces(some), split.names[some], split.labels[some], options.seed)

    return draw, len(rows), len(labelled)


def _pictures(draw, count):
    import cv2

    return {f'scene_{place:04d}.png': cv2.imencode('.png', face.image)[1].tobytes()
            for place, face in enumerate(draw(count) if count else ())}


def _evaluate(pipeline, draw, some, portraits, figures, files):
    from facial_emotion_ros.evaluation.camera import portrait_figures, read_through_camera, scene_figures
    from facial_emotion_ros.evaluation.camera_plots import plot_robustness
    from facial_emotion_ros.evaluation.camera_text import portraits_text, robustness_text, scenes_text
    from facial_emotion_ros.evaluation.robustness import measure_robustness

    models = pipeline.engine, pipeline.detector
    reading = read_through_camera(*models, draw(), direct=True, report=_progress('scenes'))
    figures['scenes'] = scene_figures(reading)
    _print(scenes_text(figures['scenes']))
    sets = {'scenes': list(draw(some))} if some else {}
    if portraits:
        figures['portraits'] = portrait_figures(read_through_camera(*models, portraits.faces), portraits)
        _print(portraits_text(figures['portraits']))
        sets['portraits'] = portraits.faces
    figures['robustness'] = {
        which: measure_robustness(*models, faces, report=_progress(f'robustness of {which}'))
        for which, faces in sets.items() if faces
    }
    for which, table in figures['robustness'].items():
        _print(robustness_text(which, table))
    if figures['robustness']:
        files['robustness.png'] = plot_robustness(figures['robustness'])
    return figures, files


def _sweep(pipeline, cuts, draw, some, portraits, most_degrees, figures, files):
    from facial_emotion_ros.evaluation.camera_plots import plot_sweep
    from facial_emotion_ros.evaluation.camera_text import sweep_text
    from facial_emotion_ros.evaluation.crop_sweep import as_csv, sweep

    table = sweep(pipeline.engine, pipeline.detector, cuts, draw(), draw(some) if some else (),
                  portraits.faces if portraits else (), most_degrees, lambda which, done: _progress(which)(done))
    figures['sweep'] = [
        {'cut': name, 'blur_px': cuts[name].blur_px, 'geometry': dict(vars(cuts[name].geometry)), **of_sets}
        for name, of_sets in table.items()
    ]
    files['sweep.csv'] = as_csv(table).encode()
    files['sweep.png'] = plot_sweep(table)
    _print(sweep_text(table))
    return figures, files


def _progress(what):
    def report(done):
        if sys.stderr.isatty():
            print(f'\r\033[K{what}: {done}', end='', file=sys.stderr, flush=True)

    return report


def _print(text):
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr, flush=True)
    print(text + '\n', flush=True)


def _without_nan(value):
    """JSON has no word for what cannot be said but null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == '__main__':
    sys.exit(main())
