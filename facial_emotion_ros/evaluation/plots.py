"""The plots of a report, each as the text of an <svg> element; what they show is computed elsewhere."""

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.evaluation.svg import EMOTION_COLORS, Axes, Drawing, percent

_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)

#: Bins with fewer faces are drawn pale.
_FEW = 20


def confusion_plot(matrix, noun='faces'):
    """Draw which class is taken for which.

    :param matrix: (8, 8) counts, row label, column prediction.
    :param noun: what is counted, more than one of it.
    :returns: str.
    """
    matrix = np.asarray(matrix)
    side, left, top = 52, 118, 46
    size = side * len(EMOTIONS)
    drawing = Drawing(left + size + 12, top + size + 14, 'Confusion matrix: label in rows, prediction in columns.')
    drawing.text(left + size / 2, 14, 'what the network says', 'soft', 'middle')
    drawing.text(14, top + size / 2, 'what people said', 'soft', 'middle', turn=-90)
    for row, emotion in enumerate(EMOTIONS):
        total = matrix[row].sum()
        drawing.text(left + (row + 0.5) * side, top - 10, emotion, 'small', 'middle')
        drawing.text(left - 10, top + (row + 0.5) * side, emotion, '', 'end')
        drawing.text(left - 10, top + (row + 0.5) * side + 13, f'{total} {noun}', 'soft small', 'end')
        for column, other in enumerate(EMOTIONS):
            count = matrix[row, column]
            share = count / total if total else 0.0
            x, y = left + column * side, top + row * side
            kind = 'one' if row == column else 'two'
            hover = f'{emotion} taken for {other}: {count} of {total} ({percent(share, 1)})'
            drawing.add('rect', x=x + 1, y=y + 1, width=side - 2, height=side - 2, rx=4, class_='fill grid',
                        fill_opacity=0.35, hover=hover)
            if not count:
                continue
            # Rare confusions must be seen as well: the shade begins above nothing.
            drawing.add('rect', x=x + 1, y=y + 1, width=side - 2, height=side - 2, rx=4, class_=f'fill {kind}',
                        fill_opacity=0.06 + 0.94 * share, hover=hover)
            ink = 'on-dark' if share > 0.55 else ''
            words = percent(share) if share >= 0.005 else '<1%'
            drawing.text(x + side / 2, y + side / 2 + 1, words, f'strong {ink}', 'middle')
            drawing.text(x + side / 2, y + side / 2 + 15, count, f'small {ink or "soft"}', 'middle')
    return drawing.svg()


def recall_plot(matrix):
    """Draw the recall of each class, with the range that so few faces leave open.

    :param matrix: (8, 8) counts, row label, column prediction.
    :returns: str.
    """
    matrix = np.asarray(matrix)
    step = 36
    drawing = Drawing(560, 60 + step * len(EMOTIONS), 'Recall of each class with 95% intervals.')
    axes = Axes(drawing, 92, 10, 320, step * len(EMOTIONS))
    axes.grid(_QUARTERS, (), 'share of the faces of each class that is recognised', write=percent)
    for row, emotion in enumerate(EMOTIONS):
        middle, total, right = 10 + (row + 0.5) * step, matrix[row].sum(), matrix[row, row]
        drawing.text(84, middle + 4, emotion, '', 'end')
        if not total:
            drawing.text(420, middle + 4, 'no such face', 'soft')
            continue
        low, high = wilson_interval(right, total)
        drawing.add('rect', x=axes.left, y=middle - 9, width=axes.width * right / total, height=18, rx=3,
                    class_='fill one', fill_opacity=0.8, hover=f'{emotion}: {right} of {total}')
        drawing.line(axes.x(low), middle, axes.x(high), middle, 'line ink')
        for end in (low, high):
            drawing.line(axes.x(end), middle - 4, axes.x(end), middle + 4, 'line ink')
        drawing.text(424, middle + 4, percent(right / total, 1), 'strong')
        drawing.text(478, middle + 4, f'{right} of {total}', 'soft')
    return drawing.svg()


