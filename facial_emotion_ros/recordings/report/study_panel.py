"""Report section of a study: distribution of emotions, means and comparisons of conditions."""

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.evaluation import markdown
from facial_emotion_ros.evaluation.page import EMOTION_COLORS, GRAY, LEGEND_ABOVE, chart, plain
from facial_emotion_ros.recordings.report.formatting import counted, interval, number, percentage
from facial_emotion_ros.recordings.study.conditions import ComparisonRow, ConditionRow, condition_word
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES
from facial_emotion_ros.recordings.study.study import GroupSummary

#: Colours of the conditions, cycled.
_COLORS = ('#2a66b1', '#c65d12', '#0f9d98', '#7f58c9', '#5b9b34', '#b9558d')

#: Display names of the designs of a comparison.
_DESIGNS = {'within': 'within participants', 'between': 'between participants'}


def study_panels(groups: Sequence[GroupSummary]) -> list[dict[str, Any]]:
    """Create the template's data about each network.

    :param groups: result of :func:`.write_study`.
    """
    return [_panel(each) for each in groups if each.conditions]


def _panel(group):
    names = {row.condition for row in group.conditions}
    rows = [row._replace(condition=condition_word(row.condition, names)) for row in group.conditions]
    return {
        'bundle': group.bundle,
        'shares': distribution_chart(rows),
        'profile': profile_chart(rows),
        'conditions': [(row.condition, row.participants) for row in rows if row.measure == 'valence'],
        'comparisons': [_comparison(row, names) for row in group.comparisons],
    }


def distribution_chart(rows: Sequence[ConditionRow]) -> go.Figure:
    """Draw the shares of the published emotions, one bar per condition.

    :param rows: rows of all conditions; other measures are ignored.
    """
    names = list(dict.fromkeys(row.condition for row in rows))
    figure = chart(
        110 + 44 * len(names),
        barmode='stack',
        margin={'l': 16, 'r': 28, 't': 12, 'b': 32},
        showlegend=True,
        legend={**LEGEND_ABOVE, 'traceorder': 'normal'},
    )
    for measure in SHARES:
        of = [row for row in rows if row.measure == measure]
        word = measure[len('share_') :]
        figure.add_bar(
            y=[plain(row.condition) for row in of],
            x=[row.mean for row in of],
            orientation='h',
            name=word,
            marker_color=EMOTION_COLORS.get(word, GRAY),
            marker_pattern_shape='/' if word == UNKNOWN else '',
            text=[word if row.mean > 0.06 else '' for row in of],
            textangle=0,
            insidetextanchor='middle',
            showlegend=any(row.mean for row in of),
            hovertext=[f'{plain(row.condition)}: {word} {percentage(row.mean)}{_within(row)}' for row in of],
            hoverinfo='text',
        )
    return figure.update_xaxes(tickformat='.0%', range=[0, 1], dtick=0.25).update_yaxes(autorange='reversed')


def profile_chart(rows: Sequence[ConditionRow]) -> go.Figure:
    """Draw the means of MEASURES with their intervals, one series per condition.

    :param rows: rows of all conditions; other measures are ignored.
    """
    names = list(dict.fromkeys(row.condition for row in rows))
    figure = chart(360, showlegend=len(names) > 1, scattermode='group', legend=LEGEND_ABOVE)
    for place, name in enumerate(names):
        of = {row.measure: row for row in rows if row.condition == name}
        shown = [of[measure] for measure in MEASURES]
        figure.add_scatter(
            x=[measure.replace('score_', '') for measure in MEASURES],
            y=[row.mean for row in shown],
            error_y={
                'type': 'data',
                'symmetric': False,
                'array': [(row.mean if row.high is None else row.high) - row.mean for row in shown],
                'arrayminus': [row.mean - (row.mean if row.low is None else row.low) for row in shown],
            },
            mode='markers',
            name=plain(name),
            marker={'color': _COLORS[place % len(_COLORS)], 'size': 9, 'symbol': place % 8},
            hovertemplate='%{x}: %{y:.3f}<extra>%{fullData.name}</extra>',
        )
    return figure.update_xaxes(type='category').update_yaxes(tickformat='.2f', title='mean')


def _comparison(row: ComparisonRow, names: Iterable[str]) -> tuple[str, ...]:
    groups = f'{row.participants}' if row.design == 'within' else f'{row.participants} and {row.other_participants}'
    left_out = f', {counted(row.left_out, "participant")} left out' if row.left_out else ''
    return (
        row.measure.replace('score_', ''),
        ' − '.join(condition_word(each, names) for each in (row.condition, row.other)),
        f'{_DESIGNS[row.design]} ({groups}{left_out})',
        markdown.number(row.difference, '+.3f'),
        ' to '.join(markdown.number(each, '+.3f') for each in (row.low, row.high)) if row.low is not None else '–',
        number(row.effect_size),
        number(row.p, 4),
        number(row.p_holm, 3),
    )


def _within(row):
    return '' if row.low is None else f', 95%: {interval((row.low, row.high))}'
