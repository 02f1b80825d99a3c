"""Charts over time as plotly figures: timeline of all faces, and scores, valence and arousal of each face."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.evaluation.page import EMOTION_COLORS, GRAY, INKS, chart, plain
from facial_emotion_ros.recordings.report.formatting import clock, percentage
from facial_emotion_ros.recordings.report.timeline import (
    Bin,
    CameraTimeline,
    FaceTimeline,
    Timeline,
    merge_steps,
)

#: Height of a face's row in px; the page's list of faces beside the chart has the same row height.
ROW_PX = 52

#: Maximum number of columns in a timeline row and in the chart of a face, limited by screen resolution.
_ROW_COLUMNS, _FACE_COLUMNS = 400, 240

#: Minimum share of the row for a run with a label.
_WORD_SHARE = 0.012

#: Emotions whose score never reaches this are not drawn.
_LEAST_SCORE = 0.004

_RAIL = 'rgba(138,149,161,0.18)'
_UNKNOWN_LOOK = {'color': _RAIL, 'pattern': {'shape': '/', 'fgcolor': GRAY, 'size': 6}}
_DAY_S = 86400

#: Time 0 of the recording on the axes, in ms since 1970: plotly interprets small numbers as years.
TIME_ZERO_MS = 946_684_800_000


@dataclass(frozen=True)
class Step:
    """One face in one column of a chart, from start_s to end_s, with its sums."""

    start_s: float
    end_s: float
    sums: Bin


@dataclass(frozen=True)
class Run:
    """Neighbouring steps with the same emotion."""

    start_s: float
    end_s: float
    word: str


def stretches(timeline: Timeline, camera: CameraTimeline, face: FaceTimeline, most: int) -> list[list[Step]]:
    """Split a face's timeline into stretches without interruption, by absence of the face or gaps of the camera.

    :param timeline: timeline of the recording.
    :param camera: the face's camera.
    :param face: the face.
    :param most: maximum number of columns in the chart.
    :returns: stretches in time order.
    """
    wide = _wide(timeline, most)
    merged = merge_steps(face.steps, wide)
    with_frames = np.unique(camera.places(timeline.bin_s, wide)).tolist()
    column_s, reach = wide * timeline.bin_s, _reach(with_frames)
    found: list[list[Step]] = []
    before = None
    for place in sorted(merged):
        if (
            before is None
            or place - before > reach
            or bisect_left(with_frames, place) > bisect_right(with_frames, before)
        ):
            found.append([])
        elif place > before + 1:
            last = found[-1].pop()
            found[-1].append(Step(last.start_s, place * column_s, last.sums))
        found[-1].append(Step(place * column_s, (place + 1) * column_s, merged[place]))
        before = place
    return found


def runs(steps: Sequence[Step], word_of: Callable[[Bin], str]) -> list[Run]:
    """Join neighbouring steps with the same emotion.

    :param steps: steps without gaps.
    :param word_of: returns the emotion of a step, '' if unknown.
    :returns: runs with an emotion.
    """
    found: list[Run] = []
    for step in steps:
        word = word_of(step.sums)
        if found and found[-1].word == word:
            found[-1] = Run(found[-1].start_s, step.end_s, word)
        else:
            found.append(Run(step.start_s, step.end_s, word))
    return [each for each in found if each.word]


def presence(timeline: Timeline, camera: CameraTimeline) -> list[tuple[float, float, float]]:
    """Compute when a camera saw any face.

    :returns: (from s, to s, share of its frames with a face, in quarters), without gaps of the camera.
    """
    wide = _wide(timeline, _ROW_COLUMNS)
    columns, of_images, counts = np.unique(camera.places(timeline.bin_s, wide), return_inverse=True, return_counts=True)
    shares = np.round(4 * np.bincount(of_images, camera.has_face(), len(counts)) / counts) / 4
    places, reach = columns.tolist(), _reach(columns)
    found: list[tuple[int, int, float]] = []
    for place, following, share in zip(places, [*places[1:], None], shares.tolist()):
        end = place + 1 if following is None or following - place > reach else following
        if found and found[-1][2] == share and found[-1][1] == place:
            found[-1] = (found[-1][0], end, share)
        else:
            found.append((place, end, share))
    column_s = wide * timeline.bin_s
    return [(start * column_s, end * column_s, share) for start, end, share in found]


def timeline_chart(timeline: Timeline, camera: CameraTimeline, faces: Sequence[FaceTimeline]) -> go.Figure:
    """Draw a row per face with its emotions and the ground truth as a thin band, and a row for any face in view.

    :param timeline: timeline of the recording.
    :param camera: one of its cameras.
    :param faces: faces of the camera, from top to bottom.
    """
    bottom = len(faces) + 0.1
    figure = chart(round(ROW_PX * (bottom + 0.5)) + 28, barmode='overlay', hovermode='closest')
    figure.update_layout(margin={'l': 16, 'r': 16, 't': 0, 'b': 28}, uniformtext={'mode': 'hide', 'minsize': 10})
    figure.update_yaxes(range=[bottom, -0.5], visible=False, fixedrange=True)
    _time_axis(figure, timeline.end_s)
    length_s = max(timeline.end_s, timeline.bin_s)
    by_word: dict[str, list[tuple[int, Run]]] = {}
    truth: list[tuple[int, Run]] = []
    for row, face in enumerate(faces):
        figure.add_shape(type='rect', y0=row - 0.42, y1=row + 0.2, **_RAIL_SHAPE)
        for steps in stretches(timeline, camera, face, _ROW_COLUMNS):
            for run in runs(steps, lambda sums: sums.emotion):
                by_word.setdefault(run.word, []).append((row, run))
            truth += [(row, run) for run in runs(steps, lambda sums: sums.true_emotion)]
    for word, marks in by_word.items():
        color = EMOTION_COLORS.get(word, '')
        worded = [word if run.end_s - run.start_s >= _WORD_SHARE * length_s else '' for _, run in marks]
        figure.add_bar(
            name=word,
            marker={'color': color} if color else _UNKNOWN_LOOK,
            text=worded,
            insidetextfont={'color': INKS[word]} if color else {},
            **_bars([(row - 0.11, 0.62, run.start_s, run.end_s, _hover_text(run)) for row, run in marks], length_s),
        )
    if truth:
        colors = [EMOTION_COLORS[run.word] for _, run in truth]
        bands = [(row + 0.32, 0.16, run.start_s, run.end_s, f'{_hover_text(run)} (truth)') for row, run in truth]
        figure.add_bar(name='truth', marker={'color': colors}, **_bars(bands, length_s))
    seen = presence(timeline, camera)
    figure.add_shape(type='rect', y0=len(faces) - 0.3, y1=len(faces) - 0.1, **_RAIL_SHAPE)
    figure.add_bar(
        name='a face in view',
        marker={'color': GRAY, 'opacity': [0.12 + 0.88 * share for _, _, share in seen]},
        **_bars(
            [
                (
                    len(faces) - 0.2,
                    0.2,
                    start,
                    end,
                    f'{_times(start, end)}: {percentage(share)} of the images with a face',
                )
                for start, end, share in seen
            ],
            length_s,
        ),
    )
    return figure


def face_chart(timeline: Timeline, camera: CameraTimeline, face: FaceTimeline) -> go.Figure:
    """Draw a face's scores, stacked to 100%, above its valence and arousal, with ground truth as dashed lines.

    :param timeline, camera, face: as for :func:`stretches`.
    """
    there = stretches(timeline, camera, face, _FACE_COLUMNS)
    figure = chart(300, hovermode='x unified', hoversubplots='axis', margin={'l': 48, 'r': 8, 't': 6, 'b': 28})
    figure.update_layout(
        yaxis={'domain': [0.5, 1], 'tickformat': '.0%', 'range': [0, 1], 'fixedrange': True, 'nticks': 3}
    )
    figure.update_layout(
        yaxis2={
            'domain': [0, 0.42],
            'range': [-1.05, 1.05],
            'tickvals': [-1, 0, 1],
            'ticktext': ['−1', '0', '+1'],
            'fixedrange': True,
        }
    )
    _time_axis(figure, timeline.end_s)
    figure.update_xaxes(anchor='y2', showspikes=True, spikemode='across', spikethickness=1, spikedash='solid')
    known = [[step for step in steps if step.sums.true_affect_frames] for steps in there]
    # In pairs and first, because the page assigns two colours to the series in turn.
    for steps, mean, words in (
        (there, lambda sums: sums.mean('affect'), ''),
        (known, Bin.mean_true_affect, ' (truth)'),
    ):
        times, values = _curves(steps, mean)
        for place, name in enumerate(('valence', 'arousal')):
            if times:
                line = {'width': 2, **({'dash': 'dash'} if words else {})}
                ys = [None if each is None else round(float(np.clip(each[place], -1, 1)), 3) for each in values]
                figure.add_scatter(x=times, y=ys, name=name + words, line=line, **_LINE)
    times, values = _curves(there, lambda sums: sums.mean('scores'))
    scores = np.array([np.zeros(len(EMOTIONS)) if each is None else each for each in values])
    scores /= np.maximum(scores.sum(1, keepdims=True), 1e-9)
    for place, emotion in enumerate(EMOTIONS):
        if scores[:, place].max(initial=0) >= _LEAST_SCORE:
            figure.add_scatter(
                x=times,
                y=np.round(scores[:, place], 4).tolist(),
                name=emotion,
                stackgroup='scores',
                mode='lines',
                line={'width': 0, 'color': EMOTION_COLORS[emotion]},
                fillcolor=EMOTION_COLORS[emotion],
                hovertemplate='%{y:.0%}',
            )
    middles = [(step, axis_ms((step.start_s + step.end_s) / 2)) for steps in there for step in steps]
    figure.add_scatter(
        x=[time for _, time in middles],
        y=[0.5] * len(middles),
        name='emotion',
        mode='markers',
        marker={'opacity': 0},
        customdata=[_answer(step.sums) for step, _ in middles],
        hovertemplate='%{customdata}',
    )
    return figure


def film_times(pieces: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Convert (time in the recording, time in the video) from s to ms, the former on the charts' axes."""
    return [(axis_ms(time_s), round(1000 * film_s)) for time_s, film_s in pieces]


