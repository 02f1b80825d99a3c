"""Charts of the model card as PNG files, since Markdown shows no interactive charts."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facial_emotion_ros.core.emotions import EMOTIONS


def confusion_picture(matrix: Sequence[Sequence[int]]) -> bytes:
    """Draw the confusion matrix.

    :param matrix: (8, 8) counts, row label, column prediction.
    :returns: a PNG file.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(1)
    shares = counts / np.maximum(totals, 1)[:, None]
    figure = Figure(figsize=(6.4, 5.6), layout='constrained')
    axes = figure.add_subplot(xlabel='prediction', ylabel='label')
    axes.imshow(shares, 'Blues', vmin=0, vmax=1)
    axes.set_xticks(range(8), EMOTIONS, rotation=35, ha='right')
    axes.set_yticks(range(8), [f'{emotion} ({total})' for emotion, total in zip(EMOTIONS, totals)])
    for row, column in zip(*np.nonzero(counts)):
        share = shares[row, column]
        words = (f'{100 * share:.0f}%' if share >= 0.005 else '<1%') + f'\n{counts[row, column]}'
        axes.text(column, row, words, ha='center', va='center', size=8, color='w' if share > 0.55 else 'k')
    return png(figure)


def reliability_picture(before: dict[str, Any], after: dict[str, Any], eces: tuple[float, float]) -> bytes:
    """Draw reliability diagrams, without and with calibration.

    :param before, after: dicts of bins, count, confidence and accuracy, None in empty bins.
    :param eces: their calibration errors.
    :returns: a PNG file.
    """
    figure = Figure(figsize=(7.6, 4.6), layout='constrained')
    panels = figure.subplots(2, 2, sharex=True, height_ratios=(4, 1))
    for place, (words, curve) in enumerate((('as trained', before), ('calibrated', after))):
        width = 1 / curve['bins']
        middles = width * (np.arange(curve['bins']) + 0.5)
        upper, lower = panels[:, place]
        accuracies = np.array([each or 0.0 for each in curve['accuracy']])
        confidences = np.array([each or 0.0 for each in curve['confidence']])
        lower_ends = np.minimum(accuracies, confidences)
        gaps = np.abs(accuracies - confidences)
        upper.bar(middles, lower_ends, 0.9 * width, color='C0')
        upper.bar(middles, gaps, 0.9 * width, lower_ends, color='C1', alpha=0.7, label='gap to confidence')
        upper.plot(middles[accuracies > 0], accuracies[accuracies > 0], '_k', markersize=11, label='accuracy')
        upper.plot((0, 1), (0, 1), '--', color='0.5', linewidth=1)
        upper.set(title=f'{words}: ECE {eces[place]:.3f}', xlim=(0, 1), ylim=(0, 1))
        lower.bar(middles, curve['count'], 0.9 * width, color='0.6')
        lower.set(xlabel='confidence')
    panels[0, 0].legend(loc='upper left')
    panels[1, 0].set(ylabel='faces')
    return png(figure)


def png(figure: Figure) -> bytes:
    """Encode a figure as a PNG file, without the version of matplotlib."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={'Software': None})
    return buffer.getvalue()
