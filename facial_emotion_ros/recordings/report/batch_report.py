"""Report over many recordings: failures, pooled metrics, recordings to review first, and distributions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from facial_emotion_ros.evaluation.page import GRAY, ONE, PLOTLY_FILE, chart, plain, render
from facial_emotion_ros.recordings.report import formatting
from facial_emotion_ros.recordings.report.events_panel import event_panels
from facial_emotion_ros.recordings.report.formatting import number, percentage
from facial_emotion_ros.recordings.report.study_panel import study_panels
from facial_emotion_ros.recordings.study.study import GroupSummary

#: Columns with a bar: (key, title, format, value of a full bar; None for the largest value).
_COLUMNS = (
    ('accuracy', 'accuracy', percentage, 1.0),
    ('coverage', 'with a face', percentage, 1.0),
    ('unknown_share', 'unknown', percentage, 1.0),
    ('flips_per_minute', 'changes per minute', number, None),
    ('times_real_time', '× real time', number, None),
)

#: Figures pooled over all recordings: (key, title, format).
_POOLED = (
    ('accuracy', 'accuracy', percentage),
    ('macro_f1', 'macro-F1', percentage),
    ('macro_f1_all', 'macro-F1, all classes', percentage),
    ('kappa', 'Cohen’s kappa', number),
    ('ccc_valence', 'CCC of valence', number),
    ('ccc_arousal', 'CCC of arousal', number),
    ('coverage', 'with a face', percentage),
    ('unknown_share', 'unknown', percentage),
    ('flips_per_minute', 'changes per minute', number),
)

#: Histograms of figures over recordings: (key, title, caption, format).
_SPREADS: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ('accuracy', 'Accuracy', 'Review the recordings at the left first.', percentage),
    ('ccc_valence', 'CCC of valence', 'Concordance with the ground truth: 1 is perfect, 0 is chance.', number),
    (
        'coverage',
        'Images with a face',
        'In recordings at the left, few faces were visible or detected.',
        percentage,
    ),
    ('unknown_share', 'Share of unknown', 'Faces that are too small, too dark or turned away.', percentage),
    ('flips_per_minute', 'Changes of emotion per minute', 'Real faces change a few times per minute.', number),
    ('times_real_time', 'Speed', 'Seconds of recording evaluated per second, by one process.', number),
)

#: Number of recordings listed for review.
_WORST = 5

#: Maximum number of table rows, and of marks in a chart: more make the page slow to open.
_MOST_ROWS, _MOST_MARKS = 1000, 2000

#: The label of a median closer than this to an edge, as a share of the width, extends inwards.
_NEAR_EDGE = 0.15

#: Longer titles are shortened in the middle, as recordings of a robot often have the same prefix or suffix.
_LONGEST_TITLE = 36


def fleet_html(
    fleet: dict[str, Any],
    groups: Sequence[GroupSummary] = (),
    events: dict[str, Any] | None = None,
    people: dict[str, Any] | None = None,
) -> str:
    """Render the report, which is stored beside the folder bags/ and the shared plotly script.

    :param fleet: content of fleet.json.
    :param groups: result of :func:`.write_study`.
    :param events: result of :func:`.event_panels`.
    :param people: result of :func:`.people_panel`.
    """
    bags = [dict(bag, short_title=_short(bag['title'])) for bag in fleet['bags']]
    rows = [(bag, result) for bag in bags for result in bag['results']]
    words, ranked = _ranked(rows)
    events = events or event_panels([], None)
    own = ' Only the participants’ faces are included, as identified.' if fleet['run']['participants_only'] else ''
    return render(
        'facial_emotion_ros.recordings.report',
        'fleet.html',
        PLOTLY_FILE,
        title=formatting.counted(fleet['counts']['bags'], 'recording').capitalize(),
        lead=_lead(fleet),
        formatting=formatting,
        fleet=fleet,
        failed=[bag for bag in bags if bag['status'] == 'failed'],
        most=_MOST_ROWS,
        pooled=fleet['overall'],
        pooled_figures=_POOLED,
        worst={'words': words, 'rows': ranked[:_WORST]} if ranked else None,
        panels=study_panels(groups),
        events=dict(events, words=events['words'] + own),
        own=own,
        people=people,
        spreads=[spread for each in _SPREADS if (spread := _spread(*each, rows))],
        times=_times(rows),
        columns=_columns(rows),
        rows=rows if len(rows) <= _MOST_ROWS else [row[:2] for row in ranked[:_MOST_ROWS]] or rows[:_MOST_ROWS],
        all_rows=len(rows),
        provenance=_provenance(fleet),
    )


def spread_chart(values: Sequence[float], names: Sequence[str], write: Callable[[float], str]) -> go.Figure:
    """Draw a histogram over recordings, with a mark and name for each recording below, unless there are thousands.

    :param values: not empty.
    :param names: names of the recordings.
    :param write: formats a value.
    """
    figure = chart(260, bargap=0.06, hovermode='closest', margin={'l': 44, 'r': 16, 't': 28, 'b': 28})
    is_share = write is percentage
    low, high = min(0.0, *values), 1.0 if is_share else max(0.0, *values) or 1.0
    size = (high - low) / 20
    # An additional bin contains the largest value.
    bins = {'start': low, 'end': high + size, 'size': size}
    figure.add_histogram(x=list(values), xbins=bins, marker_color=ONE, hovertemplate='%{x}: %{y}<extra></extra>')
    look = {'color': GRAY, 'symbol': 'line-ns-open', 'size': 10, 'line': {'width': 1.5}}
    marks = list(zip(names, values)) if len(values) <= _MOST_MARKS else []
    figure.add_scatter(
        x=[value for _, value in marks],
        y=[0] * len(marks),
        yaxis='y2',
        mode='markers',
        marker=look,
        hovertext=[f'{plain(name)}: {write(value)}' for name, value in marks],
        hoverinfo='text',
    )
    middle = float(np.median(values))
    figure.add_vline(middle, line={'color': GRAY, 'dash': 'dash'})
    place = (middle - low) / (high - low)
    figure.add_annotation(
        x=middle,
        y=1,
        yref='paper',
        yanchor='bottom',
        # Near an edge, the label extends inwards.
        xanchor='left' if place < _NEAR_EDGE else 'right' if place > 1 - _NEAR_EDGE else 'center',
        text=f'median {write(middle)}',
        showarrow=False,
    )
    most = int(np.histogram(values, 21, (low, high + size))[0].max())
    figure.update_layout(
        yaxis={'domain': [0.1, 1], 'rangemode': 'tozero', 'dtick': -(-most // 4)},
        yaxis2={'domain': [0, 0.1], 'range': [-1, 1], 'visible': False, 'fixedrange': True},
    )
    return figure.update_xaxes(
        anchor='y2', range=[low - size / 4, high + 1.25 * size], tickformat='.0%' if is_share else None, zeroline=False
    )


def _lead(fleet: dict[str, Any]) -> str:
    counts, run = fleet['counts'], fleet['run']
    recorded = sum(bag['results'][0]['recording_s'] or 0 for bag in fleet['bags'] if bag['results'])
    total = f'{formatting.duration(recorded)} of recordings. '
    was = 'was' if counts['done'] == 1 else 'were'
    parts = [f'{counts["done"]:,} {was} evaluated in {formatting.duration(run["seconds"])}'] if counts['done'] else []
    parts += [f'{counts["skipped"]:,} up to date'] if counts['skipped'] else []
    twins = 'is a copy of another and is' if counts['twin'] == 1 else 'are copies of others and are'
    parts += [f'{counts["twin"]:,} {twins} not counted'] if counts['twin'] else []
    parts += [f'{counts["failed"]:,} could not be evaluated'] if counts['failed'] else []
    return total + ', '.join(parts) + '.'


def _ranked(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[str, list[Any]]:
    """Rank recordings for review by ascending accuracy or, without ground truth, by descending changes of emotion.

    :returns: description of the order, and (recording, result, figure) of each; empty if there are few.
    """
    for key, label, sign, write in (
        ('accuracy', 'the lowest accuracy', 1, percentage),
        ('flips_per_minute', 'the most changes of emotion', -1, number),
    ):
        known = [(bag, result) for bag, result in rows if result[key] is not None]
        known.sort(key=lambda row: sign * row[1][key])
        if len(known) > _WORST and known[0][1][key] != known[-1][1][key]:
            others = [(bag, result, '') for bag, result in rows if result[key] is None]
            return label, [*((bag, each, write(each[key])) for bag, each in known), *others]
    return '', []


def _spread(key: str, title: str, caption: str, write: Callable[[float], str], rows: Any) -> tuple[Any, ...] | None:
    known = [(result[key], bag['title']) for bag, result in rows if result[key] is not None]
    if len(known) < 2:
        return None
    values, names = zip(*known)
    says = f'{title} of {len(values)} recordings, median {write(float(np.median(values)))}.'
    return title, caption, spread_chart(values, names, write), says


def _times(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Return (step, p10, median, p90) of the times per image."""
    steps: dict[str, list[float]] = {}
    for _, result in rows:
        for step, value in (result['ms'] or {}).items():
            if value is not None:
                steps.setdefault(step, []).append(value)
    return [
        (name, *(number(float(np.percentile(steps[step], share))) for share in (10, 50, 90)))
        for step, name in formatting.steps_in_words(steps).items()
    ]


def _columns(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    """Select the columns for which any recording has a figure, with the value of a full bar."""
    known = {key: [each[key] for _, each in rows if each[key] is not None] for key, *_ in _COLUMNS}
    return [
        {'key': key, 'words': label, 'write': write, 'most': full or max([*known[key], 1e-9])}
        for key, label, write, full in _COLUMNS
        if known[key]
    ]


def _short(title: str) -> str:
    half = _LONGEST_TITLE // 2
    return title if len(title) <= _LONGEST_TITLE else f'{title[: half - 1]}…{title[-half:]}'


def _provenance(fleet: dict[str, Any]) -> list[tuple[str, Any]]:
    run = fleet['run']
    lines = [
        ('command', run.get('command') or '–'),
        ('models', ', '.join(formatting.named(each['bundle'] or {}) for each in fleet['overall']) or '–'),
        (
            'run on',
            f'a Ray cluster ({run["ray"]})' if run.get('ray') else f'one machine, worker processes: {run["workers"]}',
        ),
        ('made', run.get('made')),
    ]
    if fleet['counts']['done']:
        speed = (
            f'{run["bags_per_second"]:.2f} recordings and {run["recording_s_per_second"]:.1f} s of recording per second'
        )
        lines.append(('throughput', speed))
    return lines
