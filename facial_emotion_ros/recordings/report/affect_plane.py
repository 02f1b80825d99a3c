"""Chart of the valence-arousal plane: density of all faces, paths and portraits of the most visible ones."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from facial_emotion_ros.evaluation.charts import add_landmarks, affect_plane
from facial_emotion_ros.evaluation.page import GRAY, ONE, TWO, data_uri, plain
from facial_emotion_ros.recordings.report.timeline import Bin, FaceTimeline

#: Labels of the corners: (valence, arousal, text).
_CORNERS = ((-0.85, 0.95, 'tense'), (0.85, 0.95, 'excited'), (-0.85, -0.95, 'gloomy'), (0.85, -0.95, 'at ease'))

#: Cells of the density per axis, points of a path, and half the width of a portrait.
_CELLS, _PATH_POINTS, _HALF = 26, 16, 0.1

#: Colours of the faces that get a path and a portrait.
_PATHS = (ONE, TWO, GRAY)


def affect_plane_chart(faces: Sequence[FaceTimeline]) -> go.Figure:
    """Draw the density of all faces, and paths and portraits of the longest visible ones.

    :param faces: sorted by descending visibility.
    """
    figure = affect_plane(460)
    _add_density(figure, [step for face in faces for step in face.steps.values()])
    shown = [face for face in faces if face.steps]
    for face, color in zip(shown, _PATHS):
        _add_path(figure, face, color)
    # The longest visible face is on top.
    for face, color in reversed(list(zip(shown, _PATHS))):
        _add_portrait(figure, face, color)
    add_landmarks(figure, 'markers+text')
    for x, y, words in _CORNERS:
        figure.add_annotation(x=x, y=y, text=words, showarrow=False, font_color=GRAY)
    return figure


def _add_density(figure: go.Figure, steps: Sequence[Bin]) -> None:
    """Shade each cell of the plane by its share of views."""
    if not steps:
        return
    values = np.clip([step.mean('affect')[:2] for step in steps], -1, 1)
    frames = [step.frames for step in steps]
    counts, edges, _ = np.histogram2d(values[:, 0], values[:, 1], bins=_CELLS, range=((-1, 1), (-1, 1)), weights=frames)
    middles = np.round((edges[:-1] + edges[1:]) / 2, 4).tolist()
    shares = counts.T / counts.sum()
    # The square root makes cells with few views visible.
    shades = np.round(np.sqrt(shares), 4)
    figure.add_heatmap(
        name='density',
        x=middles,
        y=middles,
        z=[[each or None for each in row] for row in shades.tolist()],
        zmin=0,
        customdata=np.round(100 * shares, 1).tolist(),
        colorscale=[[0, 'rgba(42,102,177,0.12)'], [1, 'rgba(42,102,177,0.7)']],
        showscale=False,
        hoverongaps=False,
        hovertemplate='%{customdata}% of all views of faces<extra></extra>',
    )


def _add_path(figure: go.Figure, face: FaceTimeline, color: str) -> None:
    """Draw a face's path as a line through means of neighbouring steps."""
    values = np.array([step.mean('affect')[:2] for step in face.steps.values()])
    groups = np.array_split(values, min(_PATH_POINTS, len(values)))
    points = np.round(np.clip([group.mean(0) for group in groups], -1, 1), 3)
    figure.add_scatter(
        x=points[:, 0].tolist(), y=points[:, 1].tolist(), mode='lines', line={'color': color}, hoverinfo='skip'
    )


def _add_portrait(figure: go.Figure, face: FaceTimeline, color: str) -> None:
    """Draw a face's portrait at its median."""
    median = np.median([step.mean('affect')[:2] for step in face.steps.values()], axis=0)
    # Keep the circle of a portrait inside the plane.
    x, y = (round(float(each), 3) for each in np.clip(median, -1 + _HALF, 1 - _HALF))
    if face.portrait:
        figure.add_layout_image(
            source=data_uri(face.portrait),
            x=x,
            y=y,
            xref='x',
            yref='y',
            sizex=2 * _HALF,
            sizey=2 * _HALF,
            xanchor='center',
            yanchor='middle',
        )
    figure.add_shape(
        type='circle', x0=x - _HALF, x1=x + _HALF, y0=y - _HALF, y1=y + _HALF, line={'color': color, 'width': 2.5}
    )
    figure.add_scatter(
        name='portrait',
        x=[x],
        y=[y],
        mode='markers',
        marker={'opacity': 0, 'size': 30},
        hovertemplate=f'face {plain(face.face_id)}, median of its views<extra></extra>',
    )
