"""One page that shows what a recording says of the emotions in it; it needs no other file and asks no other host."""

import base64
from html import escape

from facial_emotion_ros.bag_evaluation import report_numbers as numbers
from facial_emotion_ros.bag_evaluation import timeline_plots as plots
from facial_emotion_ros.bag_evaluation.affect_plane import affect_plane
from facial_emotion_ros.bag_evaluation.report_style import STYLE, SWIPE
from facial_emotion_ros.bag_evaluation.report_words import (
    clock,
    counted,
    duration,
    headline,
    moment_of,
    percentage,
    story_in_words,
)
from facial_emotion_ros.bag_evaluation.story import DISAGREEMENT, FLIP, WRONG
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.evaluation.page import page
from facial_emotion_ros.evaluation.plots import confusion_plot

#: Rows of the timelines in all, but never fewer than this of a camera; and faces that are shown in detail.
MAX_ROWS, _LEAST_ROWS, MAX_PERSONS = 24, 4, 6

_KINDS = (
    (WRONG, 'Wrong against the truth', 'Those of which the network was surest.'),
    (FLIP, 'A new answer', 'Where the answer for a face changed: a change of mind, or of the face?'),
    (DISAGREEMENT, 'The branches disagree', 'The network asks several branches; here they say different things.'),
)


def report_html(summary, story):
    """Make the page.

    :param summary: dict, as summary.json holds it; what is absent is left out of the page.
    :param story: Story of the same recording.
    :returns: str, a whole HTML document.
    """
    bag = summary.get('bag') or {}
    scale = plots.TimeScale(max(story.end_s, story.bin_s))
    said = headline(summary, story.end_s)
    began = moment_of(bag.get('start') or bag.get('start_ns'))
    cameras = ', '.join(map(str, summary.get('cameras') or {}))
    eyebrow = ' · '.join(filter(None, [str(bag.get('name') or 'recording'), began, cameras]))
    lead = f'<p class="lead">{escape(" ".join(story_in_words(summary)))}</p>'
    body = (
        f'<p class="eyebrow">{escape(eyebrow)}</p><h1>{escape(said)}</h1>{lead}'
        f'{numbers.tiles(summary, story.end_s)}{_lost(summary)}{_gaps(summary)}{_shares(summary)}'
        f'{_timelines(story, scale)}{_persons(story, scale)}<div class="cards">{_plane(story)}'
        f'{numbers.speed(summary)}{numbers.live(summary)}'
        f'{_confusion(summary)}{numbers.affect_table(summary)}{numbers.recorded(summary)}</div>{_moments(story)}'
        f'{numbers.cameras_table(summary)}{_words()}{numbers.provenance(summary)}'
    )
    return page(f'{bag.get("name") or "Recording"}: {said}', body, STYLE)


def _lost(summary):
    """Say what of the recording could not be read."""
    bag, cameras = summary.get('bag') or {}, summary.get('cameras') or {}
    losses = [str(each) for each in bag.get('faults') or ()]
    # Faults that name the camera tell of its images already, and why.
    losses += [f'{counted(figures["bad_frames"], "image")} of {topic} could not be read as a picture'
               for topic, figures in cameras.items()
               if figures.get('bad_frames') and not any(topic in each for each in losses)]
    if not losses:
        return '<p class="card whole"><b>Nothing was lost:</b> every image of the recording was read.</p>'
    # A badly damaged recording may have thousands of faults; the first ones tell of what kind they are.
    shown = ''.join(f'<li>{escape(each)}</li>' for each in losses[:12])
    shown += f'<li>and {len(losses) - 12} faults more, in summary.json</li>' if len(losses) > 12 else ''
    return ('<section class="card lost"><h2>What was lost</h2><p>The rest of this page shows what could be read.</p>'
            f'<ul>{shown}</ul></section>')


def _gaps(summary):
    """Say when no image came, of each camera."""
    items = ''
    for topic, figures in (summary.get('cameras') or {}).items():
        gaps = figures.get('gaps') or {}
        if gaps.get('count'):
            listed = ', '.join(f'{duration(gap["seconds"])} from {clock(gap["start_s"])}' for gap in gaps['longest'])
            rest = gaps['count'] - len(gaps['longest'])
            items += f'<li>{escape(topic)}: {listed}{f", and {rest} shorter" if rest else ""}</li>'
    if not items:
        return ''
    return ('<section class="card gaps"><h2>Times without an image</h2><p>The recording holds no image of these times, '
            f'and faces may have new letters after them; nothing is said of what happened there.</p><ul>{items}</ul>'
            '</section>')


