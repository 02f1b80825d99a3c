"""Measure faces over time: `python -m facial_emotion_ros.commands.evaluate_over_time WHAT`."""

import argparse
import os
import sys

from facial_emotion_ros.commands.errors_told import tells_errors


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate_over_time',
        description='unknown: how many clear and spoiled faces the bounds of unknown cover, and which bounds would '
                    'cover how many. occlusion: fit the rule for covered mouths, and print its weights. '
                    'cadence: time and boxes when faces are detected in every n-th image only. '
                    'ids: how often simulated faces get another id.')
    arguments.add_argument('what', choices=('unknown', 'occlusion', 'cadence', 'ids'))
    arguments.add_argument('--dataset', metavar='PATH',
                           help='for unknown and occlusion: FER+ npz, or any set of faces framed like it')
    arguments.add_argument('--only', metavar='TXT', help='file of picture names, one a line: only these count')
    arguments.add_argument('--scenes', type=int, default=400, metavar='N', help='faces; default: %(default)s')
    arguments.add_argument('--spoiled', type=int, default=100, metavar='N',
                           help='for unknown: of these, blurred, darkened, covered etc. too; default: %(default)s')
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--seed', type=int, default=0, help='of faces, places, backgrounds; default: %(default)s')
    arguments.add_argument('--threads', type=int, default=os.cpu_count(), help='default: %(default)s')
    return arguments


@tells_errors('evaluate_over_time', 'sets of faces need torch')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when measured, 1 for bad input.
    """
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.what in ('unknown', 'occlusion') and not options.dataset:
        arguments.error(f'{options.what} needs --dataset')
    if options.what == 'unknown':
        measure_unknown(options)
    elif options.what == 'occlusion':
        fit_occlusion(options)
    elif options.what == 'cadence':
        measure_cadence(options)
    else:
        measure_ids()
    return 0


def measure_unknown(options):
    """Print what the bounds of `unknown` cover.

    :param options: what :func:`parser` gives.
    :raises FacialEmotionError: if faces or bundles cannot be used.
    """
    from facial_emotion_ros.evaluation import doubt_figures
    from facial_emotion_ros.execution_providers import ProviderPlan
    from facial_emotion_ros.pipeline import EmotionPipeline

    count, scenes = scenes_of(options)
    # These very bundles: where int8 is the faster, a node would take those beside them.
    plan = ProviderPlan(threads=options.threads, precision='fp32')
    pipeline = EmotionPipeline(options.bundle, options.detector, providers=plan)
    print(f'{pipeline.esr_bundle.name} {pipeline.esr_bundle.version} on {count} faces in scenes', flush=True)
    print(doubt_figures.text(doubt_figures.observe(pipeline, scenes, options.spoiled)), flush=True)


def fit_occlusion(options):
    """Fit the rule for covered mouths on half of the faces, say how it does on the others, and print its weights.

    :param options: what :func:`parser` gives.
    :raises FacialEmotionError: if faces or bundles cannot be used.
    """
    from facial_emotion_ros.evaluation import occlusion_fit
    from facial_emotion_ros.face_detector import open_detector
    from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle

    detector = open_detector(ModelBundle.open(resolve_bundle(options.detector)), threads=options.threads)
    found = occlusion_fit.collect(detector, scenes_of(options)[1], options.seed)
    fitted, others = occlusion_fit.halves(found)
    shares = occlusion_fit.covered_shares(others, occlusion_fit.fit(fitted))
    print('of faces that were not fitted on, so many count as covered: '
          + ', '.join(f'{name} {100 * share:.1f}%' for name, share in shares.items()))
    print(occlusion_fit.as_text(occlusion_fit.fit(found)), flush=True)


def scenes_of(options):
    """Open the faces that a command is about, in drawn scenes.

    :param options: what :func:`parser` gives.
    :returns: their number, and an iterator of LabelledFace.
    :raises FacialEmotionError: if they cannot be used.
    """
    import numpy as np

    from facial_emotion_ros.evaluation.scenes import pasted_scenes
    from facial_emotion_ros.learning.datasets import open_faces
    from facial_emotion_ros.learning.face_set import held_out, read_names

    split = open_faces(options.dataset)
    if options.only:
        split = held_out(split, read_names(options.only))[1]
    rows = np.random.default_rng(options.seed).permutation(np.flatnonzero(split.labels >= 0))[:options.scenes]
    return len(rows), pasted_scenes(split.faces(rows), split.names[rows], split.labels[rows], options.seed)


def measure_cadence(options):
    """Print what detecting in every n-th image saves and costs.

    :param options: what :func:`parser` gives.
    :raises FacialEmotionError: if the detector's bundle cannot be used.
    """
    from facial_emotion_ros.evaluation.cadence_figures import STREAMS, measure
    from facial_emotion_ros.face_detector import open_detector
    from facial_emotion_ros.model_bundle import ModelBundle, resolve_bundle

    detector = open_detector(ModelBundle.open(resolve_bundle(options.detector)), threads=options.threads)
    print('stream                n   detection   between   overlap: mean   5th percentile   under 0.5   ids')
    for name in STREAMS:
        detection_ms, steps = measure(name, detector)
        for row in steps:
            print('%-20s  %d   %6.1f ms  %5.1f ms            %.3f            %.3f        %4.1f%%   %3d' % (
                name, row['n'], detection_ms, row['ms'], row['mean'], row['p5'], 100 * row['below'], row['ids']),
                flush=True)


def measure_ids():
    """Print how often simulated faces get another id."""
    from facial_emotion_ros.evaluation.tracking_figures import WALKS, count_switches

    print('faces   Hz   speed             switches   of boxes')
    for walk in WALKS:
        print('%5d   %2d   %5.1f   %-9s    %5d      %6d' % (
            walk[:3] + ('crossing' if walk.crossing else 'apart',) + count_switches(walk)), flush=True)


if __name__ == '__main__':
    sys.exit(main())
