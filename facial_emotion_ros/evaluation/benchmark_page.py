"""A benchmark's figures as one page with plots."""

from html import escape

from facial_emotion_ros.evaluation.benchmark_text import ceiling, machine_text, network_of, share_of_roofline
from facial_emotion_ros.evaluation.page import page
from facial_emotion_ros.evaluation.svg import Drawing, percent

_BAR_PX, _GAP_PX, _LEFT_PX, _WIDTH_PX = 22, 10, 190, 760


def benchmark_html(found):
    """Make the page.

    :param found: dict as `benchmark` writes it.
    :returns: str.
    """
    title = 'How fast faces are read'
    cards = ''.join(_network_card(found, network) for network in found['networks'])
    if found.get('stream'):
        cards += _stream_cards(found['stream'])
    words = escape(machine_text(found['machine']).replace('**', ''))
    command = f'<p class="soft"><code>{escape(found["machine"]["command"])}</code></p>'
    return page(title, f'<h1>{title}</h1><p class="soft">{words}</p>{command}<div class="cards">{cards}</div>')


def _network_card(found, network):
    """Show one network: a bar for each engine, and where the roofline of its precision lies."""
    records = [record for record in found['records'] if 'per_s' in record and network_of(found, record) is network]
    if not records:
        return ''
    ceilings = [ceiling(found, record) for record in records]
    most = max([record['per_s'] for record in records] + [each for each in ceilings if each]) * 1.02
    height = len(records) * (_BAR_PX + _GAP_PX) + 34
    drawing = Drawing(_WIDTH_PX, height, f'Faces a second that {network["name"]} reads, by engine')
    reach = _WIDTH_PX - _LEFT_PX - 90
    for row, (record, most_here) in enumerate(zip(records, ceilings)):
        top = row * (_BAR_PX + _GAP_PX) + 4
        name = f'{record["engine"].replace("ExecutionProvider", "")} {record["precision"]}, {record["threads"]} ' \
               f'thread{"s" * (record["threads"] > 1)}'
        drawing.text(_LEFT_PX - 8, top + 15, name, '', 'end')
        width = reach * record['per_s'] / most
        drawing.add('rect', x=_LEFT_PX, y=top, width=width, height=_BAR_PX, rx=2,
                    class_='fill soft' if record['engine'] == 'torch' else 'fill one',
                    hover=f'{record["median_ms"]:.2f} ms, 10 to 90%: {record["p10_ms"]:.2f} to {record["p90_ms"]:.2f}')
        share = share_of_roofline(found, record)
        label = f'{record["per_s"]:.0f}' + (f', {percent(share)} of the roofline' if share else '')
        if most_here:
            x = _LEFT_PX + reach * most_here / most
            drawing.line(x, top - 3, x, top + _BAR_PX + 3, 'guide')
        inside = width > 190
        drawing.text(_LEFT_PX + (width - 6 if inside else width + 6), top + 15, label,
                     'on-dark' if inside else 'halo', 'end' if inside else 'start')
    drawing.text(_LEFT_PX, height - 6, 'faces a second; dashed: the roofline of that precision and number of threads',
                 'soft')
    words = f'{network["size_px"]}x{network["size_px"]} px, {network["weights"]} weights'
    if network['parameters']:
        words += f', {network["parameters"]:,} parameters'
    if network['operations']:
        words += f', {network["operations"] / 1e9:.2f} GFLOP a face'
    return (f'<figure class="card"><h2>{escape(network["name"])}</h2><p>{escape(words)}. The longer the bar, the more '
            f'faces a second.</p>{drawing.svg()}</figure>')


def _stream_cards(streams):
    """Show the whole node: answers a second, and their age."""
    most = max(each['age_p99_ms'] for each in streams) * 1.05
    height = len(streams) * (_BAR_PX + _GAP_PX) + 34
    drawing = Drawing(_WIDTH_PX, height, 'Age of the answers of the node')
    reach = _WIDTH_PX - _LEFT_PX - 130
    for row, each in enumerate(streams):
        top = row * (_BAR_PX + _GAP_PX) + 4
        name = f'{each["width"]}x{each["height"]} {each["transport"]}, {each["faces"]} face{"s" * (each["faces"] > 1)}'
        drawing.text(_LEFT_PX - 8, top + 15, name, '', 'end')
        for key, class_ in (('age_p99_ms', 'fill grid'), ('age_p50_ms', 'fill one')):
            drawing.add('rect', x=_LEFT_PX, y=top, width=reach * each[key] / most, height=_BAR_PX, rx=2, class_=class_)
        drawing.text(_LEFT_PX + reach * each['age_p99_ms'] / most + 6, top + 15,
                     f'{each["age_p50_ms"]:.0f}, {each["age_p99_ms"]:.0f} ms; {each["fps"]:.1f}/s', 'halo')
    drawing.text(_LEFT_PX, height - 6, 'age of an answer in ms: half of them at most, and 99% at most', 'soft')
    return ('<figure class="card"><h2>The node</h2><p>From the camera’s stamp until a reader in another process has '
            f'the answer.</p>{drawing.svg()}</figure>')