def _shares(summary):
    """Show the share of each emotion, and with it which colour is which."""
    overall = summary.get('overall') or {}
    shares = dict(overall.get('emotions') or {})
    if overall.get('unknown_share') is not None:
        shares.setdefault(UNKNOWN, overall['unknown_share'])
    words = (*EMOTIONS, UNKNOWN)
    parts = ''.join(
        f'<i class="{plots.MARK_CLASSES[word]}" style="flex:{shares[word]:.4f} 0 0" '
        f'title="{word} {percentage(shares[word])}"></i>' for word in words if shares.get(word))
    legend = ''.join(f'<span>{_chip(word)}{word} <span class="soft">{percentage(shares.get(word, 0.0))}</span></span>'
                     for word in words)
    bar = f'<div class="shares" role="img" aria-label="Shares of the emotions">{parts}</div>' if parts else ''
    return ('<section class="card"><h2>What was read in the faces</h2><p class="soft">Share of each emotion in all '
            'views of faces. The colours and letters mean the same on the whole page; striped is unknown: the network '
            f'would not say.</p>{bar}<div class="legend">{legend}</div></section>')


def _chip(word):
    return f'<i class="chip {plots.MARK_CLASSES[word]}">{word[:2]}</i>'


def _timelines(story, scale):
    """Show who was there when, and with which emotion: a block for each camera, a row for each face."""
    room = max(_LEAST_ROWS, MAX_ROWS // max(len(story.cameras), 1))
    blocks = ''
    for topic, camera in story.cameras.items():
        longest = sorted(camera.faces.values(), key=lambda face: -face.frames)
        shown = {id(face) for face in longest[:room]}
        rows = ''.join(_row(_who(face), plots.emotion_row(story, camera, face, scale))
                       for face in camera.faces.values() if id(face) in shown)
        others = _others(longest, room, camera.others)
        present = '<div class="who"><span class="soft">a face in view</span></div>'
        rows += others + _row(present, plots.presence_row(story, camera, scale)) + _row('<span></span>', scale.axis())
        title = f'<h3>{escape(topic)}</h3>' if len(story.cameras) > 1 else ''
        blocks += title + (rows if longest else '<p class="soft">This camera saw no face.</p>' + rows)
    truth = any(step.truth.any() for _, face in _faces(story) for step in face.steps.values())
    thin = ' The thin band under a face is the truth.' if truth else ''
    return (f'<section class="card timeline"><h2>Who, when, and with which emotion</h2><p class="soft">A row for each '
            f'face, from left to right in minutes and seconds; empty where it was not seen.{thin} Rest the mouse on a '
            'piece for its times.</p>'
            f'{blocks}</section>')


def _others(longest, room, dropped=(0, 0)):
    """Say what is not shown where there are more faces than room.

    longest: FaceStory of all that have one, the longest seen first; dropped: faces without a story, and their views.
    """
    count = max(len(longest) - room, 0) + dropped[0]
    if not count:
        return ''
    hidden = sum(face.frames for face in longest[room:]) + dropped[1]
    share = hidden / (hidden + sum(face.frames for face in longest[:room]))
    return (f'<p class="soft">These {min(room, len(longest))} faces were seen longest; {counted(count, "other")} had '
            f'{percentage(share)} of the views.</p>')


def _row(left, right):
    return f'<div class="row">{left}{right}</div>'


def _dropped(story):
    """Add up the faces of all cameras that have no story, and their views."""
    return tuple(sum(camera.others[place] for camera in story.cameras.values()) for place in (0, 1))


def _faces(story):
    """List (CameraStory, FaceStory) of all faces, those seen longest first."""
    found = [(camera, face) for camera in story.cameras.values() for face in camera.faces.values()]
    return sorted(found, key=lambda each: -each[1].frames)


def _who(face, seen=''):
    """Show a face: portrait, name, what it was most of the time; seen: for how long, if not just that, as HTML."""
    told = sum(step.told for step in face.steps.values())
    word = (*EMOTIONS, UNKNOWN)[int(told.argmax())]
    seen = seen or f'<span class="soft">{duration(face.last_s - face.first_s)}</span>'
    portrait = '<div class="nobody"></div>'
    if face.portrait:
        portrait = f'<img alt="Face {escape(face.face_id)}" src="{_data_uri(face.portrait)}">'
    return (f'<div class="who">{portrait}<div><b>{escape(face.face_id)}</b><span class="soft">'
            f'{percentage(told.max() / max(told.sum(), 1))} {word}</span>{seen}</div></div>')


def _data_uri(jpeg):
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode()


def _persons(story, scale):
    """Show the scores and the affect of the faces that were seen longest."""
    known = any(step.true_affect_frames for _, face in _faces(story) for step in face.steps.values())
    dashed = ' <span class="soft"><span class="key dashed"></span>truth</span>' if known else ''
    topics = {id(camera): topic for topic, camera in story.cameras.items()}
    shown = ''
    for camera, face in _faces(story)[:MAX_PERSONS]:
        seen = f'<span class="soft">{plots.seen_for(face)}</span>'
        if len(topics) > 1:
            seen += f'<span class="soft">{escape(topics[id(camera)])}</span>'
        shown += (f'<div class="person">{_who(face, seen)}'
                  f'<div><h4>Scores of the eight emotions</h4>{plots.scores_plot(story, camera, face, scale)}</div>'
                  '<div><h4><span class="key one"></span>valence <span class="key two"></span>arousal'
                  f'{dashed}</h4>'
                  f'{plots.affect_over_time(story, camera, face, scale)}</div></div>')
    if not shown:
        return ''
    return ('<section class="card persons"><h2>Face by face</h2><p class="soft">How sure the network was of each '
            'emotion, in the colours from above: a plot of one colour is a clear answer, many colours are doubt. '
            'Valence goes from negative (−1) to positive (+1), arousal from calm to excited.</p>'
            f'{shown}{_others([face for _, face in _faces(story)], MAX_PERSONS, _dropped(story))}</section>')


def _plane(story):
    faces = [face for _, face in _faces(story)]
    if not faces:
        return ''
    return ('<figure class="card plane"><h2>In the plane of valence and arousal</h2><p>The stronger the blue, '
            'the more time faces spent there. Lines are the paths of the faces that were seen longest; each portrait '
            'lies half way of its views. Rings show where people place the words.</p>'
            f'{affect_plane(faces)}</figure>')


def _confusion(summary):
    truth = summary.get('truth') or {}
    if not truth.get('confusion') or not truth.get('n'):
        return ''
    source = f' Truth: {escape(str(truth["source"]))}.' if truth.get('source') else ''
    return ('<figure class="card confusion"><h2>What is taken for what</h2><p>Each row is what was true, each column '
            'what was said; blue is right, orange is an error. Views are counted: a face counts once for each image '
            f'that it is in. Views that were called unknown are not among them.{source}</p>'
            f'{SWIPE}{confusion_plot(truth["confusion"], "views")}</figure>')


def _moments(story):
    """Show the moments that deserve a look, with their pictures."""
    several = len(story.cameras) > 1
    groups = ''
    for kind, title, words in _KINDS:
        shown = ''
        for each in (moment for moment in story.moments() if moment.kind == kind):
            where = f' · {each.camera}' if several else ''
            alt = f'{each.face_id} at {clock(each.time_s)}: {each.says}'
            shown += (f'<figure><div><img alt="{escape(alt)}" src="{_data_uri(each.picture)}">'
                      f'<time>{clock(each.time_s)}</time></div><figcaption>{escape(each.says)}<br>'
                      f'<span class="soft">{escape(each.face_id + where)}</span></figcaption></figure>')
        if shown:
            groups += f'<h3>{title}</h3><p class="soft">{words}</p><div class="moments">{shown}</div>'
    if not groups:
        return ''
    return f'<section class="card"><h2>Moments that deserve a look</h2>{groups}</section>'


def _words():
    """Explain the words of the page to somebody who has never seen it."""
    words = (
        ('face', 'somebody as the tracker saw them: five letters that stay while the face stays in view. Who leaves '
                 'and comes back may get new letters, so there may be more faces than people.'),
        ('emotion', 'the word, of eight, with the highest score; it changes only when a new word holds for a while.'),
        ('unknown', 'the face was too small, blurred, cut or in bad light, or the branches of the network disagreed.'),
        ('valence, arousal', 'how pleasant (−1 to 1) and how excited (−1 to 1) a face looks.'),
        ('changes a minute', 'how often the word of a face changed; much more than people do is restlessness.'),
        ('macro-F1', 'like accuracy, but each emotion of the truth counts the same, however rare it is; “all classes” '
                     'counts those too that were only answered, and never right.'),
        ('Cohen’s kappa', 'agreement with the truth beyond chance: 0 is chance, 1 is perfect.'),
    )
    rows = ''.join(f'<dt>{word}</dt><dd>{means}</dd>' for word, means in words)
    return ('<section class="card"><h2>The words of this page</h2><p>All of it says what faces look like to a network, '
            f'not what people feel.</p><dl class="words">{rows}</dl></section>')
