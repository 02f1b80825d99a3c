"""One page that needs no other file and asks no other host: style and frame of all our reports."""

from html import escape

from facial_emotion_ros.evaluation.svg import RULES, variables
from facial_emotion_ros.plain_text import printable

_STYLE = '''
body{margin:0;background:var(--grid);color:var(--ink)}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px} h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:16px;margin:0 0 2px} p{margin:0 0 10px} .soft{color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:22px 0 12px}
.cards{columns:2 460px;column-gap:12px;margin-bottom:12px} .cards>.card{break-inside:avoid}
.card{background:var(--paper);border-radius:10px;padding:16px 18px;overflow-x:auto;margin:0 0 12px}
.tile{margin:0} .tile span{display:block;font-size:13px}
.tile b{display:block;font-size:28px;line-height:1.2;font-weight:600}
figure p{font-size:13px;color:var(--soft)} svg{display:block;width:100%;height:auto;margin:0 auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums} th{font-weight:600;text-align:right}
td{text-align:right} td,th{padding:5px 8px;border-bottom:1px solid var(--grid);white-space:nowrap}
td:first-child,th:first-child{text-align:left} code{font-size:13px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0} dt{color:var(--soft)} dd{margin:0}
.faces{display:flex;flex-wrap:wrap;gap:14px} .faces figure{margin:0;width:112px;font-size:12px;line-height:1.3}
.faces img{width:112px;height:112px;border-radius:6px;image-rendering:auto;object-fit:cover}
@media print{body{background:none}.card{break-inside:avoid}}
'''


def page(title, body, style=''):
    """Make a page.

    :param title: text.
    :param body: HTML of what it shows; `card`, `cards`, `tiles`, `tile` and `soft` are its style's classes.
    :param style: CSS of this page alone, added to that of all.
    :returns: str, a whole HTML document that may load nothing from anywhere, without control characters.
    """
    return printable(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        'content="default-src \'none\'; style-src \'unsafe-inline\'; img-src data:">'
        f'<title>{escape(title)}</title><style>:root{{color-scheme:light dark;{variables()}}}'
        f'@media (prefers-color-scheme:dark){{:root{{{variables(dark=True)}}}}}{_STYLE}{RULES}{style}</style></head>'
        f'<body><main>{body}</main></body></html>\n',
        keep='\n\t')
