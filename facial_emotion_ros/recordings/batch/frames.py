"""Write the frames of all recordings as one Parquet data set, partitioned by study and condition."""

import hashlib
import io
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.core.text import uncell
from facial_emotion_ros.recordings.batch.in_threads import TABLES, Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.tables import FRAMES
from facial_emotion_ros.recordings.study.manifest import Study, partitions_of
from facial_emotion_ros.recordings.study.results import Result

#: Average number of images per file: many small files are slow to open, and a file is rewritten when one of its
#: recordings changes.
_IMAGES = 20_000

#: Tables in memory before they are concatenated: each takes at least 90 kB.
_TOGETHER = 100

#: End of a file's name: hash of its sources, and hash of its content, which reveals damage (missing in old names).
_PART = re.compile(r'(?:^|/)part-\d{5}(?:-[0-9a-f]{12}){1,2}\.parquet$')

#: Key of the schema metadata that marks a file as ours.
_MADE_FROM = b'facial_emotion_ros.made_from'


def gather_frames(
    store: Store,
    results: Sequence[Result],
    keys: Mapping[str, str],
    study: Study | None = None,
    stage: Stage = silent,
    verify: bool = False,
) -> tuple[int, int] | None:
    """Update the folder frames/ of the output.

    Rows are those of the recordings' frames.parquet (or frames.csv, if pyarrow was missing), after the columns `bag`
    (results folder), `bundle` and those of the study. With a study, files lie in Hive partitions
    study=.../condition=.../, which replace these two columns. Short recordings share a file. A file's name holds a hash
    of its sources, which shows whether it is up to date, and a hash of its content, which shows whether it is damaged;
    at a URL, only the footer is read to check it. Files of other recordings are deleted, files that no run wrote kept.

    :param store: results store.
    :param results: results of all recordings and networks.
    :param keys: {results folder: key of the options}.
    :param study: manifest of the recordings.
    :param stage: progress display.
    :param verify: read complete files at a URL, too.
    :returns: number of files, and number of results whose rows are lost; None if pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return None
    by_folder: dict[str, list[_Source]] = {}
    for result in results:
        folder, source = _source(result, keys[result.recording], study)
        by_folder.setdefault(folder, []).append(source)
    parts = {name: part for folder, sources in by_folder.items() for name, part in _parts(folder, sources)}
    listed = [name for name in store.files('frames') if name.endswith('.parquet')]
    # Delete before writing: an interruption leaves missing rows, not duplicate ones.
    is_read = verify or store.is_local
    kept = in_threads(stage, 'former files of frames/', lambda name: _kept(store, name, parts, is_read), listed, TABLES)
    whole = set(filter(None, kept))
    lacking = [name for name in parts if name not in whole]
    types = study.types if study else {}
    with stage('recordings in frames/') as report:
        count = _Count(report, sum(len(parts[name]) for name in lacking))
        try:
            written = in_threads(
                silent, '', lambda name: _write(store, name, parts[name], types, count), lacking, TABLES
            )
        finally:
            count.has_ended = True
    return len(parts) - written.count(None), sum(
        len(parts[name]) if each is None else each for name, each in zip(lacking, written)
    )


class _Count:
    """Reports the progress of several threads, and stops them after Ctrl-C."""

    def __init__(self, report, wanted):
        self._report, self._wanted, self._done, self._lock = report, wanted, 0, threading.Lock()
        self.has_ended = False

    def add(self, count):
        """Add to the number done."""
        if self.has_ended:
            raise InterruptedError
        with self._lock:
            self._done += count
            self._report(self._done, self._wanted)


class _Source(NamedTuple):
    """path: frames.parquet of a recording; words: values of the leading columns; made_from: all that its rows depend
    on; images: their number.
    """

    path: str
    words: dict[str, Any]
    made_from: str
    images: int


def _source(result, key, study):
    """Return the folder below frames/ for a recording's rows, and their source."""
    folders = partitions_of(study.path, result.words) if study else {}
    words = {name: word for name, word in result.words.items() if name not in folders}
    words = {'bag': result.recording, 'bundle': result.bundle, **words}
    path = result.path('frames.parquet')
    made_from = json.dumps([path, result.record['content_hash'], key, words, study.types if study else {}])
    folder = ''.join(f'{each}/' for each in folders.values())
    return folder, _Source(path, words, made_from, result.figures['frames'] or 0)


