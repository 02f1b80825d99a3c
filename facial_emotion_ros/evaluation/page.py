"""HTML pages from jinja2 templates with interactive plotly charts; pages work offline."""

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

#: Script that the pages of a folder share; a standalone page embeds it.
PLOTLY_FILE = 'plotly.min.js'

#: Colour of each emotion. No chart relies on the colour alone.
EMOTION_COLORS = dict(
    zip(EMOTIONS, ('#868e96', '#d99a00', '#3f74c4', '#0f9d98', '#7f58c9', '#5b9b34', '#d0432d', '#b9558d'))
)

#: Text colour on each of them: the one with the higher contrast.
INKS = {emotion: '#ffffff' if emotion in ('sad', 'fear', 'anger', 'contempt') else '#14181d' for emotion in EMOTIONS}

#: Colours of the first and second series of a chart: blue and orange, as --one and --two of the pages.
ONE, TWO = '#2a66b1', '#c65d12'

_COLOR_NAMES = ('ink', 'soft', 'grid', 'paper', 'one', 'two')
_LIGHT = dict(zip(_COLOR_NAMES, ('#1b2430', '#5d6975', '#e3e7eb', '#ffffff', ONE, TWO)))
_DARK = dict(zip(_COLOR_NAMES, ('#e8ecf0', '#9aa6b2', '#2f3944', '#171d24', '#6ea8ec', '#f0935a')))

#: A legend above the chart, which grows upwards where a narrow page wraps it.
LEGEND_ABOVE = {'orientation': 'h', 'x': 0, 'y': 1.02, 'yanchor': 'bottom'}

#: Gray of guides and histograms, visible on light and dark background.
GRAY = '#8a95a1'


def render(package: str, template: str, plotly_src: str = '', **values: Any) -> str:
    """Render a page.

    :param package: package with the template in its folder templates/.
    :param template: file name of a template that extends base.html of this package.
    :param plotly_src: relative URL of PLOTLY_FILE, which pages share; '' to embed it (4.8 MB).
    :param values: variables of the template. Text is escaped, control characters are shown as their codes.
    :returns: a complete HTML document.
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
    """Return the content of PLOTLY_FILE, from plotly's wheel."""
    return get_plotlyjs()


def chart(height: int, **layout: Any) -> go.Figure:
    """Create an empty chart without title; the page sets its colours.

    :param height: in px; the width is that of the card.
    :param layout: plotly layout options.
    """
    usual = {'margin': {'l': 56, 'r': 16, 't': 12, 'b': 48}, 'showlegend': False}
    return go.Figure(layout={'height': height, **usual, **layout})


def plain(text: Any) -> str:
    """Escape a text for plotly, which interprets some HTML elements."""
    return escape(printable(str(text)))


def data_uri(content: bytes, kind: str = 'jpeg') -> str:
    """Encode an image as a data URI, for a page that embeds it."""
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
    """Convert a figure to JSON data without plotly's theme: the page sets a light or a dark one."""
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
