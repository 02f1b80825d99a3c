"""The charts of a recording along its time, as plotly figures: who was there when, scores and affect of each face."""

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

#: Height of a face's row in px; the page writes the faces' names beside the chart, in rows of the same height.
ROW_PX = 52

#: A row of the timeline shows at most so many columns, a chart of one face so many: more, no screen shows.
_ROW_COLUMNS, _FACE_COLUMNS = 400, 240

#: A run that takes less than this share of its row gets no word.
_WORD_SHARE = 0.012

#: An emotion whose score never reaches this is not drawn.
_LEAST_SCORE = 0.004

_RAIL = 'rgba(138,149,161,0.18)'
_UNKNOWN_LOOK = {'color': _RAIL, 'pattern': {'shape': '/', 'fgcolor': GRAY, 'size': 6}}
_DAY_S = 86400

#: A recording's time 0 on the axes, in ms since 1970: plotly reads small numbers as years.
TIME_ZERO_MS = 946_684_800_000


@dataclass(frozen=True)
class Step:
    """One face in one column of a chart: from start_s to end_s, with the sums of all that was read in it."""

    start_s: float
    end_s: float
    sums: Bin


@dataclass(frozen=True)
class Run:
    """Neighbouring steps with the same word."""

    start_s: float
    end_s: float
    word: str


def stretches(timeline: Timeline, camera: CameraTimeline, face: FaceTimeline, most: int) -> list[list[Step]]:
    """Cut a face's time into stretches in which each frame of its camera held it, and the camera was not silent.

    :param timeline: of the recording.
    :param camera: that the face is of.
    :param face: of it.
    :param most: columns that a chart shows at most.
    :returns: stretches in the order of time.
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
    """Join neighbouring steps with the same word.

    :param steps: without gaps.
    :param word_of: '' where nothing is known.
    :returns: runs, those without a word left out.
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
    """Say when a camera saw a face.

    :returns: (from s, to s, share of its frames with a face, in quarters); nothing where it gave no images.
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
    """Draw a row for each face: its emotions, the truth as a thin band below; and last when any face was in view.

    :param timeline: of the recording.
    :param camera: of it.
    :param faces: of the camera, from top to bottom.
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
                    f'{_times(start, end)}: {percentage(share)} of the images hold a face',
                )
                for start, end, share in seen
            ],
            length_s,
        ),
    )
    return figure


def face_chart(timeline: Timeline, camera: CameraTimeline, face: FaceTimeline) -> go.Figure:
    """Draw a face's scores, stacked to 100%, above its valence and arousal, what is true of them dashed.

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
    # In pairs, and first: the page gives the first of two series one colour, the second the other.
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
    """Turn times of recording and film in s into times of the charts' axes and of the film in ms."""
    return [(axis_ms(time_s), round(1000 * film_s)) for time_s, film_s in pieces]


_RAIL_SHAPE = {'x0': 0, 'x1': 1, 'xref': 'paper', 'fillcolor': _RAIL, 'line': {'width': 0}, 'layer': 'below'}
_LINE = {'yaxis': 'y2', 'mode': 'lines', 'connectgaps': False, 'hovertemplate': '%{y:+.2f}'}


def _answer(sums: Bin) -> str:
    return sums.emotion + (f', truth: {sums.true_emotion}' if sums.true_emotion else '')


def _bars(marks: Sequence[tuple[float, float, float, float, str]], length_s: float) -> dict[str, Any]:
    """Lay out horizontal bars.

    :param marks: (middle of the row, height in rows, from s, to s, words).
    :param length_s: of the recording, whose last step may be longer than what is left of it.
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
    """Give the place on the charts' axes, in ms, of a time in seconds since the recording's first image."""
    return TIME_ZERO_MS + round(1000 * time_s)


def _time_axis(figure: go.Figure, end_s: float) -> None:
    """Write times as m:ss or h:mm:ss, of several days with the day; plotly's dates zoom down to milliseconds."""
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
    """Say how many steps are one column of a chart, for at most so many columns."""
    return -(-(int(timeline.end_s / timeline.bin_s) + 1) // most)


def _reach(places: Sequence[int]) -> float:
    """Say how many columns may lie between two frames of a camera: it may be slower than a column is long.

    :param places: columns with frames, rising.
    :returns: where more lie between two frames, the camera was silent.
    """
    return max(2.0, 3.0 * float(np.median(np.diff(places)))) if len(places) > 1 else 2.0


def _curves(there: Sequence[Sequence[Step]], mean: Callable[[Bin], Any]) -> tuple[list[float], list[Any]]:
    """Take means over steps at their middles, and at the outer edges of each stretch, behind which a gap follows.

    :returns: times in ms, and values (M,), None in gaps.
    """
    times: list[float] = []
    values: list[Any] = []
    for steps in filter(None, there):
        means = [mean(step.sums) for step in steps]
        middles = [(step.start_s + step.end_s) / 2 for step in steps]
        start_s, end_s = steps[0].start_s, steps[-1].end_s
        # A tenth of a ms beside the edges: at one time, a stack holds one value.
        times += [
            axis_ms(start_s) - 0.1,
            axis_ms(start_s),
            *map(axis_ms, middles),
            axis_ms(end_s),
            axis_ms(end_s) + 0.1,
        ]
        values += [None, means[0], *means, means[-1], None]
    return times, values
