"""Run an ESR (ensemble with shared representations) model bundle and combine its branches."""

from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple, Union

import numpy as np

from facial_emotion_ros.core.errors import BadImage, BadModel
from facial_emotion_ros.emotion.anytime import AnytimeNetwork
from facial_emotion_ros.emotion.ensemble import EnsembleEstimates, combine
from facial_emotion_ros.emotion.operating_points import choose_point
from facial_emotion_ros.inference.execution_providers import CPU, Provider, ProviderPlan, check_precision
from facial_emotion_ros.inference.model_bundle import ModelBundle, opened_bundle
from facial_emotion_ros.inference.onnxruntime_backend import ModelRunner, OrtModel, open_model
from facial_emotion_ros.perception.face_crops import CropGeometry, normalize, to_uint8
from facial_emotion_ros.system.memory import give_memory_back

if TYPE_CHECKING:
    from facial_emotion_ros.inference.model_bundle import Path
    from facial_emotion_ros.inference.openvino_backend import OpenVinoModel


class EsrEngine(ModelRunner):
    """A loaded ESR bundle. Failing providers: :mod:`facial_emotion_ros.inference.onnxruntime_backend`."""

    def __init__(
        self,
        bundle: 'Union[ModelBundle, Path]' = 'esr_9_ferplus',
        providers: Union[ProviderPlan, Sequence[Provider]] = (CPU,),
        threads: int = 1,
        anytime: bool = False,
        operating_point: str = '',
        prior: Union[str, Sequence[float]] = '',
    ) -> None:
        """Load a bundle.

        :param bundle: ModelBundle, path of one, or the name of an embedded one.
        :param providers: ONNX Runtime execution providers in order of preference, names or (name, options); or a
            ProviderPlan.
        :param threads: threads of one operator, at least 1; a plan has its own.
        :param anytime: allow fewer branches to meet a deadline; for bundles made by `quantize`.
        :param operating_point: name of one of the bundle's operating points; '' for its default.
        :param prior: expected class frequencies, see :func:`.operating_points.choose_point`; '' for the point's.
        :raises BadParameter: for providers or threads of another type or range, int8 for another bundle, or an unknown
            operating point or prior.
        :raises BadModel: if the bundle is refused.
        """
        bundle = opened_bundle(bundle, expect='esr')
        self.geometry = CropGeometry.from_manifest(bundle.manifest['input'])
        self.branches = bundle.manifest['outputs']['logits']['branches']
        #: May be set to another operating point of the bundle at any time.
        self.point = choose_point(bundle.manifest, operating_point, prior)
        self._outputs = [bundle.manifest['outputs'][key]['name'] for key in ('logits', 'affect')]
        self._input = bundle.manifest['input']['name']
        self._takes_uint8 = bundle.manifest['input'].get('dtype') == 'uint8'
        plan = ProviderPlan.of(providers, threads)
        check_precision(plan, bundle)
        self._model = AnytimeNetwork(bundle, plan) if anytime else open_model(bundle, plan)
        del bundle  # the session has the weights; loading leaves two or three copies
        give_memory_back()

    def estimate(self, crops: np.ndarray, until_s: Optional[float] = None) -> EnsembleEstimates:
        """Run the network and combine its branches at the operating point; see :meth:`run`."""
        return combine(*self.run(crops, until_s), self.point)

    def run(self, crops: np.ndarray, until_s: Optional[float] = None) -> Tuple[np.ndarray, np.ndarray]:
        """Run the network.

        :param crops: (N, C, S, S) uint8 from :func:`face_crops.cut_planes`, or (N, 3, S, S) float32 from
            :func:`face_crops.cut_faces`, which are rounded for a network with uint8 input.
        :param until_s: deadline by time.monotonic() that an anytime engine meets by running fewer branches; None: all.
        :returns: logits (N, B, 8) and affect (N, B, 2), float32.
        :raises BadImage: if crops have another shape or are not finite.
        :raises BadModel: if the outputs have another shape or are not finite.
        """
        crops = self._checked(crops)
        count, branches = len(crops), self.branches
        if not count:
            return np.zeros((0, branches, 8), np.float32), np.zeros((0, branches, 2), np.float32)
        if isinstance(self._model, AnytimeNetwork):
            logits, affect = self._model.run(crops, until_s)
            branches = logits.shape[1] if logits.ndim == 3 else branches
        else:
            logits, affect = self._run_in_batches(crops, self._model)
        shapes = (count, branches, 8), (count, branches, 2)
        if (logits.shape, affect.shape) != shapes:
            raise BadModel(
                'expected outputs %s and %s from %s, got %s and %s; export the bundle again'
                % (shapes + (self.bundle.name, logits.shape, affect.shape))
            )
        if not (np.isfinite(logits).all() and np.isfinite(affect).all()):
            raise BadModel(
                'expected finite outputs from %s on %s, got NaN or infinity; check precision and provider'
                % (self.bundle.name, self.provider)
            )
        return logits, affect

    def _checked(self, crops: np.ndarray) -> np.ndarray:
        """Check crops, and convert them to the network's input."""
        size, geometry = self.geometry.size_px, self.geometry
        crops = np.asarray(crops)
        is_uint8 = crops.dtype == np.uint8
        planes = geometry.planes if is_uint8 else 3
        if crops.shape[1:] != (planes, size, size):
            raise BadImage(
                'expected crops (N, %d, %d, %d) of %s, got %s'
                % (planes, size, size, 'uint8' if is_uint8 else 'float32', crops.shape)
            )
        if is_uint8:
            return np.ascontiguousarray(crops if self._takes_uint8 else normalize(crops, geometry))
        crops = np.ascontiguousarray(crops, np.float32)
        if not np.isfinite(crops).all():
            raise BadImage('expected finite crops, got NaN or infinity')
        return to_uint8(crops, geometry) if self._takes_uint8 else crops

    def _run_in_batches(self, crops: np.ndarray, model: 'Union[OrtModel, OpenVinoModel]') -> List[np.ndarray]:
        """Run all crops at once, or in padded batches if the provider has a fixed batch size."""
        batch = model.face_batch
        if not batch:
            return model.run(self._outputs, {self._input: crops})
        parts = []
        for first in range(0, len(crops), batch):
            part = crops[first : first + batch]
            padded = np.zeros((batch,) + crops.shape[1:], crops.dtype)
            padded[: len(part)] = part
            parts.append([array[: len(part)] for array in model.run(self._outputs, {self._input: padded})])
        return [np.concatenate(same) for same in zip(*parts)]
