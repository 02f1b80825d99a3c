"""What is read of the kernel's text about processors."""

import pytest

from facial_emotion_ros.system.cpu_info import cpuinfo, flags, model_name

TWO = (
    'processor\t: 0\nmodel name\t: One of them\nflags\t\t: fpu avx2\n\n'
    'processor\t: 1\nmodel name\t: Two\nflags\t\t: fpu\n'
)


@pytest.mark.parametrize(
    'text, name, found',
    [
        (TWO, 'One of them', [{'fpu', 'avx2'}, {'fpu'}]),
        ('Features\t: fp asimd\n', '', [{'fp', 'asimd'}]),
        ('', '', []),
    ],
)
def test_name_and_flags_are_the_kernels(text, name, found):
    assert model_name(text) == name and flags(text) == found


def test_there_is_no_text_where_there_is_no_file(tmp_path):
    assert cpuinfo(str(tmp_path / 'absent')) == ''
    (tmp_path / 'cpuinfo').write_text(TWO)
    assert cpuinfo(str(tmp_path / 'cpuinfo')) == TWO
