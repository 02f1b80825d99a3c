"""Writes measured promises into the table of docs/promises.md. Usage: promises_table.py FIGURES.jsonl promises.md

Each row that was measured replaces the row of its name, or is added at the end; all others keep what they had.
"""

import json
import sys

BEGIN, END = '<!-- figures: written by scripts/promises -->', '<!-- end of figures -->'
COLUMNS = ('row', 'figure', 'bound', 'n', 'kept', 'date', 'machine', 'command')
HEAD = ['| promise | figure | bound | n | kept | date | machine | command |', '|---' * len(COLUMNS) + '|']


def main():
    """Rewrite the file."""
    figures, page = sys.argv[1:]
    with open(figures) as file:
        notes = [json.loads(line) for line in file]
    with open(page) as file:
        text = file.read()
    with open(page, 'w') as file:
        file.write(with_figures(text, notes))
    print('%d figures written into %s.' % (len(notes), page))


def with_figures(text, notes):
    """Put what was measured into the table.

    :param text: of the page.
    :param notes: list of dict, as the fixture `promise` writes them; of two with the same row the later one counts.
    :returns: the new text.
    :raises ValueError: where the page has no table between the markers.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError('expected one table between %r and %r' % (BEGIN, END))
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    lines = dict((line.split('|')[1].strip(), line) for line in table.strip().splitlines()[len(HEAD) :])
    for note in notes:
        lines[cell(note['row'])] = line_of(note)
    return before + '\n'.join([BEGIN] + HEAD + list(lines.values()) + [END]) + after


def line_of(note):
    """Return a note as a row of the table."""
    name = note['test'].split('::')[1].split('[')[0]
    values = dict(note, kept='yes' if note['kept'] else '**no**', command='`scripts/promises -k %s`' % name)
    return '| %s |' % ' | '.join(cell(values.get(column, '')) for column in COLUMNS)


def cell(value):
    """Return a value as it can stand in a cell."""
    return ' '.join(str(value).replace('|', '/').split())


if __name__ == '__main__':
    main()
