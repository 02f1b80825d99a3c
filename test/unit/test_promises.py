"""The table of docs/promises.md, as scripts/promises writes it."""

import os
import sys

import pytest
from places import ROOT, read

sys.path.insert(0, os.path.join(ROOT, 'test'))

from promises_table import BEGIN, END, HEAD, with_figures  # noqa: E402

NOTE = {
    'row': 'no backlog',
    'figure': '5 ms',
    'bound': '7 ms',
    'n': '9 runs',
    'kept': True,
    'date': '2026-11-24',
    'machine': 'a board',
    'test': 'test/soak/test_backlog.py::test_newest[slow]',
}
ROW = '| no backlog | 5 ms | 7 ms | 9 runs | yes | 2026-11-24 | a board | `scripts/promises -k test_newest` |'
OTHER = '| ends | 1 s | 3 s | 50 | yes | 2026-01-01 | another | `scripts/promises -k test_ends` |'


def page(*rows):
    return '\n'.join(['# Promises', BEGIN] + HEAD + list(rows) + [END, 'end', ''])


@pytest.mark.parametrize(
    'rows, notes, expected',
    [
        ([], [NOTE], [ROW]),
        ([OTHER], [NOTE], [OTHER, ROW]),
        (['| no backlog | | | | | | | |', OTHER], [NOTE], [ROW, OTHER]),
        (
            [ROW, OTHER],
            [dict(NOTE, figure='6 | ms', kept=False)],
            [ROW.replace('5 ms', '6 / ms').replace('yes', '**no**'), OTHER],
        ),
        ([ROW], [], [ROW]),
        ([], [dict(NOTE, figure='9 ms'), NOTE], [ROW]),
    ],
)
def test_only_what_was_measured_is_replaced_when_figures_are_written(rows, notes, expected):
    assert with_figures(page(*rows), notes) == page(*expected)


def test_the_page_is_refused_when_its_markers_are_gone():
    with pytest.raises(ValueError, match='one table'):
        with_figures('# Promises', [NOTE])


def test_the_shipped_page_takes_figures_and_names_files_that_exist():
    text = read('docs', 'promises.md')
    assert ROW in with_figures(text, [NOTE])
    named = [word for word in text.replace('`', ' ').split() if word.startswith('test/') and word.endswith('.py')]
    assert named and not [word for word in named if not os.path.exists(os.path.join(ROOT, word))]
