"""Escape foreign text (names of files, topics, people) for terminals, logs, pages and tables."""

import os
import re
import sys
from typing import Any

#: Control characters of ASCII and Latin-1, line and direction marks, lone surrogates (bytes of file names that are not
#: UTF-8).
_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

#: A URL, without what ends the sentence or the quotation. User, password and query may hold quotation marks.
_URL = re.compile(
    r"""(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://(?:\S*@)?[^\s'"<>?]*"""
    r"""(?:\?\S*?(?=['"<>.,:;)\]]{0,9}(?:\s|\Z))|(?<![.,:;)\]]))"""
)

#: fsspec's names of Azure Blob Storage. What stands before the @ is the container: abfs://container@account/path.
_AZURE = ('abfs', 'abfss', 'az')
_CONTAINER = re.compile(r'[a-z0-9$-]+@')

#: Spreadsheets take a cell with this beginning for a formula. Source: OWASP, CSV Injection.
_FORMULA = ('=', '+', '-', '@', '\t', '\r')
_NUMBER = re.compile(r'[+-]?[0-9.]+(e[+-]?[0-9]+)?\Z')


def printable(text: str, keep: str = '') -> str:
    r"""Escape characters that are not printable, for example ESC as '\x1b'.

    :param text: any text.
    :param keep: characters that stay, for example line ends.
    """
    return _UNPRINTABLE.sub(lambda found: found.group() if found.group() in keep else _escape(found.group()), text)


def cell(value: Any) -> Any:
    """Escape a table's cell: text becomes printable, with an apostrophe before a formula; numbers stay."""
    if not isinstance(value, str):
        return value
    return printable("'" + value if value.startswith(_FORMULA) and not _NUMBER.match(value) else value)


def uncell(text: str) -> str:
    """Give what a table's cell says: without the apostrophe that :func:`cell` puts before a formula."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def public_address(address: str, ends: str = '?#;&=') -> str:
    """Return what may be printed of an address: scheme, host, path and a container of Azure. Any other text stays.

    :param address: may hold user and password before the host, or behind the path.
    :param ends: characters that end the path; those of cameras' addresses.
    """
    scheme, colon, rest = address.partition('://')
    if not colon:
        return address
    scheme = re.split('[^A-Za-z0-9+.-]', scheme)[-1]
    found = _CONTAINER.match(rest) if scheme in _AZURE else None
    container = found.group() if found else ''
    rest = rest[len(container) :]
    place = re.split('[%s]' % ends, rest)[0]
    # An @ further on: this may be a piece of a password, not the host. One in the path alone is a name's. Behind ::
    # stands a further URL.
    has_user = re.match('[^/]*[:@]|.*::', place)
    place = '...' if '@' in rest[len(place) :] else place.rpartition('@')[2] if has_user else place
    return scheme + colon + container + place


def public_file(place: str) -> str:
    """Return what may be printed or stored of a file's path or URL: all but user, password and query."""
    return public_address(place, '?')


def public_text(text: str) -> str:
    """Apply :func:`public_file` to each URL in a text."""
    return _URL.sub(lambda found: public_file(found.group()), text)


def show(text: str, **options: Any) -> None:
    """Print text with foreign names and URLs in it; line ends and carriage returns stay. Options as of print.

    Characters that the stream's encoding lacks are escaped, and secrets in URLs left out.
    """
    print(_encodable(printable(public_text(text), keep='\n\r'), options.get('file') or sys.stdout), **options)


def print_while_read(text: str) -> bool:
    """Print text; return False where nobody reads it any more, as after `head`, and drop it and all that follows.

    Characters that the stream's encoding lacks are escaped, colours are not.
    """
    try:
        print(_encodable(text, sys.stdout), flush=True)
        return True
    except BrokenPipeError:
        # Nor may what is left fail when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False


def _encodable(text: str, stream: Any) -> str:
    """Escape the characters that the stream's encoding lacks."""
    encoding = getattr(stream, 'encoding', None) or 'utf-8'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte of a file's name
    return '\\x%02x' % code if code < 0x100 else '\\u%04x' % code
