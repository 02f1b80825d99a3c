"""What an evaluation found, as a few lines for the terminal."""

from facial_emotion_ros.bag_evaluation.compare import compare


def summary_text(summary):
    """Write the figures.

    :param summary: dict, as summary.json holds it.
    :returns: str of several lines.
    """
    overall, run, bundle = summary['overall'], summary['run'], summary['bundle']
    words = sorted(((share, word) for word, share in overall['emotions'].items() if share), reverse=True)
    lines = [
        f'{summary["bag"]["name"]}, read by {bundle["name"]} {bundle["version"]}',
        f'  {summary["bag"]["seconds"]:.1f} s, {overall["frames"]} images of {", ".join(summary["cameras"])}; '
        f'{overall["faces"]} faces, in {percent(overall["coverage"])} of the images',
        '  ' + (', '.join(f'{word} {percent(share)}' for share, word in words) or 'no face was seen'),
        f'  {number(overall["flips_per_minute"])} changes of the word in a minute of a face',
        *_truth_lines(summary), *_recorded_lines(summary['recorded']), *_live_lines(run.get('live')),
        f'  {number(run["times_real_time"])} times as fast as real time, '
        f'{run["frames_per_second"]:.1f} images a second', *(f'  {note}' for note in run.get('notes', ()))]
    return '\n'.join(lines)


def changes_text(before, now, name_now, name_before):
    """Write what got better or worse.

    :param before, now: dicts, as summary.json holds them.
    :param name_now, name_before: what they are called.
    :returns: str of several lines.
    """
    lines = [f'{name_now} against {name_before} (change, its 95% interval)']
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


def _truth_lines(summary):
    truth = summary['truth']
    if not truth:
        return []
    ends = truth['intervals'].get('accuracy')
    ranged = f' ({percent(ends[0])} to {percent(ends[1])})' if ends else ''
    switches = summary['overall']['id_switches']
    lines = [f'  against {truth["source"]}: {percent(truth["accuracy"])} right{ranged} of {truth["n"]} labelled faces, '
             f'{percent(truth["answered"])} of them answered',
             f'    macro-F1 {number(truth["macro_f1"])}, UAR {number(truth["macro_recall"])}, '
             f'{percent(truth["found"])} of the faces found'
             + ('' if switches is None else f', {switches} id switches')]
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
