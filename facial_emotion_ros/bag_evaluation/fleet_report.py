"""One page that shows what many recordings say: where to look first, what failed, and how the figures spread."""

from html import escape
from urllib.parse import quote

import numpy as np

from facial_emotion_ros.bag_evaluation.report_numbers import steps_in_words, table
from facial_emotion_ros.bag_evaluation.report_style import STYLE, SWIPE
from facial_emotion_ros.bag_evaluation.report_words import counted, duration, number, percentage
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.evaluation.page import page
from facial_emotion_ros.evaluation.plots import confusion_plot
from facial_emotion_ros.evaluation.svg import EMOTION_COLORS, Axes, Drawing

#: Columns with a bar: (key, words, how it is written, the bar's full length; None for the largest value).
_COLUMNS = (
    ('accuracy', 'right', percentage, 1.0), ('coverage', 'with a face', percentage, 1.0),
    ('unknown_share', 'unknown', percentage, 1.0), ('flips_per_minute', 'changes a minute', number, None),
    ('times_real_time', '× real time', number, None),
)

#: Plots of how figures spread over recordings: (key, title, how to read it, how ticks are written).
_SPREADS = (
    ('accuracy', 'Share of right answers', 'Recordings at the left are those to look at.', percentage),
    ('ccc_valence', 'Concordance of the valence', '1 is perfect, 0 is chance.', number),
    ('coverage', 'Images with a face', 'A recording at the left hardly showed anybody, or nobody was found.',
     percentage),
    ('unknown_share', 'Faces without a word', 'Many are too small, too dark or turned away.', percentage),
    ('flips_per_minute', 'Changes of the word, a minute', 'Real faces change their minds a few times a minute.',
     number),
    ('times_real_time', 'Speed', 'Seconds of recording evaluated in a second, by one process.', number),
)

#: So many recordings are pointed at as worth a look.
_WORST = 5

#: Words of a plot that stand over a value this near to an edge, as a share of the width, go inwards from there.
_NEAR_EDGE = 0.15

#: A longer title is cut in its middle: recordings of one robot begin, or end, alike.
_LONGEST_TITLE = 36

_OWN_STYLE = '''
.broad.card td:first-child{white-space:nowrap} p.fleet,.failed td{overflow-wrap:anywhere}
.fleet a{color:var(--one)} .meter{display:inline-block;width:64px;height:9px;border-radius:3px;background:var(--grid);
margin-left:8px;overflow:hidden;vertical-align:0} .meter i{display:block;height:100%;background:var(--one)}
.failed td{white-space:normal;text-align:left;vertical-align:top} .failed td:first-child{width:30%}
.lead{margin-bottom:14px}
@media(max-width:900px){.fleet .swipe{display:block}}
'''


def fleet_html(fleet):
    """Make the page.

    :param fleet: dict, as fleet.json holds it.
    :returns: str, a whole HTML document, which stands beside the folder bags/.
    """
    rows = [(bag, result) for bag in fleet['bags'] for result in bag['results']]
    title = f'{counted(fleet["counts"]["bags"], "recording").capitalize()}'
    body = (
        f'<h1>{escape(title)}</h1><p class="lead">{escape(_says(fleet))}</p>'
        f'{_failures(fleet)}{"".join(_pooled(each, fleet) for each in fleet["overall"])}{_worst(rows)}'
        f'<div class="cards">{"".join(_spread(*each, rows) for each in _SPREADS)}{_time(rows)}</div>'
        f'{_bags(fleet, rows)}{_provenance(fleet)}'
    )
    return page(title, body, STYLE + _OWN_STYLE)


def spread_plot(values, words, write):
    """Draw how many recordings have which value.

    :param values: list of float, not empty.
    :param words: what the values are.
    :param write: turns a value into its label.
    :returns: str.
    """
    values = np.asarray(values, float)
    ticks = np.linspace(0, 1, 5) if write is percentage else _round_ticks(values)
    counts, edges = np.histogram(values, 20, (ticks[0], ticks[-1]))
    most = max(int(counts.max()), 1)
    drawing = Drawing(540, 250, f'{words} of {len(values)} recordings, median {write(float(np.median(values)))}.')
    axes = Axes(drawing, 56, 18, 464, 180, (ticks[0], ticks[-1]), (0, most))
    axes.grid(ticks, (0, most), 'the value of a recording', x_write=percentage if write is percentage else None)
    for count, left, right in zip(counts, edges, edges[1:]):
        if count:
            drawing.add('rect', x=axes.x(left) + 1, y=axes.y(count), width=axes.x(right) - axes.x(left) - 2,
                        height=axes.y(0) - axes.y(count), rx=2, class_='fill one',
                        hover=f'{count} of {len(values)}: {write(float(left))} to {write(float(right))}')
    middle = float(np.median(values))
    drawing.line(axes.x(middle), 12, axes.x(middle), axes.y(0), 'guide')
    place = (middle - ticks[0]) / (ticks[-1] - ticks[0])
    anchor = 'start' if place < _NEAR_EDGE else 'end' if place > 1 - _NEAR_EDGE else 'middle'
    drawing.text(axes.x(middle), 11, f'median {write(middle)}', 'small halo', anchor)
    return drawing.svg()


