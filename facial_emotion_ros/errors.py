"""The family of errors that the core raises: each text says what was expected, what came, and what to do."""


from facial_emotion_ros.plain_text import printable


class FacialEmotionError(Exception):
    """Base of every error that this package raises on purpose."""

    def __str__(self):
        """Return the text as terminals and logs may show it: it may hold names of files and topics."""
        return printable(super().__str__(), keep='\n')


class BadImage(FacialEmotionError, ValueError):
    """An image, or a message that should hold one, cannot be read as a picture."""


class BadModel(FacialEmotionError, ValueError):
    """A model bundle is damaged, incomplete, or not of the kind that was asked for."""


class BadDataset(FacialEmotionError, ValueError):
    """A data set is missing, damaged or laid out differently from what was expected."""


class BadParameter(FacialEmotionError, ValueError):
    """A parameter has a value outside its range or of another type."""


class BadBag(FacialEmotionError, ValueError):
    """A recording is missing, damaged, or holds nothing of what was asked for."""
