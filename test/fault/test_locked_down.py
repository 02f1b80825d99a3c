"""SROS2: the shipped policy allows what the node does and nothing else, and security that is missing is no secret."""

import fnmatch
import os
import re
import sys
from xml.etree import ElementTree

import pytest
from hri_msgs.msg import Expression
from programs import ended

from graph_peer import REPOSITORY
from test_hri_input import FaceFinder, face_crop

NODE = 'emotion_node'
POLICY = os.path.join(REPOSITORY, 'config', 'sros2_policy.xml')
#: Not of every distribution: Humble has no type descriptions.
SINCE_IRON = {('reply', '/emotion_node/get_type_description')}
#: Opened under a lifecycle manager, where the package bond is installed: see test/ros/test_bond.py.
MANAGED = {('publish', '/bond')}


def allowed():
    """Read the policy.

    :returns: set of (publish, subscribe or reply; full name, in which * stands for any characters).
    """
    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    [enclave] = root.findall('enclaves/enclave')
    [profile] = enclave.findall('profiles/profile')
    assert (enclave.get('path'), profile.get('ns'), profile.get('node')) == ('/' + NODE, '/', NODE)
    rules = set()
    for group in profile:
        [(right, verdict)] = group.attrib.items()
        assert verdict == 'ALLOW' and right in {'topics': ('publish', 'subscribe'), 'services': ('reply',)}[group.tag]
        for each in group:
            rules.add((right, re.sub('^~', '/' + NODE, each.text) if each.text[0] in '/~' else '/' + each.text))
    return rules


def done(node):
    """Ask the graph what the node has opened.

    :returns: set like that of `allowed`.
    """
    try:
        names = {
            'publish': node.get_publisher_names_and_types_by_node(NODE, '/'),
            'subscribe': node.get_subscriber_names_and_types_by_node(NODE, '/'),
            'reply': node.get_service_names_and_types_by_node(NODE, '/'),
        }
        called = node.get_client_names_and_types_by_node(NODE, '/')
    except Exception as fault:
        # Its module is private: the graph does not know the node yet, and the next look may find it.
        assert type(fault).__name__ == 'NodeNameNonExistentError', repr(fault)
        return set()
    assert not called
    return {(right, name) for right, found in names.items() for name, _ in found}


def used(rules, opened):
    """Return those rules that something opened needs."""
    return {rule for rule in rules for right, name in opened if right == rule[0] and fnmatch.fnmatchcase(name, rule[1])}


@pytest.fixture
def look(start_node, peer):
    """Start a node, and return what it has opened as soon as that makes use of given rules."""

    def look(expected, each=None, **parameters):
        peer.wait(lambda: NODE not in peer.node.get_node_names(), 'the end of former nodes')
        node = start_node(input__lazy=False, **parameters)
        node.wait_for('Active: ')
        opened = peer.wait(
            lambda: (lambda now: now if expected <= used(expected, now) else None)(done(peer.node)),
            'the graph to show %s' % sorted(expected),
            each=each,
        )
        assert node.end()[0] == 0
        return opened

    return look


def test_the_policy_allows_what_the_node_does_and_nothing_else(look, peer, long_form, promise):
    rules, camera = allowed(), peer.camera()
    opendr = {rule for rule in rules if rule[1].startswith('/opendr/')}
    faces = {('publish', '/humans/faces/*/%s' % name) for name in ('roi', 'cropped', 'expression')}
    head = {('subscribe', '/camera_info'), ('publish', '/tf')}
    opened = look(
        opendr | faces | head | {('subscribe', '/image')},
        each=camera.shoot,
        output__opendr=True,
        output__head_frames=True,
    )
    opened |= look(
        {('subscribe', '/image/compressed'), ('subscribe', '/clock')}, input__transport='compressed', use_sim_time=True
    )
    finder = FaceFinder(peer.node, ayqwe=face_crop())
    peer.listen(Expression, '/humans/faces/ayqwe/expression')
    opened |= look(
        {('subscribe', '/humans/faces/tracked'), ('subscribe', '/humans/faces/*/cropped')},
        each=lambda: finder.shoot('ayqwe'),
        input__mode='humans',
    )
    forbidden = {each for each in opened if not used(rules, {each})}
    assert not forbidden, 'the policy lacks %s' % sorted(forbidden)
    idle = rules - used(rules, opened) - SINCE_IRON - MANAGED
    assert MANAGED <= rules
    assert not idle, 'the policy allows what the node never does: %s' % sorted(idle)
    if long_form:
        promise(
            'it runs locked down',
            'the policy allows what the node opens and nothing else; Enforce was not run: '
            'the installed middleware has no security',
            bound='exactly our topics',
            n='%d rules' % len(rules),
        )


def test_the_node_ends_and_says_why_when_security_is_demanded_and_cannot_be_had(ros_environment, tmp_path):
    (tmp_path / 'enclaves').mkdir()
    security = {
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path),
    }
    command = [sys.executable, '-m', 'facial_emotion_ros.ros.emotion_node']
    ran = ended(*command, timeout=60, cwd=REPOSITORY, env=dict(ros_environment, **security))
    assert ran.returncode == 2 and 'Active: ' not in ran.stdout and 'Traceback' not in ran.stdout
    # Here the middleware was built without; elsewhere the keystore lacks the node's certificates.
    [line] = [line for line in ran.stdout.splitlines() if line.startswith('emotion_node: ')]
    assert re.search("security libraries|SECURITY ERROR|couldn't find all security files", line), ran.stdout
    assert 'ROS_ variables' in line
