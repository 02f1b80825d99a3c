"""Train an ESR by a recipe: `ros2 run facial_emotion_ros train`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from facial_emotion_ros.cli.common.arguments import number, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.core.text import show

if TYPE_CHECKING:
    import torch

    from facial_emotion_ros.training.data.face_set import FaceSet
    from facial_emotion_ros.training.loop.distributed import Processes
    from facial_emotion_ros.training.loop.recipe import Faces, Recipe

_EPILOG = """examples:
  train esr_9_ferplus --data ferplus_train.npz --output runs/first
  train esr_9_ferplus --data ferplus_train.npz --output runs/quick --set 'phases.*.steps=50' --set network.branches=3
  torchrun --nproc-per-node 4 -m facial_emotion_ros.cli.train paper --data AffectNet --output runs/paper
The same command resumes an interrupted training. See docs/training.md."""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='train',
        description='Train an ESR by a recipe; resumes where --output left off.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument('recipe', metavar='RECIPE', help='YAML file, or the name of a recipe of this package')
    arguments.add_argument(
        '--data',
        '--dataset',
        metavar='PATH',
        help='training faces: a FER+ npz or a folder; default: from the recipe',
    )
    arguments.add_argument(
        '--held-out',
        metavar='PATH',
        help='faces to validate on: a text file of names in --data, or a separate data set',
    )
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder for state, weights and curves')
    # torchrun takes --start for one of its own options, even here.
    arguments.add_argument(
        '--start',
        '--start-from',
        metavar='WEIGHTS',
        help="initial weights: safetensors, bundle, or folder in OpenDR's or the authors' layout; missing branches are "
        'added',
    )
    arguments.add_argument(
        '--teacher',
        action='append',
        metavar='WEIGHTS',
        help='safetensors or bundle whose probabilities are mixed into the labels; repeatable',
    )
    arguments.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help="override a field of the recipe, such as phases.0.epochs=3 or 'phases.*.size_px=64'; repeatable",
    )
    arguments.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N; default: %(default)s')
    arguments.add_argument(
        '--precision', default='auto', help='auto, float32, bfloat16 or float16; default: %(default)s'
    )
    arguments.add_argument(
        '--workers',
        type=whole_number(0),
        metavar='N',
        help='data loading processes; default: one per CPU core, up to 16, for a GPU; none on the CPU',
    )
    arguments.add_argument(
        '--threads', type=whole_number(0), default=0, metavar='N', help='torch threads; 0: chosen by torch'
    )
    arguments.add_argument(
        '--save-every',
        type=number(0, 1e9),
        default=120.0,
        metavar='SECONDS',
        help='interval of checkpoints; default: %(default)s',
    )
    return arguments


@report_errors('train', 'training needs torch and safetensors')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when trained to the end, 1 for bad input or a full disk, 2 for wrong options, 130 when
        stopped by a signal.
    """
    options = parser().parse_args(argv)
    import torch

    from facial_emotion_ros.training.loop.distributed import Processes
    from facial_emotion_ros.training.loop.precision import choose_device, choose_precision

    processes = Processes()
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        recipe = _read_recipe(options)
        processes = Processes.begin(choose_device(options.device))
        choice = choose_precision(processes.device, options.precision)
        precision, sentence = processes.broadcast_result(lambda: choice)  # the timing may differ between processes
        if processes.device.type == 'cuda':
            torch.backends.cudnn.benchmark = True
        return _train(options, recipe, processes, precision, sentence)
    finally:
        processes.end()


