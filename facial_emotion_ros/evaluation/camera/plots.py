"""Plots of the results of :mod:`facial_emotion_ros.evaluation.camera.robustness` and `crop_sweep`."""

import numpy as np
from matplotlib.figure import Figure

from facial_emotion_ros.evaluation.png_charts import png

#: Sets of faces whose gains are drawn.
_SETS = ('scenes', 'turned', 'views')


def plot_robustness(tables):
    """Plot how often faces keep their category under variations.

    :param tables: rows of measure_robustness by set ('scenes', 'portraits').
    :returns: bytes of a PNG file.
    """
    rows = next(iter(tables.values()))
    height = 0.35 * len(rows) + 1.2
    figure = Figure(figsize=(8, height), layout='constrained')
    axes = figure.add_subplot()
    for place, (which, table) in enumerate(tables.items()):
        keeps = np.array([row['keeps'] for row in table])
        ends = np.array([row['keeps_interval'] for row in table]).T
        heights = np.arange(len(table)) + 0.2 * place
        axes.errorbar(
            100 * keeps,
            heights,
            xerr=100 * np.abs(ends - keeps),
            fmt='o',
            capsize=3,
            markersize=4,
            label=f'{which} ({table[0]["found"]} faces)',
        )
    axes.set_yticks(np.arange(len(rows)), [row['variation'] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel('% of faces that are found and keep their category (95% interval)')
    axes.grid(axis='x', alpha=0.4)
    axes.legend()
    return png(figure)


def plot_sweep(table):
    """Plot the gain of each cut over the first.

    :param table: from crop_sweep.sweep.
    :returns: bytes of a PNG file.
    """
    names = list(table)
    figure = Figure(figsize=(4 * len(_SETS) + 2, 0.28 * len(names) + 1.2), layout='constrained')
    for place, (which, axes) in enumerate(zip(_SETS, figure.subplots(1, len(_SETS), sharey=True))):
        figures = [table[name][which] for name in names]
        gain, low, high = (np.array([each[key] for each in figures]) for key in ('gain', 'gain_low', 'gain_high'))
        axes.errorbar(
            gain,
            np.arange(len(names)),
            xerr=np.abs([gain - low, high - gain]),
            fmt='o',
            capsize=3,
            markersize=4,
            color=f'C{place}',
        )
        axes.axvline(0, color='black', linewidth=0.8)
        axes.set_title(f'{which} ({figures[0]["n"]} faces)')
        axes.set_xlabel('gain of log score')
        axes.grid(axis='x', alpha=0.4)
    figure.axes[0].set_yticks(np.arange(len(names)), names)
    figure.axes[0].invert_yaxis()
    return png(figure)
