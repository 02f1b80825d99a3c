"""How a recording's page looks, beyond what all our pages have in common."""

from facial_emotion_ros.evaluation.svg import EMOTION_COLORS


def _luminance(color):
    """Give the relative luminance of '#rrggbb'. Source: WCAG 2.2, definition of relative luminance."""
    parts = [int(color[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Give the contrast of two colours, 1 to 21. Source: WCAG 2.2, definition of contrast ratio."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def ink_on(color):
    """Choose the colour of words on a colour: the one that is read more easily."""
    return max('#ffffff', '#14181d', key=lambda ink: contrast(ink, color))


_MARKS = ''.join(f'.e{place}{{background:{color};color:{ink_on(color)}}}'
                 for place, color in enumerate(EMOTION_COLORS.values()))

#: Unknown is no colour among others: it is striped.
_UNKNOWN = ('.eu{background:repeating-linear-gradient(135deg,var(--grid) 0 4px,transparent 4px 8px) var(--paper);'
            'color:var(--ink);box-shadow:inset 0 0 0 1px var(--soft)}')

#: Said above what a phone cannot show at once: there, nothing else tells that a card moves sideways.
SWIPE = '<p class="swipe">← swipe it sideways to see all of it →</p>'

STYLE = _MARKS + _UNKNOWN + '''
.eyebrow{margin:0 0 6px;color:var(--soft);font-size:13px;overflow-wrap:anywhere} h1{text-wrap:balance}
.lead{font-size:16px;max-width:76ch;margin:6px 0 0} .tiles{grid-template-columns:repeat(auto-fit,minmax(110px,1fr))}
.tile.card{padding:12px 14px}
.tile b{font-size:25px;white-space:nowrap} .card{min-width:0} .card>p{max-width:88ch}
figure.card td:first-child,figure.card th{white-space:normal}
.card h3{font-size:14px;margin:14px 0 2px;overflow-wrap:anywhere}
.shares{display:flex;height:30px;border-radius:6px;overflow:hidden;margin:2px 0 10px;gap:1px}
.shares i,.strip i,.chip{print-color-adjust:exact;-webkit-print-color-adjust:exact;forced-color-adjust:none}
.shares i{min-width:2px} .legend{display:flex;flex-wrap:wrap;gap:6px 16px;font-size:13px}
.legend>span{display:flex;align-items:center;gap:6px}
.chip{display:inline-block;border-radius:4px;font-size:11px;line-height:18px;width:24px;text-align:center;flex:none;
font-weight:600;font-style:normal}
.row{display:grid;grid-template-columns:208px minmax(0,1fr);gap:4px 14px;align-items:center;margin:0 0 8px}
.who{display:flex;gap:10px;align-items:center;min-width:0;font-size:13px;line-height:1.3} .who b{display:block}
.who>div{min-width:0} .who span{display:block;overflow-wrap:anywhere}
.who img,.who .nobody{width:48px;height:48px;border-radius:8px;object-fit:cover;flex:none;background:var(--grid)}
.rail,.band{position:relative;height:34px;background:var(--grid);border-radius:5px;overflow:hidden}
.band{height:9px;margin-top:3px;border-radius:3px} .thin .rail{height:10px}
.strip i{position:absolute;top:0;bottom:0;font-style:normal;overflow:hidden;box-sizing:border-box}
.presence i{background:var(--soft)} .strip u,.view u{position:absolute;top:0;bottom:0;width:1px;background:var(--paper)}
.view u{background:var(--grid)} .strip .run{border-right:1px solid var(--paper)}
.worded{container-type:inline-size} .worded b{display:block;text-align:center;font-size:12px;font-weight:600;
line-height:34px;white-space:nowrap;pointer-events:none}
@container (max-width:66px){.worded b span{display:none}} @container (max-width:17px){.worded b{display:none}}
.axis-words{position:relative;height:20px;font-size:12px;color:var(--soft);font-variant-numeric:tabular-nums}
.axis-words span{position:absolute;transform:translateX(-50%);white-space:nowrap;top:2px}
.axis-words .first{transform:none} .axis-words .last{transform:translateX(-100%)}
.person{display:grid;grid-template-columns:208px minmax(0,1fr) minmax(0,1fr);gap:8px 20px;align-items:start;
border-top:1px solid var(--grid);padding:14px 0 6px} .person:first-of-type{border-top:0}
.person .who{align-items:flex-start} .person .who img{width:72px;height:72px}
.person h4{margin:0 0 6px;font-size:13px;font-weight:600}
.person h4 span{font-weight:400}
.over-time{position:relative;padding-left:40px} .view{position:relative;height:118px}
.view svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible} .heights{position:absolute;left:0;top:0;
width:34px;height:118px;font-size:12px;color:var(--soft);text-align:right} .heights span{position:absolute;right:0;
transform:translateY(-50%);line-height:1}
.view .line{vector-effect:non-scaling-stroke} .plot .line.truth{stroke-dasharray:5 4;stroke-width:1.5;opacity:.85}
.view .guide{vector-effect:non-scaling-stroke} .plot .line.path{stroke-width:1.6;opacity:.8}
.round{clip-path:circle(50%)}
.key{display:inline-block;width:18px;height:0;border-top:2.5px solid;vertical-align:4px;margin:0 4px 0 8px}
.key.one{border-color:var(--one)} .key.two{border-color:var(--two)} .key.dashed{border-top-style:dashed;
border-color:var(--soft)}
.moments{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:14px;margin:6px 0 10px}
.moments figure{margin:0;font-size:13px;line-height:1.35} .moments div{position:relative}
.moments img{display:block;width:100%;aspect-ratio:1;object-fit:cover;border-radius:8px;background:var(--grid)}
.moments time{position:absolute;left:8px;top:8px;background:#000b;color:#fff;border-radius:5px;padding:1px 7px;
font-size:12px;font-variant-numeric:tabular-nums} .moments figcaption{margin-top:5px;overflow-wrap:anywhere}
.bars{display:grid;grid-template-columns:max-content minmax(60px,1fr) max-content;gap:8px 12px;align-items:center;
font-size:14px;margin:8px 0} .bars div{position:relative;height:20px;background:var(--grid);border-radius:4px;
overflow:hidden} .bars i{position:absolute;left:0;top:0;bottom:0;background:var(--one);opacity:.35}
.bars i+i{opacity:1} .lost{border-left:4px solid var(--two)} .whole{border-left:4px solid #0f9d98;padding:10px 18px}
.swipe{display:none;text-align:left;margin:0 0 6px;font-weight:600}
.confusion,.broad{background:linear-gradient(to right,var(--paper) 40%,transparent) 0 0/44px 100% no-repeat local,
linear-gradient(to left,var(--paper) 40%,transparent) 100% 0/44px 100% no-repeat local,
linear-gradient(to right,#0004,transparent) 0 0/14px 100% no-repeat scroll,
linear-gradient(to left,#0004,transparent) 100% 0/14px 100% no-repeat scroll,var(--paper)}
.lost ul{margin:4px 0 0;padding-left:20px} .words{display:grid;gap:4px 18px;
grid-template-columns:max-content minmax(0,1fr)} dd{min-width:0} code{white-space:pre-wrap}
@media(max-width:900px){.person{grid-template-columns:minmax(0,1fr)}}
@media(max-width:640px){main{padding:18px 12px 40px}.card{padding:14px 12px}h1{font-size:22px}
.row{grid-template-columns:minmax(0,1fr);margin-bottom:14px}.plane text{font-size:15px}.plane text.soft{font-size:14px}
.tiles{gap:8px;grid-template-columns:repeat(auto-fit,minmax(104px,1fr))}.tile b{font-size:21px}
.tile.card{padding:10px 12px;margin:0}.confusion svg{min-width:470px}
td,th{padding:5px 4px;font-size:13px}
.bars{grid-template-columns:minmax(0,1fr) max-content;gap:2px 10px}.bars .step{grid-column:1/-1;margin-top:6px}
dl,.words{grid-template-columns:minmax(0,1fr)}
dl dd{margin:0 0 8px}.moments{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media(max-width:540px){.confusion .swipe{display:block}}
'''
