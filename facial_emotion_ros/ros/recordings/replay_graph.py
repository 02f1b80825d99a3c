"""Command lines of replay.launch.py's player and recorder, of `ros2 bag` or our own. Does not import ROS."""

import importlib.util
import os
import shutil
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from facial_emotion_ros.core.errors import BadBag, BadParameter
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.ros.recordings.recording_profile import COMPRESSED, IMAGE_TYPES, pattern_of, read_profile

#: Topics that are not recorded again, since the played recording has them.
_INPUTS = ('image', 'image' + COMPRESSED, 'camera_info')

#: Maximum time that our player waits for the node, which loads its models meanwhile.
_PATIENCE_S = 300.0

#: Delay of `ros2 bag play` between announcing its topics and playing: longer than the 3 s after which Fast DDS repeats
#: an announcement that a node has missed.
_DELAY_S = 4.0

#: Files that only our player can play: of ROS 1, and videos.
_OURS = ('.bag', '.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')


class Replay(NamedTuple):
    """The recording to play, and the options.

    bag: path; topic: the camera's, as recorded; is_compressed; topics: others to play; rate: speed factor; loop;
    start_s: seconds to skip; clock_hz: rate of /clock, 0 for none; output: folder for the node's outputs, '' for none;
    namespace: of the node.
    """

    bag: str
    topic: str
    is_compressed: bool
    topics: Tuple[str, ...] = ()
    rate: float = 1.0
    loop: bool = False
    start_s: float = 0.0
    clock_hz: float = 0.0
    output: str = ''
    namespace: str = ''

    @property
    def image_topic(self) -> str:
        """The name that the node's `image` is remapped to, without '/compressed'."""
        return self.topic[: -len(COMPRESSED)] if self.is_compressed and self.topic.endswith(COMPRESSED) else self.topic

    @property
    def remappings(self) -> Tuple[str, ...]:
        """Remapping rules of the player, a:=b: for JPEG that was recorded on a topic without '/compressed'."""
        wanted = self.image_topic + (COMPRESSED if self.is_compressed else '')
        return () if wanted == self.topic else ('%s:=%s' % (self.topic, wanted),)


def make_replay(bag: str, topic: str, given: Mapping[str, Any]) -> Replay:
    """Check the arguments of a replay, and find the camera.

    :param bag: path of the recording.
    :param topic: of the camera; '' for the first in the recording.
    :param given: the other fields of Replay but is_compressed; numbers may be strings.
    :raises BadBag: if the recording cannot be read, or has no such camera.
    :raises BadParameter: for an invalid number.
    """
    if not bag:
        raise BadParameter('expected the path of a recording, got none; set it: bag:=my_bag')
    topics, cameras = _topics_of(bag)
    content = ', '.join(sorted(topics)) or 'nothing'
    if not topic and not cameras:
        raise BadBag('%s: expected a topic of images, got %s; set it: image_topic:=...' % (bag, content))
    topic = topic or cameras[0]
    for name in (topic,) + tuple(given['topics']):
        if name not in topics:
            raise BadBag('%s: expected the topic %s, but it has %s' % (bag, name, content))
    if topics[topic] not in IMAGE_TYPES:
        raise BadBag(
            '%s: expected a topic of images, got %s (%s); its cameras are: %s'
            % (bag, topic, topics[topic], ', '.join(cameras) or 'none')
        )
    numbers = {}
    for name, least in (('rate', 1e-3), ('start_s', 0.0), ('clock_hz', 0.0)):
        try:
            numbers[name] = float(given[name])
        except ValueError:
            numbers[name] = -1.0
        if not least <= numbers[name] < 1e6:
            argument = name.partition('_')[0]
            raise BadParameter('%s: expected a number of %g or more, got %r' % (argument, least, given[name]))
    return Replay(os.path.abspath(bag), topic, topics[topic] == IMAGE_TYPES[1], **dict(given, **numbers))


