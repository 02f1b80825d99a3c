"""Writes the model card of a bundle from its manifest alone, so that the two agree.

Source: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, for the sections of a card.
"""

from collections.abc import Mapping
from typing import Any

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.operating_points import operating_points
from facial_emotion_ros.evaluation.adaptation_metrics import comparison_table, criterion_text
from facial_emotion_ros.evaluation.markdown import ends, number, percent, table
from facial_emotion_ros.evaluation.prediction_metrics import operating_points_rows

CARD_FILE = 'MODEL_CARD.md'
CALIBRATION_FILE = 'calibration.png'
CONFUSION_FILE = 'confusion.png'

_USES = """Estimating which expression of eight a face shows, for robots that react to people who know of it: greeting,
tutoring, assistance, games, research. Not for decisions about a person (employment, credit, health, police, admission),
and not for inferring what somebody feels: a face shows less than that, and what it shows depends on person, culture,
light and angle. In the European Union, inferring emotions at the workplace and in education is prohibited except for
medical or safety reasons (Regulation (EU) 2024/1689, Art. 5(1)(f)); elsewhere it is high-risk, and people must be
informed of it (Art. 50(3))."""

_LIMITS = (
    'Scores are the mean of the branches; one of the eight classes always has the highest score, even if none fits.',
    'Figures were measured on pictures like those of the training. With a camera, detector and light add errors; '
    '`evaluate_camera` measures those.',
    'How errors on photographs differ by age, sex or skin colour is unknown: the data has no such labels. Measure with '
    'your users before you rely on it.',
)

#: Classes with fewer faces than this are named in the limits.
_FEW_FACES = 100

_FIGURES = (
    ('accuracy', "accuracy, mean of the branches' scores", True),
    ('accuracy_vote', 'accuracy, plurality vote of the branches', True),
    ('macro_recall', 'mean recall of the classes', True),
    ('macro_f1', 'mean F1 of the classes', True),
    ('ece', 'expected calibration error, 15 bins', False),
    ('confidence_auroc', 'AUROC of the confidence: correct against wrong', False),
    ('agreement_auroc', 'AUROC of the agreement: correct against wrong', False),
)


