"""Files in a user's folder are replaced only where the same command wrote them."""

import os
from collections.abc import Iterable, Mapping

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import present, read_cached, refuse_foreign


def expect_own_files(folder: str, names: Iterable[str], record: str, fields: Iterable[str]) -> None:
    """Refuse to replace files that another program, or a person, wrote.

    :param folder: of --output; it may be missing.
    :param names: of the files that will be written.
    :param record: the JSON file among them that tells who wrote the others.
    :param fields: that its content has.
    :raises BadParameter: if one of the files exists without a record of these fields.
    """
    content: Mapping[str, object] = read_cached(os.path.join(folder, record)) or {}
    if not all(field in content for field in fields):
        refuse_foreign(folder, present(folder, names))


def expect_places_of_files(*paths: str | None) -> None:
    """Refuse folders where files are to be written, before the work whose results they hold.

    :param paths: of the files; None or empty: not asked for.
    :raises BadParameter: if one is a folder.
    """
    for path in paths:
        if path and os.path.isdir(path):
            raise BadParameter(f'{path}: expected a file to write, got a folder; name a file in it')
