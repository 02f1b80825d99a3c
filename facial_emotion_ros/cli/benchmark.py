"""Measure networks, engines and the whole node on this machine: `ros2 run facial_emotion_ros benchmark`."""

import argparse
import datetime
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from facial_emotion_ros.cli.common.arguments import expect_places_of_files, number, parse_settings, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.cli.common.terminal import show_markdown
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.core.files import write_atomic


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='benchmark',
        description='Measure the throughput (faces per second) of each network in each installed engine, also as a '
        'share of the roofline of this machine. Networks other than the embedded one have random weights.',
    )
    arguments.add_argument(
        '--networks',
        nargs='*',
        metavar='NAME',
        help="'shipped', 'ESR-9', 'ESR-15', 'ESR*-9', "
        "'ESR*-15'; default: all of them, or 'shipped' if torch is not installed",
    )
    arguments.add_argument(
        '--size-px',
        type=whole_number(1),
        help='input size of networks with random weights, in px; default: 96, as published',
    )
    arguments.add_argument(
        '--engines',
        nargs='*',
        metavar='NAME',
        help='torch, onnxruntime, openvino, CUDAExecutionProvider, TensorrtExecutionProvider; default: all installed',
    )
    arguments.add_argument(
        '--threads', type=whole_number(1), nargs='+', default=[1, 2], help='threads per inference; default: 1 2'
    )
    arguments.add_argument(
        '--runs', type=whole_number(10), default=100, help='runs per network and engine; default: %(default)s'
    )
    arguments.add_argument('--engines-only', action='store_true', help='skip the roofline')
    arguments.add_argument(
        '--streams',
        action='store_true',
        help='also measure the node with a camera and a subscriber process, for several image sizes and 1 to 8 '
        'faces; needs ROS 2',
    )
    arguments.add_argument(
        '--stream-seconds', type=number(1, 86400), default=20.0, help='duration of each stream; default: %(default)s'
    )
    arguments.add_argument(
        '--parameter',
        nargs='*',
        default=[],
        metavar='NAME=VALUE',
        help='node parameter for --streams, such as inference.engine=openvino',
    )
    arguments.add_argument('--json', metavar='FILE', help='write all results as JSON; replaces the file')
    arguments.add_argument('--html', metavar='FILE', help='write a report with plots; replaces the file')
    arguments.add_argument(
        '--compare',
        metavar='FILE',
        help='file written by --json: print the ratios, and exit with 1 if a result is slower by more than --bound',
    )
    arguments.add_argument(
        '--bound', type=number(0, 1), default=0.1, help='tolerance of --compare; default: %(default)s'
    )
    return arguments


@report_errors('benchmark', 'networks with random weights need torch and onnx, --html needs jinja2 and plotly')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0; 1 for bad input, or if --compare finds a slower result; 2 for wrong options.
    """
    from facial_emotion_ros.evaluation.benchmark.text import compare, summary

    options = parser().parse_args(argv)
    if options.html:  # before the measurement, as a package may be missing
        from facial_emotion_ros.evaluation.benchmark.page import benchmark_html
    expect_places_of_files(options.json, options.html)
    old = _read(options.compare) if options.compare else None
    command = 'benchmark ' + shlex.join(sys.argv[1:] if argv is None else argv)
    found = benchmark(options, command, report=lambda line: print(line, file=sys.stderr, flush=True))
    show_markdown(summary(found))
    if options.json:
        write_atomic(options.json, (json.dumps(found, indent=1) + '\n').encode('utf-8'))
    if options.html:
        write_atomic(options.html, benchmark_html(found).encode('utf-8'))
    if old is None:
        return 0
    text, kept = compare(found['records'], old, options.bound)
    show_markdown(text)
    return 0 if kept else 1


def benchmark(
    options: argparse.Namespace, command: str, report: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """Run the measurements.

    :param options: from :func:`parser`.
    :param command: command line, stored in the results.
    :param report: called with a line about each step.
    :returns: machine, networks, records (see engines.measure), roofline: threads -> precision -> {per_s, library,
        side}; and stream: results of streams.measure_stream.
    :raises BadParameter: for invalid options.
    """
    from facial_emotion_ros.evaluation.benchmark.engines import busy_share, measure
    from facial_emotion_ros.evaluation.benchmark.subjects import known_engines, subjects_of

    _check(options, known_engines())
    machine = dict(describe_machine(), busy=busy_share(), command=command)
    with tempfile.TemporaryDirectory() as folder:
        networks = _networks(options, folder, report)
        subjects = [
            subject
            for threads in options.threads
            for network in networks
            for subject in subjects_of(network, threads, options.engines)
        ]
        records = measure(subjects, options.runs, report=report)
    found = {'machine': machine, 'networks': [network._asdict() for network in networks], 'records': records}
    if not options.engines_only:
        from facial_emotion_ros.evaluation.benchmark.roofline import best_rates

        found['roofline'] = {
            str(threads): {
                precision: dict(zip(('per_s', 'library', 'side'), best))
                for precision, best in best_rates(threads, report=report).items()
            }
            for threads in options.threads
        }
    if options.streams:
        found['stream'] = _streams(options, report)
    for network in found['networks']:
        del network['fp32'], network['int8']  # paths in the deleted folder
    return found


def _check(options, engines):
    for name in options.engines or ():
        if name not in engines:
            raise BadParameter(f'--engines: expected one of {", ".join(engines)}, got {name!r}')
    parse_settings('--parameter', options.parameter)


def _networks(options, folder, report):
    """Open or create the networks."""
    from facial_emotion_ros.evaluation.benchmark.subjects import (
        NETWORKS,
        PUBLISHED_SIZE_PX,
        random_network,
        shipped_network,
    )

    names = options.networks
    if not names:
        names = ['shipped', *NETWORKS]
        try:
            import onnx  # noqa: F401
            import torch  # noqa: F401
        except ImportError as error:
            report(f'Only the embedded network is measured: {error}')
            names = ['shipped']
    size_px = options.size_px or PUBLISHED_SIZE_PX
    networks = []
    for name in names:
        if name == 'shipped':
            networks.append(shipped_network())
        else:
            report(f'{name}: random weights, {size_px} px')
            networks.append(random_network(name, size_px, folder))
    return networks


def _streams(options, report):
    """Measure the node with each stream."""
    from facial_emotion_ros.evaluation.benchmark.streams import STREAMS, describe_stream, measure_stream

    parameters, records = parse_settings('--parameter', options.parameter), []
    for stream in STREAMS:
        records.append(measure_stream(stream._replace(seconds=options.stream_seconds), parameters))
        report(describe_stream(records[-1]))
    return records


def describe_machine() -> dict[str, Any]:
    """Return CPU, cores, date and versions."""
    from facial_emotion_ros.evaluation.provenance import versions
    from facial_emotion_ros.inference.tensorrt_cache import board
    from facial_emotion_ros.system.cpu_info import cpuinfo, model_name

    found = versions('openvino', 'torch')
    names = ('python', 'numpy', 'onnxruntime', 'openvino', 'torch')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'processor': model_name(cpuinfo()) or board(),
        'cores': cores,
        'date': datetime.date.today().isoformat(),
        'versions': ', '.join(
            f'{name.capitalize() if name == "python" else name} {found[name]}' for name in names if name in found
        ),
    }


def _read(path):
    try:
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
        return list(found['records'] if isinstance(found, dict) else found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(
            f'{path}: expected a file written by benchmark --json, but it cannot be read ({error})'
        ) from error


if __name__ == '__main__':
    sys.exit(main())
