"""Write the digest of its manifest into a model bundle: `python3 -m facial_emotion_ros.cli.seal_bundle DIR`."""

import argparse
import sys

from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='seal_bundle',
        description='Add the SHA-256 of its manifest to a model bundle of an earlier release, so that a changed number '
        'in it is refused.',
    )
    arguments.add_argument('bundles', nargs='+', metavar='DIR', help='folder of a model bundle')
    arguments.add_argument(
        '--accept-changes', action='store_true', help='also seal bundles whose manifest you changed on purpose'
    )
    return arguments


@report_errors('seal_bundle', 'model bundles need numpy')
def main(argv=None):
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when every bundle has its digest, 1 when one is refused.
    """
    from facial_emotion_ros.inference.bundle_manifest import DIGEST
    from facial_emotion_ros.inference.model_bundle import resolve_bundle, seal_bundle

    options = parser().parse_args(argv)
    for each in options.bundles:
        bundle = seal_bundle(resolve_bundle(each), options.accept_changes)
        show(f'{bundle.folder}: {bundle.name} {bundle.version}, {DIGEST} {bundle.manifest["model"][DIGEST]}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
