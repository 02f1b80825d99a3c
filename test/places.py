"""Where the checkout lies, its samples, and the data that may lie beside it."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLES = os.path.join(ROOT, 'samples')
ASTRONAUT = os.path.join(SAMPLES, 'astronaut.jpg')
SHARED = os.path.join(os.path.dirname(ROOT), 'shared')
DATA, PORTRAITS = os.path.join(SHARED, 'data'), os.path.join(SHARED, 'portraits')


def read(*parts):
    """Read a text file of the checkout."""
    with open(os.path.join(ROOT, *parts), encoding='utf-8') as file:
        return file.read()
