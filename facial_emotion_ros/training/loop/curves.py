"""Training curves: a CSV file, a plot, and TensorBoard events."""

import contextlib
import csv
import io
import os
import time
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from facial_emotion_ros.core.files import write_atomic

#: Metrics of :func:`validation.compute_metrics`, each a column prefixed by `held_out_`.
FIGURES = (
    'loss',
    'accuracy',
    'macro_recall',
    'branch_accuracy',
    'ccc_valence',
    'ccc_arousal',
    'rmse_valence',
    'rmse_arousal',
)

#: Columns of curves.csv. `step` counts over all stages, `epoch` from the start of the stage; losses are means since the
#: previous row; unmeasured values are empty.
COLUMNS = (
    'step',
    'stage',
    'phase',
    'branches',
    'size_px',
    'epoch',
    'learning_rate',
    'loss',
    'affect_loss',
    'diversity_loss',
) + tuple('held_out_' + name for name in FIGURES)


class Curves:
    """Appends rows to curves.csv and TensorBoard events; on resume, rows after the saved state are dropped."""

    def __init__(self, folder: str, step: int) -> None:
        """Open the curves of a training.

        :param folder: existing folder for curves.csv, curves.png and tensorboard/.
        :param step: last saved step: later rows are removed.
        """
        self._folder = folder
        self._path = os.path.join(folder, 'curves.csv')
        self.rows = [row for row in read_rows(self._path) if int(row['step']) <= step]
        lines = io.StringIO(newline='')
        writer = csv.DictWriter(lines, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomic(self._path, lines.getvalue().encode())
        self._file = open(self._path, 'a', newline='', encoding='utf-8')
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator='\n')
        self._events = _Events(os.path.join(folder, 'tensorboard'), step)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row.

        :param row: dict of some of COLUMNS; floats are written with six significant digits.
        """
        texts = {name: f'{value:.6g}' if isinstance(value, float) else str(value) for name, value in row.items()}
        self.rows.append({name: texts.get(name, '') for name in COLUMNS})
        self._writer.writerow(texts)
        self._events.add(row)

    def flush(self) -> None:
        """Flush all rows to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._events.flush()

    def draw(self) -> None:
        """Redraw curves.png."""
        write_atomic(os.path.join(self._folder, 'curves.png'), picture_of(self.rows))

    def close(self) -> None:
        """Close the files; ignore write errors, since a resume repeats the steps after the saved state."""
        for file in (self._file, self._events):
            with contextlib.suppress(OSError):
                file.close()


def read_rows(path: str) -> list[dict[str, str]]:
    """Read the complete rows of a curves.csv; none where there is no such file."""
    try:
        with open(path, encoding='utf-8', newline='') as file:
            text = file.read()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind('\n') + 1]
    rows = list(csv.DictReader(io.StringIO(whole)))
    return [row for row in rows if set(COLUMNS) == set(row) and row['step'].isdigit()]


def picture_of(rows: Sequence[dict[str, str]]) -> bytes:
    """Plot losses, accuracy and learning rate over the steps.

    :param rows: from :func:`read_rows`.
    :returns: a PNG file.
    """
    figure = Figure(figsize=(12, 7))
    grid = figure.subplots(2, 2)
    figure.subplots_adjust(0.06, 0.07, 0.98, 0.94, wspace=0.15, hspace=0.3)
    panels = (
        ('loss', ('loss', 'held_out_loss')),
        ('held-out faces', ('held_out_accuracy', 'held_out_macro_recall', 'held_out_branch_accuracy')),
        ('valence and arousal', ('affect_loss', 'held_out_ccc_valence', 'held_out_ccc_arousal')),
        ('learning rate', ('learning_rate',)),
    )
    for axes, (title, names) in zip(grid.flat, panels):
        for name in names:
            points = [(int(row['step']), float(row[name])) for row in rows if row.get(name)]
            if points:
                axes.plot(*zip(*points), marker='.' if len(points) < 50 else '', label=name.replace('_', ' '))
        for row, following in zip(rows, rows[1:]):
            if row['stage'] != following['stage']:
                axes.axvline(int(row['step']), color='0.8', linewidth=1)
        axes.set_title(title)
        axes.set_xlabel('step')
        axes.grid(alpha=0.3)
        if axes.lines and axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize='small')
    png = io.BytesIO()
    figure.savefig(png, format='png', dpi=100)
    return png.getvalue()


class _Events:
    """A TensorBoard event file, written synchronously: SummaryWriter's thread would hang on a full disk."""

    def __init__(self, folder: str, step: int) -> None:
        os.makedirs(folder, exist_ok=True)
        self._writer = EventsWriter(os.path.join(folder, 'events'), f'.{os.getpid()}.{step}')
        self.flush, self.close = self._writer.flush, self._writer.close
        # Tells TensorBoard to discard later steps of an interrupted run.
        begin = SessionLog(status=SessionLog.START)
        self._writer.write_event(Event(wall_time=time.time(), step=step + 1, session_log=begin))

    def add(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if isinstance(value, float):
                group = 'held_out' if name.startswith('held_out_') else 'training'
                summary = scalar(f'{group}/{name.replace("held_out_", "")}', value)
                self._writer.write_event(Event(wall_time=time.time(), step=row['step'], summary=summary))
