"""Quantize a model bundle to int8: `ros2 run facial_emotion_ros quantize`."""

import argparse
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import add_measured_faces, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='quantize',
        description='Quantize an fp32 bundle to int8: about three times as fast on CPUs with VNNI or dot-product '
        'instructions, and half the size. Training faces calibrate the ranges; other faces measure the loss.',
    )
    arguments.add_argument(
        '--bundle',
        default='esr_9_ferplus',
        help='ESR or CenterFace bundle: folder, or name of an embedded one; default: %(default)s',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder of the new bundle, which is its name')
    arguments.add_argument('--faces', required=True, metavar='PATH', help='training set')
    arguments.add_argument('--leave-out', metavar='TXT', help='names of faces in --faces to exclude, one per line')
    arguments.add_argument(
        '--count', type=whole_number(1), default=512, help='number of calibration faces; default: %(default)s'
    )
    arguments.add_argument(
        '--seed', type=whole_number(0), default=0, help='random seed for choosing them; default: %(default)s'
    )
    arguments.add_argument(
        '--pictures',
        metavar='DIR',
        help='CenterFace: calibration photographs, in addition to scenes with pasted faces',
    )
    add_measured_faces(arguments)
    return arguments


@report_errors('quantize', 'quantize needs torch, onnx and safetensors')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the bundle is written, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    from facial_emotion_ros.evaluation.bundle_quantization import quantize_bundle

    bundle = quantize_bundle(options, report=show)
    show(f'{bundle.folder}: {len(bundle.model_bytes) / 1e6:.1f} MB, sha256 {bundle.sha256}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
