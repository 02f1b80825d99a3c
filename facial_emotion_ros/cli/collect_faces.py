"""Take labelled pictures of consenting people for `adapt`: `ros2 run facial_emotion_ros collect_faces`."""

import argparse
import base64
import contextlib
import os
import re
import sys
import time
from collections.abc import Sequence
from html import escape
from typing import Any

from facial_emotion_ros.cli.common.arguments import number, whole_number
from facial_emotion_ros.cli.common.errors import UrlParser, report_errors
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.text import printable, show
from facial_emotion_ros.system.long_calls import signals_end_long_calls

SHEET_FILE = 'contact_sheet.html'

#: Self-contained page on which pictures are excluded by a click, and the list is saved for adapt.
_SHEET = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>Contact sheet</title><style>
:root{color-scheme:light dark} body{font:14px system-ui,sans-serif;margin:24px}
label{display:inline-block;margin:4px;text-align:center}
img{display:block;width:140px;height:140px} input{position:absolute;opacity:0} input:checked+img{opacity:.15}
input:focus+img{outline:2px solid} textarea{display:block;width:100%;height:6em}
</style></head><body><h1>Contact sheet</h1>
<p>Click the pictures that do not show the expression. Then save the list as <code>struck_out.txt</code> beside
<code>labels.csv</code>: <code>adapt</code> excludes these pictures.</p>
<!--FACES-->
<p><a id="save" download="struck_out.txt" href="#">Save struck_out.txt</a></p><textarea id="names" readonly></textarea>
<script>
function list() {
  const names = [...document.querySelectorAll('input:checked')].map(box => box.value).join('\\n');
  document.getElementById('names').value = names;
  document.getElementById('save').href = 'data:text/plain;charset=utf-8,' + encodeURIComponent(names + '\\n');
}
document.addEventListener('change', list); list();
</script></body></html>
"""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = UrlParser(
        prog='collect_faces',
        description='Ask a person for one expression after the other, and take stills when '
        'exactly one face is visible, sharp and uncovered. Writes a labelled folder that only its owner may read.',
    )
    arguments.add_argument(
        '--output',
        required=True,
        metavar='DIR',
        help='folder for the pictures; an existing one is continued, nothing in it is replaced',
    )
    arguments.add_argument('--person', required=True, help='name or pseudonym')
    arguments.add_argument(
        '--consent', metavar='TEXT', help='what the person agreed to, stored with each picture; default: ask for it'
    )
    source = arguments.add_mutually_exclusive_group()
    source.add_argument('--camera', default='0', help='number, device or stream address; default: %(default)s')
    source.add_argument('--video', metavar='FILE', help='video with the expressions in the order of --emotions')
    source.add_argument(
        '--topic',
        type=_topic,
        help='image topic of a robot; prompts are published on ~/prompt, images with prompts on ~/image',
    )
    arguments.add_argument(
        '--rotate',
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        metavar='DEGREES',
        help='rotate images clockwise, for a camera mounted sideways or upside down: 90, 180 or 270',
    )
    arguments.add_argument(
        '--emotions', nargs='+', choices=EMOTIONS, default=list(EMOTIONS), metavar='EMOTION', help='default: all eight'
    )
    arguments.add_argument('--stills', type=whole_number(1), default=3, help='per expression; default: %(default)s')
    arguments.add_argument(
        '--countdown', type=number(0, 3600), default=3.0, metavar='SECONDS', help='default: %(default)s'
    )
    arguments.add_argument(
        '--patience',
        type=number(0, 86400),
        default=30.0,
        metavar='SECONDS',
        help='skip an expression if no still could be taken for this time; default: %(default)s',
    )
    return arguments


def _topic(text: str) -> str:
    """Check the name of a topic. Source: ROS 2's design, "Topic and Service name mapping to DDS"."""
    if not re.fullmatch(r'(~?/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f'expected a topic (letters, digits and _ between slashes), such as /camera/image_raw, got {text!r}'
        )
    return text


