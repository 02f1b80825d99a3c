"""HTML pages from jinja2 templates with interactive plotly charts; a page needs no network."""

import base64
import functools
import hashlib
import json
from html import escape
from typing import Any

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.text import printable

_PACKAGE = 'facial_emotion_ros.evaluation'

#: The file that the pages of a folder share; a page that stands alone holds its text.
PLOTLY_FILE = 'plotly.min.js'

#: Colour of each emotion. No chart relies on the colour alone.
EMOTION_COLORS = dict(
    zip(EMOTIONS, ('#868e96', '#d99a00', '#3f74c4', '#0f9d98', '#7f58c9', '#5b9b34', '#d0432d', '#b9558d'))
)

#: Words on each of them: in black or white, whichever has the higher contrast.
INKS = {emotion: '#ffffff' if emotion in ('sad', 'fear', 'anger', 'contempt') else '#14181d' for emotion in EMOTIONS}

#: The first series of a chart is blue, the second orange: the same two as --one and --two of the pages.
ONE, TWO = '#2a66b1', '#c65d12'

_NAMES = ('ink', 'soft', 'grid', 'paper', 'one', 'two')
_LIGHT = dict(zip(_NAMES, ('#1b2430', '#5d6975', '#e3e7eb', '#ffffff', ONE, TWO)))
_DARK = dict(zip(_NAMES, ('#e8ecf0', '#9aa6b2', '#2f3944', '#171d24', '#6ea8ec', '#f0935a')))

#: A legend that grows upwards, away from the chart, where a narrow page breaks it into several lines.
LEGEND_ABOVE = {'orientation': 'h', 'x': 0, 'y': 1.02, 'yanchor': 'bottom'}

#: For guides and histograms: a gray that shows on light and on dark ground.
GRAY = '#8a95a1'


def render(package: str, template: str, plotly_src: str = '', **values: Any) -> str:
    """Render a page.

    :param package: whose folder templates/ holds the template.
    :param template: its file name; it extends base.html, which is in this package.
    :param plotly_src: relative address of PLOTLY_FILE, which pages share; '' puts it into the page (4.8 MB).
    :param values: for the template. Text is escaped, control characters are shown as their codes.
    :returns: a whole HTML document.
    """
    scripts = [_source(_PACKAGE, 'charts.js')] + ([] if plotly_src else [plotly_script()])
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    allowed = [f"'sha256-{each}'" for each in digests] + (["'self'", 'file:'] if plotly_src else [])
    return (
        _environment(package)
        .get_template(template)
        .render(
            values,
            plotly_src=plotly_src,
            script_sources=' '.join(allowed),
            charts_script=scripts[0],
            plotly_script=scripts[-1],
            style=_source(_PACKAGE, 'style.css'),
        )
    )


def plotly_script() -> str:
    """Give the text of PLOTLY_FILE, which comes with plotly's wheel."""
    return get_plotlyjs()


def chart(height: int, **layout: Any) -> go.Figure:
    """Begin a chart without title, whose colours the page chooses.

    :param height: in px; the width is that of the card.
    :param layout: of plotly.
    """
    usual = {'margin': {'l': 56, 'r': 16, 't': 12, 'b': 48}, 'showlegend': False}
    return go.Figure(layout={'height': height, **usual, **layout})


def plain(text: Any) -> str:
    """Make a text harmless where plotly shows it: it reads a few HTML elements."""
    return escape(printable(str(text)))


def data_uri(content: bytes, kind: str = 'jpeg') -> str:
    """Give the address of a picture that is in the page itself."""
    return f'data:image/{kind};base64,' + base64.b64encode(content).decode()


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, _PACKAGE))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value, keep='\n\t') if type(value) is str else value,
    )
    environment.filters.update(figure=_figure, data_uri=data_uri)
    environment.globals.update(
        light=_LIGHT,
        dark=_DARK,
        themes={'light': _theme(_LIGHT), 'dark': _theme(_DARK)},
        inks=INKS,
        colors=EMOTION_COLORS,
    )
    return environment


def _source(package: str, name: str) -> str:
    return _environment(package).loader.get_source(_environment(package), name)[0]  # type: ignore[union-attr]


def _figure(figure: go.Figure) -> dict[str, Any]:
    """Turn a figure into what JSON holds, without plotly's own theme: the page sets a light or a dark one."""
    found = json.loads(figure.to_json())
    found['layout'].pop('template', None)
    return found


def _theme(of: dict[str, str]) -> dict[str, Any]:
    axis = {'gridcolor': of['grid'], 'linecolor': of['soft'], 'zerolinecolor': of['grid'], 'automargin': True}
    layout = {
        'font': {'family': 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif', 'color': of['ink']},
        'paper_bgcolor': 'rgba(0,0,0,0)',
        'plot_bgcolor': 'rgba(0,0,0,0)',
        'colorway': [of['one'], of['two']],
        'xaxis': axis,
        'yaxis': axis,
        'hoverlabel': {'bgcolor': of['paper'], 'bordercolor': of['soft'], 'font': {'color': of['ink']}},
        'modebar': {'bgcolor': 'rgba(0,0,0,0)', 'color': of['soft'], 'activecolor': of['ink']},
    }
    return go.layout.Template(layout=layout).to_plotly_json()
