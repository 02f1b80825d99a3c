"""Export trained weights as a calibrated and evaluated model bundle: `ros2 run facial_emotion_ros export`."""

import argparse
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import add_measured_faces, number, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='export',
        description='Export trained weights as a model bundle: calibrated on held-out faces of the training set, '
        'evaluated on others, with a model card.',
    )
    arguments.add_argument(
        '--weights',
        required=True,
        metavar='WEIGHTS',
        help='safetensors or folder of train, or a bundle to recalibrate',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder of the bundle, which is its name')
    arguments.add_argument('--size-px', type=whole_number(1), help='side of the input; default: of bundle or training')
    arguments.add_argument(
        '--description',
        metavar='JSON',
        help='manifest fields: version, licence...; `input` changes the cropping, '
        'such as {"size_px": 64, "level_eyes": true}',
    )
    arguments.add_argument('--train', metavar='PATH', help='training set, including the held-out faces')
    arguments.add_argument(
        '--dev',
        metavar='TXT',
        help='names of the held-out faces, one per line, to fit temperature and bounds of each operating point on',
    )
    arguments.add_argument(
        '--operating-point',
        action='append',
        default=[],
        metavar='NAME=EXPONENT',
        help='add an operating point whose scores are divided by the training class frequencies to this power, 0 to 1; '
        'repeatable, the first one is the default; default: a nameless one of 0',
    )
    arguments.add_argument(
        '--prior-exponent',
        type=number(0, 1),
        default=0.0,
        metavar='EXPONENT',
        help="the recipe's prior_exponent, 0 to 1, by which the class frequencies are already removed from the scores; "
        'default: %(default)s',
    )
    add_measured_faces(arguments)
    return arguments


@report_errors('export', 'export needs torch, onnx and safetensors')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the bundle is written, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.evaluation.bundle_export import export_bundle

    bundle = export_bundle(options, show)
    show(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
