"""Measure how fast this machine reads faces: `ros2 run facial_emotion_ros benchmark`."""

import argparse
import datetime
import json
import os
import platform
import shlex
import sys
import tempfile

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.errors import BadDataset, BadParameter


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='benchmark', description='Measure in turn how many faces a second each network reads in each engine that '
        'is installed, and how near that comes to what this machine can compute at all. Networks other than the '
        'embedded one have random weights.')
    arguments.add_argument('--networks', nargs='*', metavar='NAME', help="'shipped', 'ESR-9', 'ESR-15', 'ESR*-9', "
                           "'ESR*-15'; default: all of them, or 'shipped' where torch is not installed")
    arguments.add_argument('--size-px', type=int, help='side of the crops of the networks with random weights; '
                           'default: 96, as published')
    arguments.add_argument('--engines', nargs='*', metavar='NAME', help='only these: torch, onnxruntime, openvino, '
                           'CUDAExecutionProvider, TensorrtExecutionProvider; default: all that are here')
    arguments.add_argument('--threads', type=int, nargs='*', default=[1, 2], help='of one inference; default: 1 2')
    arguments.add_argument('--runs', type=int, default=100, help='of each; default: %(default)s')
    arguments.add_argument('--engines-only', action='store_true', help='no roofline: records alone')
    arguments.add_argument('--streams', action='store_true', help='run the whole node too, with a camera and a reader '
                           'in processes of their own, at several sizes and with 1 to 8 faces; needs ROS')
    arguments.add_argument('--stream-seconds', type=float, default=20.0, help='each; default: %(default)s')
    arguments.add_argument('--parameter', nargs='*', default=[], metavar='NAME=VALUE', help="of the node in --streams, "
                           'such as inference.engine=openvino')
    arguments.add_argument('--json', metavar='FILE', help='write all figures there')
    arguments.add_argument('--html', metavar='FILE', help='write a page with plots there')
    arguments.add_argument('--compare', metavar='FILE', help='figures of another run, written by --json: print the '
                           'ratios, and end with 1 where a line is slower by more than --bound')
    arguments.add_argument('--bound', type=float, default=0.1, help='see --compare; default: %(default)s')
    return arguments


@tells_errors('benchmark', 'networks with random weights need torch and onnx')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0; 1 for bad input, or where --compare finds a line that is slower.
    """
    from facial_emotion_ros.evaluation.benchmark_text import compare, summary

    options = parser().parse_args(argv)
    old = _read(options.compare) if options.compare else None
    command = 'benchmark ' + shlex.join(sys.argv[1:] if argv is None else argv)
    found = benchmark(options, command, report=lambda line: print(line, file=sys.stderr, flush=True))
    print(summary(found))
    if options.json:
        _write(options.json, json.dumps(found, indent=1) + '\n')
    if options.html:
        from facial_emotion_ros.evaluation.benchmark_page import benchmark_html
        _write(options.html, benchmark_html(found))
    if old is None:
        return 0
    text, kept = compare(found['records'], old, options.bound)
    print(text)
    return 0 if kept else 1


def benchmark(options, command, report=lambda line: None):
    """Measure.

    :param options: what :func:`parser` gives.
    :param command: what the figures say they were made by.
    :param report: called with a line of text about each step.
    :returns: dict: machine, networks, records (see engine_benchmark.measure), roofline: threads -> precision ->
        {per_s, library, side}; and stream: records of stream_benchmark.measure_stream.
    :raises BadParameter: for names or numbers that cannot be.
    """
    from facial_emotion_ros.evaluation.benchmark_subjects import known_engines, subjects_of
    from facial_emotion_ros.evaluation.engine_benchmark import busy_share, measure

    _check(options, known_engines())
    machine = dict(describe_machine(), busy=busy_share(), command=command)
    with tempfile.TemporaryDirectory() as folder:
        networks = _networks(options, folder, report)
        subjects = [subject for threads in options.threads for network in networks
                    for subject in subjects_of(network, threads, options.engines)]
        records = measure(subjects, options.runs, report=report)
    found = {'machine': machine, 'networks': [network._asdict() for network in networks], 'records': records}
    if not options.engines_only:
        from facial_emotion_ros.evaluation.roofline import best_rates
        found['roofline'] = {
            str(threads): {precision: dict(zip(('per_s', 'library', 'side'), best))
                           for precision, best in best_rates(threads, report=report).items()}
            for threads in options.threads}
    if options.streams:
        found['stream'] = _streams(options, report)
    for network in found['networks']:
        del network['master'], network['int8']  # places in a folder that is gone
    return found


def _check(options, engines):
    for threads in options.threads:
        if threads < 1:
            raise BadParameter(f'at least 1 thread expected, got --threads {threads}')
    if not options.threads:
        raise BadParameter('a number of threads expected, got --threads without one')
    if options.runs < 10:
        raise BadParameter(f'at least 10 runs expected, got --runs {options.runs}: fewer say nothing')
    for name in options.engines or ():
        if name not in engines:
            raise BadParameter(f'an engine among {", ".join(engines)} expected, got {name!r}')


def _networks(options, folder, report):
    """Open or make the networks that are asked for."""
    from facial_emotion_ros.evaluation.benchmark_subjects import (
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
            report(f'The embedded network alone is measured: {error}')
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
    """Run the node on each stream."""
    import yaml

    from facial_emotion_ros.evaluation.stream_benchmark import STREAMS, describe_stream, measure_stream

    parameters = {}
    for text in options.parameter:
        name, equals, value = text.partition('=')
        if not equals:
            raise BadParameter(f'NAME=VALUE expected after --parameter, got {text!r}')
        parameters[name] = yaml.safe_load(value)
    records = []
    for stream in STREAMS:
        records.append(measure_stream(stream._replace(seconds=options.stream_seconds), parameters))
        report(describe_stream(records[-1]))
    return records


def describe_machine():
    """Say what the figures were measured on.

    :returns: dict: processor, cores, date, versions.
    """
    import numpy
    import onnxruntime

    from facial_emotion_ros.engine_cache import board
    from facial_emotion_ros.openvino_model import openvino_version
    from facial_emotion_ros.processor import cpuinfo, model_name

    versions = [f'Python {platform.python_version()}', f'numpy {numpy.__version__}',
                f'onnxruntime {onnxruntime.__version__}']
    if openvino_version():
        versions.append(f'openvino {openvino_version()}')
    try:
        import torch
        versions.append(f'torch {torch.__version__}')
    except ImportError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {'processor': model_name(cpuinfo()) or board(), 'cores': cores, 'date': datetime.date.today().isoformat(),
            'versions': ', '.join(versions)}


def _read(path):
    try:
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
        return list(found['records'] if isinstance(found, dict) else found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(f'{path}: figures that benchmark --json wrote expected, they cannot be read '
                         f'({error})') from error


def _write(path, text):
    from facial_emotion_ros.atomic_file import write_whole

    write_whole(path, text.encode('utf-8'))


if __name__ == '__main__':
    sys.exit(main())
