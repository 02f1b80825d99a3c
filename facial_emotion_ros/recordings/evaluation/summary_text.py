"""Format the figures of an evaluation, or a comparison of two, for the terminal."""

from collections.abc import Mapping
from typing import Any

from facial_emotion_ros.evaluation.markdown import number, percent
from facial_emotion_ros.recordings.evaluation.compare import compare


def summary_text(summary: Mapping[str, Any]) -> str:
    """Format the figures of summary.json in a few lines."""
    overall, run, bundle = summary['overall'], summary['run'], summary['bundle']
    faces = f'{overall["faces"]} face{"" if overall["faces"] == 1 else "s"}'
    words = sorted(((share, word) for word, share in overall['emotions'].items() if share), reverse=True)
    lines = [
        f'{summary["bag"]["name"]}, evaluated with {bundle["name"]} {bundle["version"]}'
        + (f', operating point {bundle["operating_point"]}' if bundle.get('operating_point') else ''),
        f'  {summary["bag"]["seconds"]:.1f} s, {overall["frames"]} images of {", ".join(summary["cameras"])}; '
        f'{faces}, in {percent(overall["coverage"], 1)} of the images',
        '  ' + (', '.join(f'{word} {percent(share, 1)}' for share, word in words) or 'no face was found'),
        f'  {number(overall["flips_per_minute"])} changes of emotion per minute and face',
        *_gap_lines(summary),
        *_truth_lines(summary),
        *rater_lines(summary.get('raters')),
        *_recorded_lines(summary['recorded']),
        *_live_lines(run.get('live')),
        *_speed_lines(run),
        *(f'  {note}' for note in run.get('notes', ())),
    ]
    return '\n'.join(lines)


def changes_text(before: Mapping[str, Any], now: Mapping[str, Any], name_now: str, name_before: str) -> str:
    """Format the comparison of two evaluations.

    :param before, now: contents of summary.json.
    :param name_now, name_before: names for display.
    """
    lines = [f'{name_now} against {name_before} (change, its 95% interval, effect size, p after Holm)']
    if before['bag']['sha256'] != now['bag']['sha256']:
        lines.append('  different recordings, which may differ in difficulty')
    sources = [(each.get('truth') or {}).get('source') for each in (before, now)]
    if None not in sources and sources[0] != sources[1]:
        lines.append(f'  the ground truth differs: {sources[0]} before, {sources[1]} now')
    points = [each['bundle'].get('operating_point') for each in (before, now)]
    if points[0] != points[1]:
        lines.append(f'  the operating points differ: {points[0] or "unknown"} before, {points[1] or "none"} now')
    for each in compare(before, now):
        ranged = '' if each.low is None else f'({number(each.low, "+.4f")} to {number(each.high, "+.4f")})'
        effect = '' if each.effect_size is None else f'd {number(each.effect_size, "+.2f")}'
        p = '' if each.p is None else f'p {each.p:.3f}'
        lines.append(
            f'  {each.figure:18}{each.before:9.4f} -> {each.now:9.4f}  {number(each.now - each.before, "+.4f")} '
            f'{ranged:24} {effect:9} {p:8} {each.verdict}'
        )
    return '\n'.join(lines)


def _speed_lines(run):
    if run['times_real_time'] is None:
        return []
    return [
        f'  {run["times_real_time"]:.2f} times as fast as real time, {run["frames_per_second"]:.1f} images per second'
    ]


def _gap_lines(summary):
    lines = []
    for camera, figures in summary['cameras'].items():
        gaps = figures['gaps']
        if gaps['count']:
            longest, many = gaps['longest'][0], '' if gaps['count'] == 1 else 's'
            lines.append(
                f'  {camera}: {gaps["count"]} gap{many} of {gaps["seconds"]:.1f} s in total '
                f'without images, the longest of {longest["seconds"]:.1f} s from {longest["start_s"]:.1f} s'
            )
    return lines


def _truth_lines(summary):
    truth = summary['truth']
    if not truth:
        return []
    ends = truth['intervals'].get('accuracy')
    ranged = f' ({percent(ends[0], 1)} to {percent(ends[1], 1)})' if ends else ''
    switches = summary['overall']['id_switches']
    more = [
        f'macro-F1 {number(truth["macro_f1"])} (all classes {number(truth["macro_f1_all"])})',
        f'UAR {number(truth["macro_recall"])}',
        f'kappa {number(truth["kappa"])}',
    ]
    more += [] if truth['found'] is None else [f'{percent(truth["found"], 1)} of the annotated faces found']
    more += [] if switches is None else [f'{switches} id switches']
    undecided = (summary.get('raters') or {}).get('no_majority')
    left_out = f' (no majority: {undecided})' if undecided else ''
    lines = [
        f'  against {truth["source"]}: {percent(truth["accuracy"], 1)} correct{ranged} of {truth["n"]} labelled faces '
        f'in images{left_out}, {percent(truth["answered"], 1)} of them with an emotion',
        '    ' + ', '.join(more),
    ]
    return lines + [
        f'    {side}: CCC {number(each["ccc"])}, PCC {number(each["pcc"])}, RMSE {number(each["rmse"])}, '
        f'SAGR {number(each["sagr"])}'
        for side, each in truth['affect'].items()
        if each['n']
    ]


def rater_lines(raters: Mapping[str, Any] | None) -> list[str]:
    """Format the inter-rater agreement, and ours with each rater; [] without several raters."""
    if not raters:
        return []
    kappas = [f'kappa of {pair} {number(value)}' for pair, value in raters['cohen_kappa'].items()]
    kappas += [] if raters['fleiss_kappa'] is None else [f"Fleiss' kappa {number(raters['fleiss_kappa'])}"]
    lines = [
        f'  raters: the same label for {percent(raters["alike"], 1)} of {raters["n"]} faces in images, no majority: '
        f'{raters["no_majority"]}; {", ".join(kappas)}'
    ]
    lines += [
        f'    ICC(2,1) of {side}: {number(each["icc"])}, over {each["n"]} faces in images'
        for side, each in raters['icc'].items()
        if each['n']
    ]
    lines += [
        f'    recordings left out, rated by {", ".join(names)}: {count}' for names, count in raters.get('left_out', ())
    ]
    return lines + [
        f'    ours against {name}: {percent(each["accuracy"], 1)} correct, kappa {number(each["kappa"])}'
        for name, each in raters['against'].items()
        if each
    ]


def _recorded_lines(recorded):
    if not recorded:
        return []
    network = f' of {recorded["network"]}' if recorded.get('network') else ''
    network += ' (all scores are 1: may be ground truth, see --truth)' if recorded.get('certain') else ''
    return [
        f'  against the recorded {recorded["topic"]}{network}: the same emotion for '
        f'{percent(recorded["agreement"], 1)} of {recorded["n"]} faces; received '
        f'{number(recorded["latency_ms_p50"])} ms after the image (p50)'
    ]


def _live_lines(live):
    if not live:
        return []
    return [
        f'  live, over DDS: {live.get("answered")} of {live.get("frames")} images answered, age p50 '
        f'{number(live.get("age_p50_ms"))} ms, p99 {number(live.get("age_p99_ms"))} ms'
    ]
