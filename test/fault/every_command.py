"""Run workstation commands one after the other in this process, then stay until interrupted, as a library might wait.

python every_command.py COMMANDS.json: a list of [module of facial_emotion_ros.cli, its arguments].
The exit status is 0 if that of each command was; it says when the last one is over.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback


def run(name, arguments):
    """Run a command.

    :returns: its exit status, 1 when it raised something.
    """
    began = time.monotonic()
    try:
        status = importlib.import_module('facial_emotion_ros.cli.' + name).main(arguments)
    except Exception:
        traceback.print_exc()
        status = 1
    print('%s: status %s after %.1f s' % (name, status, time.monotonic() - began), flush=True)
    return status


def evaluate_and_stay(*arguments):
    """Evaluate a recording, say so in the log that RAY_LOG names, and keep the process for good."""
    from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag

    evaluate_bag(*arguments)
    with open(os.environ['RAY_LOG'], 'a') as log:
        log.write('evaluated\n')
    while True:
        time.sleep(1)


if __name__ == '__main__':
    with open(sys.argv[1]) as file:
        statuses = [run(name, arguments) for name, arguments in json.load(file)]
    # Commands have handlers of their own.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(any(statuses)))
    print('all are over', flush=True)
    while True:
        signal.pause()
