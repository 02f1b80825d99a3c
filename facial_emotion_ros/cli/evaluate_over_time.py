"""Measure rejection, tracking and re-identification of faces: `ros2 run facial_emotion_ros evaluate_over_time WHAT`."""

import argparse
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import add_scenes, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate_over_time',
        description='unknown: rejection rates of the quality gate for clear and degraded faces, by threshold. '
        'occlusion: fit the rule for covered mouths, and print its weights. '
        'cadence: time and box overlap if faces are detected in every n-th image only. '
        'ids: id switches of simulated faces. '
        'identity: appearance similarity within and between persons, and the mean face to subtract. '
        'people: false merges and misses of evaluate_recording --people. '
        'neutral: effect of smoothing.personal_neutral_s for simulated persons.',
    )
    arguments.add_argument('what', choices=tuple(_MEASUREMENTS))
    arguments.add_argument(
        '--dataset',
        metavar='PATH',
        help='for unknown, occlusion, identity and neutral: FER+ npz, or any data set framed like it; for people: a '
        'folder of pictures named PERSON_NUMBER.jpg, such as Labeled Faces in the Wild; default: --scenes rendered '
        'persons',
    )
    add_scenes(arguments, 400)
    arguments.add_argument(
        '--degraded',
        type=whole_number(0),
        default=100,
        metavar='N',
        help='for unknown: number of faces to blur, darken, cover and so on; default: %(default)s',
    )
    return arguments


@report_errors('evaluate_over_time', 'data sets need torch')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when measured, 1 for bad input, 2 for wrong options.
    """
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.what in ('unknown', 'occlusion', 'identity', 'neutral') and not options.dataset:
        arguments.error(f'{options.what} needs --dataset')
    _MEASUREMENTS[options.what](options)
    return 0


def _measure_unknown(options):
    from facial_emotion_ros.emotion.operating_points import point_words
    from facial_emotion_ros.evaluation.camera import rejection_metrics
    from facial_emotion_ros.evaluation.camera.scenes import open_pipeline

    scenes = _scenes(options)
    pipeline = open_pipeline(options.bundle, options.detector, options.threads, options.operating_point)
    show(
        f'{pipeline.esr_bundle.name} {pipeline.esr_bundle.version}, operating point '
        f'{point_words(pipeline.engine.point) or "none"}, on {len(scenes)} faces in scenes',
        flush=True,
    )
    show(rejection_metrics.text(rejection_metrics.observe(pipeline, scenes.draw(), options.degraded)), flush=True)


def _fit_occlusion(options):
    """Fit the rule for covered mouths on half of the faces, evaluate it on the others, and print its weights."""
    from facial_emotion_ros.evaluation.camera import occlusion_fit

    found = occlusion_fit.collect(_detector(options), _scenes(options).draw(), options.seed)
    fitted, others = occlusion_fit.halves(found)
    shares = occlusion_fit.covered_shares(others, occlusion_fit.fit(fitted))
    show(
        'detected as covered, on held-out faces: '
        + ', '.join(f'{name} {100 * share:.1f}%' for name, share in shares.items())
    )
    show(occlusion_fit.as_text(occlusion_fit.fit(found)), flush=True)


def _measure_neutral(options):
    from facial_emotion_ros.emotion.esr import EsrEngine
    from facial_emotion_ros.emotion.operating_points import point_words
    from facial_emotion_ros.evaluation.camera import resting_bias
    from facial_emotion_ros.evaluation.camera.scenes import open_selected

    engine = EsrEngine(options.bundle, threads=options.threads, operating_point=options.operating_point)
    scores, labels = resting_bias.read(engine, open_selected(options.dataset, options.only))
    show(f'operating point {point_words(engine.point) or "none"}', flush=True)
    for line in resting_bias.lines(scores, labels, seed=options.seed):
        show(line, flush=True)


def _measure_cadence(options):
    from facial_emotion_ros.evaluation.camera.detection_interval import STREAMS, measure

    detector = _detector(options)
    show('stream                n   detection   between   overlap: mean   5th percentile   under 0.5   ids')
    for name in STREAMS:
        detection_ms, steps = measure(name, detector)
        for row in steps:
            show(
                f'{name:20}  {row["n"]}   {detection_ms:6.1f} ms  {row["ms"]:5.1f} ms            {row["mean"]:.3f}'
                f'            {row["p5"]:.3f}        {100 * row["below"]:4.1f}%   {row["ids"]:3d}',
                flush=True,
            )


def _measure_ids(_options):
    from facial_emotion_ros.evaluation.tracking_metrics import WALKS, count_switches

    show('faces   Hz   speed             by place   and looks   of boxes')
    for walk in WALKS:
        (switches, boxes), (described, _) = count_switches(walk), count_switches(walk, described=True)
        crossing = 'crossing' if walk.crossing else 'apart'
        show(
            f'{walk.faces:5d}   {walk.rate_hz:2d}   {walk.speed:5.1f}   {crossing:9}    {switches:5d}       '
            f'{described:5d}     {boxes:6d}',
            flush=True,
        )


def _measure_identity(options):
    from facial_emotion_ros.evaluation.camera import identity_metrics

    for line in identity_metrics.lines(
        *identity_metrics.collect(_detector(options), _scenes(options).draw(), options.seed)
    ):
        show(line, flush=True)


def _measure_people(options):
    from facial_emotion_ros.evaluation.camera import person_metrics
    from facial_emotion_ros.recordings.people.likeness import UNCERTAIN, certain

    bounds = [('listed', UNCERTAIN)]
    bounds += [(f'joined of {pairs:.0e}'.replace('e+0', 'e'), certain(pairs)) for pairs in (10**4, 10**5, 10**6)]
    if options.dataset:
        found = person_metrics.collect(_detector(options), options.dataset, options.seed)
    else:
        found = person_metrics.collect_rendered(_detector(options), options.scenes, options.seed)
    for line in person_metrics.lines(*found, bounds):
        show(line, flush=True)


def _scenes(options):
    from facial_emotion_ros.evaluation.camera.scenes import open_scenes

    return open_scenes(options.dataset, options.only, options.scenes, options.seed)


def _detector(options):
    from facial_emotion_ros.inference.model_bundle import opened_bundle
    from facial_emotion_ros.perception.face_detector import FaceDetector

    return FaceDetector(opened_bundle(options.detector), threads=options.threads)


_MEASUREMENTS = {
    'unknown': _measure_unknown,
    'occlusion': _fit_occlusion,
    'cadence': _measure_cadence,
    'ids': _measure_ids,
    'identity': _measure_identity,
    'people': _measure_people,
    'neutral': _measure_neutral,
}


if __name__ == '__main__':
    sys.exit(main())