def wilson_interval(hits, count, z=1.96):
    """Give the 95% interval of a share that few faces were counted for.

    :param hits: number of faces that count.
    :param count: number of faces, at least 1.
    :param z: of the level, 1.96 for 95%.
    :returns: (low, high) in [0, 1].

    Source: Wilson, Journal of the American Statistical Association, 1927.
    """
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def reliability_plot(before, after, ece_before, ece_after):
    """Draw how often predictions of each confidence are right, without and with calibration, side by side.

    :param before, after: dicts of bins, count, confidence and accuracy, None in empty bins.
    :param ece_before, ece_after: calibration errors.
    :returns: str.
    """
    drawing = Drawing(672, 400, 'Reliability diagrams before and after calibration.')
    for left, words, said, ece in ((66, 'as trained', before, ece_before), (386, 'calibrated', after, ece_after)):
        drawing.text(left, 18, words, 'strong')
        drawing.text(left + 260, 18, f'ECE {ece:.3f}', 'one strong', 'end')
        _reliability_panel(Axes(drawing, left, 30, 260, 260), said, left < 100)
        _histogram(Axes(drawing, left, 336, 260, 44), said['count'], left < 100)
    return drawing.svg()


def _reliability_panel(axes, said, is_first):
    axes.grid(_QUARTERS, _QUARTERS, 'confidence', 'share that is right' if is_first else '', write=percent)
    width = 1 / said['bins']
    for place, (count, mean, accuracy) in enumerate(zip(said['count'], said['confidence'], said['accuracy'])):
        if not count:
            continue
        x, wide, opacity = axes.x(place * width) + 1, axes.width * width - 2, 1.0 if count >= _FEW else 0.35
        hover = f'{count} faces, mean confidence {percent(mean, 1)}, right {percent(accuracy, 1)}'
        lower, upper = sorted((mean, accuracy))
        for low, high, kind, strength in ((0, lower, 'one', 0.75), (lower, upper, 'two', 0.6)):
            axes.drawing.add('rect', x=x, y=axes.y(high), width=wide, height=axes.y(low) - axes.y(high),
                             class_=f'fill {kind}', fill_opacity=strength * opacity, hover=hover)
        axes.drawing.line(x, axes.y(accuracy), x + wide, axes.y(accuracy), 'line ink')
    axes.drawing.line(axes.x(0), axes.y(0), axes.x(1), axes.y(1), 'guide')


def _histogram(axes, counts, is_first):
    most, width = max(max(counts), 1), 1 / len(counts)
    for place, count in enumerate(counts):
        height = axes.height * count / most
        axes.drawing.add('rect', x=axes.x(place * width) + 1, y=axes.top + axes.height - height,
                         width=axes.width * width - 2, height=height, class_='fill soft', fill_opacity=0.6,
                         hover=f'{count} faces')
    axes.drawing.line(axes.left, axes.top + axes.height, axes.left + axes.width, axes.top + axes.height)
    if is_first:
        axes.drawing.text(axes.left - 8, axes.top + 10, most, 'soft small', 'end')
        axes.drawing.text(axes.left - 8, axes.top + axes.height, 'faces', 'soft small', 'end')


def roc_plot(curves):
    """Draw how well numbers tell right predictions from wrong ones.

    :param curves: list of (name, false positive rate (M,), true positive rate (M,), AUROC or None): one or two.
    :returns: str.
    """
    drawing = Drawing(540, 380, 'ROC curves of confidence and agreement.')
    axes = Axes(drawing, 80, 14, 430, 310)
    axes.grid(_QUARTERS, _QUARTERS, 'share of wrong predictions kept', 'share of right predictions kept', write=percent)
    drawing.line(axes.x(0), axes.y(0), axes.x(1), axes.y(1), 'guide')
    for place, (name, false_rate, true_rate, area) in enumerate(curves):
        kind = ('one', 'two')[place]
        axes.curve(false_rate, true_rate, f'line {kind}')
        words = f'{name}: AUROC {area:.3f}' if area is not None else f'{name}: nothing is wrong, or nothing right'
        drawing.text(axes.x(0.97), axes.y(0.14 - 0.08 * place), words, f'strong halo {kind}', 'end')
    return drawing.svg()


