"""Open a bundle's model in the inference engine that a plan names: ONNX Runtime or OpenVINO."""

from typing import Sequence, Union

from facial_emotion_ros.execution_providers import CPU, Provider, ProviderPlan
from facial_emotion_ros.model_bundle import ModelBundle
from facial_emotion_ros.onnx_session import RunningModel


def open_model(bundle: ModelBundle, providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,), threads: int = 1):
    """Open a bundle's model.

    :param bundle: an opened bundle.
    :param providers: ONNX Runtime's execution providers, the wanted one first; or a ProviderPlan, which brings its own
        threads and says which engine.
    :param threads: of one operator, at least 1.
    :returns: RunningModel or OpenVinoModel: both have `run`, `provider`, `degraded`, `face_batch` and `names`.
    :raises BadParameter: for a value of another type or range, or an engine that is not installed.
    :raises BadModel: if the model does not load.
    """
    plan = ProviderPlan.of(providers, threads)
    if plan.engine == 'openvino':
        from facial_emotion_ros.openvino_model import OpenVinoModel
        return OpenVinoModel(bundle, plan)
    return RunningModel(bundle, plan)
