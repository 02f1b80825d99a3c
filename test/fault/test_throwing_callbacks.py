"""Any callback may raise: it costs its own work and one traceback, and the node continues."""

import itertools
import os
import re

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool
from vision_msgs.msg import Detection2DArray

HERE = os.path.dirname(os.path.abspath(__file__))
#: Those of throwing_node.py, in the order in which they are provoked; images pass the points of the worker in turn.
STATES = ('unconfigured', 'inactive', 'active')
TRANSITIONS = ('configure', 'activate', 'deactivate', 'cleanup')
WORKER = ('decode', 'detect', 'read', 'smooth', 'publish')
POINTS = TRANSITIONS + ('parameter', 'jump', 'enable', 'offer') + WORKER + ('clock', 'subscribers', 'diagnostics')
#: More than the hundredth call needs.
TRIES = 120
LONG = [(kind, call) for kind in ('RuntimeError', 'MemoryError', 'OSError') for call in (1, 100)]


class Operator:
    """Provokes a point until it has thrown."""

    def __init__(self, node, peer):
        self._node, self._peer, self._turn = node, peer, 0

    def thrown(self, point):
        """Return how many tracebacks tell of a point."""
        return len(re.findall(r'File "point_%s"' % point, self._node.output()))

    def bring(self, state):
        """Bring the node into a state, as somebody does who tries once more what failed."""
        for _ in range(8):
            # A transition whose caller got no answer may be under way still.
            states = []
            self._peer.wait(
                lambda states=states: states.append(self._peer.state()) or states[-1] in STATES,
                'the end of a transition',
            )
            now, wanted = STATES.index(states[-1]), STATES.index(state)
            if now == wanted:
                return
            steps = ('configure', 'activate', '') if now < wanted else ('', 'cleanup', 'deactivate')
            self._peer.change_state(steps[now])
        pytest.fail('it does not become %s any more' % state)

    def cycle(self, transition):
        """Go through a transition until it has thrown."""
        before = {'configure': 'unconfigured', 'activate': 'inactive', 'deactivate': 'active', 'cleanup': 'inactive'}[
            transition
        ]
        for _ in range(TRIES):
            if self.thrown(transition):
                return
            self.bring(before)
            self._peer.change_state(transition)
        pytest.fail('%s never told that it had thrown' % transition)

    def call(self, point, service_type, name, *requests):
        """Call a service until it has thrown, by these requests in turn; the caller of that time gets no answer."""
        client = self._peer.client(service_type, name)
        turns = itertools.cycle(requests)
        while not self.thrown(point):
            future = client.call_async(next(turns))
            self._peer.wait(lambda future=future: future.done() or self.thrown(point), 'an answer of ' + name)
        self._peer.wait(client.call_async(requests[-1]).done, 'an answer once it has thrown')
        self._peer.node.destroy_client(client)


def check_throwing(node, peer):
    """Provoke every point, and assert that the node logs each once and works."""
    operator, camera, health = Operator(node, peer), peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    for transition in TRANSITIONS:
        operator.cycle(transition)
    operator.call(
        'parameter',
        SetParameters,
        '/emotion_node/set_parameters',
        SetParameters.Request(parameters=[Parameter('input.max_age_s', value=60.0).to_parameter_msg()]),
    )
    operator.bring('active')
    # Each turn of simulated time on or off is a jump of the clock.
    operator.call(
        'jump',
        SetParameters,
        '/emotion_node/set_parameters',
        *(
            SetParameters.Request(parameters=[Parameter('use_sim_time', value=value).to_parameter_msg()])
            for value in (True, False)
        ),
    )
    operator.call('enable', SetBool, '/emotion_node/enable', SetBool.Request(data=True))
    peer.wait(
        lambda: all(operator.thrown(point) for point in POINTS),
        'every point to throw',
        timeout_s=120.0,
        each=camera.shoot,
        every_s=0.05,
    )
    shot, reported = [], health.reported()
    peer.wait(
        lambda: [message for message in heard if message.header in shot],
        'an answer',
        each=lambda: shot.append(camera.shoot()),
        every_s=0.5,
    )
    counts = peer.counts_from_now(health)
    assert health.reported() > reported and peer.state() == 'active'
    assert counts['failed'] <= len(WORKER) and counts['bad'] == 0
    assert [operator.thrown(point) for point in POINTS] == [1] * len(POINTS), node.output()
    assert node.output().count('Traceback (most') == len(POINTS), node.output()
    assert health.parts()['input'].level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)


@pytest.mark.timeout(3600)
def test_the_node_goes_on_and_logs_it_once_when_any_callback_throws(start_faulty, peer, long_form, promise):
    cases = LONG if long_form else [('OSError', 1)]
    for kind, call in cases:
        node = start_faulty(
            os.path.join(HERE, 'throwing_node.py'),
            kind,
            call,
            *'--ros-args -p diagnostics.period_s:=0.1 -p autostart:=false -p input.lazy:=false'.split(),
        )
        check_throwing(node, peer)
        status, _ = node.end()
        assert status == 0, node.output()
    if long_form:
        promise(
            'any callback may throw',
            '%d faults, each logged with one traceback; answers and diagnostics went on' % (len(cases) * len(POINTS)),
            bound='one traceback each, no death',
            n='%d points x 3 kinds x first and hundredth call' % len(POINTS),
        )


def test_the_node_can_be_configured_again_when_releasing_after_an_error_fails_in_several_steps(start_faulty, peer):
    node = start_faulty(
        os.path.join(HERE, 'throwing_node.py'),
        'RuntimeError',
        'activate:1,deactivate:1,cleanup:1',
        '--ros-args',
        '-p',
        'autostart:=false',
    )
    assert peer.change_state('configure') and not peer.change_state('activate')
    peer.wait_state('unconfigured')
    reported = [node.output().count('File "point_%s"' % point) for point in ('activate', 'deactivate', 'cleanup')]
    assert reported == [1, 1, 1], node.output()
    assert peer.change_state('configure') and peer.change_state('activate') and peer.state() == 'active'