def risk_plot(curves):
    """Draw the error rate that is left when the least trusted predictions are refused.

    :param curves: list of (name, coverage (M,), risk (M,)): one or two.
    :returns: str.
    """
    highest = max([0.02] + [float(risk[coverage > 0.05].max()) for _, coverage, risk in curves if len(risk)])
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if step * 6 >= highest or step == 0.25)
    top = step * np.ceil(highest / step)
    drawing = Drawing(540, 380, 'Risk-coverage curves of confidence and agreement.')
    axes = Axes(drawing, 80, 14, 430, 310, y_range=(0.0, top))
    axes.grid(_QUARTERS, np.arange(0, top + step / 2, step), 'share of faces that are answered', 'errors among them',
              write=percent)
    for place, (name, coverage, risk) in enumerate(curves):
        kind, shown = ('one', 'two')[place], coverage > 0.02
        axes.curve(coverage[shown], np.minimum(risk[shown], top), f'line {kind}')
        drawing.text(axes.x(0.04), axes.y(top * (0.93 - 0.08 * place)), f'refused by {name}', f'strong halo {kind}')
    return drawing.svg()


def affect_plot(valence, arousal, labels, coordinates, source):
    """Draw where faces of each class lie in the valence/arousal plane.

    :param valence, arousal: (N,) estimates in [-1, 1].
    :param labels: (N,) int, places in EMOTIONS.
    :param coordinates: (8, 2) where each class is expected to lie, or None.
    :param source: where the truth comes from, such as 'derived from votes'.
    :returns: str.
    """
    drawing = Drawing(540, 470, f'Mean valence and arousal of each class ({source}).')
    axes = Axes(drawing, 90, 14, 400, 400, (-1.0, 1.0), (-1.0, 1.0))
    ticks = (-1, -0.5, 0, 0.5, 1)
    axes.grid(ticks, ticks, 'valence: negative to positive', 'arousal: calm to excited')
    drawing.line(axes.x(0), axes.y(-1), axes.x(0), axes.y(1))
    drawing.line(axes.x(-1), axes.y(0), axes.x(1), axes.y(0))
    generator = np.random.default_rng(0)  # the same faces at each run
    for place, emotion in enumerate(EMOTIONS):
        rows = np.flatnonzero(labels == place)
        for row in generator.permutation(rows)[:120]:
            drawing.add('circle', cx=axes.x(valence[row]), cy=axes.y(arousal[row]), r=2, fill=EMOTION_COLORS[emotion],
                        fill_opacity=0.3)
    dots = {}
    for place, emotion in enumerate(EMOTIONS):
        rows, color = labels == place, EMOTION_COLORS[emotion]
        if coordinates is not None:
            drawing.add('circle', cx=axes.x(coordinates[place][0]), cy=axes.y(coordinates[place][1]), r=5,
                        class_='ring', stroke=color, hover=f'{emotion}: where votes for it alone would lie')
        if rows.any():
            dots[emotion] = axes.x(np.median(valence[rows])), axes.y(np.median(arousal[rows]))
            drawing.add('circle', cx=dots[emotion][0], cy=dots[emotion][1], r=6, fill=color,
                        hover=f'{emotion}: median of {rows.sum()} faces')
    for emotion, (x, y) in _label_places(dots).items():
        drawing.text(x, y, emotion, 'strong halo')
    return drawing.svg()


def _label_places(dots):
    """Find a free place for the word beside each dot: dict of word to the start of its base line."""
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots.values()]
    places = {}
    for word, (x, y) in dots.items():
        width = 7.2 * len(word)
        starts = (x + 10, x - 10 - width, x - width / 2)
        tried = [(start, y + 4) for start in starts[:2]]
        tried += [(start, y + 4 + rise) for rise in (-14, 14, -24, 24) for start in starts]
        words = [(left, base - 11, left + width, base + 2) for left, base in tried]
        best = int(np.argmin([sum(_common_area(each, box) for box in boxes) for each in words]))
        places[word] = tried[best]
        boxes.append(words[best])
    return places


def _common_area(one, other):
    """Give the area that two boxes (x0, y0, x1, y1) have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)