_RAIL_SHAPE = {'x0': 0, 'x1': 1, 'xref': 'paper', 'fillcolor': _RAIL, 'line': {'width': 0}, 'layer': 'below'}
_LINE = {'yaxis': 'y2', 'mode': 'lines', 'connectgaps': False, 'hovertemplate': '%{y:+.2f}'}


def _answer(sums: Bin) -> str:
    return sums.emotion + (f', truth: {sums.true_emotion}' if sums.true_emotion else '')


def _bars(marks: Sequence[tuple[float, float, float, float, str]], length_s: float) -> dict[str, Any]:
    """Return the plotly arguments of horizontal bars.

    :param marks: (middle of the row, height in rows, from s, to s, hover text).
    :param length_s: length of the recording, at which the last step is cut.
    """
    return {
        'orientation': 'h',
        'y': [mark[0] for mark in marks],
        'width': [mark[1] for mark in marks],
        'base': [axis_ms(mark[2]) for mark in marks],
        'x': [axis_ms(min(mark[3], length_s)) - axis_ms(mark[2]) for mark in marks],
        'customdata': [plain(mark[4]) for mark in marks],
        'hovertemplate': '%{customdata}<extra></extra>',
        'textposition': 'inside',
        'insidetextanchor': 'middle',
        'textangle': 0,
    }


