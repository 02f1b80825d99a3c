"""What an evaluation found, as a few lines for the terminal."""

from facial_emotion_ros.bag_evaluation.compare import compare


def summary_text(summary):
    """Write the figures.

    :param summary: dict, as summary.json holds it.
    :returns: str of several lines.
    """
    overall, run, bundle = summary['overall'], summary['run'], summary['bundle']
    faces = f'{overall["faces"]} face{"" if overall["faces"] == 1 else "s"}'
    words = sorted(((share, word) for word, share in overall['emotions'].items() if share), reverse=True)
    lines = [
        f'{summary["bag"]["name"]}, read by {bundle["name"]} {bundle["version"]}',
        f'  {summary["bag"]["seconds"]:.1f} s, {overall["frames"]} images of {", ".join(summary["cameras"])}; '
        f'{faces}, in {percent(overall["coverage"])} of the images',
        '  ' + (', '.join(f'{word} {percent(share)}' for share, word in words) or 'no face was seen'),
        f'  {number(overall["flips_per_minute"])} changes of the word in a minute of a face',
        *_gap_lines(summary), *_truth_lines(summary), *_recorded_lines(summary['recorded']),
        *_live_lines(run.get('live')), *_speed_lines(run), *(f'  {note}' for note in run.get('notes', ()))]
    return '\n'.join(lines)


def changes_text(before, now, name_now, name_before):
    """Write what got better or worse.

    :param before, now: dicts, as summary.json holds them.
    :param name_now, name_before: what they are called.
    :returns: str of several lines.
    """
    lines = [f'{name_now} against {name_before} (change, its 95% interval)']
    if before['bag']['sha256'] != now['bag']['sha256']:
        lines.append('  these are different recordings: what made one of them hard need not be in the other')
    sources = [(each.get('truth') or {}).get('source') for each in (before, now)]
    if None not in sources and sources[0] != sources[1]:
        lines.append(f'  the truth is not the same: {sources[0]} before, {sources[1]} now')
    for each in compare(before, now):
        ranged = '' if each.low is None else f'({each.low:+.4f} to {each.high:+.4f})'
        lines.append(f'  {each.figure:18}{each.before:9.4f} -> {each.now:9.4f}  {each.now - each.before:+.4f} '
                     f'{ranged:24} {each.verdict}')
    return '\n'.join(lines)


def percent(share):
    """Write a share as a percentage; a dash for None."""
    return '-' if share is None else f'{100 * share:.1f}%'


def number(value):
    """Write a number shortly; a dash for None."""
    return '-' if value is None else f'{value:.3g}'


def _speed_lines(run):
    if run['times_real_time'] is None:
        return []
    return [f'  {run["times_real_time"]:.2f} times as fast as real time, '
            f'{run["frames_per_second"]:.1f} images a second']


def _gap_lines(summary):
    lines = []
    for camera, figures in summary['cameras'].items():
        gaps = figures['gaps']
        if gaps['count']:
            longest, many = gaps['longest'][0], '' if gaps['count'] == 1 else 's'
            lines.append(f'  {camera}: {gaps["count"]} gap{many} of {gaps["seconds"]:.1f} s '
                         f'without an image, the longest of {longest["seconds"]:.1f} s from {longest["start_s"]:.1f} s')
    return lines


def _truth_lines(summary):
    truth = summary['truth']
    if not truth:
        return []
    ends = truth['intervals'].get('accuracy')
    ranged = f' ({percent(ends[0])} to {percent(ends[1])})' if ends else ''
    switches = summary['overall']['id_switches']
    more = [f'macro-F1 {number(truth["macro_f1"])} (all classes {number(truth["macro_f1_all"])})',
            f'UAR {number(truth["macro_recall"])}', f'kappa {number(truth["kappa"])}']
    more += [] if truth['found'] is None else [f'{percent(truth["found"])} of the annotated faces found']
    more += [] if switches is None else [f'{switches} id switches']
    lines = [f'  against {truth["source"]}: {percent(truth["accuracy"])} right{ranged} of {truth["n"]} labelled views '
             f'of faces, {percent(truth["answered"])} of them answered', '    ' + ', '.join(more)]
    return lines + [f'    {side}: CCC {number(told["ccc"])}, PCC {number(told["pcc"])}, RMSE {number(told["rmse"])}, '
                    f'SAGR {number(told["sagr"])}' for side, told in truth['affect'].items() if told['n']]


def _recorded_lines(recorded):
    if not recorded:
        return []
    return [f'  against the recorded {recorded["topic"]}: the same word for {percent(recorded["agreement"])} of '
            f'{recorded["n"]} faces; it came {number(recorded["latency_ms_p50"])} ms after the image (p50)']


def _live_lines(live):
    if not live:
        return []
    return [f'  live, over DDS: {live.get("answered")} of {live.get("frames")} images answered, age p50 '
            f'{number(live.get("age_p50_ms"))} ms, p99 {number(live.get("age_p99_ms"))} ms']
