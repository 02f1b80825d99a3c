"""Installs the package the way ROS 2 expects it; `colcon build` calls this."""
import os

from setuptools import find_packages, setup

PACKAGE = 'facial_emotion_ros'


def share_files(*folders):
    """List the files of some folders with the places of the share folder that they go to.

    :param folders: names in the checkout's root; what lies deeper keeps its place.
    :returns: list of (folder of the installation, files), as setup() takes it.
    """
    placed = []
    for folder in folders:
        for path, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith(('.', '__pycache__')))
            wanted = [os.path.join(path, name) for name in sorted(files) if not name.startswith('.')]
            if wanted:
                placed.append((os.path.join('share', PACKAGE, path), wanted))
    return placed


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, PACKAGE + '.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + PACKAGE]),
        ('share/' + PACKAGE, ['package.xml']),
    ] + share_files('launch', 'config', 'messages', 'models', 'samples', 'recipes'),
    python_requires='>=3.6',
    install_requires=['setuptools', 'dataclasses; python_version < "3.7"'],
    zip_safe=True,
    maintainer='facial_emotion_ros maintainers',
    maintainer_email='maintainers@facial-emotion-ros.example',
    description='Reads the emotions that faces show in a robot\'s camera image.',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={
        'console_scripts': [
            'emotion_node = facial_emotion_ros.ros.emotion_node:main',
            'media_source = facial_emotion_ros.ros.media_source:main',
            'play_bag = facial_emotion_ros.ros.bag_player:main',
            'record_bag = facial_emotion_ros.ros.bag_recorder:main',
            'console_view = facial_emotion_ros.ros.console_view:main',
            'train = facial_emotion_ros.commands.train:main',
            'export = facial_emotion_ros.commands.export:main',
            'evaluate = facial_emotion_ros.commands.evaluate:main',
            'evaluate_camera = facial_emotion_ros.commands.evaluate_camera:main',
            'evaluate_over_time = facial_emotion_ros.commands.evaluate_over_time:main',
            'evaluate_bag = facial_emotion_ros.commands.evaluate_bag:main',
            'make_sample_bag = facial_emotion_ros.commands.make_sample_bag:main',
            'benchmark = facial_emotion_ros.commands.benchmark:main',
            'quantize = facial_emotion_ros.commands.quantize:main',
            'explain = facial_emotion_ros.commands.explain:main',
            'hold_out = facial_emotion_ros.commands.hold_out:main',
            'prepare_affectnet = facial_emotion_ros.commands.prepare_affectnet:main',
            'demo = facial_emotion_ros.commands.demo:main',
        ],
    },
)