def _read_recipe(options: argparse.Namespace) -> 'Recipe':
    from facial_emotion_ros.training.loop.recipe import read_recipe, written_format

    path, overrides = options.recipe, list(options.set)
    if not os.path.isfile(path) and os.path.basename(path) == path and not path.endswith(('.yaml', '.yml')):
        folder = find_shared('recipes')
        known = sorted(name[:-5] for name in os.listdir(folder) if name.endswith('.yaml'))
        if path not in known:
            raise BadParameter(f'expected a recipe, a YAML file or one of {", ".join(known)}, got {path!r}')
        path = os.path.join(folder, path + '.yaml')
    overrides += [f'faces.path={_quoted(options.data)}'] if options.data else []
    overrides += [f'faces.held_out={_quoted(options.held_out)}'] if options.held_out else []
    overrides += [f'teachers=[{", ".join(map(_quoted, options.teacher))}]'] if options.teacher else []
    recipe = read_recipe(path, overrides)
    if not recipe.faces.path:
        raise BadParameter(f'{path}: the recipe names no training faces; give --data')
    written_for = written_format(path)
    found = _other_format(options, recipe.faces, written_for)
    if not found:
        return recipe
    # What the recipe says of its own faces goes first: the user's options of these faces stay.
    resets = [f'faces.format={found}', 'faces.options={}', 'faces.held_out=', 'faces.held_out_options={}']
    adapted = read_recipe(path, resets + overrides)
    had, has = (bool(each.faces.held_out or each.faces.held_out_options) for each in (recipe, adapted))
    without = '; its held-out faces are left out: give --held-out' if had and not has else ''
    show(
        f'train: {recipe.faces.path} has the format {found}; the recipe was written for {written_for}{without}',
        file=sys.stderr,
    )
    return adapted


def _other_format(options: argparse.Namespace, faces: 'Faces', written_for: str) -> str:
    """Return the format of --data where the recipe was written for faces of another one; else ''."""
    from facial_emotion_ros.training.data.datasets import format_of

    given = {text.partition('=')[0].strip() for text in options.set}
    if 'faces' in given or not written_for:  # nothing of the recipe's own faces is left
        return ''
    found = faces.format if 'faces.format' in given else options.data and format_of(options.data)
    return found if found and found != written_for else ''


def _train(
    options: argparse.Namespace, recipe: 'Recipe', processes: 'Processes', precision: 'torch.dtype', sentence: str
) -> int:
    from facial_emotion_ros.training.loop.fit import Fit
    from facial_emotion_ros.training.loop.progress import Progress, Silence
    from facial_emotion_ros.training.loop.warm_start import read_start
    from facial_emotion_ros.training.model.export import network_of

    progress = Progress() if processes.is_first else Silence()
    faces, held_out = _open_faces(recipe.faces, progress.note)
    progress.note(faces.describe())
    if held_out is not None:
        progress.note(f'held out: {held_out.describe()}')
    together = f', {processes.count} processes' if processes.count > 1 else ''
    progress.note(sentence + together)
    start = read_start(options.start, progress.note)[0] if options.start else None
    teachers = [(network_of(weights), geometry) for weights, geometry in map(read_start, recipe.teachers)]
    workers = options.workers
    if workers is None:
        beside = max(1, int(os.environ.get('LOCAL_WORLD_SIZE', '1')))  # training processes on this machine
        workers = 0 if processes.device.type == 'cpu' else max(1, min(16, (os.cpu_count() or 1) // beside))
    fit = Fit(recipe, faces, options.output, held_out, start, teachers, processes, precision, workers)
    if processes.count == 1:  # several could not stop after the same step
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: fit.stop())
    if fit.run(options.save_every, progress) is None:
        return 130
    progress.note(f'{os.path.join(options.output, "weights.safetensors")}: trained in {fit.total} steps')
    return 0


def _open_faces(choice: 'Faces', note: Callable[[str], object]) -> tuple['FaceSet', 'FaceSet | None']:
    """Open the training faces and the held-out ones, or None; `note` is called with warnings."""
    from facial_emotion_ros.training.data.datasets import held_out, open_faces, read_names
    from facial_emotion_ros.training.data.framing import framing_warning
    from facial_emotion_ros.training.data.mixed_set import MixedFaces

    def opened(*arguments, **options):
        found = open_faces(*arguments, **options)
        warning = framing_warning(found)
        if warning:
            note(warning)
        return found

    faces, validation_set = opened(choice.path, choice.format or None, **choice.options), None
    if choice.held_out.endswith('.txt'):
        faces, validation_set = held_out(faces, read_names(choice.held_out))
    elif choice.held_out or choice.held_out_options:
        validation_set = opened(choice.held_out or choice.path, choice.format or None, **choice.held_out_options)
    if choice.further:
        faces = MixedFaces(faces, opened(choice.further), choice.further_share)
    return faces, validation_set


def _quoted(text: str) -> str:
    """Quote a text for YAML."""
    return "'" + text.replace("'", "''") + "'"


if __name__ == '__main__':
    sys.exit(main())
