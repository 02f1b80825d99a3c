"""Interactive plotly charts of an evaluation on labelled faces; metrics are computed elsewhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from facial_emotion_ros.core.emotions import AFFECT_COORDINATES, EMOTIONS
from facial_emotion_ros.evaluation.intervals import wilson_interval
from facial_emotion_ros.evaluation.page import EMOTION_COLORS, GRAY, LEGEND_ABOVE, ONE, TWO, chart

_SHARES = {'range': [-0.01, 1.01], 'tickformat': '.0%'}
_DIAGONAL = {'type': 'line', 'x0': 0, 'y0': 0, 'x1': 1, 'y1': 1, 'line': {'color': GRAY, 'dash': 'dash', 'width': 1}}
_AFFECT = {'range': [-1.05, 1.05], 'dtick': 0.5, 'zeroline': True}

#: Bins with fewer faces are drawn pale.
_FEW = 20

#: Maximum numbers of points of a curve, and of faces of a class, that are drawn.
_CURVE_POINTS, _FACES = 400, 120


def recall_chart(matrix: Sequence[Sequence[int]]) -> go.Figure:
    """Draw the recall of each class with its 95% interval.

    :param matrix: (8, 8) counts, row label, column prediction.
    """
    counts = np.asarray(matrix)
    totals, right = counts.sum(1), counts.diagonal()
    known = [place for place in range(len(EMOTIONS)) if totals[place]]
    shares = [float(right[place] / totals[place]) for place in known]
    ends = [wilson_interval(right[place], totals[place]) for place in known]
    texts = [
        f'{100 * right[place] / totals[place]:.1f}%, {right[place]} of {totals[place]}' if totals[place] else 'no face'
        for place in range(len(EMOTIONS))
    ]
    figure = chart(360, margin={'l': 80, 'r': 150, 't': 8, 'b': 48})
    figure.add_bar(
        x=shares,
        y=[EMOTIONS[place] for place in known],
        orientation='h',
        error_x={
            'type': 'data',
            'symmetric': False,
            'array': [high - share for share, (_, high) in zip(shares, ends)],
            'arrayminus': [share - low for share, (low, _) in zip(shares, ends)],
            'color': GRAY,
        },
        customdata=ends,
        hovertemplate='%{y}: %{x:.1%}, 95%: %{customdata[0]:.1%} to %{customdata[1]:.1%}<extra></extra>',
    )
    for emotion, words in zip(EMOTIONS, texts):
        figure.add_annotation(
            x=1, xref='paper', y=emotion, xanchor='left', text=words, showarrow=False, xshift=8, font_size=12
        )
    figure.update_xaxes(title='recall', **_SHARES)
    return figure.update_yaxes(categoryorder='array', categoryarray=EMOTIONS[::-1], range=[-0.5, 7.5])


def reliability_chart(before: dict[str, Any], after: dict[str, Any], eces: tuple[float, float]) -> go.Figure:
    """Draw reliability diagrams with histograms of the confidence, without and with calibration.

    :param before, after: dicts of bins, count, confidence and accuracy, None in empty bins.
    :param eces: their calibration errors.
    """
    figure = chart(430, barmode='overlay', bargap=0.08)
    for place, (words, curve) in enumerate((('as trained', before), ('calibrated', after))):
        x, y, low = (('x', 'y', 'y2'), ('x2', 'y3', 'y4'))[place]
        middles = [(each + 0.5) / curve['bins'] for each in range(curve['bins'])]
        shown = [
            (m, *each) for m, *each in zip(middles, curve['count'], curve['confidence'], curve['accuracy']) if each[0]
        ]
        place_of = {'xaxis': x, 'yaxis': y, 'x': [each[0] for each in shown], 'width': 1 / curve['bins']}
        opacity = [0.9 if count >= _FEW else 0.35 for _, count, _, _ in shown]
        gaps = [abs(confidence - accuracy) for _, _, confidence, accuracy in shown]
        hover = (
            '%{customdata[0]} faces, mean confidence %{customdata[1]:.1%}, accuracy %{customdata[2]:.1%}<extra></extra>'
        )
        more = {'customdata': [each[1:] for each in shown], 'hovertemplate': hover, **place_of}
        lower = [min(confidence, accuracy) for _, _, confidence, accuracy in shown]
        figure.add_bar(name='right', y=lower, marker={'color': ONE, 'opacity': opacity}, **more)
        figure.add_bar(name='gap', y=gaps, base=lower, marker={'color': TWO, 'opacity': opacity}, **more)
        figure.add_scatter(
            x=more['x'],
            y=[accuracy for _, _, _, accuracy in shown],
            xaxis=x,
            yaxis=y,
            mode='markers',
            marker={'symbol': 'line-ew', 'size': 12, 'line': {'width': 2, 'color': GRAY}},
            hoverinfo='skip',
        )
        figure.add_bar(
            name='faces',
            x=middles,
            y=curve['count'],
            width=1 / curve['bins'],
            xaxis=x,
            yaxis=low,
            marker_color=GRAY,
            hovertemplate='%{y} faces<extra></extra>',
        )
        figure.add_shape(**_DIAGONAL, xref=x, yref=y)
        figure.add_annotation(
            text=f'<b>{words}</b>, ECE {eces[place]:.3f}',
            x=0,
            xref=f'{x} domain',
            y=1.08,
            yref='paper',
            showarrow=False,
        )
        left = 0.54 * place
        figure.update_layout(
            {
                f'xaxis{place + 1}': {**_SHARES, 'domain': [left, left + 0.46], 'anchor': low, 'title': 'confidence'},
                f'yaxis{2 * place + 1}': {**_SHARES, 'domain': [0.3, 1], 'anchor': x},
                f'yaxis{2 * place + 2}': {'domain': [0, 0.2], 'anchor': x, 'nticks': 3},
            }
        )
    figure.update_layout(margin_t=36, yaxis_title='accuracy', yaxis2_title='faces')
    return figure


def roc_chart(curves: Sequence[tuple[str, Any, Any, float | None]]) -> go.Figure:
    """Draw ROC curves for separating correct from wrong predictions.

    :param curves: (name, false positive rate (M,), true positive rate (M,), AUROC or None): one or two.
    """
    figure = _curves_chart(
        'false positive rate: wrong predictions accepted', 'true positive rate: correct ones accepted'
    )
    for name, false_rate, true_rate, area in curves:
        label = f'AUROC {area:.3f}' if area is not None else 'undefined: no correct or no wrong prediction'
        _add_curve(figure, f'{name}: {label}', false_rate, true_rate)
    return figure.add_shape(**_DIAGONAL).update_yaxes(**_SHARES)


def risk_chart(curves: Sequence[tuple[str, Any, Any]]) -> go.Figure:
    """Draw risk-coverage curves: the error rate after rejecting the least trusted predictions.

    :param curves: (name, coverage (M,), risk (M,)): one or two.
    """
    figure = _curves_chart('coverage: share of accepted faces', 'risk: error rate among them')
    for name, coverage, risk in curves:
        # Below that, the curve is noise of a few faces.
        shown = np.asarray(coverage) > 0.02
        _add_curve(figure, f'rejected by {name}', np.asarray(coverage)[shown], np.asarray(risk)[shown])
    return figure.update_yaxes(tickformat='.1~%', rangemode='tozero')


def affect_chart(valence: Any, arousal: Any, labels: Any, is_derived: bool) -> go.Figure:
    """Draw the faces of each class in the valence-arousal plane.

    :param valence, arousal: (N,) estimates in [-1, 1].
    :param labels: (N,) int, indices in EMOTIONS.
    :param is_derived: the truth is derived from votes: rings show the expected place of each class.
    """
    figure = affect_plane(480)
    generator = np.random.default_rng(0)  # the same faces at each run
    for place, emotion in enumerate(EMOTIONS):
        rows = np.flatnonzero(labels == place)
        some = generator.permutation(rows)[:_FACES]
        look = {'color': EMOTION_COLORS[emotion], 'size': 4, 'opacity': 0.35}
        figure.add_scatter(
            x=_rounded(valence[some]), y=_rounded(arousal[some]), mode='markers', marker=look, hoverinfo='skip'
        )
        if len(rows):
            middle = [float(np.median(valence[rows]))], [float(np.median(arousal[rows]))]
            figure.add_scatter(
                x=middle[0],
                y=middle[1],
                mode='markers+text',
                marker={'color': EMOTION_COLORS[emotion], 'size': 12},
                text=[f'<b>{emotion}</b>'],
                textposition='middle right',
                hovertemplate=f'{emotion}: median of {len(rows)} faces<extra></extra>',
            )
    if is_derived:
        add_landmarks(figure, 'markers')
    return figure


def affect_plane(height: int) -> go.Figure:
    """Create an empty valence-arousal chart with equal scales."""
    figure = chart(height, margin={'l': 56, 'r': 8, 't': 8, 'b': 48}, hovermode='closest')
    figure.update_xaxes(title='valence: negative to positive', constrain='domain', **_AFFECT)
    return figure.update_yaxes(title='arousal: calm to excited', scaleanchor='x', constrain='domain', **_AFFECT)


def add_landmarks(figure: go.Figure, mode: str) -> None:
    """Mark the published coordinates of each emotion; mode: 'markers', or 'markers+text' to label them."""
    valence, arousal = zip(*(AFFECT_COORDINATES[emotion] for emotion in EMOTIONS))
    figure.add_scatter(
        x=valence,
        y=arousal,
        mode=mode,
        name='landmarks',
        text=EMOTIONS,
        textposition=[_TEXT_POSITIONS.get(emotion, 'top center') for emotion in EMOTIONS],
        marker={'symbol': 'circle-open', 'size': 10, 'color': list(EMOTION_COLORS.values()), 'line': {'width': 2}},
        hovertemplate='published coordinates of %{text}<extra></extra>',
    )


#: Position of the text of a landmark, so that neighbours do not overlap.
_TEXT_POSITIONS = {
    'neutral': 'bottom right',
    'happy': 'bottom center',
    'sad': 'bottom center',
    'fear': 'top left',
    'disgust': 'bottom left',
    'anger': 'top right',
    'contempt': 'bottom right',
}


def _curves_chart(x: str, y: str) -> go.Figure:
    figure = chart(400, showlegend=True, legend=LEGEND_ABOVE)
    figure.update_layout(hovermode='x', margin_t=40)
    return figure.update_xaxes(title=x, **_SHARES).update_yaxes(title=y)


def _add_curve(figure: go.Figure, name: str, xs: Any, ys: Any) -> None:
    """Draw a curve, thinned to _CURVE_POINTS."""
    xs, ys = np.asarray(xs, float), np.asarray(ys, float)
    chosen = np.unique(np.linspace(0, max(len(xs) - 1, 0), min(len(xs), _CURVE_POINTS)).round().astype(int))
    figure.add_scatter(
        x=_rounded(xs[chosen]), y=_rounded(ys[chosen]), mode='lines', name=name, hovertemplate='%{x:.1%}: %{y:.1%}'
    )


def _rounded(values: Any) -> list[float]:
    """Round to four decimals, to keep the page small."""
    return np.round(np.asarray(values, float), 4).tolist()
