"""Report of one recording: timelines, charts, accuracy, frames worth reviewing, and provenance."""

from typing import Any

import numpy as np

from facial_emotion_ros.evaluation.page import render
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import WORDS
from facial_emotion_ros.recordings.report import formatting
from facial_emotion_ros.recordings.report import timeline_plots as plots
from facial_emotion_ros.recordings.report.affect_plane import affect_plane_chart
from facial_emotion_ros.recordings.report.events_panel import event_panels
from facial_emotion_ros.recordings.report.timeline import (
    DISAGREEMENT,
    FLIP,
    WRONG,
    CameraTimeline,
    FaceTimeline,
    Timeline,
)

#: Maximum number of timeline rows over all cameras, minimum per camera, and number of faces shown in detail.
MAX_ROWS, _LEAST_ROWS, MAX_PERSONS = 24, 4, 6

#: Maximum number of faults listed.
_MAX_LOSSES = 12

_KINDS = (
    (WRONG, 'Errors', 'Emotions that differ from the ground truth, those with the highest confidence.'),
    (FLIP, 'Changes of emotion', 'Did the face change, or only the estimate?'),
    (DISAGREEMENT, 'Disagreement', 'The branches of the ensemble disagree.'),
)


def report_html(
    summary: dict[str, Any],
    timeline: Timeline,
    plotly_src: str = '',
    events: dict[str, Any] | None = None,
    people: dict[str, Any] | None = None,
) -> str:
    """Render the report.

    :param summary: content of summary.json.
    :param timeline: timeline of the recording.
    :param plotly_src: URL of a plotly script shared by many reports; '' embeds it.
    :param events: result of :func:`.event_panels`.
    :param people: result of :func:`.people_panel`.
    """
    parts = {key: summary.get(key) or {} for key in ('bag', 'cameras', 'overall', 'truth', 'recorded', 'run')}
    bag, overall = parts['bag'], parts['overall']
    headline = formatting.headline(summary, timeline.end_s)
    began, more_faults = formatting.moment_of(bag['start_ns']), len(bag['faults']) - _MAX_LOSSES
    faces = _faces(timeline)
    seconds = {topic: camera.seconds_in_view() for topic, camera in timeline.cameras.items()}
    return render(
        'facial_emotion_ros.recordings.report',
        'recording.html',
        plotly_src,
        title=f'{bag["name"]}: {headline}',
        headline=headline,
        eyebrow=' · '.join(filter(None, [bag['name'], began, ', '.join(parts['cameras'])])),
        lead=' '.join(formatting.sentences(summary)),
        formatting=formatting,
        length_s=timeline.end_s,
        losses=bag['faults'][:_MAX_LOSSES]
        + ([f'and {more_faults} more faults, see summary.json'] if more_faults > 0 else []),
        shares={word: overall['emotions'][word] or 0.0 for word in WORDS},
        steps=formatting.steps_in_words(parts['run']['ms']),
        times=parts['run']['ms'],
        has_truth=any(step.truth.any() for _, _, face in faces for step in face.steps.values()),
        has_true_affect=any(step.true_affect_frames for _, _, face in faces for step in face.steps.values()),
        timelines=[_timeline(timeline, topic, camera, seconds[topic]) for topic, camera in timeline.cameras.items()],
        persons=[
            (topic, _person(face, seconds[topic]), plots.face_chart(timeline, camera, face))
            for topic, camera, face in faces[:MAX_PERSONS]
        ],
        other_persons=_others([face for _, _, face in faces], MAX_PERSONS),
        raters=summary.get('raters'),
        events=events or event_panels([], None),
        people=people,
        plane=affect_plane_chart([face for _, _, face in faces]) if faces else None,
        moments=_moments(timeline),
        bundle=formatting.named(summary['bundle']),
        detector=formatting.named(summary['detector'] or {}),
        **parts,
    )


def _timeline(timeline: Timeline, topic: str, camera: CameraTimeline, seconds: dict[str, float]) -> dict[str, Any]:
    """Create the template's data about a camera; the longest visible faces get rows, in order of appearance."""
    room = max(_LEAST_ROWS, MAX_ROWS // max(len(timeline.cameras), 1))
    longest = sorted(camera.faces.values(), key=lambda face: -face.frames)
    kept = {id(face) for face in longest[:room]}
    shown = [face for face in camera.faces.values() if id(face) in kept]
    return {
        'topic': topic,
        'faces': [_person(face, seconds) for face in shown],
        'others': _others(longest, room),
        'figure': plots.timeline_chart(timeline, camera, shown),
        'film': timeline.films.get(topic),
        'stills': []
        if topic in timeline.films
        else [
            (time_s, plots.axis_ms(time_s), still)
            for time_s, still in (camera.stills[place] for place in sorted(camera.stills))
        ],
        'pieces': plots.film_times(timeline.films[topic].pieces) if topic in timeline.films else [],
    }


def _others(longest: list[FaceTimeline], room: int) -> str:
    """Describe the faces that are not shown; '' if all are.

    :param longest: all faces by descending visibility.
    """
    if len(longest) <= room:
        return ''
    share = sum(face.frames for face in longest[room:]) / sum(face.frames for face in longest)
    return (
        f'These {room} faces were visible longest; {formatting.counted(len(longest) - room, "other")} had '
        f'{formatting.percentage(share)} of the views.'
    )


def _faces(timeline: Timeline) -> list[tuple[str, CameraTimeline, FaceTimeline]]:
    """List (topic, camera, face) of all faces by descending visibility."""
    found = [(topic, camera, face) for topic, camera in timeline.cameras.items() for face in camera.faces.values()]
    return sorted(found, key=lambda each: -each[2].frames)


def _person(face: FaceTimeline, seconds: dict[str, float]) -> dict[str, Any]:
    """Create the template's data about a face: id, portrait, most frequent emotion, time visible."""
    counts = sum((step.emotions for step in face.steps.values()), np.zeros(len(WORDS), int))
    most = int(counts.argmax())
    return {
        'id': face.face_id,
        'portrait': face.portrait,
        'mostly': f'{formatting.percentage(counts[most] / max(counts.sum(), 1))} {WORDS[most]}',
        'seconds': seconds[face.face_id],
        'first_s': face.first_s,
        'last_s': face.last_s,
    }


def _moments(timeline: Timeline) -> list[tuple[str, str, list[Any]]]:
    """Group the moments worth reviewing: (title, caption, moments)."""
    found = timeline.moments()
    groups = [(title, caption, [each for each in found if each.kind == kind]) for kind, title, caption in _KINDS]
    return [group for group in groups if group[2]]