def _parts(folder, sources):
    """Assign the recordings of a folder to files, by a hash of their paths, so that new ones do not move others.

    :returns: (path below frames/ without the content hash, sources) per file.
    """
    most = min(len(sources), sum(source.images for source in sources) // _IMAGES)
    count = 1 << max(most, 1).bit_length() - 1
    found: dict[int, list[_Source]] = {}
    for source in sorted(sources, key=lambda each: each.path):
        number = int(hashlib.sha256(source.path.encode()).hexdigest(), 16) % count
        found.setdefault(number, []).append(source)
    for number, each in sorted(found.items()):
        yield _name(f'{folder}part-{number:05d}', each), each


def _name(start, sources):
    return f'{start}-{_hash("".join(source.made_from for source in sources).encode())}'


def _hash(content):
    return hashlib.sha256(content).hexdigest()[:12]


def _kept(store, name, parts, is_read):
    """Return the key in `parts` of an intact, current file; delete any other file that a run wrote.

    :param is_read: whether to read the whole file or only its footer.
    """
    path, is_ours = f'frames/{name}', _PART.search(name)
    start, _, end = name.removesuffix('.parquet').rpartition('-')
    if is_ours and start in parts:
        is_whole = end == _hash(store.read(path) or b'') if is_read else _footer(store, path) == start
        if is_whole:
            return start
    if is_ours or _footer(store, path):
        store.remove(path)
    return None


def _footer(store, path):
    """Read the name of its sources from a file's footer; '' for a foreign or damaged file."""
    import pyarrow
    from pyarrow import parquet

    try:
        with store.open(path) as file:
            metadata = parquet.read_metadata(file).metadata or {}
    except (pyarrow.ArrowException, FileNotFoundError):
        return ''
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:  # a network error, not damage
            raise
        return ''
    return metadata.get(_MADE_FROM, b'').decode(errors='replace')


def _write(store, name, sources, types, count):
    """Write a file.

    :returns: number of results whose rows are lost; the name excludes these, so that the next run tries again. None if
        all are lost and no file is written.
    """
    import pyarrow
    from pyarrow import parquet

    joined, found = [], []
    for first in range(0, len(sources), _TOGETHER):
        each = sources[first : first + _TOGETHER]
        tables = in_threads(silent, '', lambda source: _table(store, source, types), each, TABLES)
        found += [source for source, table in zip(each, tables) if table is not None]
        tables = [table for table in tables if table is not None]
        count.add(len(each))
        if tables:
            joined.append(pyarrow.concat_tables(tables, promote_options='default').combine_chunks())
    if not joined:
        return None
    name = _name(name.rpartition('-')[0], found)
    whole = pyarrow.concat_tables(joined, promote_options='default').replace_schema_metadata({_MADE_FROM: name})
    written = io.BytesIO()
    parquet.write_table(whole, written, compression='zstd')
    content = written.getvalue()
    store.write(f'frames/{name}-{_hash(content)}.parquet', content)
    return len(sources) - len(found)


def _table(store, source, types):
    """Read the rows of a recording; None if they are lost."""
    import pyarrow

    rows = _from_parquet(store.read(source.path))
    if rows is None:
        rows = _from_csv(store.read(source.path.replace('.parquet', '.csv')))
    if rows is None:
        return None
    for place, (name, word) in enumerate(source.words.items()):
        column = pyarrow.repeat(pyarrow.scalar(word, types.get(name, 'string')), len(rows))
        rows = rows.add_column(place, name, column)
    return rows


def _from_parquet(content):
    import pyarrow
    from pyarrow import parquet

    try:
        return None if content is None else parquet.read_table(io.BytesIO(content), use_threads=False)
    except (pyarrow.ArrowException, OSError):  # damaged
        return None


def _from_csv(content):
    """Read frames.csv into a table like that of frames.parquet."""
    import pyarrow
    from pyarrow import csv

    if content is None:
        return None
    options = csv.ConvertOptions(
        column_types={column.name: column.type for column in FRAMES}, null_values=[''], strings_can_be_null=True
    )
    parsing = csv.ParseOptions(newlines_in_values=True)
    try:
        rows = csv.read_csv(io.BytesIO(content), csv.ReadOptions(use_threads=False), parsing, options)
    except pyarrow.ArrowException:  # damaged
        return None
    faces = rows.column('face_id').to_pylist()
    for place, field in enumerate(rows.schema):
        if field.type == pyarrow.string():
            plain = [text and uncell(text) for text in rows.column(place).to_pylist()]
            if field.name == 'rejection_reasons':  # for a face, empty means none, not a missing value
                plain = [text if face is None else text or '' for text, face in zip(plain, faces)]
            rows = rows.set_column(place, field, pyarrow.array(plain, field.type))
    return rows
