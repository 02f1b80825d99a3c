"""What the launch files' arguments of true or false may be. Nothing of ROS is imported."""

from typing import Dict, Mapping

#: The spellings of ROS, Python and Nav2; an argument that is refused would end the launch of the whole robot.
BOOLEANS = ('true', 'false', 'True', 'False', '1', '0')
#: The same, and '' for an argument that leaves the parameter as files and SetParameter have it.
OPTIONAL_BOOLEANS = ('',) + BOOLEANS


def is_true(text: str) -> bool:
    """Read an argument.

    :param text: one of BOOLEANS.
    """
    return text in ('true', 'True', '1')


def given_booleans(texts: Mapping[str, str]) -> Dict[str, bool]:
    """Keep the parameters that the arguments set.

    :param texts: parameter -> one of OPTIONAL_BOOLEANS.
    :returns: parameter -> value, without those that are ''.
    """
    return dict((name, is_true(text)) for name, text in texts.items() if text)
