"""The figures of a recording's page: tiles, tables, bars of time, and how the page came about."""

from html import escape

from facial_emotion_ros.bag_evaluation.report_words import duration, interval, number, percentage

_OF_AFFECT = (('rmse', 'RMSE'), ('ccc', 'CCC'), ('pcc', 'PCC'), ('sagr', 'SAGR'))

#: Steps of the work with a frame, in their order.
_STEPS = ('read', 'decode', 'detect', 'estimate')


def tiles(summary, length_s):
    """Show the figures that matter most.

    :param summary: as summary.json holds it.
    :param length_s: seconds from the first to the last image.
    :returns: str, HTML.
    """
    overall, truth, run = (summary.get(key) or {} for key in ('overall', 'truth', 'run'))
    frames = overall.get('frames')
    shown = [
        ('length', duration(length_s), ''),
        ('images', '–' if frames is None else f'{frames:,}', _of_cameras(summary)),
        ('faces', '–' if overall.get('faces') is None else f'{overall["faces"]:,}', _people(overall)),
        ('with a face', percentage(overall.get('coverage')), 'of the images'),
        ('unknown', percentage(overall.get('unknown_share')), 'of the views'),
        ('changes', number(overall.get('flips_per_minute'), 1), 'a minute'),
    ]
    if truth.get('accuracy') is not None:
        intervals = truth.get('intervals') or {}
        shown += [('accuracy', percentage(truth['accuracy']), _within(intervals.get('accuracy'))),
                  ('macro-F1', percentage(truth.get('macro_f1')), _within(intervals.get('macro_f1'))),
                  ('macro-F1, all classes', percentage(truth.get('macro_f1_all')),
                   _within(intervals.get('macro_f1_all'))),
                  ('Cohen’s kappa', number(truth.get('kappa')), '')]
    if run.get('times_real_time') is not None:
        shown.append(('speed', f'{run["times_real_time"]:.1f}×', 'real time'))
    made = ''.join(f'<div class="card tile"><span>{word}</span><b>{value}</b>'
                   f'<span class="soft">{escape(more)}</span></div>' for word, value, more in shown)
    return f'<div class="tiles">{made}</div>'


def _of_cameras(summary):
    count = len(summary.get('cameras') or {})
    return f'of {count} cameras' if count > 1 else ''


def _people(overall):
    count = overall.get('persons')
    return f'of {count:,} {"person" if count == 1 else "people"}' if count else ''


def _within(bounds):
    return f'95%: {interval(bounds, "–")}' if bounds else ''


def table(title, words, head, rows):
    """Make a card with a table; cells are text.

    :param title, words: heading, and how to read it.
    :param head: words of the columns.
    :param rows: lists of cells.
    :returns: str, HTML.
    """
    heads = ''.join(f'<th>{escape(word)}</th>' for word in head)
    cells = ''.join('<tr>' + ''.join(f'<td>{escape(str(cell))}</td>' for cell in row) + '</tr>' for row in rows)
    return (f'<figure class="card"><h2>{escape(title)}</h2><p>{escape(words)}</p><table><tr>{heads}</tr>{cells}'
            '</table></figure>')


def steps_in_words(steps):
    """Say what the steps of the work with a frame are.

    :param steps: names of those that took time of their own; without 'detect', faces are found in the last step.
    :returns: dict of those that are there, in the order of the work.
    """
    words = {'read': 'reading the recording', 'decode': 'decoding the picture', 'detect': 'finding faces',
             'estimate': ('' if 'detect' in steps else 'finding, ') + 'following and reading faces'}
    return {step: words[step] for step in _STEPS if step in steps}


def affect_table(summary):
    """Show how well valence and arousal were read, where their truth is known."""
    affect = (summary.get('truth') or {}).get('affect') or {}
    rows = [(name, f'{affect[name].get("n", 0):,}', *(number(affect[name].get(key), 3) for key, _ in _OF_AFFECT))
            for name in ('valence', 'arousal') if (affect.get(name) or {}).get('n')]
    if not rows:
        return ''
    words = ('RMSE is the error (0 is perfect); CCC and PCC say how closely the curves run together (1 is perfect); '
             'SAGR is the share with the right sign.')
    return table('Valence and arousal against the truth', words, ('', 'views', *(word for _, word in _OF_AFFECT)), rows)


