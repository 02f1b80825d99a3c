"""Adapt a model bundle to your persons, camera and light: `ros2 run facial_emotion_ros adapt`."""

import argparse
import os
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show

#: Exit code when the unchanged network is as good and nothing is written.
NOT_BETTER = 3


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='adapt',
        description='Fit a small correction of the last layers to labelled images of your persons; it is kept only if '
        'it improves held-out persons.',
        epilog=f'Exit code: 0 when a bundle is written, {NOT_BETTER} when the unchanged network is as good, 1 for bad '
        'input, 2 for wrong options.',
    )
    arguments.add_argument(
        '--faces',
        required=True,
        metavar='PATH',
        help='labelled images: a folder with labels.csv (file, emotion, person) or one folder per class, or a CSV file',
    )
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument(
        '--output',
        required=True,
        metavar='DIR',
        help='folder of the new bundle, which is its name; the int8 bundle gets the suffix _int8',
    )
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')
    return arguments


@report_errors('adapt', 'adapt needs onnx')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: see the parser.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.evaluation.bundle_adaptation import adapt_bundle

    bundles = adapt_bundle(options, show)
    for bundle in bundles:
        show(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0 if bundles else NOT_BETTER


if __name__ == '__main__':
    sys.exit(main())
