"""Every set of faces that training and evaluation read."""

from facial_emotion_ros.learning.face_set import FaceSet, held_out, read_names
from facial_emotion_ros.learning.ferplus import FerPlus
from facial_emotion_ros.learning.ferplus_files import read_ferplus

__all__ = ['FaceSet', 'FerPlus', 'held_out', 'read_ferplus', 'read_names']