def recorded(summary):
    """Compare with the answers that are in the recording already."""
    there = summary.get('recorded') or {}
    if not there:
        return ''
    rows = [('topic', there.get('topic', '–')), ('compared views', f'{there.get("n", 0):,}'),
            ('same emotion', percentage(there.get('agreement'))),
            ('recorded latency, half at most', f'{number(there.get("latency_ms_p50"), 0)} ms'),
            ('recorded latency, 95% at most', f'{number(there.get("latency_ms_p95"), 0)} ms')]
    return table('Against the recording’s own', 'Compared with recorded detections or annotations of these faces; the '
                 'latency is from an image’s stamp to when they were recorded.', ('', ''), rows)


def speed(summary):
    """Show what the time for a frame went into."""
    run = summary.get('run') or {}
    times = {step: each for step, each in (run.get('ms') or {}).items() if (each or {}).get('p50') is not None}
    if not times:
        return ''
    most = max([each.get('p95') or each['p50'] for each in times.values()] + [1e-9])
    bars = ''
    for step, words in steps_in_words(times).items():
        half, nearly = times[step]['p50'], times[step].get('p95')
        bars += f'<span class="step">{words}</span><div role="img" aria-label="{number(half, 1)} ms">'
        bars += ''.join(f'<i style="width:{100 * each / most:.1f}%"></i>' for each in (nearly or half, half))
        bars += f'</div><span class="soft">{number(half, 1)}, {number(nearly, 1)} ms</span>'
    said = ''
    if run.get('seconds') is not None:
        said = f'All of it took {duration(run["seconds"])}'
        said += f', {run["frames_per_second"]:.0f} images a second' if run.get('frames_per_second') else ''
        said += f', {run["times_real_time"]:.1f} times real time' if run.get('times_real_time') else ''
        said += '. '
    return (f'<figure class="card"><h2>Speed</h2><p>{escape(said)}Dark: half of the images need at most this long; '
            f'pale: 95% of them.</p><div class="bars">{bars}</div></figure>')


def live(summary):
    """Show how the node itself fared with the recording, where that was measured."""
    there = (summary.get('run') or {}).get('live') or {}
    if not there:
        return ''
    rows = [('images played', f'{there.get("frames", 0):,}'), ('answered', f'{there.get("answered", 0):,}'),
            ('dropped', f'{there.get("dropped", 0):,}'),
            *((f'age of an answer, {words}', f'{number(there.get(f"age_{key}_ms"), 0)} ms')
              for key, words in (('p50', 'half at most'), ('p99', '99% at most'), ('max', 'the most'))),
            ('processor for an answer', f'{number(there.get("cpu_ms"), 1)} ms'),
            ('memory of the node', f'{number(there.get("memory_mb"), 0)} MiB')]
    return table('Live, through the node', f'{there.get("topic", "")} played in real time over the middleware; the age '
                 'counts from an image’s publishing to its answer.', ('', ''), rows)


def cameras_table(summary):
    """Show the figures of each camera where there are several."""
    cameras = summary.get('cameras') or {}
    if len(cameras) < 2:
        return ''
    rows = [(topic, f'{each.get("frames", 0):,}', f'{each.get("bad_frames", 0):,}', percentage(each.get('coverage')),
             each.get('faces', '–'), percentage(each.get('unknown_share')), number(each.get('flips_per_minute'), 1))
            for topic, each in cameras.items()]
    head = ('camera', 'images', 'unreadable', 'with a face', 'faces', 'unknown', 'changes a minute')
    return table('Camera by camera', 'Cameras know nothing of each other: one person may be a face of each.', head,
                 rows)


def provenance(summary):
    """Say how the page came about: what is needed to make it again."""
    bag, bundle, detector, run = (summary.get(key) or {} for key in ('bag', 'bundle', 'detector', 'run'))
    lines = [
        ('command', run.get('command')), ('recording', bag.get('name')), ('its sha256', bag.get('sha256')),
        ('emotions by', _bundle(bundle)), ('faces found by', _bundle(detector)), ('engine', run.get('provider')),
        ('made', run.get('made')), ('notes', '; '.join(map(str, run.get('notes') or ()))),
        ('versions', ', '.join(f'{name} {version}' for name, version in (run.get('versions') or {}).items())),
    ]
    rows = ''.join(f'<dt>{word}</dt><dd><code>{escape(str(said))}</code></dd>' for word, said in lines if said)
    return (f'<section class="card"><h2>How this page came about</h2><dl>{rows}</dl><p class="soft">The same figures '
            'for programs are beside this page: summary.json, and each face of each image in frames.csv.</p></section>')


def _bundle(bundle):
    said = ' '.join(str(bundle[key]) for key in ('name', 'version') if bundle.get(key))
    return said + (f', sha256 {bundle["sha256"]}' if bundle.get('sha256') else '')
