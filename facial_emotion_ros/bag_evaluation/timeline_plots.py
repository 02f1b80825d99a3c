"""Plots along the time of a recording: marks that stretch with the page, words beside them that keep their size.

A drawing that shrinks with a narrow screen takes its words along until nobody can read them. Here only the marks are
stretched; times, emotions and values are text of the page.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from html import escape

import numpy as np

from facial_emotion_ros.bag_evaluation.report_words import clock, duration, percentage
from facial_emotion_ros.bag_evaluation.story import Bin
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.evaluation.svg import EMOTION_COLORS, Drawing

#: Class of each word's marks in the page's style.
MARK_CLASSES = dict({emotion: f'e{place}' for place, emotion in enumerate(EMOTIONS)}, **{UNKNOWN: 'eu'})

#: A row of the timeline shows at most so many columns, a plot of one face so many: more, no screen shows.
_ROW_COLUMNS, _PLOT_COLUMNS = 400, 240

#: A run that takes less than this share of its row gets no word.
_WORD_SHARE = 0.012

#: A band of scores that never reaches this is not drawn.
_LEAST_SCORE = 0.004

#: Height of a stretched drawing in its own pixels, its width is 1000.
_WIDE, _HIGH = 1000, 100

_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Step:
    """One face in one column of a plot: from start_s to end_s, with the sums of all that was read in it."""

    start_s: float
    end_s: float
    sums: Bin


@dataclass(frozen=True)
class Run:
    """Neighbouring steps with the same word."""

    start_s: float
    end_s: float
    word: str


class TimeScale:
    """Where a time lies between the left and the right edge of all plots of a page."""

    def __init__(self, length_s):
        """Take the length of the recording in seconds."""
        self.length_s = max(float(length_s), 0.1)

    def share(self, time_s):
        """Give a time's place in percent of the width."""
        return 100.0 * min(max(time_s / self.length_s, 0.0), 1.0)

    def ticks(self):
        """List the times that are written, at most eight, a round number of seconds apart."""
        step = next((each for each in _TICK_STEPS_S if self.length_s / each <= 7), _TICK_STEPS_S[-1])
        step *= max(1, int(np.ceil(self.length_s / step / 7)))
        return [place * step for place in range(int(self.length_s / step + 1e-9) + 1)]

    def grid(self):
        """Draw a faint line at each tick, as HTML."""
        return ''.join(f'<u style="left:{self.share(each):.2f}%"></u>' for each in self.ticks()[1:])

    def axis(self):
        """Write the ticks' times, as HTML."""
        words = ''
        for each in self.ticks():
            side = ' class="last"' if self.share(each) > 96 else ' class="first"' if each == 0 else ''
            words += f'<span{side} style="left:{self.share(each):.2f}%">{clock(each)}</span>'
        return f'<div class="axis-words" aria-hidden="true">{words}</div>'


