"""The set-up under test: its modules, and a checkout of the test's own."""

import os
import shutil
import sys

import pytest
from checkouts import ROOT, Checkout

sys.path.insert(0, os.path.join(ROOT, 'scripts', 'setup_environment'))


@pytest.fixture
def checkout(tmp_path):
    """Copy the checkout into a folder of the test's own."""
    folder = tmp_path / 'checkout'
    folder.mkdir()
    yield Checkout(folder)
    shutil.rmtree(str(tmp_path), ignore_errors=True)  # environments are large
