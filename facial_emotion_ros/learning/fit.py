"""Trains a network by a recipe, and goes on where it was stopped, however it was stopped."""

import os
import time

import numpy as np
import torch

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.learning import checkpoint, judgement, training_state
from facial_emotion_ros.learning.curves import Curves, lacks
from facial_emotion_ros.learning.distributed import Processes
from facial_emotion_ros.learning.phases import stages_of
from facial_emotion_ros.learning.progress import Silence
from facial_emotion_ros.learning.recipe_file import write_recipe
from facial_emotion_ros.learning.stage_training import StageTraining
from facial_emotion_ros.learning.warm_start import branches_of

#: Steps from one row of the curves to the next; a look at the held-out faces is a row too.
ROW_EVERY = 10

#: Seconds from one saved state to the next.
SAVE_EVERY_S = 120.0

#: Seconds that the picture of the curves is left as it is, at the least.
DRAW_EVERY_S = 20.0

#: No training that goes well has such a loss: one that explodes is stopped before it is no number any more. Affect read
#: from the unbounded logits of a network that was barely trained may well begin above 1e4, and still be learned.
ABSURD_LOSS = 1e9


class Diverged(FacialEmotionError, ArithmeticError):
    """The loss explodes, or loss or weights are no numbers any more."""


class Fit:
    """A training that goes on where its folder's last state left it.

    Every step depends on the weights, the optimizer and (seed, stage, step) alone, so a resumed training takes the very
    same steps. The folder holds state.pt, weights.safetensors (the averaged weights at the last look), best.safetensors
    (the best of the last stage on the held-out faces), recipe.yaml, curves.csv, curves.png and tensorboard/.

    place: the stage that is under way; `under_way` is its StageTraining once it has begun.
    total: steps that are done in all stages.
    weights: state dict that the stage under way began with; in the end what was trained.
    best: merit of the best weights of the stage under way; None where none was judged.
    """

    def __init__(self, recipe, faces, output, held_out=None, start=None, teachers=(), processes=None,
                 precision=torch.float32, workers=0):
        """Prepare a training; nothing is read or written before :meth:`run` or :meth:`resume`.

        :param recipe: Recipe.
        :param faces: FaceSet to learn from.
        :param output: the training's folder.
        :param held_out: FaceSet that is judged and never learned from; None for none.
        :param start: state dict of an ESR to start from; None for random weights.
        :param teachers: list of (ESR, CropGeometry or None), for phases with a teacher.
        :param processes: Processes that train together, with their device; None for this one on the CPU.
        :param precision: torch.dtype that convolutions are computed in.
        :param workers: processes that read and vary faces ahead; 0: this one does, in its turn.
        :raises BadParameter: if something that the recipe needs is not there.
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
        self.best = None
        self.under_way = None
        self._stop = False
        for place, phase in enumerate(recipe.phases):
            if phase.keeps == 'best' and self.held_out is None:
                raise BadParameter(f'phases.{place}.keeps: best of which faces? Expected held-out faces, got none')
            if phase.teacher and not teachers:
                raise BadParameter(f'phases.{place}.teacher: expected teachers for a share of {phase.teacher}, got 0')

    @property
    def state_path(self):
        """Where the training's state lies."""
        return os.path.join(self.output, 'state.pt')

    @property
    def is_done(self):
        """Whether all stages are."""
        return self.place == len(self.stages)

    def stop(self):
        """Have :meth:`run` save and return after the step under way."""
        self._stop = True

    def run(self, save_every_s=SAVE_EVERY_S, progress=None):
        """Train to the end of the last phase, or until it is stopped.

        :param save_every_s: seconds from one saved state to the next; 0 saves after each step.
        :param progress: Progress; None for silence.
        :returns: state dict of what was trained, on the CPU; None where it was stopped before the end.
        :raises BadParameter: if the folder's state was made by another recipe or of other faces.
        :raises CannotSave: if the disk is full; the last good state is there.
        :raises Diverged: if the loss explodes or is no number any more; the last good state is there.
        """
        is_first = self.processes.is_first
        progress = progress if progress and is_first else Silence()
        curves = None
        with training_state.alone_in(self.output if is_first else None):
            self.resume(progress)
            try:
                if is_first:
                    write_whole(os.path.join(self.output, 'recipe.yaml'), write_recipe(self.recipe).encode())
                    curves = Curves(self.output, self.total)
                    for line in lacks():
                        progress.note(line)
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
        return {name: tensor.cpu() for name, tensor in self.weights.items()} if self.is_done else None

    def resume(self, progress=None):
        """Go on from the folder's state where there is one.

        :param progress: Progress that is told what was found.
        :returns: True where there was a state.
        :raises BadParameter: if it was made by another recipe or of other faces: steps of two trainings make neither.
        """
        progress = progress or Silence()
        path = self.state_path
        state = self.processes.state_of_first(lambda: checkpoint.load_state(path) if os.path.exists(path) else None)
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
        progress.note(f'{path}: {"all" if self.is_done else "goes on behind"} {self.total} steps '
                      f'{"are done" if self.is_done else "that are done"}')
        return True

    def save(self):
        """Write the training's state.

        :raises CannotSave: if the disk is full; the former state is still there.
        :raises Diverged: if there is nothing good to save.
        """
        if self.under_way and not self.under_way.is_finite():
            raise self._diverged()
        if self.processes.is_first:
            state = training_state.description(self)
            state.update(present=self.present, place=self.place, total=self.total, best=self.best,
                         # While a stage is under way nothing leads back to what it began with.
                         weights=None if self.under_way else self.weights,
                         under_way=self.under_way.state() if self.under_way else None)
            checkpoint.save_state(self.state_path, state)

    def _begin(self, progress):
        stage, labels = self.stages[self.place], None
        if stage.phase.teacher:
            share = stage.phase.teacher
            labels = (1 - share) * self.faces.distributions + share * training_state.ask_teachers(self, progress)
        return StageTraining(stage, self.place, self.recipe, self.weights, self.faces, self.processes, self.precision,
                             labels)

    def _run_stage(self, curves, save_every_s, progress):
        """Take the remaining steps of a stage, and hand its weights on."""
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
            if is_last and training.stage.phase.recalibration_faces:
                training.recalibrate()
            looks = is_last or training.step % training.look_every == 0
            figures = self._look(progress) if looks else {}
            if looks or self.total % ROW_EVERY == 0:
                losses = self._write_row(curves, rate, figures)
            progress.step(training.step, losses)
            if is_last:
                self._hand_on()
            if is_last or time.monotonic() - saved >= save_every_s:
                self._save_all(curves)
                saved = time.monotonic()
            if looks and curves and time.monotonic() - drawn >= DRAW_EVERY_S:
                curves.draw()
                drawn = time.monotonic()
        if self._stop:
            self._save_all(curves)
            progress.note(f'stopped and saved behind step {self.total}')

    def _save_all(self, curves):
        if curves:
            curves.settle()
        self.save()

    def _look(self, progress):
        """Keep the averaged weights, judge them by the held-out faces, and keep the best."""
        average = self.under_way.average.network.state_dict()
        self._write_weights('weights', average)
        if self.held_out is None:
            return {}
        outputs = self.under_way.outputs(self.held_out)
        if not all(np.isfinite(each).all() for each in outputs):
            raise self._diverged()
        figures = judgement.judge(self.held_out, *outputs)
        merit = judgement.merit(figures, self.under_way.stage.phase.trains)
        is_best = self.best is None or merit > self.best
        if is_best:
            self.best = merit
            self._write_weights('best', average)
        shown = ', '.join(f'{name} {value:.4f}' for name, value in figures.items())
        progress.note(f'step {self.total}, {len(self.held_out)} held-out faces: {shown}{" (best)" * is_best}')
        return figures

    def _write_row(self, curves, rate, figures):
        """Write a row of the curves; return the losses as text."""
        training = self.under_way
        losses = training.mean_losses()
        if losses is None or max(losses) > ABSURD_LOSS:
            raise self._diverged()
        if curves:
            stage = training.stage
            row = {'step': self.total, 'stage': self.place, 'phase': stage.place, 'branches': stage.branches,
                   'size_px': stage.phase.size_px, 'epoch': training.epoch, 'learning_rate': rate, 'loss': losses[0],
                   'affect_loss': losses[1], 'diversity_loss': losses[2]}
            row.update(('held_out_' + name, value) for name, value in figures.items())
            curves.add(row)
        return f'loss {losses[0]:.3f}, affect {losses[1]:.4f}'

    def _hand_on(self):
        """End the stage: its averaged or best weights are what the next one begins with."""
        training = self.under_way
        self.weights = {name: tensor.clone() for name, tensor in training.average.network.state_dict().items()}
        if training.stage.phase.keeps == 'best':
            if self.processes.is_first:
                best = checkpoint.load_weights(os.path.join(self.output, 'best.safetensors'))
                self._write_weights('weights', best)
                for name, tensor in best.items():
                    self.weights[name].copy_(tensor)
            self.processes.same_everywhere(self.weights.values())
        self.place += 1
        self.under_way = None

    def _write_weights(self, name, weights):
        if self.processes.is_first:
            checkpoint.save_weights(os.path.join(self.output, name + '.safetensors'), weights)

    def _diverged(self):
        return Diverged(f'{self.under_way.stage.title}: losses below {ABSURD_LOSS:g} expected, got none at step '
                        f'{self.total}; a lower learning rate is the usual cure. The last saved state: {self.output}')