def _round_ticks(values):
    """Give round numbers from 0, or from below the least value, to above the largest."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0) or 1.0
    raw = (high - low) / 4
    decade = 10.0 ** np.floor(np.log10(raw))
    step = decade * next(each for each in (1, 2, 2.5, 5, 10) if decade * each >= raw * (1 - 1e-9))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.round(np.arange(first, last + 1) * step, 12)


def _says(fleet):
    counts, run = fleet['counts'], fleet['run']
    recorded = sum(bag['results'][0]['recording_s'] or 0 for bag in fleet['bags'] if bag['results'])
    said = f'{duration(recorded)} of recordings were read. '
    was = 'was' if counts['done'] == 1 else 'were'
    parts = [f'{counts["done"]:,} {was} evaluated in {duration(run["seconds"])}'] if counts['done'] else []
    parts += [f'{counts["skipped"]:,} had been before'] if counts['skipped'] else []
    twins = 'is a copy of another and does' if counts['twin'] == 1 else 'are copies of others and do'
    parts += [f'{counts["twin"]:,} {twins} not count'] if counts['twin'] else []
    parts += [f'{counts["failed"]:,} could not be evaluated'] if counts['failed'] else []
    return said + ', '.join(parts) + '.'


def _failures(fleet):
    failed = [bag for bag in fleet['bags'] if bag['status'] == 'failed']
    if not failed:
        return ''
    rows = ''.join(f'<tr><td title="{escape(bag["place"])}">{escape(_title(bag))}</td><td>{escape(bag["error"])}</td>'
                   '</tr>' for bag in failed)
    return (f'<section class="card lost"><h2>Could not be evaluated: {len(failed)} of {fleet["counts"]["bags"]}</h2>'
            f'<p class="soft">The others are not touched by it. The same command tries them again.</p>'
            f'<table class="failed">{rows}</table></section>')


def _pooled(pooled, fleet):
    """Show all recordings as one."""
    bundle, figures, truth = pooled['bundle'] or {}, pooled['figures'], pooled['truth'] or {}
    tiles = [('images', f'{figures["frames"]:,}', ''), ('faces', f'{figures["faces"]:,}', ''),
             *((words, write(pooled['compared'][key]), _within(pooled['intervals'].get(key), write))
               for key, words, write in (
                   ('accuracy', 'accuracy', percentage), ('macro_f1', 'macro-F1', percentage),
                   ('macro_f1_all', 'macro-F1, all classes', percentage), ('kappa', 'Cohen’s kappa', number),
                   ('ccc_valence', 'CCC of valence', number), ('ccc_arousal', 'CCC of arousal', number),
                   ('coverage', 'with a face', percentage), ('unknown_share', 'unknown', percentage),
                   ('flips_per_minute', 'changes a minute', number))
               if pooled['compared'].get(key) is not None)]
    made = ''.join(f'<div class="card tile"><span>{word}</span><b>{value}</b><span class="soft">{escape(more)}</span>'
                   '</div>' for word, value, more in tiles)
    head = ''
    if len(fleet['overall']) > 1:
        head = f'<h2>{escape(str(bundle.get("name")))} {escape(str(bundle.get("version")))}</h2>'
    matrix = ''
    if truth.get('n'):
        matrix = ('<figure class="card confusion"><h2>What is taken for what, in all recordings</h2><p>Each row adds '
                  'up to the views of one emotion; those that were called unknown are not among them.</p>'
                  f'{SWIPE}{confusion_plot(truth["confusion"], "views")}</figure>')
    return f'{head}<div class="tiles">{made}</div><div class="cards">{_emotions(figures["emotions"])}{matrix}</div>'


def _within(bounds, write):
    return f'95%: {write(bounds[0])} to {write(bounds[1])}' if bounds else ''


def _emotions(shares):
    """Show what was seen in all recordings, as bars."""
    shown = [(word, share) for word, share in shares.items() if share]
    if not shown:
        return ''
    step = 26
    drawing = Drawing(540, step * len(shown) + 6, 'Share of each emotion among all views of faces.')
    for row, (word, share) in enumerate(sorted(shown, key=lambda pair: -pair[1])):
        top = step * row + 4
        drawing.text(88, top + 14, word, '', 'end')
        drawing.add('rect', x=96, y=top, width=max(360 * share, 1), height=18, rx=3,
                    fill=EMOTION_COLORS.get(word, '#868e96') if word in EMOTIONS else 'var(--soft)',
                    hover=f'{word}: {percentage(share)}')
        drawing.text(102 + max(360 * share, 1), top + 14, percentage(share), 'soft')
    return ('<figure class="card"><h2>What was seen</h2><p>Shares of all views of faces, in all recordings.</p>'
            f'{drawing.svg()}</figure>')


def _worst(rows):
    """Point at the recordings that most need a look: by the truth where it is known, else by their changes."""
    for key, words, is_low in (('accuracy', 'the fewest right answers', True),
                               ('flips_per_minute', 'the most changes', False)):
        ranked = [(bag, result) for bag, result in rows if result[key] is not None]
        if len(ranked) > _WORST:
            ranked.sort(key=lambda row: row[1][key] if is_low else -row[1][key])
            links = ', '.join(f'{_link(*row)} ({(percentage if is_low else number)(row[1][key])})'
                              for row in ranked[:_WORST])
            return f'<p class="card fleet">Look first at those with {words}: {links}.</p>'
    return ''


def _spread(key, title, words, write, rows):
    values = [result[key] for _, result in rows if result[key] is not None]
    if len(values) < 2:
        return ''
    return (f'<figure class="card"><h2>{escape(title)}</h2><p>{escape(words)}</p>{spread_plot(values, title, write)}'
            '</figure>')


def _time(rows):
    """Show what the time went into."""
    steps = {}
    for _, result in rows:
        for step, value in (result['ms'] or {}).items():
            if value is not None:
                steps.setdefault(step, []).append(value)
    cells = [(words, *(number(float(np.percentile(steps[step], share)), 2) for share in (10, 50, 90)))
             for step, words in steps_in_words(steps).items()]
    return table('What the time goes into', 'Milliseconds for an image, each recording by its median.',
                 ('', '10% at most', 'median', '90% at most'), cells) if cells else ''


def _bags(fleet, rows):
    several = len(fleet['overall']) > 1
    columns = [column for column in _COLUMNS if any(result[column[0]] is not None for _, result in rows)]
    most = {key: full or max([result[key] for _, result in rows if result[key] is not None] + [1e-9])
            for key, _, _, full in columns}
    head = ['recording', *(['bundle'] if several else []), 'length', 'images', 'faces',
            *(words for _, words, _, _ in columns), '']
    lines = ''
    for bag, result in rows:
        cells = [f'<td class="name">{_link(bag, result)}</td>']
        cells += [f'<td>{escape(str((result["bundle"] or {}).get("name")))}</td>'] if several else []
        cells += [f'<td>{duration(result["recording_s"])}</td>', f'<td>{result["frames"] or 0:,}</td>',
                  f'<td>{result["faces"] or 0:,}</td>']
        cells += [f'<td>{write(result[key])}{_meter(result[key], most[key])}</td>' for key, _, write, _ in columns]
        lost = '; '.join(result['faults'])
        cells.append(f'<td title="{escape(lost)}">{"not whole" if lost else ""}</td>')
        lines += f'<tr>{"".join(cells)}</tr>'
    heads = ''.join(f'<th>{escape(word)}</th>' for word in head)
    return (f'<figure class="card fleet broad"><h2>Recording by recording</h2><p>Each name leads to its own page.</p>'
            f'{SWIPE}<table><tr>{heads}</tr>{lines}</table></figure>')


def _link(bag, result):
    address = quote(f'bags/{bag["folder"]}/{result["report"]}')
    return f'<a href="{address}" title="{escape(bag["place"])}">{escape(_title(bag))}</a>'


def _title(bag):
    title = bag['title']
    half = _LONGEST_TITLE // 2
    return title if len(title) <= _LONGEST_TITLE else f'{title[:half - 1]}…{title[-half:]}'


def _meter(value, most):
    if value is None:
        return ''
    return f'<span class="meter"><i style="width:{100 * min(max(value / most, 0.0), 1.0):.0f}%"></i></span>'


def _provenance(fleet):
    run = fleet['run']
    where = f'a Ray cluster ({run["ray"]})' if run.get('ray') else f'processes on one machine: {run["workers"]}'
    models = ', '.join(f'{(each["bundle"] or {}).get("name")} {(each["bundle"] or {}).get("version")}, sha256 '
                       f'{(each["bundle"] or {}).get("sha256")}' for each in fleet['overall'])
    lines = [('command', run.get('command') or '–'), ('models', models or '–'), ('done by', where),
             ('made', run.get('made'))]
    if fleet['counts']['done']:
        lines.append(('throughput', f'{run["bags_per_second"]:.2f} recordings and '
                      f'{run["recording_s_per_second"]:.1f} s of recording a second'))
    cells = ''.join(f'<dt>{word}</dt><dd><code>{escape(str(said))}</code></dd>' for word, said in lines)
    return f'<section class="card"><h2>How this page came about</h2><dl>{cells}</dl></section>'
