"""Clocks that jump: bags that begin again, simulated time that comes and goes, steps of an hour both ways."""

import os
import shutil
import subprocess
import time

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from vision_msgs.msg import Detection2DArray

from graph_peer import quality, scene
from soak_peer import listen, values_of

HERE = os.path.dirname(os.path.abspath(__file__))
HOUR_S = 3600.0
#: A recording's time of its begin, its images a second, and how long it is.
BEGIN_S, RATE_HZ, LENGTH_S = 1.6e9, 10.0, 2.0
#: The camera's clock is ahead of the node's, less than it calls the future: its images would have negative ages.
AHEAD_S = 0.3


class Player:
    """Plays images, and with simulated time the clock too, in real time from wherever it is set to."""

    def __init__(self, peer, reported):
        """Begin at the recording's begin.

        :param peer: graph_peer.Peer.
        :param reported: list of the diagnostics that came.
        """
        self._peer, self._told = peer, reported
        self._clock = peer.node.create_publisher(Clock, '/clock', quality())
        self._camera = peer.camera(picture=scene(160, 120))
        self._heard = peer.listen(Detection2DArray, 'detections')
        self.simulated = True
        self.set(BEGIN_S)

    def set(self, now_s):
        """Go on from another time."""
        self._ahead_s = now_s - time.monotonic()

    def now_s(self):
        """Return the time that it is at."""
        return time.monotonic() + self._ahead_s

    def play(self, seconds, what):
        """Play for a while, and on until an image of this while was answered and diagnostics came."""
        shot, until_s, reported = [], time.monotonic() + seconds, len(self._told)

        def shoot():
            now = time_of(self.now_s())
            if self.simulated:
                self._clock.publish(Clock(clock=now))
            shot.append(self._camera.shoot(stamp=time_of(self.now_s() + AHEAD_S)))

        def answered():
            # The first diagnostics may have been on their way when the clock jumped.
            return (
                time.monotonic() >= until_s
                and len(self._told) > reported + 1
                and [each for each in self._heard if each.header in shot]
            )

        del self._heard[:]
        self._peer.wait(
            answered, 'answer and diagnostics ' + what, timeout_s=seconds + 30.0, each=shoot, every_s=1 / RATE_HZ
        )


def time_of(seconds):
    """Return a Time message."""
    return Time(sec=int(seconds), nanosec=int(seconds % 1 * 1e9))


def check_diagnostics(reported, since_s, long_form):
    """Assert that they went on, and that no age is negative.

    :returns: how many came a second, and the longest time between two, in s.
    """
    for heard in reported:
        for name, value in values_of(heard, 'inference').items():
            assert not name.startswith('age_') or not value or float(value) >= 0, (name, value)
    times_s = [heard.at_s for heard in reported if heard.at_s >= since_s]
    assert len(times_s) > 2
    rate_hz = (len(times_s) - 1) / (times_s[-1] - times_s[0])
    longest_s = max(later - sooner for sooner, later in zip(times_s, times_s[1:]))
    assert not long_form or 0.9 <= rate_hz <= 1.1 and longest_s <= 1.1, (rate_hz, longest_s)
    return rate_hz, longest_s


@pytest.mark.timeout(600)
def test_output_goes_on_when_simulated_time_jumps_comes_and_goes(start_node, peer, long_form, promise):
    loops, toggles, steps, while_s = (50, 10, 10, LENGTH_S) if long_form else (3, 2, 2, 0.4)
    node = start_node(use_sim_time=True, diagnostics__period_s=1.0 if long_form else 0.1)
    reported, since_s = listen(peer, DiagnosticArray, '/diagnostics'), time.monotonic()
    player = Player(peer, reported)
    player.play(while_s, 'before anything jumps')
    for loop in range(loops):
        player.set(BEGIN_S)
        player.play(while_s, 'in loop %d' % loop)
    for step in range(steps):
        player.set(player.now_s() + (HOUR_S if step % 2 else -HOUR_S))
        player.play(while_s, 'after step %d' % step)
    for toggle in range(toggles):
        player.simulated = not player.simulated
        assert peer.set_parameter(Parameter('use_sim_time', value=player.simulated)).successful
        player.set(BEGIN_S if player.simulated else time.time())
        player.play(while_s, 'after toggle %d' % toggle)
    assert node.process.poll() is None and 'Traceback' not in node.output() and '[ERROR]' not in node.output()
    figures = check_diagnostics(reported, since_s, long_form)
    if long_form:
        promise(
            'the clock may jump',
            'output after every jump, no negative age, diagnostics at %.3f Hz, at most %.2f s apart' % figures,
            bound='1 Hz within 10%',
            n='%d bag loops, %d steps of an hour, %d toggles' % (loops, steps, toggles),
        )


@pytest.fixture
def set_clock(ros_environment, tmp_path, monkeypatch):
    """Give the processes started from now on a system's clock that can be set."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if compiler is None:
        pytest.skip('there is no C compiler (cc) to build the clock with')
    library, file = tmp_path / 'set_clock.so', tmp_path / 'set_clock'
    subprocess.run(
        [compiler, '-shared', '-fPIC', '-O1', '-o', str(library), os.path.join(HERE, 'set_clock.c')], check=True
    )
    file.write_text('0')
    for name, value in (('LD_PRELOAD', library), ('SET_CLOCK', file)):
        monkeypatch.setitem(ros_environment, name, str(value))

    def set_clock(ahead_s):
        (tmp_path / 'next').write_text('%d' % ahead_s)
        os.replace(str(tmp_path / 'next'), str(file))  # never seen half written

    yield set_clock


@pytest.mark.timeout(300)
def test_output_goes_on_when_the_clock_of_the_system_is_set_by_an_hour(set_clock, start_node, peer, long_form, promise):
    steps, while_s = (10, LENGTH_S) if long_form else (2, 0.4)
    node = start_node(diagnostics__period_s=1.0 if long_form else 0.1)
    reported, since_s = listen(peer, DiagnosticArray, '/diagnostics'), time.monotonic()
    player = Player(peer, reported)
    player.simulated = False
    player.set(time.time())
    player.play(while_s, 'before anything jumps')
    for step in range(steps):
        ahead_s = (HOUR_S, 0.0, -HOUR_S, 0.0)[step % 4]
        set_clock(ahead_s)
        player.set(time.time() + ahead_s)
        player.play(while_s, 'after step %d' % step)
        peer.wait(
            lambda step=step: int(values_of(reported[-1], 'input')['clock_jumps']) > step, 'the step to be counted'
        )
    node.wait_for('The clock has jumped')
    assert 'Traceback' not in node.output() and '[ERROR]' not in node.output()
    figures = check_diagnostics(reported, since_s, long_form)
    if long_form:
        promise(
            'the clock of the system may be set',
            'output after every step, no negative age, diagnostics at %.3f Hz, at most %.2f s apart' % figures,
            bound='1 Hz within 10%',
            n='%d steps of an hour' % steps,
        )
