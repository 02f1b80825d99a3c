"""The worker of input.mode humans: crops of single faces take turns."""

from collections import namedtuple

from facial_emotion_ros.crop_reading import check_size, read_crop
from facial_emotion_ros.ros.frame_worker import FrameWorker

#: The crop of a face as it waits for its turn; `key` is the face's id.
Crop = namedtuple('Crop', 'header key message')


class CropWorker(FrameWorker):
    """Reads one crop after the other; a newer crop of a face replaces that face's older one."""

    def offer_crop(self, face_id, message):
        """Put a crop into the slot. Returns at once.

        :param face_id: whose it is.
        :param message: sensor_msgs/Image.
        """
        self.offer(Crop(message.header, face_id, message), face_id)

    def drop(self, face_id):
        """Drop the crop of a face that waits, since nobody lists that face any more.

        :param face_id: whose it is.
        """
        self._tally.drop(self._slot, face_id)

    def _estimate(self, crop, checked):
        check_size(crop.message.height, crop.message.width)
        image = self._image_of(crop.message)
        self._reached('detecting faces')
        face_ids = self._outputs.face_ids()
        self._pipeline.smoothing.keep(face_ids)
        self._stamps.keep(face_ids)
        estimate = read_crop(self._pipeline, image, crop.key, checked.time_s)
        return lambda: self._outputs.publish(crop.header, crop.key, estimate, self._value('output.contempt_as'))
