"""Arguments that several commands have."""

import argparse
import os
from collections.abc import Callable
from typing import Any

import yaml

from facial_emotion_ros.core.errors import BadParameter


def whole_number(least: int) -> Callable[[str], int]:
    """Make an argparse type of whole numbers from `least` on."""

    def whole_number(text):
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f'expected {least} or more, got {number}')
        return number

    return whole_number


def number(least: float, most: float) -> Callable[[str], float]:
    """Make an argparse type of numbers from `least` to `most`."""

    def number(text):
        value = float(text)
        if not least <= value <= most:  # nor NaN
            raise argparse.ArgumentTypeError(f'expected {least:g} to {most:g}, got {text}')
        return value

    return number


def expect_places_of_files(*paths: str | None) -> None:
    """Refuse folders where files are to be written, before the work whose results they hold.

    :param paths: of the files; None or empty: not asked for.
    :raises BadParameter: if one is a folder.
    """
    for path in paths:
        if path and os.path.isdir(path):
            raise BadParameter(f'{path}: expected a file to write, got a folder; name a file in it')


def add_network(arguments: argparse.ArgumentParser, comment: str = '') -> None:
    """Add --bundle and --operating-point, whose help ends with a comment."""
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--operating-point', default='', metavar='NAME', help=f"default: the bundle's{comment}")


def add_scenes(arguments: argparse.ArgumentParser, scenes: int) -> None:
    """Add what chooses faces and models for drawn scenes.

    :param arguments: of the command.
    :param scenes: default of --scenes.
    """
    arguments.add_argument('--only', metavar='TXT', help='file of picture names, one a line: only these count')
    arguments.add_argument(
        '--scenes', type=whole_number(0), default=scenes, metavar='N', help='faces; 0 for all; default: %(default)s'
    )
    add_network(arguments)
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument(
        '--seed', type=whole_number(0), default=0, help='of faces, places, backgrounds; default: %(default)s'
    )
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')


def add_measured_faces(arguments: argparse.ArgumentParser) -> None:
    """Add what a new bundle is measured on: --valid, --copies, --format and --threads."""
    arguments.add_argument('--valid', metavar='PATH', help='faces to evaluate on, for manifest and model card')
    arguments.add_argument('--copies', metavar='TXT', help='names in --valid that are copies of training faces')
    arguments.add_argument('--format', help='of the data sets; default: detected')
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')


def parse_settings(option: str, texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE, the values as YAML.

    :param option: that they were given to.
    :param texts: of the command line.
    :raises BadParameter: for a text of another form.
    """
    settings = {}
    for text in texts:
        name, sign, value = text.partition('=')
        if not sign or not name.replace('.', '_').isidentifier():
            raise BadParameter(f'{option}: expected NAME=VALUE, got {text!r}')
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BadParameter(f'{option} {name}: expected a value in YAML, got {value!r} ({error})') from None
    return settings
