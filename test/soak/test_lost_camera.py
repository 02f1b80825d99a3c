"""A lost camera is reported, and so is its return, again and again (odd stamps: test/ros/test_image_input.py)."""

import os

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from graph_peer import REPOSITORY, scene
from soak_peer import listen, p99, part_of

CAMERA = os.path.join(REPOSITORY, 'test', 'ros', 'plain_camera.py')


@pytest.mark.timeout(600)
def test_a_lost_camera_is_an_error_and_all_is_well_again_when_it_returns(
    start_node, start_killed, peer, tmp_path, long_form, promise
):
    kills, timeout_s = (20, 2.0) if long_form else (2, 0.5)
    np.save(str(tmp_path / 'picture.npy'), scene(160, 120))
    start_node(input__timeout_s=timeout_s, diagnostics__period_s=1.0 if long_form else 0.1)
    reported = listen(peer, DiagnosticArray, '/diagnostics')
    images = listen(peer, Image, 'image', depth=1)
    answers = peer.listen(Detection2DArray, 'detections')
    lost_s, found_s = [], []

    def first_reported(level, words, since_s):
        """Return when that was first reported since then, or 0."""
        return next(
            (
                heard.at_s
                for heard in reported
                if heard.at_s > since_s
                and words in part_of(heard, 'input').message
                and part_of(heard, 'input').level == level
            ),
            0,
        )

    for _ in range(kills):
        before, answered = len(images), len(answers)
        camera = start_killed(CAMERA, tmp_path / 'picture.npy', 30)
        peer.wait(lambda before=before: len(images) > before, 'an image', timeout_s=60.0)
        back_s = images[before].at_s
        well_s = peer.wait(
            lambda since_s=back_s: first_reported(DiagnosticStatus.OK, 'Receiving images', since_s), 'OK'
        )
        found_s.append(well_s - back_s)
        peer.wait(lambda answered=answered: len(answers) > answered, 'an answer to the camera that is back')
        camera.process.kill()
        camera.process.wait()
        peer.wait(lambda: first_reported(DiagnosticStatus.ERROR, 'No image for', images[-1].at_s), 'an error')
        lost_s.append(first_reported(DiagnosticStatus.ERROR, 'No image for', images[-1].at_s) - images[-1].at_s)
    transport_s = p99([heard.age_s for heard in images])
    if long_form:
        promise(
            'a lost camera is reported and healed',
            'ERROR at most %.2f s after the last image (timeout %.1f s), '
            'OK at most %.2f s after the first one' % (max(lost_s), timeout_s, max(found_s)),
            bound='timeout + 1 s, 1 s, each + p99 of the transport (%.0f ms)' % (1e3 * transport_s),
            n='%d kills' % kills,
        )
        assert max(lost_s) <= timeout_s + 1.0 + transport_s
        assert max(found_s) <= 1.0 + transport_s
