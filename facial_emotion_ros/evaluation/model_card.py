"""The model card of a bundle, made from its manifest alone, so that the two cannot say different things.

Source: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, for what a card tells.
"""

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.evaluation.markdown import table
from facial_emotion_ros.evaluation.plots import confusion_plot, reliability_plot
from facial_emotion_ros.evaluation.svg import percent, standalone

CARD_FILE = 'MODEL_CARD.md'
CALIBRATION_FILE = 'calibration.svg'
CONFUSION_FILE = 'confusion.svg'

_USES = '''Reading which of eight expressions a face shows, for robots that react to people who know of it: greeting,
tutoring, assistance, games, research. Not for decisions about a person (employment, credit, health, police, admission),
and not for finding out what somebody feels: a face shows less than that, and what it shows depends on person, culture,
light and angle. In the European Union, inferring emotions at the workplace and in education is prohibited save for
medical or safety reasons (Regulation (EU) 2024/1689, Art. 5(1)(f)); elsewhere there it is high-risk, and people must be
told of it (Art. 50(3)).'''

_LIMITS = (
    'Scores are the mean of the branches; the best of eight classes always comes first, even where none fits.',
    'Figures were measured on pictures of the kind that it was trained on. On a camera, detector and light add errors; '
    '`evaluate_camera` measures those.',
    'Nobody has measured how errors differ with age, sex or skin colour: the data has no such labels. Measure for your '
    'users before you rely on it.',
)

#: Classes with fewer faces than this are named in the limits.
_FEW_FACES = 100

_FIGURES = (
    ('accuracy', 'accuracy, mean of the branches\' scores', True),
    ('accuracy_vote', 'accuracy, plurality vote of the branches', True),
    ('macro_recall', 'mean recall of the classes', True),
    ('macro_f1', 'mean F1 of the classes', True),
    ('ece', 'expected calibration error, 15 bins', False),
    ('confidence_auroc', 'AUROC of the confidence: right against wrong', False),
    ('agreement_auroc', 'AUROC of the agreement: right against wrong', False),
)


def card_files(manifest):
    """Make the card and its plots.

    :param manifest: a bundle's manifest of architecture 'esr', complete as it stands in the bundle.
    :returns: dict of file name to bytes: MODEL_CARD.md, and where the manifest holds figures two plots.
    """
    files = {CARD_FILE: model_card(manifest).encode('utf-8')}
    valid = manifest.get('metrics', {}).get('valid')
    if valid:
        plot = reliability_plot(valid['uncalibrated']['reliability'], valid['reliability'],
                                valid['uncalibrated']['ece'], valid['ece'])
        files[CALIBRATION_FILE] = standalone(plot).encode('utf-8')
        files[CONFUSION_FILE] = standalone(confusion_plot(valid['confusion'])).encode('utf-8')
    return files


def model_card(manifest):
    """Write the card.

    :param manifest: see :func:`card_files`.
    :returns: str, Markdown.
    """
    metrics = manifest.get('metrics', {})
    parts = [_head(manifest), '## Intended use\n\n' + _USES, _training(manifest)]
    if metrics.get('valid'):
        parts += [_figures(metrics), _classes(metrics['valid']), _calibration(manifest), _affect(manifest)]
    else:
        parts += ['## Figures\n\nNobody has measured this bundle: `export --valid` does that.', _calibration(manifest)]
    if manifest.get('quantization'):
        parts.append(_quantization(manifest['quantization']))
    parts += [_limits(manifest), _licence(manifest)]
    return '\n\n'.join(parts) + '\n'


def _head(manifest):
    logits, given, model = manifest['outputs']['logits'], manifest['input'], manifest['model']
    facts = (
        ('architecture', manifest['source'].get('architecture', manifest['architecture'])),
        ('branches', logits['branches']),
        ('input', f'{given["size_px"]}x{given["size_px"]} px, {given["color"]}'),
        ('output', f'scores of {", ".join(logits["labels"])}; valence and arousal in [-1, 1]; agreement in [0, 1]'),
        ('file', f'{model["file"]}, {model["bytes"] / 1e6:.1f} MB, {model["precision"]}, opset {model["opset"]}'),
        ('sha256', f'`{model["sha256"]}`'),
    )
    title = f'# {manifest["name"]} {manifest["version"]}'
    return f'{title}\n\nThis page is made from `manifest.json`, which decides.\n\n' + table(('', ''), facts)


def _training(manifest):
    lines = ['## Training data and training', '']
    for key, said in manifest.get('training', {}).items():
        words = key.replace('_', ' ')
        if isinstance(said, (list, tuple)):
            lines += [f'- {words}:'] + [f'  {place}. {each}' for place, each in enumerate(said, 1)]
        else:
            lines.append(f'- {words}: {said}')
    if len(lines) == 2:
        lines.append('Nobody has said how these weights came about.')
    return '\n'.join(lines)


