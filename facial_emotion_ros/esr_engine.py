"""Run an ESR bundle on a named execution provider, and say so when it had to be another one."""

import numpy as np

from facial_emotion_ros.anytime import AnytimeNetwork
from facial_emotion_ros.engines import open_model
from facial_emotion_ros.ensemble import combine
from facial_emotion_ros.errors import BadImage, BadModel
from facial_emotion_ros.execution_providers import CPU, ProviderPlan, check_precision
from facial_emotion_ros.face_crop import CropGeometry, in_range, whole_numbers
from facial_emotion_ros.model_bundle import opened_bundle
from facial_emotion_ros.process_memory import give_memory_back


class EsrEngine:
    """An ESR bundle, loaded and ready to run. Where it runs, and what happens when that fails: see :mod:`.engines`."""

    def __init__(self, bundle='esr_9_ferplus', providers=(CPU,), threads=1, anytime=False):
        """Load a bundle.

        :param bundle: ModelBundle, path of one, or the name of an embedded one.
        :param providers: ONNX Runtime execution providers in order of preference, names or (name, options) pairs; or a
            ProviderPlan, which says more than that.
        :param threads: threads of one operator, at least 1; a plan brings its own.
        :param anytime: be ready to answer with fewer branches where time is short; for bundles that `quantize` made.
        :raises BadParameter: if providers or threads are of another type or range, or int8 is asked for of a bundle
            that has none.
        :raises BadModel: if the bundle is refused, or its outputs do not have the shapes that its manifest promises.
        """
        bundle = opened_bundle(bundle, expect='esr')
        self.geometry = CropGeometry.from_manifest(bundle.manifest['input'])
        described = bundle.manifest['outputs']['logits']
        self.branches = described['branches']
        #: What logits are divided by, and what is then added to each class's (None: nothing), so that scores are true.
        self.temperature = float(described.get('temperature', 1.0))
        self.offsets = described.get('offsets')
        self._outputs = [bundle.manifest['outputs'][key]['name'] for key in ('logits', 'affect')]
        self._input = bundle.manifest['input']['name']
        self._takes_whole_numbers = bundle.manifest['input'].get('dtype') == 'uint8'
        plan = ProviderPlan.of(providers, threads)
        check_precision(plan, bundle)
        self._model = AnytimeNetwork(bundle, plan) if anytime else open_model(bundle, plan)
        self._anytime = anytime
        del bundle  # the session has the weights; loading leaves two or three copies more
        give_memory_back()

    @property
    def bundle(self):
        """The ModelBundle that runs, without its model's bytes once they are in memory as weights."""
        return self._model.bundle

    @property
    def provider(self):
        """The execution provider that really runs the network."""
        return self._model.provider

    @property
    def degraded(self):
        """Why that is not the one that was asked for; '' when it is."""
        return self._model.degraded

    def estimate(self, crops, until_s=None):
        """Run the network and combine its branches, calibrated as the bundle says.

        :param crops: see :meth:`run`.
        :param until_s: see :meth:`run`.
        :returns: EnsembleEstimates of N faces.
        :raises BadImage: see :meth:`run`.
        :raises BadModel: see :meth:`run`.
        """
        return combine(*self.run(crops, until_s), temperature=self.temperature, offsets=self.offsets)

    def run(self, crops, until_s=None):
        """Run the network.

        :param crops: (N, C, S, S) uint8, as :func:`facial_emotion_ros.face_crop.cut_planes` makes them, or (N, 3, S, S)
            float32 in the network's range, as :func:`~facial_emotion_ros.face_crop.cut_faces` does; a network that
            takes whole numbers gets these rounded to them.
        :param until_s: when the answer shall be there, by time.monotonic(); an anytime engine then runs as many
            branches as that allows. None for all.
        :returns: logits (N, B, 8) float32 as the network gives them, and affect (N, B, 2) float32; N = 0 gives empty
            arrays.
        :raises BadImage: if crops have another shape or hold a value that is not finite.
        :raises BadModel: if the outputs have another shape or hold a value that is not finite.
        """
        crops = self._checked(crops)
        count = len(crops)
        if not count:
            return np.zeros((0, self.branches, 8), np.float32), np.zeros((0, self.branches, 2), np.float32)
        logits, affect = self._model.run(crops, until_s) if self._anytime else self._run_in_batches(crops)
        branches = logits.shape[1] if self._anytime and logits.ndim == 3 else self.branches
        shapes = (count, branches, 8), (count, branches, 2)
        if (logits.shape, affect.shape) != shapes:
            raise BadModel(
                'outputs %s and %s expected from %s, got %s and %s; export the bundle again'
                % (shapes + (self.bundle.name, logits.shape, affect.shape))
            )
        if not (np.isfinite(logits).all() and np.isfinite(affect).all()):
            raise BadModel(
                'finite outputs expected from %s on %s, got NaN or infinity; check precision and provider'
                % (self.bundle.name, self.provider)
            )
        return logits, affect

    def _checked(self, crops):
        """Refuse what is no crop, and bring crops into the form that the model takes."""
        size, geometry = self.geometry.size_px, self.geometry
        crops = np.asarray(crops)
        whole = crops.dtype == np.uint8
        planes = geometry.planes if whole else 3
        if crops.shape[1:] != (planes, size, size):
            raise BadImage('crops (N, %d, %d, %d) of %s expected, got %s'
                           % (planes, size, size, 'uint8' if whole else 'float32', crops.shape))
        if whole:
            return np.ascontiguousarray(crops if self._takes_whole_numbers else in_range(crops, geometry))
        crops = np.ascontiguousarray(crops, np.float32)
        if not np.isfinite(crops).all():
            raise BadImage('finite crops expected, got NaN or infinity; the network would read them as neutral')
        if self._takes_whole_numbers:
            return whole_numbers(crops, geometry)
        return crops

    def _run_in_batches(self, crops):
        """Run all crops at once, or in batches of the one size that the provider was prepared for."""
        batch = self._model.face_batch
        if not batch:
            return self._model.run(self._outputs, {self._input: crops})
        parts = []
        for first in range(0, len(crops), batch):
            part = crops[first:first + batch]
            padded = np.zeros((batch,) + crops.shape[1:], crops.dtype)
            padded[:len(part)] = part
            parts.append([array[:len(part)] for array in self._model.run(self._outputs, {self._input: padded})])
        return [np.concatenate(same) for same in zip(*parts)]