@report_errors('collect_faces', '--topic needs ROS 2')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when complete, 1 for bad input, 2 for wrong options or without consent, 130 when interrupted
        (pictures taken so far are kept).
    """
    options = parser().parse_args(argv)
    mask = os.umask(0o077)  # pictures of people are readable by their owner only
    try:
        return _collect(options, _consent(options))
    except KeyboardInterrupt:
        return 130
    finally:
        os.umask(mask)


def _collect(options, consent):
    from facial_emotion_ros.pipeline.face_collection import FaceCollection

    collection: Any = None

    def report():
        missed = f'; none of {", ".join(collection.missed)}' if collection.missed else ''
        show(f'{collection.taken} pictures taken, in {options.output}{missed}')

    def end():
        if collection is not None:
            report()
            write_contact_sheet(options.output)
        return 130

    with contextlib.ExitStack() as opened:
        opened.enter_context(signals_end_long_calls(end))
        # Before creating the folder, as the camera may not exist.
        medium = None if options.topic else opened.enter_context(contextlib.closing(_medium(options)))
        collection = FaceCollection(
            options.output,
            options.person,
            consent,
            options.emotions,
            options.stills,
            options.countdown,
            options.patience,
            rotate_deg=options.rotate,
        )
        try:
            status = _from_topic(collection, options.topic) if medium is None else _from_medium(collection, medium)
        except KeyboardInterrupt:
            status = 130
        finally:
            report()
    write_contact_sheet(options.output)
    return status


def write_contact_sheet(folder: str) -> str | None:
    """Write the page for excluding pictures; return its path, or None if there are no pictures."""
    from facial_emotion_ros.core.files import write_atomic
    from facial_emotion_ros.pipeline.face_collection import LABELS_FILE, read_table

    if not os.path.exists(os.path.join(folder, LABELS_FILE)):
        return None
    rows, parts = read_table(folder), []
    for person, emotion in dict.fromkeys((row.person, row.emotion) for row in rows):
        parts.append(f'<h2>{escape(person)}: {escape(emotion)}</h2>')
        for row in rows:
            if (row.person, row.emotion) == (person, emotion):
                with open(os.path.join(folder, row.crop), 'rb') as crop:
                    content = base64.b64encode(crop.read()).decode()
                parts.append(
                    f'<label><input type="checkbox" value="{escape(row.file)}"><img alt="" '
                    f'src="data:image/jpeg;base64,{content}">{escape(os.path.basename(row.file))}</label>'
                )
    path = os.path.join(folder, SHEET_FILE)
    write_atomic(path, printable(_SHEET.replace('<!--FACES-->', '\n'.join(parts)), keep='\n').encode('utf-8'))
    show(f'Open {path} and exclude pictures that do not show the expression.')
    return path


def _consent(options):
    if options.consent is None and sys.stdin and sys.stdin.isatty():
        show(
            'Pictures of your face will be stored in %s with your name %r, to adapt the emotion recognition.\n'
            'Type what you agree to, or nothing to stop.' % (options.output, options.person)
        )
        try:
            options.consent = input('> ')
        except EOFError:
            options.consent = ''
    if not (options.consent or '').strip():
        raise BadParameter('expected --consent "TEXT", what the person agreed to; no picture is taken without it')
    return options.consent


def _medium(options):
    from facial_emotion_ros.demo.frame_sources import open_source

    if options.video:
        return open_source('video', options.video)
    if options.camera.isdecimal():
        return open_source('camera', camera=int(options.camera))
    return open_source('camera', options.camera)


def _from_medium(collection, medium):
    from facial_emotion_ros.demo.frame_sources import Video

    count, shown = 0, ''
    while not collection.done:
        frame = medium.read()
        if frame is None:
            show(f'{medium.title} ended before all expressions were requested.')
            break
        # A video has its own time base; a camera uses the clock.
        collection.add(frame.image, count / medium.rate_hz if isinstance(medium, Video) else time.monotonic())
        count += 1
        if str(collection.prompt) != shown:
            shown = str(collection.prompt)
            show(shown, flush=True)
    return 0


def _from_topic(collection, topic):
    from facial_emotion_ros.ros.collection_node import CollectionNode
    from facial_emotion_ros.ros.process import run_until_done

    def make():
        return CollectionNode(collection, topic, lambda text: show(text, flush=True))

    return run_until_done('collect_faces', make, ['collect_faces'], sends_images=True)


if __name__ == '__main__':
    sys.exit(main())
