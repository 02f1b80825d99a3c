"""Every executable prints its help when asked, and does nothing else."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from places import ROOT, read

EXECUTABLES = dict(re.findall(r"'(\w+) = ([\w.]+):main'", read('setup.py')))
#: Not installed as executables, but started by other modules.
INTERNAL = {name: 'facial_emotion_ros.ros.' + name for name in ('detection_logger', 'benchmark_streams')}

OPENDR = '/opendr/'
EMOTION = OPENDR + 'facial_emotion_estimation'

#: Starts modules one after the other as `python -m` does; prints name, exit code, stdout and stderr of each.
PROGRAM = """
import contextlib, io, json, runpy, sys
for name, module in json.loads(sys.argv[1]):
    sys.argv, out, err, code = [name, '--help'], io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name='__main__', alter_sys=True)
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([name, code, out.getvalue(), err.getvalue()]))
"""


def test_help_is_printed_and_nothing_started_when_asked_for():
    wanted = sorted(dict(EXECUTABLES, **INTERNAL).items())
    ran = subprocess.run(
        [sys.executable, '-c', PROGRAM, json.dumps(wanted)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stderr) == (0, '')
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [name for name, *_ in found] == [name for name, _ in wanted]
    for name, code, printed, complaints in found:
        assert (code or 0, complaints) == (0, ''), name
        name = {'evaluate_bag': 'evaluate_recording'}.get(name, name)  # its former name
        assert re.match(r'usage: (scripts/|ros2 run facial_emotion_ros )?%s\b' % name, printed), printed


@pytest.mark.parametrize('name', ['emotion_node', 'media_source', 'console_view'])
def test_a_node_s_help_lists_its_parameters_with_their_defaults(name, capsys):
    from facial_emotion_ros.ros.command_line import printed_help
    from facial_emotion_ros.ros.demo.parameters import CONSOLE_VIEW, KINDS, MEDIA_SOURCE
    from facial_emotion_ros.ros.parameters import TABLE

    assert printed_help(name, ['-h'])
    text = capsys.readouterr().out
    for row in {'emotion_node': TABLE, 'media_source': MEDIA_SOURCE, 'console_view': CONSOLE_VIEW}[name]:
        assert '  %s (default: %s)\n' % (row.name, row.default if row.default != '' else "''") in text
    if name == 'media_source':
        assert (
            'One of %s.' % ', '.join(KINDS) in text and 'Number of the camera, without a path. An integer from' in text
        )


def test_help_ends_quietly_when_its_reader_has_read_enough():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, '-m', 'facial_emotion_ros.ros.emotion_node', '--help']
    ran = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, '')


@pytest.mark.parametrize(
    'words, ignored', [(['-p', 'rate_hz:=5.0', '--ros-args', '-p', 'loop:=true', '--', 'x'], '-p x'), (['a:=b'], '')]
)
def test_words_that_have_no_effect_are_named(words, ignored, capsys):
    from facial_emotion_ros.ros.command_line import warn_of_ignored_words

    warn_of_ignored_words('media_source', words)
    err = capsys.readouterr().err
    assert err.startswith('media_source: ignored %s; ' % ignored) if ignored else err == ''


@pytest.mark.parametrize('words', [[], ['--ros-args', '-r', '__node:=--help'], ['--ros-args', '-h']])
def test_no_help_is_printed_when_the_words_are_for_ros(words, capsys):
    from facial_emotion_ros.ros.command_line import printed_help

    assert not printed_help('emotion_node', words) and capsys.readouterr().out == ''


@pytest.mark.parametrize(
    'words, parameters, remappings',
    [
        (['-i', '/image_raw', '-d', 'cpu'], {}, {'image': '/image_raw'}),
        (['--input_rgb_image_topic=/front image', '-o', 'None'], {}, {'image': '/front image'}),
        (
            '-o /out -e /emotion -m /words --device cuda:0'.split(),
            {'inference.providers': '[CUDAExecutionProvider, CPUExecutionProvider]'},
            {
                OPENDR + 'image_emotion_estimation_annotated': '/out',
                EMOTION: '/emotion',
                EMOTION + '_description': '/words',
            },
        ),
        (['-e', EMOTION, '--ros-args', '-p', 'input.rate_hz:=5.0'], {'input.rate_hz': '5.0'}, {}),
    ],
)
def test_options_of_opendrs_node_are_translated(words, parameters, remappings):
    from facial_emotion_ros.ros.command_line import opendr_advice
    from facial_emotion_ros.ros.parameters import TABLE

    command = opendr_advice(words)
    program, typed = shlex.split(command)[:5], shlex.split(command)[5:]
    assert program == 'ros2 run facial_emotion_ros emotion_node --ros-args'.split()
    pairs = list(zip(typed[::2], (word.split(':=', 1) for word in typed[1::2])))
    assert {name: value for flag, (name, value) in pairs if flag == '-p'} == dict(
        {'output.opendr': 'true'}, **parameters
    )
    assert {name: value for flag, (name, value) in pairs if flag == '-r'} == dict({'image': '/image_raw'}, **remappings)
    assert {name for flag, (name, _) in pairs if flag == '-p'} <= {row.name for row in TABLE}


def test_a_command_line_of_ros_is_not_taken_for_one_of_opendr():
    from facial_emotion_ros.ros.command_line import opendr_advice

    for words in ([], ['--ros-args', '-r', '__node:=emotion_node', '-e', '/rosout'], ['__ns:=/robot', 'image:=/i']):
        assert opendr_advice(words) == ''


def test_options_of_opendrs_node_are_refused_with_what_to_type_instead():
    command = [sys.executable, '-m', 'facial_emotion_ros.ros.emotion_node', '-i', '/front/image', '-d', 'cpu']
    ran = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    assert ran.returncode == 2 and "got options of OpenDR's node" in ran.stderr
    assert ran.stderr.endswith('--ros-args -p output.opendr:=true -r image:=/front/image\n')
