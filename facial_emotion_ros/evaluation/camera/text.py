"""Formats the results of evaluate_camera as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from facial_emotion_ros.evaluation.camera.crop_spread import FIGURES as SPREAD_FIGURES
from facial_emotion_ros.evaluation.camera.crop_sweep import SETS
from facial_emotion_ros.evaluation.markdown import percent


def scenes_text(figures: Mapping[str, Any]) -> str:
    """Format the results of :func:`scene_figures`."""
    lines = [
        'FER+ faces in drawn 640x480 scenes',
        f'  found by the detector      {figures["found"]} of {figures["n"]} = {_share(figures["detection_rate"])} '
        f'{_range(figures["detection_rate_interval"])}, and {figures["boxes_besides"]} false detections',
        f'  accuracy through camera    {_share(figures["accuracy_through_camera"])} '
        f'{_range(figures["accuracy_through_camera_interval"])} of those found',
        f'  accuracy of direct crops   {_share(figures["accuracy_direct"])} of the same faces',
        f'  points lost                {figures["points_lost"]:+.2f} [{figures["points_lost_interval"][0]:+.2f}, '
        f'{figures["points_lost_interval"][1]:+.2f}], wanted: at most {figures["points_lost_at_most"]:.1f}: '
        f'{_verdict(figures["holds"])}',
        f'  same category as direct    {_share(figures["same_category_as_direct"])}',
        '  by class: right of found of all   '
        + ', '.join(
            f'{emotion} {counts["right"]}/{counts["found"]}/{counts["n"]}'
            for emotion, counts in figures['per_class'].items()
        ),
    ]
    return '\n'.join(lines)


def portraits_text(figures: Mapping[str, Any]) -> str:
    """Format the results of :func:`portrait_figures`."""
    lines = [
        f'Faces in {figures["pictures"]} labelled photographs: {figures["right"]} of {figures["n"]} right, '
        f'{figures["found"]} found, {figures["invented"]} false detections; wanted: '
        f'{_share(figures["share_at_least"])}: {_verdict(figures["holds"])}'
    ]
    for face in figures['faces']:
        read = 'not found' if face['emotion'] is None else f'{face["emotion"]:<9} {face["confidence"]:.2f}'
        mark = ' ' if face['right'] else '!'
        lines.append(f' {mark} {face["name"]:30} {face["label"]:<9} read as {read}')
    return '\n'.join(lines)


def robustness_text(which: str, table: Sequence[Mapping[str, Any]]) -> str:
    """Format the table of :func:`measure_robustness`."""
    lines = [f'Varied {which}: found; found and same category as unvaried; same among those found; accuracy of found']
    for row in table:
        lines.append(
            f'  {row["variation"]:26} {row["found"]:5d} of {row["n"]:<5d} {_share(row["keeps"])} '
            f'{_range(row["keeps_interval"])}   {_share(row["same"])}   {_share(row["accuracy"])}'
        )
    return '\n'.join(lines)


def sweep_text(table: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the table of :func:`sweep`: for each set the gain over the first cut, accuracy and recall."""
    sets = [which for which in SETS if next(iter(table.values()))[which]['n']]
    width = max(len(name) for name in table)
    sizes = next(iter(table.values()))
    lines = [
        "Gain of the label's log score over the first cut [95% interval], accuracy, macro recall",
        ' ' * (width + 2) + '   '.join(f'{which + " (" + str(sizes[which]["n"]) + ")":40}' for which in sets),
    ]
    for name, of_sets in table.items():
        cells = [
            f'{each["gain"]:+.4f} [{each["gain_low"]:+.4f}, {each["gain_high"]:+.4f}] {_share(each["accuracy"])} '
            f'{_share(each["macro_recall"])}'
            for each in (of_sets[which] for which in sets)
        ]
        lines.append(f'{name:{width}}  ' + '   '.join(f'{cell:40}' for cell in cells))
    return '\n'.join(lines)


def spread_text(which: str, table: Sequence[Mapping[str, Any]]) -> str:
    """Format the table of :func:`crop_spread`."""
    heads = ('log of the side', 'shift along the eyes', 'shift across them', 'roll, degrees')
    lines = [
        f'Crops of {which}, resized, against those of the original images: median +- spread [5%, 95%]',
        f'  {"box":>6}   {"found":14}' + ''.join(f'{head:33}' for head in heads).rstrip(),
    ]
    for row in table:
        cells = [
            f'{row[name + "_middle"]:+.3f} +-{row[name + "_spread"]:.3f} '
            f'[{row[name + "_low"]:+.3f}, {row[name + "_high"]:+.3f}]'
            for name in SPREAD_FIGURES
        ]
        found = f'{row["found"]} of {row["n"]}'
        lines.append((f'  {row["size_px"]:3d} px   {found:14}' + ''.join(f'{cell:33}' for cell in cells)).rstrip())
    return '\n'.join(lines)


def _share(value):
    return f'{percent(value, 1):>6}'


def _range(ends):
    return f'[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]'


def _verdict(holds):
    return 'holds' if holds else 'does not hold'