def _topics_of(bag: str) -> Tuple[Dict[str, str], List[str]]:
    """Read the topics of a recording.

    :param bag: its path.
    :returns: ({topic: message type}, topics of cameras).
    :raises BadBag: if it cannot be read.
    """
    if importlib.util.find_spec('rosbags') is not None:
        from facial_emotion_ros.recordings.io.bag_file import BagFile

        with BagFile(bag) as opened:
            topics = {name: topic.msgtype for name, topic in opened.topics.items()}
            return topics, [name for name in opened.cameras() if topics[name] in IMAGE_TYPES]  # the node reads no video
    import yaml

    try:
        with open(os.path.join(bag, 'metadata.yaml'), encoding='utf-8') as file:
            listed = yaml.safe_load(file)['rosbag2_bagfile_information']['topics_with_message_count']
        topics = {each['topic_metadata']['name']: each['topic_metadata']['type'] for each in listed}
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise BadBag(
            '%s: expected a folder of `ros2 bag record`, but its metadata.yaml cannot be read; other '
            'recordings need the Python package rosbags: pip install rosbags' % bag
        ) from None
    return topics, sorted(name for name, msgtype in topics.items() if msgtype in IMAGE_TYPES)


def has_ros2_bag(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `ros2 bag` is installed."""
    index = os.path.join('share', 'ament_index', 'resource_index', 'packages', 'ros2bag')
    prefixes = filter(None, environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    return bool(shutil.which('ros2', path=environ.get('PATH', ''))) and any(
        os.path.exists(os.path.join(prefix, index)) for prefix in prefixes
    )


def plays_with_ros2_bag(player: str, bag: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether to play and record with `ros2 bag`, not with our own programs.

    :param player: 'auto', 'ros2_bag' or 'own'.
    :param bag: path of the recording: `ros2 bag` cannot play those of ROS 1, videos, or a folder without metadata.yaml.
    :param environ: the environment.
    """
    only_ours = bag.lower().endswith(_OURS) or (
        os.path.isdir(bag) and not os.path.isfile(os.path.join(bag, 'metadata.yaml'))
    )
    return player == 'ros2_bag' or player == 'auto' and not only_ours and has_ros2_bag(environ)


def player_words(replay: Replay, ros2_bag: bool) -> List[str]:
    """Return the arguments of the player.

    :param replay: what to play.
    :param ros2_bag: for `ros2 bag play`, not for our play_bag.
    :returns: the words after `ros2`, or after `play_bag`.
    """
    words = ['bag', 'play', replay.bag, '--start-offset'] if ros2_bag else [replay.bag, '--start']
    words += ['%g' % replay.start_s, '--rate', '%g' % replay.rate, '--topics', replay.topic]
    words += list(replay.topics)
    if replay.loop:
        words += ['--loop']
    if replay.clock_hz:
        words += ['--clock', '%g' % replay.clock_hz]
    if replay.remappings:
        words += ['--remap'] + list(replay.remappings)
    if ros2_bag:
        return words + ['--delay', '%g' % _DELAY_S, '--disable-keyboard-controls']
    return words + ['--wait-for', '1', '--patience', '%g' % _PATIENCE_S]


def recorder_words(replay: Replay, ros2_bag: bool) -> List[str]:
    """Return the arguments of the recorder of the node's outputs.

    :param replay: with an output.
    :param ros2_bag: for `ros2 bag record`, not for our record_bag.
    :returns: the words after `ros2`, or after `record_bag`.
    """
    entries = read_profile(find_shared('config', 'recording.yaml'))
    names = [name for entry in entries for name in entry if name not in _INPUTS]
    output = os.path.abspath(replay.output)
    if not ros2_bag:
        return ['--output', output, '--topics'] + names
    namespace = replay.namespace.strip('/')
    prefix = '/%s/' % namespace if namespace else '/'
    patterns = [pattern_of(name if name.startswith('/') else prefix + name) for name in names]
    # One expression, since the options to select topics differ between distributions.
    words = ['bag', 'record', '-o', output, '-e', '^(%s)$' % '|'.join(patterns)]
    return words + (['--use-sim-time'] if replay.clock_hz else [])
