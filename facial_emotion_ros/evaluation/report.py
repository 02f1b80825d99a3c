"""One page that shows how well a bundle reads a set of faces; it needs no other file and asks no other host."""

import base64
from html import escape

import cv2
import numpy as np

from facial_emotion_ros import metrics as merit
from facial_emotion_ros.affect_coordinates import AFFECT_COORDINATES
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import combine
from facial_emotion_ros.evaluation import plots
from facial_emotion_ros.evaluation.page import page
from facial_emotion_ros.evaluation.svg import percent
from facial_emotion_ros.learning.face_set import DERIVED_FROM_VOTES

#: (key, words, whether it is a share that reads as a percentage) of the tiles.
_TILES = (
    ('accuracy', 'accuracy', True), ('macro_recall', 'mean recall of the classes', True),
    ('ece', 'calibration error (ECE)', False), ('confidence_auroc', 'AUROC of the confidence', False),
    ('agreement_auroc', 'AUROC of the agreement', False),
)


def report_html(figures, reading, temperature=1.0, offsets=None, pictures=()):
    """Make the page.

    :param figures: what the evaluate command writes as metrics.json.
    :param reading: the Reading that they were computed from.
    :param temperature, offsets: the bundle's.
    :param pictures: list of (caption, uint8 picture) to put in; none by default, as pictures of people may not be
        passed on with a page.
    :returns: str.
    """
    bundle, faces = figures['bundle'], figures['dataset']
    title = f'{bundle["name"]} {bundle["version"]} on {faces["name"]}'
    cards = ''.join(_figure(*card) for card in _cards(figures, reading.labelled(), temperature, offsets))
    return page(title, f'<h1>{escape(title)}</h1><p class="soft">{_says(figures)}</p>{_tiles(figures)}'
                f'<div class="cards">{cards}{_class_table(figures)}{_affect_table(figures["affect"])}'
                f'{_trust_table(figures)}</div>{_faces(pictures)}{_provenance(figures)}')


def most_confident_errors(face_set, reading, temperature, offsets, count):
    """Pick the errors that the network was surest of, with their pictures.

    :param face_set: FaceSet that the reading is of.
    :param reading: Reading.
    :param temperature, offsets: the bundle's.
    :param count: how many at most.
    :returns: list of (caption, uint8 picture).
    """
    labelled = reading.labelled()
    scores = combine(labelled.logits, labelled.affect, temperature, offsets).scores
    predictions = scores.argmax(1)
    wrong = np.flatnonzero(predictions != labelled.labels)
    chosen = wrong[np.argsort(-scores[wrong].max(1), kind='stable')][:count]
    places = {name: place for place, name in enumerate(face_set.names)}
    faces = face_set.faces(np.array([places[name] for name in labelled.names[chosen]], np.int64))
    captions = [
        f'{EMOTIONS[predictions[row]]} {percent(scores[row].max())}, people said {EMOTIONS[labelled.labels[row]]}'
        for row in chosen
    ]
    return list(zip(captions, faces))


def _cards(figures, reading, temperature, offsets):
    """List (title, how to read it, plot) of each plot."""
    ensemble = combine(reading.logits, reading.affect, temperature, offsets)
    confidences, is_right = ensemble.scores.max(1), ensemble.scores.argmax(1) == reading.labels
    numbers = (('confidence', confidences), ('agreement', ensemble.agreement))
    roc = [(name, *merit.roc_curve(each, is_right), figures[f'{name}_auroc']) for name, each in numbers]
    risk = [(name, *merit.risk_coverage(each, is_right)) for name, each in numbers]
    source = figures['affect']['source']
    derived = source == DERIVED_FROM_VOTES
    coordinates = [AFFECT_COORDINATES[emotion] for emotion in EMOTIONS] if derived else None
    rings = '; rings: where votes for one class alone would lie. Nobody rated these pictures.' if derived else '.'
    without = figures['uncalibrated']
    return (
        ('What is taken for what',
         'Each row adds up to the faces of one class. Blue is right, orange is an error; small numbers are faces.',
         plots.confusion_plot(figures['confusion'])),
        ('Recall of each class',
         'The bar is what was measured; the line is where the true share may lie (95%): the fewer faces, the longer.',
         plots.recall_plot(figures['confusion'])),
        ('Does a confidence of 80% mean 8 of 10?',
         'Where the small marks lie on the dashed line, it does. Orange is the gap; pale bars hold fewer than 20 '
         'faces. Below: how many faces have each confidence.',
         plots.reliability_plot(without['reliability'], figures['reliability'], without['ece'], figures['ece'])),
        ('Telling right from wrong',
         'The further a curve bends to the upper left, the better the number tells right answers from wrong ones. '
         'On the dashed line it would tell nothing.', plots.roc_plot(roc)),
        ('Errors when the network may decline',
         'Read from right to left: the fewer of the least trusted faces are answered, the fewer errors remain.',
         plots.risk_plot(risk)),
        ('Valence and arousal',
         f'Dots: faces; large dots: the median of each class. Truth is {source}{rings}',
         plots.affect_plot(ensemble.valence, ensemble.arousal, reading.labels, coordinates, source)),
    )


