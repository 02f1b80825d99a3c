"""Which engine is taken where the machine is to decide."""

import json
import logging
import os

import pytest

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import CPU, TENSORRT
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.openvino_backend import OPENVINO, OpenVinoModel, openvino_version
from facial_emotion_ros.inference.tensorrt_cache import EngineCache
from facial_emotion_ros.pipeline import backend_autotune
from facial_emotion_ros.pipeline.backend_autotune import CHOICES_FILE, choose
from facial_emotion_ros.pipeline.tensorrt_build import EngineBuild

needs_openvino = pytest.mark.skipif(not openvino_version(), reason='openvino is not installed: it is optional')

PLAN = {'providers': [CPU], 'threads': 1, 'precision': 'fp32', 'face_batch': 0}


@pytest.fixture(scope='module')
def bundle():
    """Return the embedded ESR."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus'))


class Watch:
    """A clock by which the engine of a class takes a second for a face, and the others none."""

    def __init__(self, monkeypatch, slow):
        self.now_s = 0.0
        run = EsrEngine.run

        def timed(engine, crops):
            self.now_s += isinstance(engine._model, OpenVinoModel) == slow
            return run(engine, crops)

        monkeypatch.setattr(EsrEngine, 'run', timed)

    def __call__(self):
        return self.now_s


@pytest.fixture
def measured(monkeypatch):
    """Return a list that gets the candidates of each measurement, which takes no time: the question is when."""
    asked = []

    def measure(bundle, plan, cache, candidates, clock):
        asked.append(sorted(candidates))
        return dict.fromkeys(candidates, 3.0)

    monkeypatch.setattr(backend_autotune, '_measure', measure)
    return asked


@needs_openvino
@pytest.mark.parametrize('openvino_is_slow, name, engine', [(True, CPU, 'onnxruntime'), (False, OPENVINO, 'openvino')])
def test_the_fastest_is_chosen(bundle, tmp_path, monkeypatch, openvino_is_slow, name, engine):
    monkeypatch.setattr(backend_autotune, '_ROUNDS', 3)
    choice = choose(bundle, PLAN, EngineCache(str(tmp_path / 'engines')), Watch(monkeypatch, openvino_is_slow))
    assert choice.changes['engine'] == engine
    assert choice.reason.startswith(name + ', the fastest') and '1000.0 ms' in choice.reason


def test_the_choice_is_remembered(bundle, tmp_path, measured):
    cache = EngineCache(str(tmp_path / 'engines'))
    choice = choose(bundle, PLAN, cache)
    again = choose(bundle, PLAN, cache)
    assert len(measured) == 1, 'it was measured once more'
    assert again.changes == choice.changes and again.reason.startswith(CPU + ', as measured on 20')
    choose(bundle, dict(PLAN, threads=2), cache)
    assert len(measured) == 2, 'another number of threads is another question'


@pytest.mark.parametrize(
    'content', [b'', b'[]', b'{"a": 3}', b'\xff', b'[' * 100000, b'{"key": {"choice": "x", "ms": {}}}']
)
def test_it_is_measured_anew_when_what_is_remembered_cannot_be_read(bundle, tmp_path, measured, content):
    (tmp_path / CHOICES_FILE).write_bytes(content)
    assert 'the fastest' in choose(bundle, PLAN, EngineCache(str(tmp_path))).reason
    known = json.loads((tmp_path / CHOICES_FILE).read_text())
    assert [each['choice'] in each['ms'] for each in known.values() if isinstance(each, dict) and each['ms']] == [True]


@pytest.mark.parametrize(
    'damage',
    [
        {'choice': [CPU]},
        {'choice': {}},
        {'choice': None},
        {'choice': 'NoSuchEngine'},
        {'ms': {CPU: 'fast'}},
        {'ms': {CPU: None}},
        {'ms': {CPU: [1]}},
        {'ms': {}},
        {'ms': [[CPU, 1]]},
    ],
)
def test_it_is_measured_anew_when_the_remembered_choice_is_damaged(bundle, tmp_path, measured, damage):
    cache, place = EngineCache(str(tmp_path)), tmp_path / CHOICES_FILE
    choose(bundle, PLAN, cache)
    ((key, sound),) = json.loads(place.read_text()).items()
    place.write_text(json.dumps({key: dict(sound, **damage)}))
    assert 'the fastest' in choose(bundle, PLAN, cache).reason
    assert json.loads(place.read_text())[key]['choice'] in sound['ms']


def test_a_folder_that_cannot_be_written_costs_the_memory_alone(bundle, tmp_path, measured, caplog):
    (tmp_path / 'file').write_text('')
    choice = choose(bundle, PLAN, EngineCache(str(tmp_path / 'file')))
    assert 'the fastest' in choice.reason
    assert 'cannot be cached' in caplog.text


def test_tensorrt_takes_no_part_while_its_engines_are_not_built(bundle, tmp_path, measured):
    choice = choose(bundle, dict(PLAN, providers=[TENSORRT, CPU]), EngineCache(str(tmp_path)))
    assert TENSORRT not in choice.reason and TENSORRT not in measured[0]
    assert choice.changes.get('providers', [CPU]) == [CPU]


def test_the_choice_is_logged_with_its_reason(tmp_path, measured, caplog):
    caplog.set_level(logging.INFO)
    models = {'esr': 'esr_9_ferplus', 'detector': 'centerface'}
    plan = EngineBuild(models, dict(PLAN, engine='auto', engine_cache=str(tmp_path))).plan()
    assert plan.engine in ('onnxruntime', 'openvino')
    assert 'the fastest for one face' in caplog.text
    assert os.path.exists(str(tmp_path / CHOICES_FILE))
    with pytest.raises(BadModel):
        EngineBuild(dict(models, esr='no_such_bundle'), dict(PLAN, engine='auto', engine_cache='')).plan()
