"""The package's exceptions: each message says what was expected, what came, and what to do."""

from facial_emotion_ros.core.text import printable, public_text, without_secrets


class FacialEmotionError(Exception):
    """Base of all exceptions of this package."""

    def __str__(self) -> str:
        return printable(public_text(super().__str__()), keep='\n')


class BadImage(FacialEmotionError, ValueError):
    """An image file or message cannot be decoded."""


class BadModel(FacialEmotionError, ValueError):
    """A model bundle is damaged, incomplete, or of another architecture than requested."""


class BadDataset(FacialEmotionError, ValueError):
    """A data set is missing, damaged or has another layout than expected."""


class BadParameter(FacialEmotionError, ValueError):
    """A parameter has a value outside its range or of another type."""


class BadBag(FacialEmotionError, ValueError):
    """A recording is missing, damaged, or has none of the requested data."""


def one_line(error: BaseException, *urls: str) -> str:
    """Format an error in one line, with URLs redacted, and with its type unless it is a FacialEmotionError.

    :param error: any; a store's error may contain a user, password or query without the rest of the URL.
    :param urls: paths or URLs that it may be about.
    """
    words = ' '.join(without_secrets(str(error), *urls).split())
    return words if isinstance(error, FacialEmotionError) and words else '%s: %s' % (type(error).__name__, words)
