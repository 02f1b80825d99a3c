"""What a benchmark found, as text: tables in Markdown, and what changed since another run."""

from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.evaluation.markdown import table
from facial_emotion_ros.evaluation.svg import percent

#: Fields that say which line of the table a record is.
KEY = ('network', 'size_px', 'engine', 'precision', 'threads')


def summary(found):
    """Write the tables.

    :param found: dict as `benchmark` writes it: machine, networks, records, roofline.
    :returns: str, Markdown.
    """
    parts = [machine_text(found['machine'])]
    for threads in sorted({record['threads'] for record in found['records']}):
        rows = [_row(found, record) for record in found['records'] if record['threads'] == threads]
        heads = ['network', 'input', 'weights', 'engine', 'accuracy', 'parameters', 'faces/s', 'ms, median (10-90%)',
                 'x torch', 'of the roofline', 'memory, MiB']
        if any('joules' in record for record in found['records']):
            heads += ['J, gross', 'J, net']
        parts.append(f'{threads} thread{"s" * (threads > 1)}:\n\n' + table(heads, [row[:len(heads)] for row in rows]))
    if found.get('roofline'):
        parts.append(_roofline_text(found['roofline']))
    if found.get('stream'):
        parts.append(stream_text(found['stream']))
    return '\n\n'.join(parts) + '\n'


def machine_text(machine):
    """Say where and when, and how busy the machine was.

    :param machine: dict of the benchmark.
    :returns: str.
    """
    text = f'{machine["processor"]}, {machine["cores"]} cores, {machine["date"]}; {machine["versions"]}.'
    busy = machine.get('busy')
    if busy is not None and busy > 0.1:
        text += f' **The machine was busy: other processes took {percent(busy)} of it before the start; figures are ' \
                'too low, and ratios uncertain.**'
    return text


def compare(new, old, bound):
    """Compare two runs, line by line.

    :param new, old: lists of records.
    :param bound: a line may be slower by this share.
    :returns: text, and whether no line is slower by more.
    :raises BadDataset: if they have no line in common.
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
        rows.append([*key, f'{before[key]["per_s"]:.1f}', f'{record["per_s"]:.1f}', f'{ratio:.2f}',
                     'slower' if slower else ''])
    if not rows:
        raise BadDataset('records of the same networks, engines and threads expected in both runs, there are none')
    return table([*KEY, 'before, 1/s', 'now, 1/s', 'ratio', ''], rows), kept


def _row(found, record):
    network = network_of(found, record)
    accuracy = network['int8_accuracy'] if record['precision'] == 'int8' else network['accuracy']
    parameters = network['parameters']
    head = [record['network'], f'{record["size_px"]}x{record["size_px"]}', network['weights'],
            f'{record["engine"]} {record["precision"]}', percent(accuracy, 2),
            '–' if parameters is None else f'{parameters:,}']
    if 'error' in record:
        return [*head, f'not measured: {record["error"]}', '', '', '', '', '', '']
    share = share_of_roofline(found, record)
    took = f'{record["median_ms"]:.2f} ({record["p10_ms"]:.2f}-{record["p90_ms"]:.2f})'
    ratio = f'{record["ratio"]:.2f}' if 'ratio' in record else '–'
    row = [*head, f'{record["per_s"]:.1f}', took, ratio, percent(share), f'{record["memory_mb"]:.0f}']
    energy = [f'{record[key]:.3f}' if key in record else '–' for key in ('joules', 'net_joules')]
    return row + energy


def ceiling(found, record):
    """Tell how many faces a second the roofline of a record's precision and threads allows; None where it is not known.

    :param found: dict of the benchmark.
    :param record: one of its records.
    """
    best = found.get('roofline', {}).get(str(record['threads']), {}).get(record['precision'])
    operations = network_of(found, record)['operations']
    return best['per_s'] / operations if best and operations else None


def share_of_roofline(found, record):
    """Tell which share of the roofline of its precision a record reaches; None where that is not known."""
    most = ceiling(found, record)
    return record['per_s'] / most if most and 'per_s' in record else None


def network_of(found, record):
    """Return the network that a record is of."""
    return next(each for each in found['networks']
                if (each['name'], each['size_px']) == (record['network'], record['size_px']))


def _roofline_text(roofline):
    rows = [(threads, precision, f'{best["per_s"] / 1e9:.0f}', best['library'], best['side'])
            for threads, found in sorted(roofline.items()) for precision, best in found.items()]
    return ('The best product of two matrices here, which is the roofline:\n\n'
            + table(('threads', 'precision', 'GFLOP/s', 'library', 'rows and columns'), rows))


def stream_text(streams):
    """Write the table of whole pipelines.

    :param streams: list of records of the node's runs.
    :returns: str, Markdown.
    """
    rows = [(f'{each["width"]}x{each["height"]}', each['transport'], each['faces'], f'{each["fps"]:.1f} of '
             f'{each["camera_fps"]:g}', f'{each["age_p50_ms"]:.0f}', f'{each["age_p99_ms"]:.0f}',
             f'{each["cpu_ms"]:.1f}', percent(each['cpu_share'])) for each in streams]
    return ('The node in its own process, camera and reader in theirs:\n\n'
            + table(('image', 'transport', 'faces', 'answers a second', 'age p50, ms', 'age p99, ms',
                      'processor, ms an answer', 'of one core'), rows))