def _hover_text(run: Run) -> str:
    return f'{_times(run.start_s, run.end_s)} {run.word}'


def _times(start_s: float, end_s: float) -> str:
    return f'{clock(start_s)} to {clock(end_s)}'


def axis_ms(time_s: float) -> int:
    """Convert seconds since the recording's first image to ms on the charts' axes."""
    return TIME_ZERO_MS + round(1000 * time_s)


def _time_axis(figure: go.Figure, end_s: float) -> None:
    """Format times as m:ss, h:mm:ss or with days; a date axis, which can be zoomed to milliseconds."""
    hours = '%-H:%M:%S' if end_s >= 3600 else '%-M:%S'
    if end_s >= _DAY_S:
        hours = 'day %-j, %-H:%M'
    figure.update_xaxes(
        type='date',
        range=[axis_ms(0), axis_ms(max(end_s, 0.1))],
        nticks=7,
        tickformat=hours,
        hoverformat=hours,
        tickformatstops=[{'dtickrange': [None, 999], 'value': hours + '.%L'}],
        showspikes=True,
        spikemode='across',
        spikethickness=1,
    )


def _wide(timeline: Timeline, most: int) -> int:
    """Return the number of steps per column of a chart with at most this number of columns."""
    return -(-(int(timeline.end_s / timeline.bin_s) + 1) // most)


def _reach(places: Sequence[int]) -> float:
    """Return the maximum distance in columns between two frames without a gap: cameras may be slower than a column.

    :param places: columns with frames, ascending.
    """
    return max(2.0, 3.0 * float(np.median(np.diff(places)))) if len(places) > 1 else 2.0


def _curves(there: Sequence[Sequence[Step]], mean: Callable[[Bin], Any]) -> tuple[list[float], list[Any]]:
    """Sample means at the middle of each step and at the ends of each stretch.

    :returns: times in ms, and values, None in gaps.
    """
    times: list[float] = []
    values: list[Any] = []
    for steps in filter(None, there):
        means = [mean(step.sums) for step in steps]
        middles = [(step.start_s + step.end_s) / 2 for step in steps]
        start_s, end_s = steps[0].start_s, steps[-1].end_s
        # None is placed 0.1 ms beside the ends, because a stacked area has one value per time.
        times += [
            axis_ms(start_s) - 0.1,
            axis_ms(start_s),
            *map(axis_ms, middles),
            axis_ms(end_s),
            axis_ms(end_s) + 0.1,
        ]
        values += [None, means[0], *means, means[-1], None]
    return times, values