def _figure(title, words, plot):
    return f'<figure class="card"><h2>{escape(title)}</h2><p>{escape(words)}</p>{plot}</figure>'


def _says(figures):
    calibration = figures['calibration']
    said = f'{figures["n"]} faces, single crop, mean of the branches’ scores. '
    said += f'Temperature {calibration["temperature"]:g}'
    said += ', rare classes favoured by offsets.' if calibration['offsets'] else '.'
    if 'without_left_out' in figures:
        rest = figures['without_left_out']
        said += f' In small print: without the faces of {escape(rest["left_out"])}, {rest["n"]} faces.'
    return said


def _tiles(figures):
    tiles = ''
    for key, words, is_share in _TILES:
        def write(value, is_share=is_share):
            return '–' if value is None else percent(value, 1) if is_share else f'{value:.3f}'
        small = ''
        if key in figures.get('intervals', {}):
            low, high = figures['intervals'][key]
            small += f'<span class="soft">95%: {write(low)} to {write(high)}</span>'
        if key == 'ece':
            small += f'<span class="soft">{write(figures["uncalibrated"]["ece"])} before calibration</span>'
        if 'without_left_out' in figures:
            small += f'<span class="soft">{write(figures["without_left_out"][key])} without those left out</span>'
        tiles += f'<div class="card tile"><span>{words}</span><b>{write(figures[key])}</b>{small}</div>'
    return f'<div class="tiles">{tiles}</div>'


def _table(title, words, head, rows):
    cells = ''.join('<tr>' + ''.join(f'<td>{escape(str(cell))}</td>' for cell in row) + '</tr>' for row in rows)
    heads = ''.join(f'<th>{escape(word)}</th>' for word in head)
    note = f'<p>{escape(words)}</p>' if words else ''
    return f'<figure class="card"><h2>{escape(title)}</h2>{note}<table><tr>{heads}</tr>{cells}</table></figure>'


_OF_CLASS = ('recall', 'precision', 'f1')
_OF_AFFECT = ('rmse', 'ccc', 'pcc', 'sagr')


def _class_table(figures):
    rows = [
        (emotion, figures['count'][emotion]) + tuple(percent(figures[key][emotion], 1) for key in _OF_CLASS)
        for emotion in EMOTIONS
    ]
    rows.append(('mean of those with labels', figures['n'], percent(figures['macro_recall'], 1), '',
                 percent(figures['macro_f1'], 1)))
    rows.append(('mean of those with labels or answers', '', '', '', percent(figures['macro_f1_all'], 1)))
    kappa = '' if figures['kappa'] is None else f'Cohen’s kappa: {figures["kappa"]:.3f}.'
    return _table('Each class in numbers', kappa, ('class', 'faces', 'recall', 'precision', 'F1'), rows)


def _affect_table(affect):
    def write(value):
        return '–' if value is None else f'{value:.3f}'

    rows = [(name, *(write(affect[name][key]) for key in _OF_AFFECT)) for name in ('valence', 'arousal')]
    words = f'{affect["n"]} faces; truth is {affect["source"]}.'
    return _table('Valence and arousal in numbers', words, ('', 'RMSE', 'CCC', 'PCC', 'SAGR'), rows)


def _trust_table(figures):
    shares = figures['error_at_coverage']
    rows = [
        (f'most trusted {percent(float(share))}', *(percent(shares[name].get(share), 1) for name in shares))
        for share in sorted(shares['confidence'], key=float, reverse=True)
    ]
    errors = None if figures['accuracy'] is None else 1 - figures['accuracy']
    rows.insert(0, ('all faces', percent(errors, 1), percent(errors, 1)))
    return _table('Errors among the most trusted faces', '', ('', 'by confidence', 'by agreement'), rows)


def _faces(pictures):
    shown = ''
    for caption, picture in pictures:
        coded = base64.b64encode(cv2.imencode('.png', picture)[1].tobytes()).decode()
        shown += f'<figure><img alt="" src="data:image/png;base64,{coded}">{escape(caption)}</figure>'
    if not shown:
        return ''
    return (
        '<section class="card"><h2>Surest errors</h2><p class="soft">These are the data set’s pictures of people: '
        'look at them, and pass this page on only if you may pass them on.</p>'
        f'<div class="faces">{shown}</div></section>'
    )


def _provenance(figures):
    bundle, faces = figures['bundle'], figures['dataset']
    lines = [
        ('command', figures['command']), ('model', f'{bundle["name"]} {bundle["version"]}, sha256 {bundle["sha256"]}'),
        ('faces', f'{faces["name"]}: {faces["faces"]} faces, {faces["labelled"]} with a label, '
         f'{faces["damaged"]} damaged'),
        ('calibration', f'temperature {figures["calibration"]["temperature"]:g}, offsets '
         f'{figures["calibration"]["offsets"] or "none"}'),
        ('provider', figures['provider']), ('made', figures['made']),
        ('versions', ', '.join(f'{name} {version}' for name, version in figures['versions'].items())),
    ]
    rows = ''.join(f'<dt>{escape(word)}</dt><dd><code>{escape(str(said))}</code></dd>' for word, said in lines)
    return f'<section class="card"><h2>How this page came about</h2><dl>{rows}</dl></section>'
