"""Format the console view's lines of text. No ROS."""

from typing import Any, Dict, List, Optional

from facial_emotion_ros.demo.stream_summary import SeenFace

#: ANSI colours of the classes; others are printed plain.
_COLORS = {'happy': '32', 'sad': '34', 'surprise': '33', 'fear': '35', 'disgust': '36', 'anger': '31', 'contempt': '95'}

#: A face seen in fewer frames is counted, but has no line in the summary (summary.json has every one).
LASTING_FRAMES = 3

HEADING = '  time  face   emotion   confidence  valence  arousal     age  box (x, y, width x height)'


def face_line(time_s: float, face: SeenFace, age_s: float, picture: str, color: bool) -> str:
    """Format the line of one face.

    :param time_s: time since the first detection message.
    :param face: the face.
    :param age_s: age of its image.
    :param picture: file name of the picture in the image, or ''.
    :param color: whether to use terminal colours.
    :returns: a line without line end.
    """
    x0, y0, x1, y1 = face.box
    box = '%4.0f, %4.0f, %4.0f x %-4.0f' % (x0, y0, x1 - x0, y1 - y0)
    word = '%-8s' % (face.emotion or 'unknown')
    if color and face.emotion in _COLORS:
        word = '\033[1;%sm%s\033[0m' % (_COLORS[face.emotion], word)
    return '%5.1fs  %-5s  %s  %10.2f  %+7.2f  %+7.2f  %3.0f ms  %s%s' % (
        time_s,
        face.face_id,
        word,
        face.confidence,
        face.valence,
        face.arousal,
        age_s * 1e3,
        box,
        '  %s' % picture if picture else '',
    )


def no_face_line(time_s: float, picture: str) -> str:
    """Format the line of an image without a face.

    :param time_s: time since the first detection message.
    :param picture: file name of the picture in the image, or ''.
    :returns: a line without line end.
    """
    return '%5.1fs  no face%s' % (time_s, '  %s' % picture if picture else '')


def summary_lines(summary: Dict[str, Any]) -> List[str]:
    """Format the summary.

    :param summary: of StreamSummary, with model and files added.
    :returns: lines without line ends.
    """
    if not summary['frames']:
        return ['Summary: no image was answered.']
    lines = [
        'Summary: %d frames in %.1f s (%s frames per second), %d of them with faces; age p50 %.0f ms, p99 %.0f ms.'
        % (
            summary['frames'],
            summary['seconds'],
            summary['frames_per_second'] or '-',
            summary['frames_with_faces'],
            summary['age_ms']['p50'],
            summary['age_ms']['p99'],
        )
    ]
    model = summary.get('model')
    if model:
        lines.append('Model: %s, sha256 %s' % (model['name'], model['sha256'] or 'unknown'))
    lines += _picture_lines(summary['pictures']) if summary['pictures'] else _face_lines(summary['faces'])
    if summary.get('files'):
        lines.append('Written to %s: %s' % (summary['folder'], ', '.join(summary['files'])))
    return lines


def _picture_lines(pictures: Dict[str, Any]) -> List[str]:
    lines = ['Pictures: %d' % len(pictures)]
    for name, shown in pictures.items():
        words = ['%s %.2f' % (face['emotion'], face['confidence']) for face in shown['faces']]
        lines.append('  %-28s %s' % (name, ', '.join(words) or 'no face'))
    return lines


def _face_lines(faces: List[Dict[str, Any]]) -> List[str]:
    lasting = [face for face in faces if face['frames'] >= LASTING_FRAMES]
    fleeting = len(faces) - len(lasting)
    lines = [
        'Faces: %d%s'
        % (len(lasting), ', and %d in fewer than %d frames each' % (fleeting, LASTING_FRAMES) if fleeting else '')
    ]
    for face in lasting:
        lines.append(
            '  %-5s  mostly %-8s  confidence %.2f  valence %s  arousal %s  in %d frames'
            % (
                face['id'],
                face['emotion'],
                face['confidence'],
                _signed(face['valence']),
                _signed(face['arousal']),
                face['frames'],
            )
        )
    return lines


def _signed(value: Optional[float]) -> str:
    return '  -  ' if value is None else '%+.2f' % (round(value, 2) + 0.0)  # without -0.00
