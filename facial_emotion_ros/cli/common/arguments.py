"""Command-line arguments shared by several commands."""

import argparse
import os
from collections.abc import Callable
from typing import Any

import yaml

from facial_emotion_ros.core.errors import BadParameter


def whole_number(least: int) -> Callable[[str], int]:
    """Return an argparse type for integers of at least `least`."""

    def whole_number(text):
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f'expected at least {least}, got {number}')
        return number

    return whole_number


def number(least: float, most: float) -> Callable[[str], float]:
    """Return an argparse type for numbers from `least` to `most`."""

    def number(text):
        value = float(text)
        if not least <= value <= most:  # nor NaN
            raise argparse.ArgumentTypeError(f'expected {least:g} to {most:g}, got {text}')
        return value

    return number


def expect_places_of_files(*paths: str | None) -> None:
    """Check that output paths are not folders, before the work starts.

    :param paths: paths of files to write; None or empty ones are ignored.
    :raises BadParameter: if one is a folder.
    """
    for path in paths:
        if path and os.path.isdir(path):
            raise BadParameter(f'{path}: expected a file to write, got a folder; name a file in it')


def add_network(arguments: argparse.ArgumentParser, comment: str = '') -> None:
    """Add --bundle and --operating-point, whose help ends with `comment`."""
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--operating-point', default='', metavar='NAME', help=f"default: the bundle's{comment}")


def add_scenes(arguments: argparse.ArgumentParser, scenes: int) -> None:
    """Add the options that select faces and models for synthetic scenes.

    :param arguments: parser of the command.
    :param scenes: default of --scenes.
    """
    arguments.add_argument('--only', metavar='TXT', help='use only the pictures named in this file, one per line')
    arguments.add_argument(
        '--scenes', type=whole_number(0), default=scenes, metavar='N', help='number; 0 for all; default: %(default)s'
    )
    add_network(arguments)
    arguments.add_argument('--detector', default='centerface', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument(
        '--seed', type=whole_number(0), default=0, help='random seed for the scenes; default: %(default)s'
    )
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')


def add_measured_faces(arguments: argparse.ArgumentParser) -> None:
    """Add the options for the evaluation of a new bundle: --valid, --copies, --format and --threads."""
    arguments.add_argument('--valid', metavar='PATH', help='faces to evaluate on, for manifest and model card')
    arguments.add_argument('--copies', metavar='TXT', help='names in --valid that are copies of training faces')
    arguments.add_argument('--format', help='of the data sets; default: detected')
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')


def parse_settings(option: str, texts: list[str]) -> dict[str, Any]:
    """Parse NAME=VALUE texts, the values as YAML.

    :param option: name of the option, for errors.
    :param texts: its values on the command line.
    :raises BadParameter: if a text is invalid.
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
