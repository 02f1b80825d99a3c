"""OpenDR's module of this name: plots curves, for code written for OpenDR."""

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.text import show


def plot(
    data: Sequence[tuple[Any, Any]],
    title: str = 'Figure',
    legends: Sequence[str] | None = None,
    axis_x: str | None = None,
    axis_y: str | None = None,
    file_path: str | None = None,
    file_name: str | None = None,
    figure_size: tuple[float, float] = (16, 9),
    has_grid: bool = True,
    limits_axis_y: tuple[float, float, float] | None = None,
    upper_lower_data: Sequence[tuple[Any, Any]] | None = None,
    limits_axis_x: tuple[float, float, float] | None = None,
    verbose: bool = True,
) -> None:
    """Plot curves to a file.

    :param data: list of (x, y), each a sequence of N numbers.
    :param title: of the plot.
    :param legends: name of each curve; None for none.
    :param axis_x, axis_y: axis labels.
    :param file_path: folder, created if missing.
    :param file_name: its extension selects svg, png or pdf; default: svg.
    :param figure_size: (width, height) in inches.
    :param has_grid: draw a grid.
    :param limits_axis_x, limits_axis_y: (least, most, step) of each axis; None for automatic.
    :param upper_lower_data: (upper, lower) bounds of each curve, N numbers each, drawn as a band; None for none.
    :param verbose: print the path.
    :raises BadParameter: if folder or name is missing, or the format is unknown.
    """
    if file_path is None or file_name is None:
        raise BadParameter('expected file_path and file_name: no window is opened')
    figure = Figure(figure_size, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title)
    for place, (x, y) in enumerate(data):
        (curve,) = axes.plot(x, y, label=legends[place] if legends else None)
        if upper_lower_data is not None:
            upper, lower = upper_lower_data[place]
            axes.fill_between(x, np.asarray(lower, float), np.asarray(upper, float), color=curve.get_color(), alpha=0.3)
    axes.set(xlabel=axis_x, ylabel=axis_y)
    axes.grid(has_grid)
    for axis, limits in ((axes.xaxis, limits_axis_x), (axes.yaxis, limits_axis_y)):
        if limits is not None:
            least, most, step = limits
            axis.set_ticks(np.arange(least, most + step / 2, step))
            axis.set_view_interval(least, most, ignore=True)
    if legends:
        axes.legend()
    kind = os.path.splitext(file_name)[1][1:].lower() or 'svg'
    content = io.BytesIO()
    try:
        figure.savefig(content, format=kind)
    except ValueError as error:
        raise BadParameter(f'{file_name}: expected a name that ends in svg, png or pdf ({error})') from error
    path = os.path.join(file_path, file_name)
    write_atomic(path, content.getvalue())
    if verbose:
        show(f'Figure saved at {path} successfully.')
