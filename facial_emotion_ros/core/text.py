"""Escape untrusted text (names of files, topics, people) for terminals, logs, pages and tables; redact URLs."""

import os
import re
import sys
from typing import Any, List, Sequence, Tuple
from urllib.parse import unquote

#: Control characters of ASCII and Latin-1, line and direction marks, lone surrogates (bytes of file names that are not
#: UTF-8).
_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

#: A URL in a text, without the punctuation or quotation mark that follows it. User, password and query may contain
#: quotation marks; one before another URL ends the quotation.
_URL = re.compile(
    r"""(?<![A-Za-z0-9+._-])[A-Za-z0-9+._-]+://"""
    r"""(?:(?:(?!['"<>,;|)\]}]{1,9}[\['"<({]{0,9}[A-Za-z0-9+._-]{1,30}://)\S)*@)?[^\s'"<>?]*"""
    r"""(?:\?\S*?(?=['"<>.,:;)\]]{0,9}(?:\s|\Z))|(?<![.,:;)\]]))"""
)

#: Start of a URL or of an fsspec URL chain, and the '::' before its next link. A link may be a scheme alone:
#: simplecache::zip://a.mcap::s3://bucket/b.zip.
_SCHEME = re.compile(r'(?<![A-Za-z0-9+._-])([A-Za-z0-9+._-]+)(://|::)')
_NEXT = re.compile(r'::(?=(?:[A-Za-z0-9_]+::)*[A-Za-z0-9+._-]+://)')
#: Schemes followed by a path only: no host, user or query.
_PATHS = ('file', 'local', 'dir', 'zip', 'tar', 'libarchive')
_HOST_AND_PORT = re.compile(r'[^:/]*(:[0-9]*)?(/|\Z)')

#: A longer chain is hidden as a whole.
_MOST_LINKS = 50

#: Characters that end the path of a camera's address.
CAMERA_ENDS = '?#;&='

#: fsspec's schemes of Azure Blob Storage, where a container precedes the @: abfs://container@account/path.
_AZURE = ('abfs', 'abfss', 'az')
_CONTAINER = re.compile(r'[a-z0-9$-]+@')

#: Shorter parts of a secret are not redacted on their own: they would match ordinary words.
_LEAST_SECRET = 4

#: Spreadsheets evaluate a cell that starts like this as a formula, unless an apostrophe precedes it. Text that already
#: starts with apostrophes gets one more, so that it can be read back. Source: OWASP, CSV Injection.
_FORMULA = re.compile("'*[=+@\t\r\n-]")
_NUMBER = re.compile(r'[+-]?[0-9.]+(e[+-]?[0-9]+)?\Z')


def printable(text: str, keep: str = '') -> str:
    r"""Escape characters that are not printable, for example ESC as '\x1b'.

    :param text: any text.
    :param keep: characters that stay, for example line ends.
    """
    return _UNPRINTABLE.sub(lambda found: found.group() if found.group() in keep else _escape(found.group()), text)


def cell(value: Any, keep: str = '') -> Any:
    r"""Escape a table cell: text becomes printable, with an apostrophe before a formula; numbers stay.

    :param value: the cell's value.
    :param keep: characters that stay; '\t\n\r' for names that are read back.
    """
    if not isinstance(value, str):
        return value
    text = printable(value, keep)
    return "'" + text if _FORMULA.match(text) and not _NUMBER.match(text) else text


