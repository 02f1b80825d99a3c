"""The bond with a lifecycle manager."""

import sys

import pytest
from lifecycle_msgs.msg import Transition

Status = pytest.importorskip('bond.msg', reason='the package bond is not installed').Status


def heartbeats_of(peer):
    """Listen as the manager of Nav2 does.

    :returns: list that the messages are appended to.
    """
    return peer.listen(Status, '/robot/bond', depth=100)


def test_heartbeats_come_while_active_and_the_last_one_says_that_it_ended(node_here, peer):
    heard = heartbeats_of(peer)
    node_here('-r', '__ns:=/robot', autostart=False, bond__heartbeat_period_s=0.05)
    name = '/robot/emotion_node'
    assert peer.change_state('configure', name)
    peer.spin(0.2)
    assert not heard, 'a manager would take an inactive node for an active one'
    instances = []
    for ending in ('deactivate', Transition.TRANSITION_ACTIVE_SHUTDOWN):
        assert peer.change_state('activate', name)
        peer.wait(lambda: len(heard) > 3, 'heartbeats')
        assert peer.change_state(ending, name)
        peer.wait(lambda: not heard[-1].active, 'the end of the bond')
        assert [each.active for each in heard] == [True] * (len(heard) - 1) + [False]
        assert {each.id for each in heard} == {'emotion_node'}, 'the name without its namespace, as Nav2 looks for it'
        [instance] = {each.instance_id for each in heard}
        instances.append(instance)
        peer.spin(0.2)
        assert not heard[-1].active
        heard.clear()
    assert len(set(instances)) == 2, 'a manager would refuse the former one'


@pytest.mark.parametrize('parameters', [{'autostart': True}, {'autostart': False, 'bond__heartbeat_period_s': 0.0}])
def test_there_is_no_heartbeat_when_nobody_manages_the_node_or_wants_a_bond(node_here, peer, parameters):
    heard = heartbeats_of(peer)
    node_here('-r', '__ns:=/robot', **parameters)
    if not parameters['autostart']:
        assert peer.change_state('configure', '/robot/emotion_node')
        assert peer.change_state('activate', '/robot/emotion_node')
    peer.wait_state('active', '/robot/emotion_node')
    peer.spin(0.5)
    assert not heard


def test_the_log_says_what_a_manager_needs_when_the_package_bond_is_missing(node_here, peer, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, 'bond.msg', None)
    node_here(autostart=False)
    assert peer.change_state('configure') and peer.change_state('activate')
    assert 'set bond_timeout of the lifecycle manager to 0.0' in capfd.readouterr().err
