"""All frames of a batch as one Parquet data set: a part for each recording."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from facial_emotion_ros.recordings.batch.result_store import Store

#: Metadata in a part's schema: what it was made from.
_MADE_FROM = b'facial_emotion_ros.made_from'


def gather_frames(
    store: Store, bags: Sequence[Mapping[str, Any]], keys: Mapping[str, str], types: Mapping[str, str]
) -> int | None:
    """Bring the folder frames/ of the output up to date.

    Each part is a recording's frames.parquet with the columns `bag` (folder of its results), `bundle` and those of the
    study in front, in one file; parts that are up to date stay, those of other recordings go. Files that no run wrote
    stay too.

    :param store: of the results.
    :param bags: as in fleet.json.
    :param keys: of each recording's options, by its place.
    :param types: of the columns of a study, where the recordings have these in `study`.
    :returns: number of parts; None where pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return None
    wanted = set()
    for bag in bags:
        for result in bag['results']:
            source = f'bags/{bag["folder"]}/{result["summary"].replace("summary.json", "frames.parquet")}'
            inside = result['summary'].rpartition('/')[0]
            name = bag['folder'] + (f'-{inside}' if inside else '') + '.parquet'
            words = {'bag': bag['folder'], 'bundle': (result['bundle'] or {}).get('name')}
            made_from = f'{bag["content_hash"]} {keys[bag["place"]]}'
            if types:
                words.update(bag['study'])
                made_from += f' {json.dumps([words, types])}'
            if _bring(store, source, f'frames/{name}', words, types, made_from):
                wanted.add(name)
    for name in set(store.names('frames')) - wanted:
        if name.endswith('.parquet') and _made_from(store.read(f'frames/{name}') or b''):
            store.remove(f'frames/{name}')
    return len(wanted)


def _bring(store, source, target, words, types, made_from):
    """Write a part unless it is up to date; False where there are no frames to write."""
    from pyarrow import parquet

    former = store.read(target)
    if former is not None and _made_from(former) == made_from:
        return True
    content = store.read(source)
    if content is None:
        return False
    written = io.BytesIO()
    with parquet.ParquetFile(io.BytesIO(content)) as frames:
        schema = _schema(frames.schema_arrow, words, types, made_from)
        with parquet.ParquetWriter(written, schema, compression='zstd') as part:
            for batch in frames.iter_batches():
                part.write_table(_with_constants(batch, schema, words))
    store.write(target, written.getvalue())
    return True


def _schema(schema, words, types, made_from):
    import pyarrow

    fields = [(name, types.get(name, 'string')) for name in words]
    return pyarrow.schema([*pyarrow.schema(fields), *schema], metadata={_MADE_FROM: made_from.encode()})


def _with_constants(batch, schema, words):
    import pyarrow

    columns = [pyarrow.array([word] * batch.num_rows, schema.field(name).type) for name, word in words.items()]
    return pyarrow.Table.from_arrays(columns + batch.columns, schema=schema)


def _made_from(content):
    import pyarrow
    from pyarrow import parquet

    try:
        return (parquet.read_schema(io.BytesIO(content)).metadata or {}).get(_MADE_FROM, b'').decode()
    except (pyarrow.ArrowException, OSError):  # no Parquet file, or a damaged one
        return ''
