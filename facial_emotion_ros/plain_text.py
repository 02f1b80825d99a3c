"""Text of others (names of files, topics, people) made harmless where it is shown: terminals, logs, pages, tables."""
import re

#: What moves a terminal's cursor, reverses reading, or is no character at all: control characters of ASCII and Latin-1,
#: line and direction marks, halves of surrogate pairs (bytes of file names that are not UTF-8).
_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

#: A cell that begins so is a formula to spreadsheets. Source: OWASP, CSV Injection.
_FORMULA = ('=', '+', '-', '@', '\t', '\r')
_NUMBER = re.compile(r'[+-]?[0-9.]+(e[+-]?[0-9]+)?\Z')


def printable(text: str, keep: str = '') -> str:
    r"""
    Escape what is no printable character.

    :param text: any text.
    :param keep: characters that stay, for example line ends.
    :returns: one that can be encoded and shown, '\x1b' in place of ESC.
    """
    return _UNPRINTABLE.sub(lambda found: found.group() if found.group() in keep else _escape(found.group()), text)


def cell(value):
    """
    Take a value of a table's cell, and keep a text of others from being a formula of whoever opens the table.

    :param value: text or number.
    :returns: numbers as they are; text printable, with an apostrophe before what would begin a formula.
    """
    if not isinstance(value, str):
        return value
    return printable("'" + value if value.startswith(_FORMULA) and not _NUMBER.match(value) else value)


def show(text: str, **options):
    """
    Print a text that may hold names of others; line ends and the return of a progress line stay.

    :param text: to print.
    :param options: as print takes them.
    """
    print(printable(text, keep='\n\r'), **options)


def _escape(character):
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte of a file's name
    return '\\x%02x' % code if code < 0x100 else '\\u%04x' % code
