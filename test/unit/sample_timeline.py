"""Timelines of plain-coloured faces whose emotions, gaps and ground truth a test chooses."""

import numpy as np
from bag_faces import face

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.report.timeline import Timeline

CAMERA = '/camera/image_raw'


def make_timeline(faces, seconds=20.0, rate_hz=4.0, camera=CAMERA, timeline=None, silent=()):
    """Build a timeline.

    :param faces: {id: list of (from s, to s, emotion, GroundTruth or None)}.
    :param silent: (from s, to s) during which the camera gives no image.
    :param timeline: Timeline to add a camera to; None for a new one.
    :returns: Timeline.
    """
    timeline = timeline or Timeline()
    image = np.full((160, 240, 3), 90, np.uint8)
    image[30:120, 30:120] = (60, 140, 210)
    for number in range(int(seconds * rate_hz)):
        time_s = number / rate_hz
        if any(start <= time_s < end for start, end in silent):
            continue
        here = []
        for place, (face_id, pieces) in enumerate(faces.items()):
            for start, end, emotion, truth in pieces:
                if start <= time_s < end:
                    wave = 0.5 * np.sin(time_s + place)
                    x = 10.0 + 10 * (place % 15)
                    estimate = face(emotion, face_id, (x, 40.0, x + 60, 110.0), 0.8, wave, wave / 2, 0.9)
                    here.append((estimate, truth))
        timeline.add(camera, time_s, image, here)
    return timeline


def sample_timeline():
    """Two faces with ground truth; one leaves, returns, and is unknown for a while."""
    happy, sad = GroundTruth('happy', 0.7, 0.3), GroundTruth('sad', -0.5, -0.2)
    return make_timeline(
        {
            'aaaaa': [(0, 9, 'happy', happy), (9, 20, 'surprise', happy)],
            'bbbbb': [(2, 6, 'sad', sad), (6, 8, UNKNOWN, sad), (12, 16, 'fear', None)],
        }
    )


def summary_of(timeline, name='walk', **changes):
    """Return the parts of summary.json that the page of a timeline needs."""
    figures = {}
    for topic, camera in timeline.cameras.items():
        views = sum(face.frames for face in camera.faces.values())
        words = sum((step.emotions for face in camera.faces.values() for step in face.steps.values()), np.zeros(9, int))
        frames, seen = len(camera.times_s), int(camera.has_face().sum())
        figures[topic] = {
            'frames': frames,
            'bad_frames': 0,
            'frames_with_faces': seen,
            'coverage': seen / frames if frames else None,
            'faces': len(camera.faces),
            'face_frames': views,
            'unknown_share': words[-1] / views if views else None,
            'flips_per_minute': 3.25,
            'id_switches': 1,
            'persons': None,
            'steps_s': None,
            'emotions': {
                word: words[place] / views if views else None for place, word in enumerate((*EMOTIONS, UNKNOWN))
            },
        }
    matrix = np.zeros((8, 8), int)
    matrix[1, 1], matrix[1, 3], matrix[2, 2] = 36, 44, 16
    affect = {'n': 104, 'rmse': 0.512, 'ccc': 0.213, 'pcc': 0.345, 'sagr': 0.678}
    return dict(
        {
            'bag': {
                'name': name,
                'sha256': 'ab' * 32,
                'seconds': timeline.end_s,
                'start_ns': 1764150000 * 10**9,
                'faults': [],
            },
            'cameras': figures,
            'overall': next(iter(figures.values()), {}),
            'truth': {
                'source': '/truth',
                'n': 104,
                'accuracy': 0.5417,
                'missed': 0,
                'macro_f1': 0.62,
                'confusion': matrix.tolist(),
                'intervals': {'accuracy': [0.41, 0.68]},
                'affect': {'valence': affect, 'arousal': affect},
            },
            'recorded': {
                'topic': '/detections',
                'agreement': 0.875,
                'latency_ms_p50': 81.2,
                'latency_ms_p95': 140.0,
                'n': 96,
            },
            'bundle': {'name': 'esr_3_invented', 'version': '1.2.3', 'sha256': 'cd' * 32},
            'detector': {'name': 'centerface', 'version': '1.0.0', 'sha256': 'ef' * 32},
            'run': {
                'command': 'evaluate_bag walk --output out',
                'made': '2026-11-26',
                'seconds': 8.0,
                'times_real_time': 2.5,
                'frames_per_second': 10.0,
                'provider': 'CPUExecutionProvider',
                'ms': {
                    'read': {'p50': 0.25, 'p95': 0.75},
                    'decode': {'p50': 2.5, 'p95': 3.5},
                    'estimate': {'p50': 61.5, 'p95': 88.5},
                },
                'versions': {'onnxruntime': '1.23'},
            },
        },
        **changes,
    )
