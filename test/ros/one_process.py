"""Several runs of a command in one process, for runs that end by themselves: a process takes a second to start."""

import json
import subprocess
import sys

from graph_peer import REPOSITORY

_PROGRAM = """
import importlib, json, sys
main = importlib.import_module(sys.argv[1]).main
for words in json.loads(sys.argv[2]):
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    print('ended:', status, flush=True)
"""


def outcomes(environment, module, calls):
    """Call a command's main one time after the other.

    :param module: the command's.
    :param calls: list of arguments, each a list of words.
    :returns: list of (exit status, what it wrote), one a call.
    """
    run = subprocess.run(
        [sys.executable, '-u', '-c', _PROGRAM, module, json.dumps([[str(word) for word in words] for words in calls])],
        env=environment,
        cwd=REPOSITORY,
        timeout=60,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    found, output = [], []
    for line in run.stdout.decode().splitlines(keepends=True):
        if line.startswith('ended: '):
            found.append((int(line.split()[1]), ''.join(output)))
            output = []
        else:
            output.append(line)
    assert run.returncode == 0 and len(found) == len(calls), run.stdout.decode()
    return found
