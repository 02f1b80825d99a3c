"""The page of many recordings: where to look first, what failed, and how the figures spread."""

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

#: Columns with a bar: (key, words, how it is written, the bar's full length; None for the largest value).
_COLUMNS = (
    ('accuracy', 'right', percentage, 1.0),
    ('coverage', 'with a face', percentage, 1.0),
    ('unknown_share', 'unknown', percentage, 1.0),
    ('flips_per_minute', 'changes a minute', number, None),
    ('times_real_time', '× real time', number, None),
)

#: Figures of all recordings together.
_POOLED = (
    ('accuracy', 'accuracy', percentage),
    ('macro_f1', 'macro-F1', percentage),
    ('macro_f1_all', 'macro-F1, all classes', percentage),
    ('kappa', 'Cohen’s kappa', number),
    ('ccc_valence', 'CCC of valence', number),
    ('ccc_arousal', 'CCC of arousal', number),
    ('coverage', 'with a face', percentage),
    ('unknown_share', 'unknown', percentage),
    ('flips_per_minute', 'changes a minute', number),
)

#: Charts of how figures spread over recordings: (key, title, how to read it, how values are written).
_SPREADS: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ('accuracy', 'Share of right answers', 'Recordings at the left are those to look at.', percentage),
    ('ccc_valence', 'Concordance of the valence', '1 is perfect, 0 is chance.', number),
    (
        'coverage',
        'Images with a face',
        'A recording at the left hardly showed anybody, or nobody was found.',
        percentage,
    ),
    ('unknown_share', 'Faces without a word', 'Many are too small, too dark or turned away.', percentage),
    ('flips_per_minute', 'Changes of the word, a minute', 'Real faces change a few times a minute.', number),
    ('times_real_time', 'Speed', 'Seconds of recording evaluated in a second, by one process.', number),
)

#: So many recordings are pointed at as worth a look.
_WORST = 5

#: A page with more rows, or more marks in a chart, is slow to open.
_MOST_ROWS, _MOST_MARKS = 1000, 2000

#: A median this near to an edge, as a share of the width, is written inwards.
_NEAR_EDGE = 0.15

#: A longer title is cut in its middle: recordings of one robot begin, or end, alike.
_LONGEST_TITLE = 36


def fleet_html(
    fleet: dict[str, Any],
    groups: Sequence[GroupSummary] = (),
    events: dict[str, Any] | None = None,
    people: dict[str, Any] | None = None,
) -> str:
    """Make the page, which stands beside the folder bags/ and the script that all these pages share.

    :param fleet: as fleet.json holds it.
    :param groups: of a study.
    :param events: of :func:`.event_panels`.
    :param people: of :func:`.people_panel`.
    """
    bags = [dict(bag, short_title=_short(bag['title'])) for bag in fleet['bags']]
    rows = [(bag, result) for bag in bags for result in bag['results']]
    words, ranked = _ranked(rows)
    events = events or event_panels([], None)
    own = ' Only the faces of the participants count, as they were found.' if fleet['run']['participants_only'] else ''
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
    """Draw how many recordings have which value, and below each one with its name, unless there are thousands.

    :param values: not empty.
    :param names: of the recordings.
    :param write: turns a value into its label.
    """
    figure = chart(260, bargap=0.06, hovermode='closest', margin={'l': 44, 'r': 16, 't': 28, 'b': 28})
    is_share = write is percentage
    low, high = min(0.0, *values), 1.0 if is_share else max(0.0, *values) or 1.0
    size = (high - low) / 20
    # One bin more, which holds the largest value.
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
        # At an edge, the words go inwards.
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
    total = f'{formatting.duration(recorded)} of recordings were read. '
    was = 'was' if counts['done'] == 1 else 'were'
    parts = [f'{counts["done"]:,} {was} evaluated in {formatting.duration(run["seconds"])}'] if counts['done'] else []
    parts += [f'{counts["skipped"]:,} had been before'] if counts['skipped'] else []
    twins = 'is a copy of another and does' if counts['twin'] == 1 else 'are copies of others and do'
    parts += [f'{counts["twin"]:,} {twins} not count'] if counts['twin'] else []
    parts += [f'{counts["failed"]:,} could not be evaluated'] if counts['failed'] else []
    return total + ', '.join(parts) + '.'


def _ranked(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[str, list[Any]]:
    """Rank the recordings by how much they need a look: by the truth where it is known, else by their changes.

    :returns: what the first ones have, and (recording, result, figure) of each; none where there are few.
    """
    for key, label, sign, write in (
        ('accuracy', 'the fewest right answers', 1, percentage),
        ('flips_per_minute', 'the most changes', -1, number),
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
    """Say what the time went into."""
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
    """Choose the columns that any recording has a figure for, with the value of a full bar."""
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
            'done by',
            f'a Ray cluster ({run["ray"]})' if run.get('ray') else f'processes on one machine: {run["workers"]}',
        ),
        ('made', run.get('made')),
    ]
    if fleet['counts']['done']:
        speed = (
            f'{run["bags_per_second"]:.2f} recordings and {run["recording_s_per_second"]:.1f} s of recording a second'
        )
        lines.append(('throughput', speed))
    return lines
