"""Which of two bundles of one model runs: in floating point, or the one in eight bits beside it."""

import os
from typing import Union

from facial_emotion_ros.errors import BadModel
from facial_emotion_ros.execution_providers import CPU, ProviderPlan
from facial_emotion_ros.model_bundle import MANIFEST_FILE, ModelBundle, resolve_bundle
from facial_emotion_ros.processor import cpuinfo, flags

#: What the bundle in eight bits is called, behind the name of the other.
INT8_SUFFIX = '_int8'

#: Flags in /proc/cpuinfo of processors that multiply and add four int8 in one instruction: AVX-512 VNNI, AVX-VNNI, and
#: Arm's dot product. Others are slower in int8 than they might be, and older x86 may saturate.
_FLAGS = frozenset(('avx512_vnni', 'avx_vnni', 'asimddp'))


def int8_is_fast(path: str = '/proc/cpuinfo') -> bool:
    """Tell whether the processor has instructions for int8; false where the kernel does not say.

    :param path: the file that lists its flags.
    """
    return any(not _FLAGS.isdisjoint(each) for each in flags(cpuinfo(path))[:1])


def bundle_for(name, plan: ProviderPlan) -> Union[str, ModelBundle]:
    """Return the bundle that a plan runs: the one in eight bits where it is asked for, or the faster one.

    Precision int8 takes it; auto does so on a CPU that multiplies int8, in either engine; all others never do.

    :param name: path of a bundle or name of an embedded one; that in eight bits is called the same with '_int8' behind.
        A ModelBundle, which somebody has chosen and opened, is returned as it is.
    :param plan: where the model is to run.
    :returns: `name`, or that with '_int8' behind where there is such a bundle.
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
        return other if os.path.isfile(os.path.join(resolve_bundle(other), MANIFEST_FILE)) else text
    except BadModel:
        return text
