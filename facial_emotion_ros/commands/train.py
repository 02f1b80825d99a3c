"""Train an ESR by a recipe: `ros2 run facial_emotion_ros train`."""

import argparse
import os
import signal
import sys

from facial_emotion_ros.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.installed_files import find_shared

_EPILOG = """examples:
  train esr_9_ferplus --data ferplus_train.npz --output runs/first
  train esr_9_ferplus --data ferplus_train.npz --output runs/quick --set 'phases.*.steps=50' --set network.branches=3
  torchrun --nproc-per-node 4 -m facial_emotion_ros.commands.train paper --data AffectNet --output runs/paper
The same command goes on where it was stopped, however it was stopped. docs/training.md says more."""


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='train', description='Train an ESR by a recipe; goes on where --output was left.', epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument('recipe', metavar='RECIPE', help='YAML file, or the name of a recipe that comes with this')
    arguments.add_argument('--data', '--dataset', metavar='PATH', help='training faces: a FER+ npz, a folder; default: '
                           'what the recipe names')
    arguments.add_argument('--held-out', metavar='PATH', help='faces that are judged and not learned: a text file of '
                           'names in --data, or a data set of its own')
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder for state, weights and curves')
    # torchrun takes --start for one of its own options, even here.
    arguments.add_argument('--start', '--start-from', metavar='WEIGHTS', help='safetensors, bundle, or folder '
                           "of OpenDR's or the authors' layout to start from; fewer branches are widened")
    arguments.add_argument('--teacher', action='append', metavar='WEIGHTS', help='safetensors or bundle whose '
                           'probabilities are mixed into the labels; may be given again')
    arguments.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', help='change a field of the '
                           "recipe, such as phases.0.epochs=3 or 'phases.*.size_px=64'; may be given again")
    arguments.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N; default: %(default)s')
    arguments.add_argument('--precision', default='auto', help='auto, float32, bfloat16 or float16; default: '
                           '%(default)s')
    arguments.add_argument('--workers', type=int, metavar='N', help='processes that read and vary faces ahead; '
                           'default: as many as there are processors for a GPU, up to 16; none on the CPU')
    arguments.add_argument('--threads', type=int, default=0, metavar='N', help="torch's threads; 0: as torch chooses")
    arguments.add_argument('--save-every', type=float, default=120.0, metavar='SECONDS', help='from one saved state to '
                           'the next; default: %(default)s')
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when trained to the end, 1 for bad input or a full disk, 130 when stopped by a signal.
    """
    options = parser().parse_args(argv)
    try:
        import torch

        from facial_emotion_ros.learning.distributed import Processes
        from facial_emotion_ros.learning.precision import choose_device, choose_precision
    except ImportError as error:
        print(f'train: {error}; training needs torch and safetensors: scripts/setup --tests', file=sys.stderr)
        return 1
    processes = Processes()
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        recipe = _read_recipe(options)
        processes = Processes.begin(choose_device(options.device))
        precision, sentence = choose_precision(processes.device, options.precision)
        if processes.device.type == 'cuda':
            torch.backends.cudnn.benchmark = True
        return _train(options, recipe, processes, precision, sentence)
    except FacialEmotionError as error:
        print(f'train: {error}', file=sys.stderr)
        return 1
    finally:
        processes.end()


def _read_recipe(options):
    from facial_emotion_ros.learning.recipe_file import read_recipe

    path, overrides = options.recipe, list(options.set)
    if not os.path.isfile(path) and os.path.basename(path) == path and not path.endswith(('.yaml', '.yml')):
        path = find_shared('recipes', path + '.yaml')
    overrides += [f'faces.path={_quoted(options.data)}'] if options.data else []
    overrides += [f'faces.held_out={_quoted(options.held_out)}'] if options.held_out else []
    overrides += [f'teachers=[{", ".join(map(_quoted, options.teacher))}]'] if options.teacher else []
    recipe = read_recipe(path, overrides)
    if not recipe.faces.path:
        raise BadParameter(f'{path}: faces to train on expected, the recipe names none; give --data')
    return recipe


def _train(options, recipe, processes, precision, sentence):
    from facial_emotion_ros.learning.export import network_of
    from facial_emotion_ros.learning.fit import Fit
    from facial_emotion_ros.learning.progress import Progress, Silence
    from facial_emotion_ros.learning.warm_start import read_start

    progress = Progress() if processes.is_first else Silence()
    faces, held_out = _open_faces(recipe.faces)
    progress.note(faces.describe())
    if held_out is not None:
        progress.note(f'held out: {held_out.describe()}')
    together = f', {processes.count} processes' if processes.count > 1 else ''
    progress.note(sentence + together)
    start = read_start(options.start, progress.note)[0] if options.start else None
    teachers = [(network_of(weights), geometry) for weights, geometry in map(read_start, recipe.teachers)]
    workers = options.workers
    if workers is None:
        workers = 0 if processes.device.type == 'cpu' else max(1, min(16, os.cpu_count() // _beside()))
    fit = Fit(recipe, faces, options.output, held_out, start, teachers, processes, precision, workers)
    if processes.count == 1:  # several could not stop behind the same step
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: fit.stop())
    if fit.run(options.save_every, progress) is None:
        return 130
    progress.note(f'{os.path.join(options.output, "weights.safetensors")}: trained in {fit.total} steps')
    return 0


def _open_faces(choice):
    """Open the training faces and those that are held out, which may be None."""
    from facial_emotion_ros.learning.datasets import held_out, open_faces, read_names

    faces = open_faces(choice.path, choice.format or None, **choice.options)
    if choice.held_out.endswith('.txt'):
        return held_out(faces, read_names(choice.held_out))
    if not (choice.held_out or choice.held_out_options):
        return faces, None
    return faces, open_faces(choice.held_out or choice.path, choice.format or None, **choice.held_out_options)


def _beside():
    """How many training processes share this machine."""
    return max(1, int(os.environ.get('LOCAL_WORLD_SIZE', '1')))


def _quoted(text):
    """Write a text so that YAML reads it as itself."""
    return "'" + text.replace("'", "''") + "'"


if __name__ == '__main__':
    sys.exit(main())
