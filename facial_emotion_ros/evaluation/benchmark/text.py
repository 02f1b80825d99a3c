"""Benchmark results as Markdown tables, and their comparison with another run."""

from collections.abc import Mapping, Sequence
from typing import Any

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.markdown import percent, table

#: Fields that identify a row of the table.
KEY = ('network', 'size_px', 'engine', 'precision', 'threads')


def summary(found: Mapping[str, Any]) -> str:
    """Write the tables.

    :param found: as `benchmark --json` writes it: machine, networks, records, roofline.
    """
    parts = [machine_text(found['machine'])]
    for threads in sorted({record['threads'] for record in found['records']}):
        rows = [_row(found, record) for record in found['records'] if record['threads'] == threads]
        heads = ['network', 'input', 'weights', 'engine', 'accuracy', 'parameters', 'faces/s', 'ms, median (10-90%)']
        heads += ['x torch', 'of the roofline', 'memory, MiB']
        parts.append(f'{threads} thread{"s" * (threads > 1)}:\n\n' + table(heads, rows))
    if found.get('roofline'):
        parts.append(_roofline_text(found['roofline']))
    if found.get('stream'):
        parts.append(stream_text(found['stream']))
    return '\n\n'.join(parts) + '\n'


def machine_text(machine: Mapping[str, Any]) -> str:
    """Describe the machine, with a warning if it was busy."""
    text = f'{machine["processor"]}, {machine["cores"]} cores, {machine["date"]}; {machine["versions"]}.'
    busy = machine.get('busy')
    if busy is not None and busy > 0.1:
        text += (
            f' **The machine was busy: other processes used {percent(busy)} of the CPU before the start; the results '
            'are too low, and the ratios uncertain.**'
        )
    return text


def compare(new: Sequence[Mapping[str, Any]], old: Sequence[Mapping[str, Any]], bound: float) -> tuple[str, bool]:
    """Compare two runs, row by row.

    :param new, old: records.
    :param bound: tolerated slowdown, as a fraction.
    :returns: table, and whether no row is slower by more.
    :raises BadDataset: if they have no row in common.
    """
    before = {tuple(record[key] for key in KEY): record for record in old if 'per_s' in record}
    rows, kept = [], True
    for record in new:
        key = tuple(record[each] for each in KEY)
        if 'per_s' not in record or key not in before:
            continue
        ratio = record['per_s'] / before[key]['per_s']
        slower = ratio < 1 - bound
        kept = kept and not slower
        rows.append(
            [*key, f'{before[key]["per_s"]:.1f}', f'{record["per_s"]:.1f}', f'{ratio:.2f}', 'slower' if slower else '']
        )
    if not rows:
        raise BadDataset('expected records of the same networks, engines and threads in both runs, got none')
    return table([*KEY, 'before, 1/s', 'now, 1/s', 'ratio', ''], rows), kept


def _row(found, record):
    network = network_of(found, record)
    accuracy = network['int8_accuracy'] if record['precision'] == 'int8' else network['accuracy']
    parameters = network['parameters']
    head = [
        record['network'],
        f'{record["size_px"]}x{record["size_px"]}',
        network['weights'],
        f'{record["engine"]} {record["precision"]}',
        percent(accuracy, 2),
        '–' if parameters is None else f'{parameters:,}',
    ]
    if 'error' in record:
        return [*head, f'not measured: {record["error"]}', '', '', '', '']
    share = share_of_roofline(found, record)
    took = f'{record["median_ms"]:.2f} ({record["p10_ms"]:.2f}-{record["p90_ms"]:.2f})'
    ratio = f'{record["ratio"]:.2f}' if 'ratio' in record else '–'
    return [*head, f'{record["per_s"]:.1f}', took, ratio, percent(share), f'{record["memory_mb"]:.0f}']


def ceiling(found: Mapping[str, Any], record: Mapping[str, Any]) -> float | None:
    """Return faces per second at the roofline of a record's precision and threads; None if unknown."""
    best = found.get('roofline', {}).get(str(record['threads']), {}).get(record['precision'])
    operations = network_of(found, record)['operations']
    return best['per_s'] / operations if best and operations else None


def share_of_roofline(found: Mapping[str, Any], record: Mapping[str, Any]) -> float | None:
    """Return the fraction of its roofline that a record reaches; None if unknown."""
    most = ceiling(found, record)
    return record['per_s'] / most if most and 'per_s' in record else None


def network_of(found: Mapping[str, Any], record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the network of a record."""
    return next(
        each for each in found['networks'] if (each['name'], each['size_px']) == (record['network'], record['size_px'])
    )


def _roofline_text(roofline):
    rows = [
        (threads, precision, f'{best["per_s"] / 1e9:.0f}', best['library'], best['side'])
        for threads, found in sorted(roofline.items())
        for precision, best in found.items()
    ]
    return 'Fastest matrix product on this machine (the roofline):\n\n' + table(
        ('threads', 'precision', 'GFLOP/s', 'library', 'matrix side'), rows
    )


def stream_text(streams: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of :func:`measure_stream` records."""
    rows = [
        (
            f'{each["width"]}x{each["height"]}',
            each['transport'],
            each['faces'],
            f'{each["fps"]:.1f} of {each["camera_fps"]:g}',
            f'{each["age_p50_ms"]:.0f}',
            f'{each["age_p99_ms"]:.0f}',
            f'{each["cpu_ms"]:.1f}',
            percent(each['cpu_share']),
        )
        for each in streams
    ]
    heads = ['image', 'transport', 'faces', 'results/s', 'age p50, ms', 'age p99, ms']
    heads += ['CPU time per result, ms', 'of one core']
    return 'Node, camera and subscriber in separate processes:\n\n' + table(heads, rows)
