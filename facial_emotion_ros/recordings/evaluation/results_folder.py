"""The folder that an evaluation writes: its files appear together or not at all, and files of others stay."""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.core.files import (
    file_advice,
    lock_alone,
    move_into_place,
    present,
    read_or_none,
    refuse_foreign,
)
from facial_emotion_ros.core.text import public_file

SUMMARY, REPORT, COMPARISON = 'summary.json', 'report.html', 'comparison.json'

#: Folder of results until they are complete; a killed run leaves it behind, and the next one deletes it.
_PART = '.evaluation.part'

#: What evaluations write: no other file is ever deleted, whatever a summary lists.
_OURS = re.compile(
    r'((frames|events|event_averages|people)\.(csv|parquet)|(event_times|timings|merges)\.csv|report\.html|summary\.json|face_views\.json|face_pictures|annotated(_[^/]*)?(\.mp4|\.avi)?)$'
)

#: It holds what somebody typed: it is read before it is replaced, and never deleted.
_TYPED = 'merges.csv'

#: What the refusal of others' files adds.
OR_FORCE = ', or replace them by --force'


@contextmanager
def new_results(
    output: str,
    names: list[str],
    wanted: Iterable[str],
    force: bool = False,
    typed: dict[str, bytes | None] | None = None,
) -> Iterator[list[str]]:
    """Collect the results of an evaluation beside their place, and move them there when the block ends well.

    The former evaluation's files are replaced or deleted then; after an error they are as they were.

    :param output: folder for the results; it is made where it is missing.
    :param names: of its subfolders, one an evaluation; '' for the output itself.
    :param wanted: names of files and folders that will be written into each in any case.
    :param force: replace such files even where no evaluation wrote them.
    :param typed: {path as given: what the block read as merges.csv from the place that it stands for}: where another
        one is there in the end, that stays and its path is left in here; the others are taken out.
    :returns: context manager that gives the path to write to for each of `names`. Each of these has to hold a
        summary.json with the list `files` in the end.
    :raises BadParameter: if it would replace what no evaluation wrote.
    :raises FacialEmotionError: if another run is writing there.
    :raises BadBag: if the results cannot be written.
    """
    part = os.path.join(output, _PART)
    folders, parts = ([os.path.join(home, name) if name else home for name in names] for home in (output, part))
    # A run that was killed while it moved its files has left a summary of them in this folder.
    formers = [former_files(folder) | former_files(each) | {_TYPED} for folder, each in zip(folders, parts)]
    for folder, former in zip(folders, formers) if not force else ():
        refuse_foreign(folder, present(folder, set(wanted) - former), OR_FORCE)
    with disk_errors('the results', output, 'nothing of this evaluation is kept, earlier results are as they were'):
        os.makedirs(part, exist_ok=True)
        with _locked(part, output):
            try:
                for name in os.listdir(part):
                    _delete(os.path.join(part, name))
                for each in parts:
                    os.makedirs(each, exist_ok=True)
                yield parts
                news = [former_files(each) for each in parts]
                for folder, former, new in zip(folders, formers, news) if not force else ():
                    refuse_foreign(folder, present(folder, new - former), OR_FORCE)
                for folder, former, new, each in zip(folders, formers, news, parts):
                    _move(each, folder, former, new, {} if typed is None else typed)
            finally:
                shutil.rmtree(part, ignore_errors=True)


@contextmanager
def disk_errors(what: str, output: str, kept: str) -> Iterator[None]:
    """Say what cannot be written, and what is kept, where the disk refuses it.

    :raises BadBag: in place of an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        cause, advice = error.strerror or error, file_advice(error) or 'name another folder'
        raise BadBag(f'{what} cannot be written to {public_file(output)} ({cause}); {kept}: {advice}') from error


def former_files(folder: str) -> set[str]:
    """List what a complete evaluation wrote into a folder.

    :param folder: path; it need not be there.
    :returns: set of names, summary.json among them; empty where no evaluation was completed.
    """
    try:
        with open(os.path.join(folder, SUMMARY), encoding='utf-8') as file:
            summary = json.load(file)
        if not isinstance(summary['bag'], dict) or not isinstance(summary['stretches'], dict):
            return set()
        return {SUMMARY} | {name for name in summary['files'] if isinstance(name, str) and _OURS.match(name)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def _locked(part, output):
    descriptor = os.open(part, os.O_RDONLY)
    try:
        lock_alone(descriptor, output)
        yield
    finally:
        os.close(descriptor)


def _move(part, folder, former, new, typed):
    """Replace the former evaluation by a new one, whose summary comes last; what somebody types comes first."""
    os.makedirs(folder, exist_ok=True)
    for name in former - new - {_TYPED}:
        _delete(os.path.join(folder, name))
    for name in sorted(new, key=lambda name: (name == SUMMARY, name != _TYPED, name)):
        source, target = os.path.join(part, name), os.path.join(folder, name)
        if name == _TYPED and part in typed:
            if read_or_none(target) != typed[part]:
                continue
            del typed[part]
        if os.path.isdir(source) or os.path.isdir(target):
            _delete(target)  # what a file can do, replace another in one step, a folder cannot
        move_into_place(source, target)


def _delete(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
