"""OpenDR's module of this name: one plot of curves, for code written for OpenDR."""

import io
import os

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.errors import BadParameter


def plot(data, title='Figure', legends=None, axis_x=None, axis_y=None, file_path=None, file_name=None,
         figure_size=(16, 9), has_grid=True, limits_axis_y=None, upper_lower_data=None, limits_axis_x=None,
         verbose=True):
    """Plot curves into a file. No window is opened.

    :param data: list of (x, y), each a sequence of N numbers.
    :param title: over the plot.
    :param legends: a name for each curve; None for none.
    :param axis_x, axis_y: what the axes show.
    :param file_path: folder, made where it is missing.
    :param file_name: its ending says the format: svg, png or pdf; svg where it has none.
    :param figure_size: (width, height) in inches.
    :param has_grid: draw a grid.
    :param limits_axis_x, limits_axis_y: (least, most, step) of each axis; None for what fits.
    :param upper_lower_data: for each curve (upper, lower), N numbers each, with a band between; None for none.
    :param verbose: say where the file is.
    :raises BadParameter: if folder or name is missing, or the format is unknown.
    """
    if file_path is None or file_name is None:
        raise BadParameter('file_path and file_name expected: this draws into files and opens no window')
    figure = Figure(figure_size, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title)
    for place, (x, y) in enumerate(data):
        curve, = axes.plot(x, y, label=legends[place] if legends else None)
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
        raise BadParameter(f'{file_name}: a name that ends in svg, png or pdf expected ({error})') from error
    path = os.path.join(file_path, file_name)
    write_whole(path, content.getvalue())
    if verbose:
        print(f'Figure saved at {path} successfully.')
