"""What messages say of faces, before it is put into a middleware's or a recording's classes."""

import numpy as np

from facial_emotion_ros.emotions import UNKNOWN


def check_finite(estimates):
    """Refuse estimates that hold a number which is none, before any message of their image goes out.

    :param estimates: list of FaceEstimate.
    :raises ValueError: naming the face and its numbers.
    """
    for estimate in estimates:
        numbers = [estimate.box_score] + list(estimate.box)
        for reading in (estimate, estimate.raw):
            numbers += [reading.valence, reading.arousal, reading.confidence, reading.agreement]
            numbers += reading.scores.values()
        if not np.isfinite(numbers).all():
            raise ValueError('expected finite numbers for face %s, got %r; the frame is dropped' % (
                estimate.face_id, estimate))


def emotion_hypotheses(reading):
    """List what a face may show, best first; where the emotion is unknown, a hypothesis that says so goes before.

    :param reading: Reading, or FaceEstimate.
    :returns: list of (word, score).
    """
    # With hysteresis the class that is told may score less than another for a moment: it goes first all the same.
    falling = sorted(reading.scores.items(), key=lambda pair: (pair[0] != reading.emotion, -pair[1]))
    return [(UNKNOWN, 0.0)] + falling if reading.emotion == UNKNOWN else falling


def affect_hypotheses(estimate):
    """List valence and arousal, clipped to [-1, 1], and the agreement, clipped to [0, 1].

    :param estimate: FaceEstimate.
    :returns: list of (name, value).
    """
    return [('valence', within(estimate.valence, -1.0, 1.0)), ('arousal', within(estimate.arousal, -1.0, 1.0)),
            ('agreement', within(estimate.agreement, 0.0, 1.0))]


def box_parts(estimate, height, width):
    """Tell a face box as parts of the image's size.

    :param estimate: FaceEstimate.
    :param height: of the image, px.
    :param width: of the image, px.
    :returns: dict of xmin, ymin, xmax, ymax and c, the score of the box, in [0, 1].
    """
    x0, y0, x1, y1 = estimate.box
    parts = (('xmin', x0 / width), ('ymin', y0 / height), ('xmax', x1 / width), ('ymax', y1 / height),
             ('c', estimate.box_score))
    return dict((name, within(value, 0.0, 1.0)) for name, value in parts)


def network_words(bundle):
    """Name the network that speaks, as vision_msgs/VisionInfo wants it.

    :param bundle: ModelBundle of the emotion network.
    :returns: dict of method: name, version and architecture; database_location: its hash; database_version: the first
        number of its version.
    """
    major = str(bundle.version).split('.')[0]
    return {'method': '%s %s (%s)' % (bundle.name, bundle.version, bundle.architecture),
            'database_location': 'sha256:%s' % bundle.sha256, 'database_version': int(major) if major.isdigit() else 0}


def within(value, low, high):
    """Clip a number that a message promises to hold within bounds."""
    return min(max(float(value), low), high)
