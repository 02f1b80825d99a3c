"""Choose between a model's floating-point bundle and the int8 bundle beside it."""

import logging
import os
from typing import TYPE_CHECKING, Any, Union

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.core.files import read_cached
from facial_emotion_ros.inference.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.inference.model_bundle import MANIFEST_FILE, ModelBundle, resolve_bundle
from facial_emotion_ros.system.cpu_info import cpuinfo, flags

if TYPE_CHECKING:
    from facial_emotion_ros.inference.model_bundle import Path

_log = logging.getLogger(__name__)

#: Suffix of an int8 bundle's name.
INT8_SUFFIX = '_int8'

#: Flags in /proc/cpuinfo of int8 dot-product instructions: AVX-512 VNNI, AVX-VNNI, and Arm's. Without them, int8 gains
#: little.
_FLAGS = frozenset(('avx512_vnni', 'avx_vnni', 'asimddp'))


def int8_is_fast(path: str = '/proc/cpuinfo') -> bool:
    """Return whether the processor has int8 dot-product instructions; False if the kernel lists no flags."""
    return any(not _FLAGS.isdisjoint(each) for each in flags(cpuinfo(path))[:1])


def bundle_for(name: 'Union[ModelBundle, Path]', plan: ProviderPlan) -> Union[str, ModelBundle]:
    """Return the bundle to run: the int8 one with precision int8, or with auto on a CPU with int8 instructions.

    :param name: path of a bundle or name of an embedded one. A ModelBundle is returned unchanged.
    :param plan: where the model runs.
    :returns: `name`, or `name` with '_int8' appended if there is such a bundle, made from that model.
    """
    if isinstance(name, ModelBundle):
        return name
    text = os.fspath(name)
    if text.rstrip('/').endswith(INT8_SUFFIX):
        return text
    if plan.precision == 'auto':
        on_cpu = plan.engine == 'openvino' or plan.candidates()[:1] == [CPU]
        if not (on_cpu and int8_is_fast()):
            return text
    elif plan.precision != 'int8':
        return text
    other = text.rstrip('/') + INT8_SUFFIX
    try:
        manifest = os.path.join(resolve_bundle(other), MANIFEST_FILE)
    except BadModel:
        return text
    if not os.path.isfile(manifest):
        return text
    if not _is_of(manifest, text):
        _log.warning(
            'Model bundle %r is not used: it was made from another %r; make it again with `quantize`', other, text
        )
        return text
    return other


def _is_of(manifest: str, name: str) -> bool:
    """Return whether an int8 bundle, given by its manifest's path, was made from a bundle's model."""
    try:
        exact: Any = read_cached(os.path.join(resolve_bundle(name), MANIFEST_FILE))
        quantized: Any = read_cached(manifest)
        return bool(quantized['quantization']['of']['sha256'] == exact['model']['sha256'])
    except (BadModel, KeyError, TypeError):
        return True  # unknown or damaged: opening it reports that