def uncell(text: str) -> str:
    """Remove the apostrophe that :func:`cell` puts before a formula."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def split_url(url: str, ends: str = '?') -> Tuple[List[str], List[str]]:
    """Split a URL into its public part and its secrets: user, password and query.

    A password may contain any character: an ambiguous URL is parsed so that less is shown.

    :param url: a URL or fsspec chain such as zip://a.mcap::s3://bucket/b.zip; any other text is public.
    :param ends: characters that end the path.
    :returns: its links without secrets, to be joined by '::' (one if it is not a chain); and the forms in which a text
        may contain its secrets, longest first: '?token=hush', 'me:hush@', 'me:hush', 'hush', 'me'...
    """
    begin = _SCHEME.search(url)
    if not begin:
        return [url], []
    if url.count('::') > _MOST_LINKS:
        return ['...'], [url]
    scheme, rest = begin.group(1), url[begin.end() :]
    if begin.group(2) == '::':
        links, secrets = split_url(rest, ends)
        return [url[: begin.end(1)], *links], secrets
    following = re.search('::', rest) if scheme in _PATHS else _NEXT.search(rest)
    own = rest[: following.start()] if following else rest
    shown, secrets = (own, []) if scheme in _PATHS else _split_link(scheme, own, ends)
    if following and scheme not in _PATHS and shown == own and not _HOST_AND_PORT.match(own):
        shown, secrets = '...', _secret_forms([own], '')  # part of a password that contains ::
    links = [url[: begin.end()] + shown]
    if following:
        further, more = split_url(rest[following.end() :], ends)
        links, secrets = links + further, secrets + more
    return links, sorted(set(secrets), key=lambda secret: (-len(secret), secret))


def _split_link(scheme: str, rest: str, ends: str) -> Tuple[str, List[str]]:
    """Split what follows the :// of one link."""
    found = _CONTAINER.match(rest) if scheme in _AZURE else None
    container = found.group() if found else ''
    rest = rest[len(container) :]
    place = re.split('[%s]' % ends, rest)[0]
    query = rest[len(place) :]
    user, _, host = place.rpartition('@')
    # An @ in the path only is part of a name; :: or :// starts another URL.
    may_have_user = re.match('[^/]*[:@]|.*:[:/]', place, re.DOTALL)
    if '@' in query and (may_have_user or '/' not in place):  # this may be part of a password, not the host
        return container + '...', _secret_forms([rest.rpartition('@')[0], user], query)
    if may_have_user:
        return container + host, _secret_forms([user], query)
    return container + place, _secret_forms([], query)


def _secret_forms(users: Sequence[str], query: str) -> List[str]:
    """List the forms of secrets in a text: each user:password, the query, their parts, and all of these unquoted.

    Users and query values that are ordinary words are left out: errors contain words such as file and true, too.
    """
    found, pieces, words = [query, query[1:]], [], re.findall('=([^?#;&]*)', query)
    for user in users:
        name, colon, password = user.partition(':')
        found += [user and user + '@', user if colon else '']
        pieces.append(password)
        words.append(name)
    pieces += [word for word in words if not re.match('[a-z]*$', word)]
    found += [piece for piece in pieces if len(piece) >= _LEAST_SECRET]
    return [each for each in found + [unquote(each) for each in found] if each.strip('?#;&=@:')]


def public_address(address: str) -> str:
    """Return the public part of a camera's address: scheme, host and path. Any other text stays."""
    begin = re.search('[A-Za-z0-9+.-]+://', address)
    return public_file(address[begin.start() :], CAMERA_ENDS) if begin else address


def public_file(place: str, ends: str = '?') -> str:
    """Return a file's path or URL without user, password and query.

    :param ends: see :func:`split_url`.
    """
    return '::'.join(split_url(place, ends)[0])


def public_text(text: str) -> str:
    """Apply :func:`public_file` to each URL in a text."""
    return _URL.sub(lambda found: public_file(found.group()), text)


def without_secrets(text: str, *urls: str) -> str:
    """Redact a text: the secrets of every URL in it, and those of known URLs wherever they occur.

    :param text: such as a store's error, which may contain a user or a password without the rest of the URL.
    :param urls: paths or URLs that the text may be about.
    """
    for url in urls:
        links, secrets = split_url(url)
        shown, behind = '::'.join(links), url.partition('://')[2]
        text = text.replace(url, shown)
        if behind.strip('?#@'):
            text = text.replace(behind, shown.partition('://')[2])
        for secret in secrets:
            if secret.endswith('@') or secret.startswith('?'):
                text = text.replace(secret, '')
            elif not re.search(_as_word(secret), shown):  # else the public part would be redacted, too
                text = re.sub(_as_word(secret), '...', text)
    return public_text(text)


def _as_word(text: str) -> str:
    return r'(?<!\w)%s(?!\w)' % re.escape(text)


def show(text: str, **options: Any) -> None:
    """Print untrusted text: redact URLs; escape all that is not printable, except line ends, or not encodable.

    :param options: as for print.
    """
    print(_encodable(printable(public_text(text), keep='\n\r'), options.get('file') or sys.stdout), **options)


def print_while_read(text: str) -> bool:
    """Print text; return False once the reader has closed the pipe, as `head` does: this and all later text is dropped.

    Characters that the stream's encoding lacks are escaped, colours are not.
    """
    try:
        print(_encodable(text, sys.stdout), flush=True)
        return True
    except BrokenPipeError:
        # Otherwise Python's flush at exit fails.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False


def _encodable(text: str, stream: Any) -> str:
    """Escape the characters that the stream's encoding lacks."""
    encoding = getattr(stream, 'encoding', None) or 'utf-8'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte of a file name
    return '\\x%02x' % code if code < 0x100 else '\\u%04x' % code
