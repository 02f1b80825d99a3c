"""Evaluations in the test's own process: for tests of what comes before and after the models and the processes."""

import functools
from contextlib import contextmanager

import pytest

from facial_emotion_ros.inference import onnxruntime_backend
from facial_emotion_ros.inference.model_bundle import ModelBundle


@contextmanager
def models_opened_once():
    """Keep every bundle, and every session of ONNX Runtime, that is opened in the block, for who opens it again."""
    sessions, open_session = {}, onnxruntime_backend.open_session

    def kept_session(bundle, plan):
        key = bundle.sha256, *plan.names, plan.threads, plan.spin, plan.precision, plan.face_batch
        if key not in sessions:
            sessions[key] = open_session(bundle, plan)
        return sessions[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime_backend, 'open_session', kept_session)
        patch.setattr(ModelBundle, 'open', functools.lru_cache(maxsize=None)(ModelBundle.open))
        yield


@pytest.fixture(scope='module', autouse=True)
def kept_models():
    """Open each model once, in a test module that imports this fixture."""
    with models_opened_once():
        yield


@pytest.fixture
def in_this_process(monkeypatch):
    """Evaluate the recordings of a batch here, one after the other: each process would take a second to start."""
    from facial_emotion_ros.recordings.batch import batch
    from facial_emotion_ros.recordings.batch.task import evaluate_task

    def run_here(tasks, workers, take):
        for number, task in enumerate(tasks):
            take(number, dict(evaluate_task(task), attempts=1))

    monkeypatch.setattr(batch, 'run_locally', run_here)
