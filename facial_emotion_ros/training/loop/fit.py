"""Trains a network by a recipe; resumes bit-exactly after an interruption or a kill."""

import os
import time
from collections.abc import Sequence

import numpy as np
import torch

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop import checkpoint, training_state, validation
from facial_emotion_ros.training.loop.curves import Curves
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.loop.phases import stages_of
from facial_emotion_ros.training.loop.progress import Progress, Silence
from facial_emotion_ros.training.loop.recipe import Recipe, write_recipe
from facial_emotion_ros.training.loop.stage_training import StageTraining
from facial_emotion_ros.training.model.network import ESR, Weights, branches_of

#: Steps between rows of the curves; each validation adds a row too.
ROW_EVERY = 10

#: Interval of checkpoints in seconds.
SAVE_EVERY_S = 120.0

#: Minimum interval of plots in seconds.
DRAW_EVERY_S = 20.0

#: Loss above which a training counts as diverged. With the unbounded logits of a barely trained network, the affect
#: loss may start above 1e4 and still converge.
MAX_LOSS = 1e9


class Diverged(FacialEmotionError, ArithmeticError):
    """The loss has diverged, or loss or weights are NaN or infinite."""


class Fit:
    """A training that resumes from the last state in its folder.

    Every step depends on the weights, the optimizer and (seed, stage, step) alone, so a resumed training takes exactly
    the same steps. The folder holds state.pt, weights.safetensors (the averaged weights at the last validation),
    best.safetensors (the best of the last stage on the held-out faces), recipe.yaml, curves.csv, curves.png and
    tensorboard/.

    place: index of the current stage; `under_way` is its StageTraining once it has started.
    total: steps taken in all stages.
    weights: state dict that the current stage started with; at the end the result.
    best: selection score of the best weights of the current stage; None before the first validation.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: FaceSet,
        output: str,
        held_out: FaceSet | None = None,
        start: Weights | None = None,
        teachers: Sequence[tuple[ESR, CropGeometry | None]] = (),
        processes: Processes | None = None,
        precision: torch.dtype = torch.float32,
        workers: int = 0,
    ) -> None:
        """Prepare a training; :meth:`run` and :meth:`resume` read and write files.

        :param recipe: Recipe.
        :param faces: FaceSet to train on.
        :param output: the training's folder.
        :param held_out: FaceSet to validate on; None for none.
        :param start: initial state dict of an ESR; None for random weights.
        :param teachers: list of (ESR, CropGeometry or None), for phases with a teacher.
        :param processes: training processes and their device; None for this one on the CPU.
        :param precision: torch.dtype of the convolutions.
        :param workers: data loading processes; 0 for none.
        :raises BadParameter: if the recipe needs held-out faces or teachers that are not given.
        """
        self.recipe, self.faces, self.output = recipe, faces, output
        self.held_out = held_out if held_out is not None and len(held_out) else None
        self.teachers = teachers
        self.processes = processes or Processes()
        self.precision, self.workers = precision, workers
        self.present = branches_of(start) if start else 0
        self.stages = stages_of(recipe, self.present)
        self.place = self.total = 0
        self.weights = start
        self.best: list[float] | None = None
        self.under_way: StageTraining | None = None
        self._stop = False
        for place, phase in enumerate(recipe.phases):
            if phase.keeps == 'best' and self.held_out is None:
                raise BadParameter(f'phases.{place}.keeps: best needs held-out faces, got none')
            if phase.teacher and not teachers:
                raise BadParameter(f'phases.{place}.teacher: expected teachers for {phase.teacher:g}, got none')

    @property
    def state_path(self) -> str:
        """Path of the training state."""
        return os.path.join(self.output, training_state.STATE_FILE)

    @property
    def is_done(self) -> bool:
        """Whether all stages are done."""
        return self.place == len(self.stages)

    def stop(self) -> None:
        """Make :meth:`run` save and return after the current step."""
        self._stop = True

    def run(self, save_every_s: float = SAVE_EVERY_S, progress: Progress | None = None) -> Weights | None:
        """Train to the end, or until :meth:`stop`.

        :param save_every_s: interval of checkpoints; 0 saves after each step.
        :param progress: where to report; None for nowhere.
        :returns: the trained state dict, on the CPU; None if stopped before the end.
        :raises BadParameter: if the saved state belongs to another recipe or other faces.
        :raises CannotSave: if the disk is full; the last good state is intact.
        :raises Diverged: if the loss diverges; the last good state is intact.
        """
        is_first = self.processes.is_first
        progress = progress if progress and is_first else Silence()
        curves = None
        with training_state.lock_folder(self.output if is_first else None):
            self.resume(progress)
            try:
                if is_first:
                    write_atomic(os.path.join(self.output, 'recipe.yaml'), write_recipe(self.recipe).encode())
                    curves = Curves(self.output, self.total)
                while not (self.is_done or self._stop):
                    self._run_stage(curves, save_every_s, progress)
                if curves:
                    curves.draw()
            except checkpoint.CannotSave:
                raise
            except OSError as error:
                raise checkpoint.cannot_save(self.output, error) from error
            finally:
                progress.end()
                if curves:
                    curves.close()
        return {name: tensor.cpu() for name, tensor in (self.weights or {}).items()} if self.is_done else None

    def resume(self, progress: Progress | None = None) -> bool:
        """Load the saved state, if there is one.

        :param progress: where to report.
        :returns: whether there was a state.
        :raises BadParameter: if it belongs to another recipe or other faces.
        """
        progress = progress or Silence()
        path = self.state_path
        state = self.processes.broadcast_result(lambda: checkpoint.load_state(path) if os.path.exists(path) else None)
        if state is None:
            return False
        for line in training_state.compare(self, state):
            progress.note(line)
        self.present = state['present']
        self.stages = stages_of(self.recipe, self.present)
        self.place, self.total, self.best, self.weights = (state[key] for key in ('place', 'total', 'best', 'weights'))
        self.under_way = None
        if state['under_way']:
            self.under_way = self._begin(progress)
            self.under_way.load_state(state['under_way'])
        progress.note(
            f'{path}: all {self.total} steps are done' if self.is_done else f'{path}: resumes after step {self.total}'
        )
        return True

    def save(self) -> None:
        """Write the training state.

        :raises CannotSave: if the disk is full; the former state is intact.
        :raises Diverged: if the weights are not finite.
        """
        if self.under_way and not self.under_way.is_finite():
            raise self._diverged(self.under_way)
        if self.processes.is_first:
            state = training_state.description(self)
            state.update(
                present=self.present,
                place=self.place,
                total=self.total,
                best=self.best,
                weights=None if self.under_way else self.weights,
                under_way=self.under_way.state() if self.under_way else None,
            )
            checkpoint.save_state(self.state_path, state)

    def _begin(self, progress: Progress) -> StageTraining:
        stage, labels = self.stages[self.place], None
        if stage.phase.teacher:
            share = stage.phase.teacher
            labels = (1 - share) * self.faces.distributions + share * training_state.teacher_probabilities(
                self, progress
            )
        return StageTraining(
            stage, self.place, self.recipe, self.weights, self.faces, self.processes, self.precision, labels
        )

    def _run_stage(self, curves: Curves | None, save_every_s: float, progress: Progress) -> None:
        """Take the remaining steps of the current stage."""
        if self.under_way is None:
            self.best = None
            self.under_way = self._begin(progress)
        training = self.under_way
        source = training.batches(self.workers)
        progress.begin(training.stage.title, training.step, training.steps)
        saved = drawn = time.monotonic()
        losses = ''
        while self.under_way and not self._stop:
            rate = training.rate
            training.take_step(next(source))
            self.total += 1
            is_last = training.step == training.steps
            validates = is_last or training.step % training.validate_every == 0
            figures = self._validate(training, progress) if validates else {}
            if validates or self.total % ROW_EVERY == 0:
                losses = self._write_row(training, curves, rate, figures)
            progress.step(training.step, losses)
            if is_last:
                self._end_stage(training)
            if is_last or time.monotonic() - saved >= save_every_s:
                self._save_all(curves)
                saved = time.monotonic()
            if validates and curves and time.monotonic() - drawn >= DRAW_EVERY_S:
                curves.draw()
                drawn = time.monotonic()
        if self._stop:
            self._save_all(curves)
            progress.note(f'stopped and saved after step {self.total}')

    def _save_all(self, curves: Curves | None) -> None:
        if curves:
            curves.flush()
        self.save()

    def _validate(self, training: StageTraining, progress: Progress) -> dict[str, float]:
        """Save the averaged weights, validate them, and save the best."""
        average = training.average.network.state_dict()
        self._write_weights('weights', average)
        if self.held_out is None:
            return {}
        outputs = training.outputs(self.held_out)
        if not all(np.isfinite(each).all() for each in outputs):
            raise self._diverged(training)
        figures = validation.compute_metrics(self.held_out, *outputs)
        selection_score = validation.selection_score(figures, training.stage.phase.trains)
        is_best = self.best is None or selection_score > self.best
        if is_best:
            self.best = selection_score
            self._write_weights('best', average)
        shown = ', '.join(f'{name} {value:.4f}' for name, value in figures.items())
        progress.note(f'step {self.total}, {len(self.held_out)} held-out faces: {shown}{" (best)" * is_best}')
        return figures

    def _write_row(self, training: StageTraining, curves: Curves | None, rate: float, figures: dict[str, float]) -> str:
        """Write a row of the curves and return the losses as text."""
        losses = training.mean_losses()
        if losses is None or max(losses) > MAX_LOSS:
            raise self._diverged(training)
        if curves:
            stage = training.stage
            row = {
                'step': self.total,
                'stage': self.place,
                'phase': stage.place,
                'branches': stage.branches,
                'size_px': stage.phase.size_px,
                'epoch': training.epoch,
                'learning_rate': rate,
                'loss': losses[0],
                'affect_loss': losses[1],
                'diversity_loss': losses[2],
            }
            row.update(('held_out_' + name, value) for name, value in figures.items())
            curves.add(row)
        return f'loss {losses[0]:.3f}, affect {losses[1]:.4f}'

    def _end_stage(self, training: StageTraining) -> None:
        """End the stage; its averaged or best weights start the next one."""
        self.weights = {name: tensor.clone() for name, tensor in training.average.network.state_dict().items()}
        if training.stage.phase.keeps == 'best':
            if self.processes.is_first:
                best = checkpoint.load_weights(os.path.join(self.output, 'best.safetensors'))
                self._write_weights('weights', best)
                for name, tensor in best.items():
                    self.weights[name].copy_(tensor)
            self.processes.broadcast(self.weights.values())
        self.place += 1
        self.under_way = None

    def _write_weights(self, name: str, weights: Weights) -> None:
        if self.processes.is_first:
            checkpoint.save_weights(os.path.join(self.output, name + '.safetensors'), weights)

    def _diverged(self, training: StageTraining) -> Diverged:
        return Diverged(
            f'{training.stage.title}: the loss is not finite or above {MAX_LOSS:g} at step '
            f'{self.total}; try a lower learning rate. Last saved state: {self.output}'
        )
