"""Write an evaluation's results folder: replaced as a whole on success, without touching foreign files."""

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

#: Temporary folder for unfinished results; the next run deletes one that a killed run left behind.
_PART = '.evaluation.part'

#: File names of evaluations: nothing else is ever deleted, whatever a summary lists.
_OURS = re.compile(
    r'((frames|events|event_averages|people)\.(csv|parquet)|(event_times|timings|merges)\.csv|report\.html|summary\.json|face_views\.json|face_pictures|annotated(_[^/]*)?(\.mp4|\.avi)?)$'
)

#: Contains the user's input: it is read before it is replaced, and never deleted.
_TYPED = 'merges.csv'

#: Appended to the error about foreign files.
OR_FORCE = ', or replace them with --force'


@contextmanager
def new_results(
    output: str,
    names: list[str],
    wanted: Iterable[str],
    force: bool = False,
    typed: dict[str, bytes | None] | None = None,
) -> Iterator[list[str]]:
    """Collect results in temporary folders, and move them to the output after the block.

    This replaces or deletes the previous evaluation's files; after an error they are unchanged.

    :param output: folder for the results, created if missing.
    :param names: subfolders, one per evaluation; '' for the output itself.
    :param wanted: names of files and folders that will certainly be written into each.
    :param force: replace such files even if no evaluation wrote them.
    :param typed: {temporary folder: content of its target's merges.csv as read by the block}. A merges.csv that was
        edited meanwhile is kept, and its entry stays here; the other entries are removed.
    :returns: context manager of the temporary folder for each of `names`, in which the block writes a summary.json with
        the list `files`.
    :raises BadParameter: if files would be replaced that no evaluation wrote.
    :raises FacialEmotionError: if another run is writing there.
    :raises BadBag: if the results cannot be written.
    """
    part = os.path.join(output, _PART)
    folders, parts = ([os.path.join(home, name) if name else home for name in names] for home in (output, part))
    # A run killed while moving its files has left their summary in the temporary folder.
    formers = [former_files(folder) | former_files(each) | {_TYPED} for folder, each in zip(folders, parts)]
    for folder, former in zip(folders, formers) if not force else ():
        refuse_foreign(folder, present(folder, set(wanted) - former), OR_FORCE)
    with disk_errors('the results', output, 'this evaluation is discarded, earlier results are unchanged'):
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
    """Convert an OSError of the block to BadBag, with what cannot be written and what is kept."""
    try:
        yield
    except OSError as error:
        cause, advice = error.strerror or error, file_advice(error) or 'choose another folder'
        raise BadBag(f'{what} cannot be written to {public_file(output)} ({cause}); {kept}: {advice}') from error


def former_files(folder: str) -> set[str]:
    """List the files that a complete evaluation wrote into a folder.

    :param folder: path; it need not exist.
    :returns: names, including summary.json; empty if no evaluation was completed.
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
    """Replace the previous evaluation: merges.csv first, the summary last."""
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
            _delete(target)  # unlike a file, a folder cannot be replaced atomically
        move_into_place(source, target)


def _delete(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
