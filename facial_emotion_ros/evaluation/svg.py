"""Draw plots as SVG text: elements with classes, whose colours the page or the file's own style gives."""

from html import escape

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS

#: Colour of each class in the plots where classes are told apart by it (never by it alone).
EMOTION_COLORS = dict(
    zip(EMOTIONS, ('#868e96', '#d99a00', '#3f74c4', '#0f9d98', '#7f58c9', '#5b9b34', '#d0432d', '#b9558d'))
)

_NAMES = ('ink', 'soft', 'grid', 'paper', 'one', 'two')
_LIGHT = dict(zip(_NAMES, ('#1b2430', '#5d6975', '#e3e7eb', '#ffffff', '#2a66b1', '#c65d12')))
_DARK = dict(zip(_NAMES, ('#e8ecf0', '#9aa6b2', '#2f3944', '#171d24', '#6ea8ec', '#f0935a')))

#: How the classes of the elements look; colours are variables of the page.
RULES = '''
.plot text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}
.plot text.soft{fill:var(--soft)} .plot text.small{font-size:10px} .plot text.strong{font-weight:600}
.plot text.one{fill:var(--one)} .plot text.two{fill:var(--two)} .plot text.on-dark{fill:var(--paper)}
.plot .grid{stroke:var(--grid);stroke-width:1;fill:none} .plot .axis{stroke:var(--soft);stroke-width:1;fill:none}
.plot .guide{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 4;fill:none}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round} .plot .line.one{stroke:var(--one)}
.plot .line.two{stroke:var(--two)} .plot .line.ink{stroke:var(--ink);stroke-width:1.5}
.plot .fill.one{fill:var(--one)} .plot .fill.two{fill:var(--two)} .plot .fill.grid{fill:var(--grid);stroke:none}
.plot .fill.soft{fill:var(--soft)} .plot .ring{fill:var(--paper);stroke-width:2}
.plot .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
'''


def variables(dark=False):
    """Give the colours as CSS declarations.

    :param dark: for a dark page.
    :returns: text like '--ink:#1b2430;...'.
    """
    return ''.join(f'--{name}:{color};' for name, color in (_DARK if dark else _LIGHT).items())


def standalone(plot):
    """Turn a plot of a page into the text of a file of its own, in light colours on white.

    :param plot: text of an <svg> element, as :meth:`Drawing.svg` gives it.
    :returns: str, a whole SVG document without variables: not every viewer knows those.
    """
    rules = RULES
    for name, color in _LIGHT.items():
        rules = rules.replace(f'var(--{name})', color)
    head, rest = plot.split('>', 1)
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"><style>{rules}</style>'
        f'<rect width="100%" height="100%" fill="{_LIGHT["paper"]}"/>{rest}\n'
    )


class Drawing:
    """An SVG under construction; lengths in its own pixels, y downwards."""

    def __init__(self, width, height, says):
        """Begin a drawing.

        :param width, height: in pixels.
        :param says: what the plot shows in one sentence, for those who do not see it.
        """
        self.width, self.height = width, height
        self._says = says
        self._parts = []

    def add(self, element, hover='', **attributes):
        """Add an element.

        :param element: its name, such as 'rect'.
        :param hover: text that appears when the mouse rests on it.
        :param attributes: numbers or text; `class_` and `text_anchor` stand for class and text-anchor.
        """
        names = [name.rstrip('_').replace('_', '-') for name in attributes]
        words = ''.join(f' {name}="{_number(value)}"' for name, value in zip(names, attributes.values()))
        inner = f'<title>{escape(hover)}</title>' if hover else ''
        self._parts.append(f'<{element}{words}>{inner}</{element}>' if inner else f'<{element}{words}/>')

    def text(self, x, y, words, class_='', anchor='start', turn=0):
        """Write a line of text.

        :param x, y: its base line's start, middle or end, by `anchor`.
        :param turn: degrees, clockwise, around that point.
        """
        turned = f' transform="rotate({_number(turn)} {_number(x)} {_number(y)})"' if turn else ''
        named = f' class="{class_}"' if class_ else ''
        self._parts.append(
            f'<text x="{_number(x)}" y="{_number(y)}"{named} text-anchor="{anchor}"{turned}>{escape(str(words))}</text>'
        )

    def line(self, x0, y0, x1, y1, class_='axis'):
        """Draw a straight line."""
        self.add('line', x1=x0, y1=y0, x2=x1, y2=y1, class_=class_)

    def path(self, xs, ys, class_):
        """Draw a line through points."""
        points = ' '.join(f'{_number(x)},{_number(y)}' for x, y in zip(xs, ys))
        self.add('polyline', points=points, class_=class_)

    def svg(self):
        """Give the drawing as the text of an <svg> element."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" class="plot" role="img" aria-label="{escape(self._says)}">'
            + ''.join(self._parts)
            + '</svg>'
        )


class Axes:
    """A rectangle of a drawing with a scale in each direction."""

    def __init__(self, drawing, left, top, width, height, x_range=(0.0, 1.0), y_range=(0.0, 1.0)):
        """Place the rectangle; ranges are the values at its left and right, bottom and top edge."""
        self.drawing = drawing
        self.left, self.top, self.width, self.height = left, top, width, height
        self._x_range, self._y_range = x_range, y_range

    def x(self, values):
        """Turn values into pixels."""
        low, high = self._x_range
        return self.left + (np.asarray(values, np.float64) - low) / (high - low) * self.width

    def y(self, values):
        """Turn values into pixels."""
        low, high = self._y_range
        return self.top + self.height - (np.asarray(values, np.float64) - low) / (high - low) * self.height

    def grid(self, x_ticks, y_ticks, x_words='', y_words='', write=lambda value: f'{value:g}', x_write=None):
        """Draw grid, ticks and the axes' names.

        :param x_ticks, y_ticks: values.
        :param x_words, y_words: the axes' names.
        :param write: turns a tick's value into its label; `x_write` where x is written in another way.
        """
        bottom, right = self.top + self.height, self.left + self.width
        for value in y_ticks:
            self.drawing.line(self.left, self.y(value), right, self.y(value), 'grid')
            self.drawing.text(self.left - 8, self.y(value) + 4, write(value), 'soft', 'end')
        for value in x_ticks:
            self.drawing.line(self.x(value), self.top, self.x(value), bottom, 'grid')
            self.drawing.text(self.x(value), bottom + 18, (x_write or write)(value), 'soft', 'middle')
        if x_words:
            self.drawing.text(self.left + self.width / 2, bottom + 38, x_words, 'soft', 'middle')
        if y_words:
            self.drawing.text(self.left - 46, self.top + self.height / 2, y_words, 'soft', 'middle', turn=-90)

    def curve(self, xs, ys, class_):
        """Draw a curve through values, thinned to what a screen shows.

        :param xs, ys: (M,) float.
        :param class_: such as 'line one'.
        """
        chosen = np.unique(np.linspace(0, max(len(xs) - 1, 0), min(len(xs), 400)).round().astype(int))
        self.drawing.path(self.x(np.asarray(xs)[chosen]), self.y(np.asarray(ys)[chosen]), class_)


def percent(share, digits=0):
    """Write a share as a percentage; a dash where there is none."""
    return '–' if share is None or not np.isfinite(share) else f'{100 * share:.{digits}f}%'


def _number(value):
    return escape(value) if isinstance(value, str) else f'{float(value):.2f}'.rstrip('0').rstrip('.')
