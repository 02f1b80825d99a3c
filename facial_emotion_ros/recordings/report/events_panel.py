"""Report section of events: average time course of emotion scores, valence and arousal around each kind of event."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from facial_emotion_ros.evaluation.page import EMOTION_COLORS, GRAY, LEGEND_ABOVE, ONE, TWO, chart, plain
from facial_emotion_ros.recordings.report.formatting import many
from facial_emotion_ros.recordings.study.conditions import condition_word
from facial_emotion_ros.recordings.study.epochs import EventAverage, Window
from facial_emotion_ros.recordings.study.face_rows import MEASURES

#: Maximum number of kinds of events shown, the most frequent first.
MAX_SHOWN = 12

_AFFECT = {'valence': ONE, 'arousal': TWO}
_SCORES = [name for name in MEASURES if name.startswith('score_')]


def event_panels(averages: Sequence[EventAverage], window: Window | None, left_out: str = '') -> dict[str, Any]:
    """Create the template's data about events.

    :param averages: result of :func:`.write_events`.
    :param window: their window; None without events.
    :param left_out: description of events outside the recordings.
    :returns: cards: title, says (caption) and two charts per kind of event; rest: number of kinds not shown; words:
        description of the method; left_out.
    """
    if window is None:
        return {'cards': [], 'rest': 0, 'words': '', 'left_out': ''}
    shown = sorted(averages, key=lambda each: -each.used)[:MAX_SHOWN]
    several, conditions = len({each.bundle for each in averages}) > 1, {each.condition for each in averages}
    offsets, of = window.offsets(), 'change of ' if window.baseline else 'mean '
    scores, affect = (common_range(shown, each) if shown else None for each in (_SCORES, list(_AFFECT)))
    words = f'Averages from {window.start_s:g} to {window.end_s:g} s around each event, at {window.rate_hz:g} Hz'
    if window.baseline:
        words += f', as changes from the mean of {window.baseline[0]:g} to {window.baseline[1]:g} s'
    return {
        'words': words
        + '; the pale bands are 95% intervals (t). Charts of the same measures have the same scale. Estimates are '
        'smoothed over time, which delays them slightly.',
        'rest': len(averages) - len(shown),
        'left_out': left_out,
        'cards': [
            {
                'title': _title(each, conditions, several),
                'says': _says(each),
                'scores': course_chart(offsets, each, _SCORES, f'{of}score', scores),
                'affect': course_chart(offsets, each, list(_AFFECT), f'{of}valence, arousal', affect),
            }
            for each in shown
            if each.used
        ],
    }


def common_range(averages: Sequence[EventAverage], measures: Sequence[str]) -> list[float] | None:
    """Return the range of a common y axis for the time courses of some measures and, if not too wide, their intervals.

    :param averages: averages of all events shown.
    :param measures: subset of MEASURES.
    :returns: [low, high]; None without values.
    """
    columns = [MEASURES.index(each) for each in measures]
    means, *ends = (
        np.stack([getattr(each, side)[:, columns] for each in averages]) for side in ('mean', 'low', 'high')
    )
    known = means[np.isfinite(means)]
    if not len(known):
        return None
    # Intervals of two cases can be far wider than the range of scores.
    least, most = min(known.min(), 0.0) - 0.5, known.max() + 0.5
    values = np.concatenate([known, *(each[np.isfinite(each)].clip(least, most) for each in ends)])
    room = 0.05 * max(float(np.ptp(values)), 0.02)
    return [round(float(values.min()) - room, 4), round(float(values.max()) + room, 4)]


def course_chart(
    offsets: np.ndarray,
    average: EventAverage,
    measures: Sequence[str],
    title: str = '',
    ends: Sequence[float] | None = None,
) -> go.Figure:
    """Draw the average time course of some measures around an event, with 95% intervals as bands.

    :param offsets: (T,) seconds from the event.
    :param average: average over this kind of event.
    :param measures: subset of MEASURES.
    :param title: title of the y axis.
    :param ends: range of the y axis; None for automatic.
    """
    figure = chart(340, showlegend=True, legend=LEGEND_ABOVE, hovermode='x unified')
    for measure in measures:
        column, word = MEASURES.index(measure), measure.replace('score_', '')
        color = _AFFECT.get(measure) or EMOTION_COLORS[word]
        low, high, mean = (each[:, column] for each in (average.low, average.high, average.mean))
        known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        # Separate bands before and after a gap, so that none crosses it.
        for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(known) else ():
            figure.add_scatter(
                x=[*offsets[part], *offsets[part][::-1]],
                y=[*high[part].round(4), *low[part][::-1].round(4)],
                fill='toself',
                fillcolor='rgba({}, {}, {}, 0.15)'.format(*(int(color[place : place + 2], 16) for place in (1, 3, 5))),
                line={'width': 0},
                hoverinfo='skip',
                showlegend=False,
                legendgroup=word,
            )
        figure.add_scatter(
            x=offsets,
            y=[None if np.isnan(value) else round(float(value), 4) for value in mean],
            mode='lines',
            name=word,
            legendgroup=word,
            line={'color': color},
        )
    figure.add_vline(0, line={'color': GRAY, 'dash': 'dash'})
    axis = {'tickformat': '.2f', 'title': title, **({'range': ends} if ends else {})}
    return figure.update_xaxes(title='seconds from the event').update_yaxes(**axis)


def _title(average, conditions, several):
    condition = condition_word(average.condition, conditions) if any(conditions) else ''
    return ' · '.join(filter(None, [average.name, condition, average.bundle if several else '']))


def _says(average):
    most = int(average.n.max())
    text = many(average.used, 'event')
    if average.used < average.events:
        text += f' of {average.events}; no face was visible at the others'
    if average.unit == 'participant':
        text += f'; averaged over {many(most, "participant")}'
    if most < 2:
        text += '; no interval for a single case'
    return plain(text)
