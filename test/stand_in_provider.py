"""A stand-in for execution providers that this machine lacks, at ONNX Runtime's own boundary.

Sessions are real and run on the CPU, but say that the wanted provider runs them. They fail where STAND_IN says:
`CUDAExecutionProvider` works; `CUDAExecutionProvider=3` fails at its third run, whichever model runs; `=3,4,9` at each
of these; `=start` is silently exchanged for the CPU when it starts, as a GPU package without a driver does; `=open`
throws when a session is opened; `=nan` gives NaN; `=build` makes an engine that is not in its cache, which takes until
somebody opens the named pipe STAND_IN_PIPE for writing (no time at all where that is not set), and in which no other
thread of the process runs; `=crash` crashes instead. Several are separated by blanks.
"""

import ctypes
import os
import signal

import onnxruntime

CPU = 'CPUExecutionProvider'
FAILURE = 'CUDA failure 700: an illegal memory access was encountered'
#: Printed when an engine is begun.
BEGUN = 'the stand-in builds an engine'


class StandIn:
    """What was asked of the stand-ins, and what they were asked to do."""

    def __init__(self, configuration):
        """Read the configuration, see the module."""
        self.faults = {}
        for word in configuration.split():
            name, _, fault = word.partition('=')
            self.faults[name] = fault
        #: [(names of the entries, options of the first entry, overridden dimensions)] of all sessions in order.
        self.opened = []
        #: [(provider, batch)] of all runs in order.
        self.runs = []
        self._counts = {}
        self._session_class = onnxruntime.InferenceSession

    def get_available_providers(self):
        """List the stand-ins and the CPU."""
        return list(self.faults) + [CPU]

    def open(self, model, options=None, providers=(), **others):
        """Open a real session on the CPU, under another name."""
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        self.opened.append((names, {} if isinstance(providers[0], str) else dict(providers[0][1])))
        fault = self.faults.get(names[0], '')
        if fault == 'open':
            raise RuntimeError('%s: no device was found' % names[0])
        if fault in ('build', 'crash'):
            _build_engine(self.opened[-1][1]['trt_engine_cache_path'], fault)
        session = self._session_class(model, options, providers=[CPU], **others)
        if names[0] not in self.faults or fault == 'start':
            return session
        return _Session(self, session, names)

    def count(self, provider, feed):
        """Note one run, and fail where the configuration says."""
        self.runs.append((provider, [array.shape for array in feed.values()][0]))
        self._counts[provider] = self._counts.get(provider, 0) + 1
        if str(self._counts[provider]) in self.faults[provider].split(','):
            raise RuntimeError(FAILURE + '\nand more lines')


def _build_engine(folder, fault):
    """Put an engine into a folder that has none."""
    if os.listdir(folder):
        return
    if fault == 'crash':
        os.kill(os.getpid(), signal.SIGSEGV)
    print(BEGUN, flush=True)
    if 'STAND_IN_PIPE' in os.environ:
        # A pipe is open once both of its ends are; called as PyDLL, this keeps the interpreter's lock meanwhile.
        ctypes.PyDLL(None).open(os.environ['STAND_IN_PIPE'].encode(), os.O_RDONLY)
    with open(os.path.join(folder, 'stand_in.engine'), 'w'):
        pass


class _Session:
    """A session of the CPU that says it is another provider's."""

    def __init__(self, stand_in, session, names):
        self._stand_in, self._session, self._names = stand_in, session, names

    def get_providers(self):
        """Say what was asked for."""
        return self._names

    def disable_fallback(self):
        """Do nothing: there is none."""

    def get_inputs(self):
        """Pass on."""
        return self._session.get_inputs()

    def get_outputs(self):
        """Pass on."""
        return self._session.get_outputs()

    def run(self, outputs, feed):
        """Fail or run."""
        self._stand_in.count(self._names[0], feed)
        arrays = self._session.run(outputs, feed)
        return [array * float('nan') for array in arrays] if self._stand_in.faults[self._names[0]] == 'nan' else arrays


def install(configuration, setattr=setattr):
    """Put the stand-ins in ONNX Runtime's place.

    :param configuration: see the module.
    :param setattr: monkeypatch.setattr in tests, so that it ends with the test.
    :returns: the StandIn.
    """
    stand_in = StandIn(configuration)
    setattr(onnxruntime, 'get_available_providers', stand_in.get_available_providers)
    setattr(onnxruntime, 'InferenceSession', stand_in.open)
    return stand_in
