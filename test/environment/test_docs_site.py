"""The pages of docs/ as a site, as scripts/docs builds it where its own environment has been made."""

import filecmp
import os

import pytest
from checkouts import ROOT
from programs import printed


def test_the_site_is_whole_when_it_is_built(tmp_path):
    lock, made = (os.path.join(ROOT, folder, 'docs.lock') for folder in ('requirements', '.venv.docs'))
    if not os.path.exists(made) or not filecmp.cmp(lock, made, shallow=False):
        pytest.skip('.venv.docs is absent or of an older requirements/docs.lock: scripts/docs makes it')
    printed(os.path.join(ROOT, 'scripts', 'docs'), 'build', '--strict', '--site-dir', tmp_path)
    assert (tmp_path / 'index.html').is_file() and (tmp_path / 'project' / 'SECURITY.html').is_file()
    assert ':param' not in (tmp_path / 'python.html').read_text(encoding='utf-8'), 'docstrings are tables'
