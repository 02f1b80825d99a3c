"""The list of components: valid, complete, and the same each time."""

import glob
import json
import os
import re
import sys
from importlib.util import find_spec

import programs
import pytest
from places import ROOT, read

SCOPES = {'run.lock': 'required', 'torch.lock': 'optional', 'test.lock': 'excluded'}


def make_sbom():
    """Run the command; give what it prints."""
    return programs.printed(sys.executable, os.path.join(ROOT, 'scripts', 'make_sbom'))


@pytest.fixture(scope='module')
def printed():
    """Return what the command prints."""
    return make_sbom()


def test_it_is_valid_when_cyclonedx_s_own_schema_is_asked(printed):
    for name in ('jsonschema', 'referencing', 'cyclonedx'):
        pytest.importorskip(name, reason=name + ' is not installed: scripts/setup --tests does that')
    import jsonschema
    import referencing

    # Of the library only its files: what it imports is not installed.
    folder = os.path.join(list(find_spec('cyclonedx').submodule_search_locations)[0], 'schema', '_res')
    schemas = {}
    for path in glob.glob(os.path.join(folder, '*.schema.json')):
        with open(path, encoding='utf-8') as file:
            schemas[os.path.basename(path)] = json.load(file)
    # They refer to one another by the names of these files.
    resources = [
        (place + name, referencing.Resource.from_contents(schema))
        for name, schema in schemas.items()
        for place in ('', 'http://cyclonedx.org/schema/')
    ]
    validator = jsonschema.Draft7Validator(
        schemas['bom-1.6.SNAPSHOT.schema.json'], registry=referencing.Registry().with_resources(resources)
    )
    bill = json.loads(printed)
    assert [error.message for error in validator.iter_errors(bill)] == []
    bill['components'][0]['hashes'][0]['content'] = 'none'
    assert list(validator.iter_errors(bill)), 'the schema is not at work'


def test_every_package_of_the_locks_is_in_it_with_all_its_hashes(printed):
    bill = json.loads(printed)
    references = [each['bom-ref'] for each in bill['components']]
    assert len(set(references)) == len(references)
    for lock, scope in SCOPES.items():
        text = read('requirements', lock)
        found = [each for each in bill['components'] if each['bom-ref'].startswith(lock)]
        assert {each['scope'] for each in found} == {scope}
        assert [(each['name'], each['version']) for each in found] == re.findall(
            r'^([A-Za-z0-9._-]+)==([^\s;]+)', text.lower(), re.MULTILINE
        )
        assert sum(len(each['hashes']) for each in found) == text.count('--hash=sha256:')


def test_every_embedded_model_is_in_it_with_the_hash_that_is_checked(printed):
    models = {
        each['name']: each for each in json.loads(printed)['components'] if each['type'] == 'machine-learning-model'
    }
    assert set(models) == {
        os.path.basename(os.path.dirname(path))
        for path in glob.glob(os.path.join(ROOT, 'models', '*', 'manifest.json'))
    }
    digest = json.loads(read('models', 'centerface', 'manifest.json'))['model']['sha256']
    assert models['centerface']['hashes'] == [{'alg': 'SHA-256', 'content': digest}]


def test_it_is_the_same_each_time(printed):
    assert make_sbom() == printed and not re.search('https?://(?!cyclonedx)', printed)