def stretches(story, camera, face, most):
    """Cut a face's time into stretches in which each frame of its camera held it, and the camera was not silent.

    :param story: Story.
    :param camera: CameraStory that the face is of.
    :param face: FaceStory.
    :param most: columns that a plot shows at most.
    :returns: list of lists of Step, in the order of time.
    """
    columns = int(story.end_s / story.bin_s) + 1
    wide = max(1, -(-columns // most))
    merged = {}
    for place, each in face.steps.items():
        merged.setdefault(place // wide, Bin()).add(each)
    with_frames = sorted({place // wide for place in camera.frames})
    column_s, reach, found, before = wide * story.bin_s, _reach(with_frames), [], None
    for place in sorted(merged):
        if before is None or place - before > reach or bisect_left(with_frames, place) > bisect_right(with_frames,
                                                                                                      before):
            found.append([])
        elif place > before + 1:
            last = found[-1].pop()
            found[-1].append(Step(last.start_s, place * column_s, last.sums))
        found[-1].append(Step(place * column_s, (place + 1) * column_s, merged[place]))
        before = place
    return found


def runs(steps, word_of):
    """Join neighbouring steps with the same word.

    :param steps: list of Step without gaps.
    :param word_of: function of a Bin; '' where nothing is known.
    :returns: list of Run, those without a word left out.
    """
    found = []
    for step in steps:
        word = word_of(step.sums)
        if found and found[-1].word == word:
            found[-1] = Run(found[-1].start_s, step.end_s, word)
        else:
            found.append(Run(step.start_s, step.end_s, word))
    return [each for each in found if each.word]


def emotion_row(story, camera, face, scale):
    """Draw one face's emotions over time, the truth as a thin band below where it is known.

    :param story, camera, face: Story, CameraStory, FaceStory.
    :param scale: TimeScale.
    :returns: str, HTML.
    """
    there = stretches(story, camera, face, _ROW_COLUMNS)
    told = [run for steps in there for run in runs(steps, lambda sums: sums.emotion)]
    truth = [run for steps in there for run in runs(steps, lambda sums: sums.true_emotion)]
    says = '; '.join(f'{run.word} {clock(run.start_s)} to {clock(run.end_s)}' for run in told[:12])
    says += f'; and {len(told) - 12} changes more' if len(told) > 12 else ''
    marks = ''.join(_mark(run, scale, 'run') for run in told)
    below = ''.join(_mark(run, scale, 'true', 'truth: ') for run in truth)
    if below:
        below = f'<div class="band">{below}</div>'
    return (f'<div class="strip" role="img" aria-label="Face {escape(face.face_id)}: {escape(says)}.">'
            f'<div class="rail">{scale.grid()}{marks}</div>{below}</div>')


def presence_row(story, camera, scale):
    """Draw when the camera saw a face: the darker, the more of its frames held one.

    :param story, camera: Story, CameraStory.
    :param scale: TimeScale.
    :returns: str, HTML.
    """
    columns = int(story.end_s / story.bin_s) + 1
    wide = max(1, -(-columns // _ROW_COLUMNS))
    column_s = wide * story.bin_s
    frames, with_faces = {}, {}
    for counts, of in ((frames, camera.frames), (with_faces, camera.frames_with_faces)):
        for place, count in of.items():
            counts[place // wide] = counts.get(place // wide, 0) + count
    places, found = sorted(frames), []
    reach = _reach(places)
    for place, following in zip(places, places[1:] + [None]):
        end = place + 1 if following is None or following - place > reach else following
        share = round(4 * with_faces.get(place, 0) / frames[place]) / 4
        if found and found[-1][2] == share and found[-1][1] == place:
            found[-1] = (found[-1][0], end, share)
        else:
            found.append((place, end, share))
    marks = ''.join(
        f'<i style="{_span(scale, start * column_s, end * column_s)};opacity:{0.12 + 0.88 * share:.2f}" '
        f'title="{clock(start * column_s)} to {clock(end * column_s)}: {percentage(share)} of the frames hold a face">'
        '</i>' for start, end, share in found)
    return ('<div class="strip thin" role="img" aria-label="When a face was in view.">'
            f'<div class="rail presence">{scale.grid()}{marks}</div></div>')


def scores_plot(story, camera, face, scale):
    """Draw the eight scores of a face over time, stacked to 100%.

    :param story, camera, face: Story, CameraStory, FaceStory.
    :param scale: TimeScale.
    :returns: str, HTML.
    """
    drawing = _Stretched(f'Scores of the eight emotions of face {face.face_id} over time, stacked.')
    for steps in stretches(story, camera, face, _PLOT_COLUMNS):
        times, scores = _curve(steps, lambda sums: sums.mean('scores'))
        edges = np.concatenate([np.zeros((len(times), 1)), np.cumsum(scores, axis=1)], axis=1)
        edges /= np.maximum(edges[:, -1:], 1e-9)
        xs = [10.0 * scale.share(each) for each in times]
        for place, emotion in enumerate(EMOTIONS):
            if scores[:, place].max() < _LEAST_SCORE:
                continue
            lower, upper = _HIGH * (1 - edges[:, place]), _HIGH * (1 - edges[:, place + 1])
            drawing.area(xs, upper, lower, EMOTION_COLORS[emotion], f'{emotion}: mean {percentage(_mean(face, place))}')
    return _frame(drawing, scale, (('100%', 0), ('50%', 50), ('0%', 100)))


def affect_over_time(story, camera, face, scale):
    """Draw valence and arousal of a face over time, what is true of them dashed.

    :param story, camera, face: Story, CameraStory, FaceStory.
    :param scale: TimeScale.
    :returns: str, HTML.
    """
    drawing = _Stretched(f'Valence and arousal of face {face.face_id} over time, from -1 to 1.')
    drawing.line(0, _HIGH / 2, _WIDE, _HIGH / 2, 'guide')
    for steps in stretches(story, camera, face, _PLOT_COLUMNS):
        known = [step for step in steps if step.sums.true_affect_frames]
        # The truth first: what was read lies on top of it.
        for chosen, mean, look in ((known, Bin.mean_true_affect, ' truth'), (steps, lambda s: s.mean('affect'), '')):
            if chosen:
                times, values = _curve(chosen, mean)
                xs = [10.0 * scale.share(each) for each in times]
                for place, color in enumerate(('one', 'two')):
                    ys = _HIGH / 2 * (1 - np.clip(values[:, place], -1, 1))
                    drawing.path(xs, ys, f'line {color}{look}')
    return _frame(drawing, scale, (('+1', 0), ('0', 50), ('−1', 100)))


def seen_for(face):
    """Say from when to when a face was there."""
    return f'{clock(face.first_s)} to {clock(face.last_s)}, {duration(face.last_s - face.first_s)}'


class _Stretched(Drawing):
    """A drawing as wide as its place, whatever that is: for marks, not for words."""

    def __init__(self, says):
        super().__init__(_WIDE, _HIGH, says)

    def area(self, xs, upper, lower, color, hover):
        """Fill what lies between two curves."""
        there = [*zip(xs, upper), *zip(xs[::-1], lower[::-1])]
        self.add('polygon', points=' '.join(f'{x:.5g},{y:.4g}' for x, y in there), fill=color, hover=hover)

    def svg(self):
        """Give the drawing as the text of an <svg> element."""
        return super().svg().replace('<svg ', '<svg preserveAspectRatio="none" ', 1)


def _frame(drawing, scale, heights):
    """Put a stretched drawing between the words of its two axes; heights: (word, percent from the top)."""
    words = ''.join(f'<span style="top:{height}%">{word}</span>' for word, height in heights)
    return (f'<div class="over-time"><div class="heights" aria-hidden="true">{words}</div>'
            f'<div class="view">{scale.grid()}{drawing.svg()}</div>{scale.axis()}</div>')


def _reach(places):
    """Tell how many columns may lie between two frames of a camera: it may be slower than a column is long.

    :param places: columns with frames, rising.
    :returns: float; where more lie between two frames, the camera was silent.
    """
    return max(2.0, 3.0 * float(np.median(np.diff(places)))) if len(places) > 1 else 2.0


def _curve(steps, mean):
    """Take means over steps at their middles, and at the outer edges of the first and the last one.

    :returns: times (K,), values (K, M).
    """
    times = [steps[0].start_s, *((step.start_s + step.end_s) / 2 for step in steps), steps[-1].end_s]
    values = np.array([mean(step.sums) for step in steps])
    return np.array(times), np.concatenate([values[:1], values, values[-1:]])


def _mean(face, place):
    return sum(each.scores[place] for each in face.steps.values()) / max(face.frames, 1)


def _mark(run, scale, kind, before=''):
    """Draw a run; one that is long enough bears its word, of which a narrow page shows the first two letters."""
    share = scale.share(run.end_s) - scale.share(run.start_s)
    words = ''
    if kind == 'run' and share >= 100 * _WORD_SHARE:
        words, kind = f'<b>{run.word[:2]}<span>{run.word[2:]}</span></b>', 'run worded'
    hover = f'{clock(run.start_s)} to {clock(run.end_s)} {before}{run.word}'
    return (f'<i class="{kind} {MARK_CLASSES[run.word]}" style="{_span(scale, run.start_s, run.end_s)}" '
            f'title="{hover}">{words}</i>')


def _span(scale, start_s, end_s):
    left = scale.share(start_s)
    return f'left:{left:.2f}%;width:{max(scale.share(end_s) - left, 0.05):.2f}%'