def _figures(metrics):
    whole, rest = metrics['valid'], metrics.get('valid_without_copies_of_train')
    heads = ['', f'whole ({whole["n"]} faces)', '95%']
    if rest:
        heads.append(f'without copies of training pictures ({rest["n"]} faces)')
    rows = []
    for key, words, is_share in _FIGURES:
        def write(value, is_share=is_share):
            return '–' if value is None else percent(value, 2) if is_share else f'{value:.3f}'
        ends = whole.get('intervals', {}).get(key)
        row = [words, write(whole[key]), f'{write(ends[0])} to {write(ends[1])}' if ends else '']
        rows.append(row + [write(rest[key])] if rest else row)
    return f'## Figures\n\nProtocol: {metrics["protocol"]}.\n\n' + table(heads, rows)


def _classes(valid):
    rows = [
        (emotion, valid['count'][emotion], *(percent(valid[key][emotion], 1) for key in ('recall', 'precision', 'f1')))
        for emotion in EMOTIONS
    ]
    return (
        '### Each class\n\n' + table(('class', 'faces', 'recall', 'precision', 'F1'), rows)
        + f'\n\n![Which class is taken for which]({CONFUSION_FILE})'
    )


def _calibration(manifest):
    logits, fitted = manifest['outputs']['logits'], manifest.get('calibration')
    temperature, offsets = logits.get('temperature', 1.0), logits.get('offsets')
    said = ['## Calibration', '']
    if not fitted:
        said.append(f'Not fitted: temperature {temperature:g}.')
    else:
        before, after = fitted['before'], fitted['after']
        said.append(
            f'Temperature {temperature:g}, {fitted["fitted_on"]} ({fitted["n"]} faces with a label), by the least '
            f'{fitted["minimised"]}. There, the calibration error went from {before["ece"]:.3f} to {after["ece"]:.3f}.'
        )
    if offsets:
        words = ', '.join(f'{emotion} {offset:+.2f}' for emotion, offset in zip(EMOTIONS, offsets))
        said += ['', f'Offsets in favour of rare classes: {words}.']
        if fitted:
            said.append(
                f'They are {fitted["strength"]:g} x -log(frequency in training), and moved accuracy on the held-out '
                f'faces from {percent(before["accuracy"], 2)} to {percent(after["accuracy"], 2)}, mean recall from '
                f'{percent(before["macro_recall"], 2)} to {percent(after["macro_recall"], 2)}.'
            )
    valid = manifest.get('metrics', {}).get('valid')
    if valid:
        said += ['', f'On the faces of the table above: {valid["uncalibrated"]["ece"]:.3f} without, {valid["ece"]:.3f} '
                 f'with calibration.', '', f'![How often predictions of each confidence are right]({CALIBRATION_FILE})']
    return '\n'.join(said)


def _affect(manifest):
    affect = manifest['metrics']['valid']['affect']
    derived_from = manifest['outputs']['affect'].get('derived_from', 'unknown')
    keys = ('rmse', 'ccc', 'pcc', 'sagr')
    rows = [
        (name, *('–' if affect[name][key] is None else f'{affect[name][key]:.3f}' for key in keys))
        for name in ('valence', 'arousal')
    ]
    return (
        f'## Valence and arousal\n\nLearned from: {derived_from}. Compared here with affect that is '
        f'**{affect["source"]}** ({affect["n"]} faces).\n\n' + table(('', 'RMSE', 'CCC', 'PCC', 'SAGR'), rows)
    )


def _quantization(said):
    of = said['of']
    text = (f'## Eight bits\n\nMade of {of["name"]} {of["version"]} (sha256 `{of["sha256"]}`): {said["how"]}. The '
            f'ranges are those of {said["looked_at"]}.')
    if 'accuracy' in said:
        text += (f' On {said["faces"]} faces of {said["on"]}, accuracy is {percent(said["accuracy"], 2)} where that of '
                 f'the other is {percent(said["accuracy_before"], 2)}; {percent(said["categories_changed"], 2)} of the '
                 f'categories are others; valence differs by {said["rmse_valence"]:.4f}, arousal by '
                 f'{said["rmse_arousal"]:.4f} (root of the mean square).')
    return text


def _limits(manifest):
    lines = list(_LIMITS) + list(manifest.get('limits', ()))
    counts = manifest.get('metrics', {}).get('valid', {}).get('count', {})
    few = [f'{emotion} ({count})' for emotion, count in counts.items() if count < _FEW_FACES]
    if few:
        lines.insert(1, f'Few faces were there to measure {", ".join(few)}: their recall is uncertain by ten points '
                     'and more.')
    return '## Limits\n\n' + '\n'.join(f'- {line}' for line in lines)


def _licence(manifest):
    licence = manifest['licence']
    return f'## Licence\n\n{licence["spdx"]}. {licence.get("note", "")}'.rstrip()
