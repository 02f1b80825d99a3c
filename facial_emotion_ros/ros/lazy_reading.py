"""When images are worth reading: while someone reads our outputs, and a little longer."""


class LazyReading:
    """Decides, from readers and parameters; remembers since when nobody has read."""

    def __init__(self, node, readers):
        """Begin without a reader.

        :param node: rclpy node with our parameters.
        :param readers: function that counts who reads our outputs.
        """
        self._node = node
        self._readers = readers
        self._unread_since_s = None
        #: Why images are not wanted.
        self.reason = ''

    def wanted(self, now_s, enabled, reading):
        """Decide.

        :param now_s: monotonic time.
        :param enabled: False where ~/enable has turned everything off.
        :param reading: whether images are read now: they go on to be for a while after the last reader has gone.
        :returns: whether to read images.
        """
        if not enabled:
            self._unread_since_s, self.reason = None, 'this node was disabled'
            return False
        if not self._value('input.lazy') or self._readers() > 0:
            self._unread_since_s = None
            return True
        self.reason = 'nobody reads an output of this node'
        if not reading:
            return False
        if self._unread_since_s is None:
            self._unread_since_s = now_s
        if now_s - self._unread_since_s <= self._value('input.idle_release_s'):
            return True
        self._unread_since_s = None
        return False

    def _value(self, name):
        return self._node.get_parameter(name).value