def card_files(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Make the card and its charts; only the charts need matplotlib.

    :param manifest: complete manifest of a bundle of architecture 'esr'.
    :returns: content by file name: MODEL_CARD.md, and two charts if the manifest has metrics.
    """
    files = {CARD_FILE: model_card(manifest).encode('utf-8')}
    valid = manifest.get('metrics', {}).get('valid')
    if valid:
        from facial_emotion_ros.evaluation.png_charts import confusion_picture, reliability_picture

        before = valid['uncalibrated']
        files[CALIBRATION_FILE] = reliability_picture(
            before['reliability'], valid['reliability'], (before['ece'], valid['ece'])
        )
        files[CONFUSION_FILE] = confusion_picture(valid['confusion'])
    return files


def model_card(manifest: Mapping[str, Any]) -> str:
    """Write the card in Markdown."""
    metrics = manifest.get('metrics', {})
    parts = [_head(manifest), '## Intended use\n\n' + _USES, _training(manifest)]
    if 'operating_points' in manifest['outputs']['logits']:
        parts.append(_points(manifest))
    if 'adaptation' in manifest:
        parts.append(_adaptation(manifest['adaptation']))
    elif metrics.get('valid'):
        parts += [_figures(metrics), _classes(metrics['valid']), _calibration(manifest)]
        parts += [_affect(manifest)] if metrics['valid']['affect']['n'] else []
    else:
        parts += ['## Figures\n\nThis bundle has not been evaluated; use `export --valid`.', _calibration(manifest)]
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
    return f'{title}\n\nGenerated from `manifest.json`, which takes precedence.\n\n' + table(('', ''), facts)


def _training(manifest):
    lines = ['## Training data and training', '']
    for key, value in manifest.get('training', {}).items():
        words = key.replace('_', ' ')
        if isinstance(value, (list, tuple)):
            lines += [f'- {words}:'] + [f'  {place}. {each}' for place, each in enumerate(value, 1)]
        else:
            lines.append(f'- {words}: {value}')
    if len(lines) == 2:
        lines.append('The manifest does not describe the training.')
    return '\n'.join(lines)


def _adaptation(section):
    of = section['of']
    return (
        f'## Adaptation\n\nMade by `adapt` of {of["name"]} {of["version"]} (sha256 `{of["sha256"]}`): a linear '
        f"correction of each branch's logits (ridge strength {section['strength']:g}), temperature and bounds fitted "
        f'to {section["faces"]} faces of {section["persons"]} persons; valence and arousal as before. The figures '
        'below are for held-out persons (cross-validation over persons, which also chose the strength); intervals '
        'are over persons. It has not been evaluated with other persons, cameras and light. '
        f'{_criterion(section)}\n\n' + comparison_table(section)
    )


def _criterion(section):
    """Describe the criterion; bundles up to version 0.2.0 lack gain_required."""
    required = section.get('gain_required')
    return criterion_text(section['gain'], section['gain_error'], required) if required else ''


def _figures(metrics):
    whole, rest = metrics['valid'], metrics.get('valid_without_copies_of_train')
    heads = ['', f'whole ({whole["n"]} faces)', '95%']
    if rest:
        heads.append(f'without copies of training pictures ({rest["n"]} faces)')
    rows = []
    for key, words, is_share in _FIGURES:

        def write(value, is_share=is_share):
            return percent(value, 2) if is_share else number(value, '.3f')

        interval = whole.get('intervals', {}).get(key)
        row = [words, write(whole[key]), ends(interval, write) if interval else '']
        rows.append(row + [write(rest[key])] if rest else row)
    at = f' Operating point `{next(iter(metrics["operating_points"]))}`.' if 'operating_points' in metrics else ''
    return f'## Figures\n\nProtocol: {metrics["protocol"]}.{at}\n\n' + table(heads, rows)


def _classes(valid):
    rows = [
        (emotion, valid['count'][emotion], *(percent(valid[key][emotion], 1) for key in ('recall', 'precision', 'f1')))
        for emotion in EMOTIONS
    ]
    return (
        '### Each class\n\n'
        + table(('class', 'faces', 'recall', 'precision', 'F1'), rows)
        + f'\n\n![Confusion matrix]({CONFUSION_FILE})'
    )


def _points(manifest):
    """Compare the operating points: settings and metrics."""
    points, metrics = operating_points(manifest), manifest.get('metrics', {})
    prior = manifest['outputs']['logits']['class_prior']
    words = ', '.join(f'{emotion} {share:.4f}' for emotion, share in zip(EMOTIONS, prior))
    default = next(iter(points))
    facts = [
        (words, *(f'{getattr(point, key):g}' for point in points.values()))
        for key, words in (
            ('prior_exponent', 'prior_exponent'),
            ('temperature', 'temperature'),
            ('min_confidence', 'lower confidence becomes `unknown`'),
            ('min_agreement', 'lower agreement becomes `unknown`'),
        )
    ]
    if 'operating_points' in metrics:
        facts += operating_points_rows({name: metrics['operating_points'][name] for name in points})[1]
    return (
        f'## Operating points\n\nThe network expects these class frequencies: {words}. Scores are divided by '
        f'them to the power `prior_exponent`, and normalised to sum 1. `{default}` is the default; '
        '`inference.operating_point` selects another one, and `inference.prior` sets other frequencies.'
        + (' The figures are for the faces of the next table.' if 'operating_points' in metrics else '')
        + '\n\n'
        + table(('', *(f'`{name}`' for name in points)), facts)
    )


def _calibration(manifest):
    points, fitted = operating_points(manifest), manifest.get('calibration')
    default, point = next(iter(points.items()))
    lines = ['## Calibration', '']
    if not fitted:
        lines.append(f'Not fitted: temperature {point.temperature:g}.')
    else:
        after = fitted['after'].get(default, fitted['after'])
        lines.append(
            f'Temperature {point.temperature:g}, {fitted["fitted_on"]} ({fitted["n"]} faces with a label). Minimised: '
            f'{fitted["minimised"]}. On these, the calibration error went from {fitted["before"]["ece"]:.3f} to '
            f'{after["ece"]:.3f}.'
        )
    if point.offsets:
        words = ', '.join(f'{emotion} {offset:+.2f}' for emotion, offset in zip(EMOTIONS, point.offsets))
        lines += ['', f'Offsets of the logits: {words}.']
    valid = manifest.get('metrics', {}).get('valid')
    if valid:
        lines += [
            '',
            f'On the faces of the table above: {valid["uncalibrated"]["ece"]:.3f} without, {valid["ece"]:.3f} '
            f'with calibration.',
            '',
            f'![Reliability diagrams]({CALIBRATION_FILE})',
        ]
    return '\n'.join(lines)


def _affect(manifest):
    affect = manifest['metrics']['valid']['affect']
    derived_from = manifest['outputs']['affect'].get('derived_from', 'unknown')
    keys = ('rmse', 'ccc', 'pcc', 'sagr')
    rows = [(name, *(number(affect[name][key], '.3f') for key in keys)) for name in ('valence', 'arousal')]
    return (
        f'## Valence and arousal\n\nLearned from: {derived_from}. Compared here with ground truth that is '
        f'**{affect["source"]}** ({affect["n"]} faces).\n\n' + table(('', 'RMSE', 'CCC', 'PCC', 'SAGR'), rows)
    )


def _quantization(section):
    of = section['of']
    text = (
        f'## int8 quantization\n\nQuantized from {of["name"]} {of["version"]} (sha256 `{of["sha256"]}`): '
        f'{section["how"]}. Calibration data: {section["looked_at"]}.'
    )
    if 'accuracy' in section:
        text += (
            f' On {section["faces"]} faces of {section["on"]}, accuracy is {percent(section["accuracy"], 2)}, before '
            f'{percent(section["accuracy_before"], 2)}; {percent(section["categories_changed"], 2)} of the categories '
            f'change; RMS difference: valence {section["rmse_valence"]:.4f}, arousal {section["rmse_arousal"]:.4f}.'
        )
    return text


def _limits(manifest):
    lines = list(_LIMITS) + list(manifest.get('limits', ()))
    counts = manifest.get('metrics', {}).get('valid', {}).get('count', {})
    few = [f'{emotion} ({count})' for emotion, count in counts.items() if count < _FEW_FACES]
    if few:
        lines.insert(
            1, f'Few faces to measure {", ".join(few)}: their recall is uncertain by ten percentage points or more.'
        )
    return '## Limits\n\n' + '\n'.join(f'- {line}' for line in lines)


def _licence(manifest):
    licence = manifest['licence']
    return f'## Licence\n\n{licence["spdx"]}. {licence.get("note", "")}'.rstrip()
