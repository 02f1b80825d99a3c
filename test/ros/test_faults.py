"""The node goes on when the work on a frame fails, and says so in log and diagnostics (hangs: test/soak too)."""

import re
import signal
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from vision_msgs.msg import Detection2DArray


@pytest.fixture
def faulty_node(start_variant, tmp_path):
    """Start a node whose pipeline fails at given frames; arguments as `start_variant` takes them."""
    environment = {'WAKE': str(tmp_path / 'wake')}
    return lambda faults, **how: start_variant('faulty_node.py', dict(environment, FAULTS=faults), **how)


def test_a_throwing_callback_or_frame_costs_one_image_and_a_freeze_the_process_which_says_where(faulty_node, peer):
    # Long enough for what is asserted of a guard whose last beat is half a second old, and an answer heard late.
    faults = '@1:RuntimeError,@2:RuntimeError,2:RuntimeError,3:RuntimeError,5:BadModel,6:MemoryError,9:freeze'
    node = faulty_node(faults, diagnostics__freeze_timeout_s=4.0, status=-signal.SIGALRM)
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    for words in ('A callback failed; the node continues', 'A callback failed again'):
        camera.shoot()
        node.wait_for(words)
    shot = []
    for _ in range(8):
        shot.append(camera.shoot())
        counts = peer.wait(lambda: health.settled(len(shot)), 'frame %d to be worked on' % len(shot))
    assert (counts['failed'], counts['processed']) == (4, 4), counts
    peer.wait(lambda: len(heard) == 4, 'four answers')
    # Two kinds of fault of a frame that nobody foresaw, and one of a callback; BadModel says all in a sentence.
    assert node.output().count('Traceback') == 3
    assert node.output().count('[ERROR]') == 6
    status = health.parts()['inference']
    assert status.level == DiagnosticStatus.ERROR and 'injected fault' in status.message
    assert peer.state() == 'active'
    began = time.monotonic()
    peer.wait(lambda: node.process.poll() is not None, 'its end', each=camera.shoot, timeout_s=30.0)
    assert node.process.returncode == -signal.SIGALRM and time.monotonic() - began > 2.0
    # It stood in the fault that was put in, which the tracebacks name.
    assert re.search(r'in estimate\n(.*\n)*.*in spin_once', node.output()), node.output()


def test_a_hung_frame_is_abandoned_when_the_node_is_deactivated_under_it(faulty_node, peer, tmp_path):
    node = faulty_node('1:hang')
    camera, health = peer.camera(), peer.health()
    topics = ('detections', 'affect')
    heard = [peer.listen(Detection2DArray, topic) for topic in topics]
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    shot = []
    peer.wait(lambda: health.counts().get('in_work'), 'a frame in work', each=lambda: shot.append(camera.shoot()))
    assert peer.change_state('deactivate')
    # A second worker in the pipeline that the first may come back to at any time would be one too many.
    assert not peer.change_state('activate') and peer.state() == 'inactive'
    assert len(re.findall(r'\[ERROR\].*configure again', node.output())) == 1, node.output()
    reported = health.reported()
    peer.wait(lambda: health.reported() > reported + 1, 'diagnostics')
    status = health.parts()['inference']
    assert status.level == DiagnosticStatus.ERROR and 'configure again' in status.message
    assert peer.change_state('cleanup')
    (tmp_path / 'wake').touch()
    node.wait_for('The hung frame came back with 1 faces')
    assert peer.change_state('configure') and peer.change_state('activate')
    peer.wait(lambda: all(heard) and tracked, 'answers', each=camera.shoot)
    assert not [message for messages in heard + [tracked] for message in messages if message.header in shot]
    assert 'Traceback' not in node.output() and node.output().count('[ERROR]') == 2, node.output()
    peer.wait(lambda: health.parts()['inference'].level == DiagnosticStatus.OK, 'health')


def test_a_message_that_cannot_be_taken_costs_that_message_alone(faulty_node, peer):
    node = faulty_node('<1:RuntimeError')
    camera, heard = peer.camera(), peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    camera.shoot()
    node.wait_for(r'\[ERROR\].*Lost a message that could not be taken')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)


def test_a_node_ends_cleanly_while_native_code_works_on_an_image(faulty_node, peer):
    node = faulty_node('1:busy', input__lazy=False)
    camera, health = peer.camera(), peer.health()
    peer.wait(lambda: health.counts().get('in_work'), 'a frame in work', each=camera.shoot)
    # Python's own end aborts a process whose threads come back from native code then.
    status, _ = node.end()
    assert status == 0 and 'terminate' not in node.output(), node.output()


def test_a_stopped_node_goes_on_and_one_that_freezes_after_a_signal_ends_in_time(faulty_node, peer, long_form):
    settings = {'diagnostics__freeze_timeout_s': 2.0, 'diagnostics__period_s': 6.0, 'input__timeout_s': 0.5}
    node = faulty_node('1:freeze_at_end', status=-signal.SIGALRM, **settings)
    camera, health, heard = peer.camera(), peer.health(), peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    # Images that return are reported at once, not with the next diagnostics.
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.ERROR, 'silence to show')
    peer.wait(
        lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'OK again', timeout_s=5.0, each=camera.shoot
    )
    node.process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)  # a node that is frozen has ended by then, after 2 + 1 s
    node.process.send_signal(signal.SIGCONT)
    node.wait_for(r'\[WARN\].*was frozen for \d+ s and goes on')
    del heard[:]
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    assert peer.state() == 'active'
    status, took_s = node.end(timeout_s=30.0)  # it would be frozen for a minute
    assert status == -signal.SIGALRM and (took_s < 8.0 or not long_form), took_s
    assert 'in destroy_node' in node.output(), node.output()


def test_diagnostics_tell_idle_working_and_silent_apart_when_a_camera_stops(tuned_node, peer):
    tuned_node(input__timeout_s=0.5, input__idle_release_s=0.2)
    health = peer.health()
    peer.wait(lambda: 'Idle' in health.parts()['input'].message, 'idle')
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    peer.wait(lambda: heard and 'Receiving images' in health.parts()['input'].message, 'OK', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.OK
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.ERROR, 'silence to show')
    assert 'No image' in health.parts()['input'].message
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'OK again', each=camera.shoot)
    values = health.values('inference')
    assert values['provider'] == 'CPUExecutionProvider' and values['model'].startswith('esr_9_ferplus')
    assert len(values['sha256']) == 64 and 0 < float(values['work_p50_ms']) <= float(values['age_p99_ms'])
    peer.node.destroy_subscription(list(peer.node.subscriptions)[-1])
    peer.wait(lambda: 'Idle' in health.parts()['input'].message, 'idle again')
