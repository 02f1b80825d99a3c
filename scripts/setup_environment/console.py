"""The output of the set-up: numbered steps with their duration, and one paragraph when it has to stop."""

import os
import queue
import subprocess
import sys
import threading
import time

#: A step that runs longer than this shows a sign of life.
HEARTBEAT_S = 15.0

#: Variables that the Python of another environment passes to its children, which would then load the wrong libraries.
LEAKED_VARIABLES = ('LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')

#: What a sourced ROS installation sets, apart from PATH.
ROS_VARIABLES = (
    'AMENT_PREFIX_PATH',
    'CMAKE_PREFIX_PATH',
    'COLCON_PREFIX_PATH',
    'ROS_DISTRO',
    'ROS_VERSION',
    'ROS_PYTHON_VERSION',
    'PKG_CONFIG_PATH',
)


class SetupStopped(Exception):
    """The set-up cannot go on.

    :param cause: one sentence: what is wrong.
    :param next_step: one sentence or a command: what to do about it.
    """

    def __init__(self, cause, next_step):
        super().__init__('{} {}'.format(cause, next_step))


class CommandFailed(Exception):
    """A command of a step ended with an error.

    :param command: the command, as a list.
    :param output: everything that it printed.
    """

    def __init__(self, command, output):
        super().__init__('{} failed'.format(command[0]))
        self.output = output


class Progress:
    """Numbered steps on the terminal, everything else in a log file.

    :param log_path: where the commands' output goes; begun anew.
    :param step_count: how many steps will come.
    """

    def __init__(self, log_path, step_count):
        self.log_path = log_path
        self._step_count = step_count
        self._step = 0
        self._begun = time.monotonic()
        self._step_begun = self._begun
        with open(log_path, 'w', encoding='utf-8'):
            pass

    def begin(self, text):
        """Say which step begins.

        :param text: what is being done, as a noun or a participle.
        """
        self._step += 1
        self._step_begun = time.monotonic()
        say('[{}/{}] {} ...'.format(self._step, self._step_count, text))

    def end(self, text='done'):
        """Say that the step is over, and how long it took."""
        say('      {} in {:.1f} s'.format(text, time.monotonic() - self._step_begun))

    def total_s(self):
        """Give the seconds since the set-up began."""
        return time.monotonic() - self._begun

    def run(self, command, env, cwd=None):
        """Run a command to its end; its output goes to the log, a line now and then to the terminal.

        :param command: list of strings.
        :param env: the child's environment.
        :param cwd: the child's working folder.
        :returns: everything that it printed.
        :raises CommandFailed: it could not be started or ended with an error.
        """
        with open(self.log_path, 'a', encoding='utf-8') as log:
            log.write('$ {}\n'.format(' '.join(command)))
            log.flush()
            try:
                # With the lock's file open: should this process be killed, the next set-up waits for the child's end.
                child = subprocess.Popen(
                    command,
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    universal_newlines=True,
                    errors='replace',
                    close_fds=False,
                )
            except OSError as error:
                raise CommandFailed(command, str(error)) from error
            try:
                output = self._follow(child, log)
                failed = child.wait() != 0
            finally:
                if child.poll() is None:
                    child.terminate()
                    child.wait()
        if failed:
            raise CommandFailed(command, output)
        return output

    def _follow(self, child, log):
        lines = queue.Queue()

        def read():
            for line in child.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        output = []
        said = time.monotonic()
        while True:
            try:
                line = lines.get(timeout=1.0)
            except queue.Empty:
                line = ''
            if line is None:
                return ''.join(output)
            if line:
                output.append(line)
                log.write(line)
                log.flush()
            if time.monotonic() - said > HEARTBEAT_S and output:
                said = time.monotonic()
                say('      {:3.0f} s: {}'.format(said - self._step_begun, output[-1].strip()[:90]))


def say(text):
    """Print a line at once."""
    print(text, flush=True)


def complain(text):
    """Print a line to standard error at once."""
    print(text, file=sys.stderr, flush=True)


def clean_environment(extra=None, drop=LEAKED_VARIABLES + ROS_VARIABLES):
    """Copy this process's environment without what other environments left in it.

    :param extra: variables to set on top.
    :param drop: names that are left out.
    :returns: a dict for subprocess.
    """
    env = {name: value for name, value in os.environ.items() if name not in drop}
    env.update(extra or {})
    return env
