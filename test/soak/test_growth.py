"""Thousands of images and hundreds of faces: what Python and the process hold does not grow."""

import json

import pytest
from builtin_interfaces.msg import Time
from vision_msgs.msg import Detection2DArray

from graph_peer import scene
from process_figures import memory_kib

#: Time between two images' stamps, and a gap after which a face is a new one.
STEP_S, GAP_S = 0.03, 2.0


@pytest.mark.timeout(7200)
def test_nothing_grows_when_faces_come_and_go(paced_node, peer, long_form, promise):
    frames, first, each_s = (18000, 3000, 36) if long_form else (1050, 300, 15)
    # The short form skips the networks' arithmetic, and nothing else.
    node = paced_node(
        'real' if long_form else 'fast', tracker__max_age_s=0.5, tracker__remember_s=1.0, diagnostics__period_s=1.0
    )
    stream = Stream(peer, node, scene(640, 480) if long_form else scene(160, 120), each_s)
    stream.run(first)
    stream.count()  # the first look leaves traces of its own in Python
    before, before_kib = stream.count(), memory_kib(node.process.pid)
    stream.run(frames)
    after, after_kib = stream.count(), memory_kib(node.process.pid)
    grown = dict(
        (name, number - before['types'].get(name, 0))
        for name, number in after['types'].items()
        if number != before['types'].get(name, 0)
    )
    # A leak of one object for each face would be 50, for each image 750 and more.
    assert after['objects'] - before['objects'] <= 20, grown
    assert after['blocks'] - before['blocks'] <= 400, grown
    assert after_kib - before_kib < 4096, 'memory grew by %d KiB' % (after_kib - before_kib)
    assert 'Traceback' not in node.output()
    assert len(stream.ids) >= frames // each_s, 'no new faces came: nothing could grow'
    if long_form:
        promise(
            'nothing grows',
            "memory by %.2f MiB, Python's objects by %d, its blocks by %d"
            % (
                (after_kib - before_kib) / 1024,
                after['objects'] - before['objects'],
                after['blocks'] - before['blocks'],
            ),
            bound='4 MiB between image 3,000 and the last',
            n='%d images, %d face ids' % (frames, len(stream.ids)),
        )


class Stream:
    """Images in a closed loop: the next one follows the answer, so each is read and the time is the stamps'."""

    def __init__(self, peer, node, picture, each):
        """Begin; a new face comes with every so many images."""
        self._peer, self._node, self._each = peer, node, each
        self._camera, self._heard = peer.camera(picture=picture), peer.listen(Detection2DArray, 'detections')
        self._shot, self._stamp_s, self.ids = 0, 1.6e9, set()
        peer.wait(lambda: self._heard, 'an answer', each=self._shoot)
        # It may have been answered over a subscription that is exchanged for a reliable one now.
        peer.wait(self._camera.watched_reliably, 'a reliable subscription')

    def _shoot(self):
        self._shot += 1
        self._stamp_s += STEP_S if self._shot % self._each else GAP_S
        return self._camera.shoot(stamp=Time(sec=int(self._stamp_s), nanosec=int(self._stamp_s % 1 * 1e9)))

    def run(self, frames):
        """Go on until so many images were shot in all."""
        while self._shot < frames:
            header = self._shoot()
            self._peer.wait(lambda header=header: self._heard and self._heard[-1].header == header, 'an answer')
            self.ids |= set(face.id for face in self._heard[-1].detections)
            del self._heard[:]

    def count(self):
        """Return what Python holds in the node, at the next image."""
        (self._node.folder / 'count').touch()
        self._heard.clear()
        self._peer.wait(
            lambda: self._heard and not (self._node.folder / 'count').exists(), 'a count', each=self._shoot, every_s=5.0
        )
        return json.loads((self._node.folder / 'objects.json').read_text())
