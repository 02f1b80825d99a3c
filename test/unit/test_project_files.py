"""What surrounds the package: workflows, links between pages, and the version wherever it is written."""

import os
import re
import sys

import pytest
import yaml
from places import ROOT, read
from test_package import EXECUTABLES, MANIFEST

import facial_emotion_ros

sys.path.insert(0, os.path.join(ROOT, 'scripts', 'setup_environment'))

from system import WHEEL_PYTHONS  # noqa: E402

WORKFLOWS = sorted(os.listdir(os.path.join(ROOT, '.github', 'workflows')))
PAGES = sorted(
    [name for name in os.listdir(ROOT) if name.endswith('.md')]
    + [
        os.path.join(folder, name)
        for folder in ('docs', 'recipes', 'samples', os.path.join('models', 'esr_9_ferplus'))
        for name in os.listdir(os.path.join(ROOT, folder))
        if name.endswith('.md')
    ]
)


def jobs_of(name):
    """Read a workflow's jobs."""
    return yaml.safe_load(read('.github', 'workflows', name))['jobs']


def anchors_of(text):
    """List the anchors that GitHub and MkDocs both give a page's headings: MkDocs makes one hyphen of several."""
    heads = re.findall(r'^#+ +(.+?) *$', re.sub(r'^```.*?^```', '', text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    words = [re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', head).lower() for head in heads]
    anchors = {re.sub(r'[^\w\- ]', '', each).replace(' ', '-') for each in words}
    return {each for each in anchors if '--' not in each}


@pytest.mark.parametrize('name', WORKFLOWS)
def test_a_workflow_may_only_read_and_runs_fixed_actions_when_it_is_read(name):
    text = read('.github', 'workflows', name)
    assert yaml.safe_load(text)['permissions'] == {'contents': 'read'}
    used = re.findall(r'uses: (.*)', text)
    assert used and all(re.fullmatch(r'[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+', each) for each in used)
    assert text.count('actions/checkout@') == text.count('persist-credentials: false')
    assert all('timeout-minutes' in job and 'permissions' not in job for job in jobs_of(name).values())


@pytest.mark.parametrize('name', WORKFLOWS)
def test_a_workflow_starts_what_exists_when_its_commands_are_read(name):
    commands = [step['run'] for job in jobs_of(name).values() for step in job['steps'] if 'run' in step]
    named = [word for command in commands for word in re.findall(r'(?<![\w/])(?:scripts|test|\.ci)/[\w./]+', command)]
    assert [word for word in named if not os.path.exists(os.path.join(ROOT, word))] == []


@pytest.mark.parametrize('workflow, job', [('tests.yml', 'wheels'), ('locks.yml', 'locks')])
def test_every_python_of_the_wheels_is_tested_when_a_matrix_is_read(workflow, job):
    assert jobs_of(workflow)[job]['strategy']['matrix']['python'] == ['%d.%d' % version for version in WHEEL_PYTHONS]


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load(read('CITATION.cff'))
    assert (citation['version'], citation['license']) == (MANIFEST.findtext('version'), MANIFEST.findtext('license'))


@pytest.mark.parametrize('page', PAGES)
def test_every_link_between_pages_leads_somewhere(page):
    text = read(page)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        path, _, anchor = target.partition('#')
        if re.match(r'[a-z]+:', target):
            continue
        full = os.path.join(ROOT, os.path.dirname(page), path) if path else os.path.join(ROOT, page)
        assert os.path.exists(full), target
        if anchor and full.endswith('.md'):
            assert anchor in anchors_of(read(full)), target


def test_every_page_is_in_the_navigation_of_the_site():
    pages = {name for name in os.listdir(os.path.join(ROOT, 'docs')) if name.endswith('.md')}
    listed = re.findall(r'^ +- .+: ([\w.-]+\.md)$', read('mkdocs.yml'), re.MULTILINE)
    assert sorted(listed) == sorted(pages), 'the nav of mkdocs.yml'


def test_every_command_is_in_the_reference():
    rows = re.findall(r'^\| (`.+?`) \|', read('docs', 'commands.md'), re.MULTILINE)
    assert {name.strip('`') for row in rows for name in row.split(', ')} == EXECUTABLES, 'docs/commands.md'


def test_every_public_name_is_in_the_python_reference():
    named = set(re.findall(r'facial_emotion_ros\.(\w+)', read('docs', 'python.md')))
    assert named == set(facial_emotion_ros.__all__) - {'EMOTIONS'}


def test_the_site_loads_nothing_from_others_when_its_settings_are_read():
    settings = yaml.safe_load(read('mkdocs.yml'))
    assert settings['theme']['font'] is False and 'scripts/site_hooks.py' in settings['hooks']
    assert not re.findall(r'https?://', read('mkdocs.yml') + read('docs', 'stylesheets', 'site.css'))
