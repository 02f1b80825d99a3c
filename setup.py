"""Installs the package the way ROS 2 expects it; `colcon build` calls this."""

import os

from setuptools import find_packages, setup

PACKAGE = 'facial_emotion_ros'

#: What `pip install` brings. On robots rosdep does, by package.xml: apt's OpenCV is no distribution that Python knows,
#: and on Pythons before 3.10 the scripts that setuptools writes refuse to start without one.
DEPENDENCIES = ['numpy', 'onnxruntime', 'opencv-python-headless<5', 'PyYAML']

#: What `pip install '.[name]'` adds.
EXTRAS = {
    'train': [
        'jinja2',
        'matplotlib',
        'onnx',
        'pillow',
        'plotly',
        'pydantic',
        'rich',
        'safetensors',
        'scipy',
        'tensorboardX',
        'torch',
        'tqdm',
    ],
    'recordings': [
        'av',
        'backports.zstd; python_version < "3.14"',
        'imageio-ffmpeg',
        'jinja2',
        'mcap',
        'plotly',
        'pyarrow',
        'rich',
        'rosbags',
        'scipy',
    ],
    'adapt': ['onnx'],
    'fleet': ['facial_emotion_ros[recordings]', 'fsspec', 'ray'],
    'openvino': ['openvino'],
    'synthetic': ['anny==0.6.2'],
    'test': ['pytest'],
}


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
    version='0.2.0',
    packages=find_packages(include=[PACKAGE, PACKAGE + '.*']),
    package_data={
        PACKAGE: ['py.typed'],
        PACKAGE + '.evaluation': ['templates/*'],
        PACKAGE + '.recordings.report': ['templates/*'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + PACKAGE]),
        ('share/' + PACKAGE, ['package.xml']),
        # evaluate_recording copies from it; images for robots are built without docs/
        ('share/' + PACKAGE + '/docs', [path for path in ['docs/columns.md'] if os.path.exists(path)]),
    ]
    + share_files('launch', 'config', 'messages', 'models', 'samples', 'recipes', 'examples'),
    python_requires='>=3.6',
    install_requires=['setuptools', 'dataclasses; python_version < "3.7"']
    + [name + '; python_version >= "3.10"' for name in DEPENDENCIES],
    zip_safe=True,
    maintainer='facial_emotion_ros maintainers',
    maintainer_email='maintainers@facial-emotion-ros.example',
    description="Reads the emotions that faces show in a robot's camera image.",
    license='Apache-2.0',
    url='https://facial-emotion-ros.example',  # see package.xml
    extras_require=EXTRAS,
    entry_points={
        'console_scripts': [
            'emotion_node = facial_emotion_ros.ros.emotion_node:main',
            'media_source = facial_emotion_ros.ros.demo.media_source:main',
            'play_bag = facial_emotion_ros.ros.recordings.bag_player:main',
            'record_bag = facial_emotion_ros.ros.recordings.bag_recorder:main',
            'console_view = facial_emotion_ros.ros.demo.console_view:main',
            'adapt = facial_emotion_ros.cli.adapt:main',
            'collect_faces = facial_emotion_ros.cli.collect_faces:main',
            'train = facial_emotion_ros.cli.train:main',
            'export = facial_emotion_ros.cli.export:main',
            'evaluate = facial_emotion_ros.cli.evaluate:main',
            'evaluate_camera = facial_emotion_ros.cli.evaluate_camera:main',
            'evaluate_over_time = facial_emotion_ros.cli.evaluate_over_time:main',
            'evaluate_recording = facial_emotion_ros.cli.evaluate_recording:main',
            'evaluate_bag = facial_emotion_ros.cli.evaluate_recording:main',  # its former name
            'make_sample_bag = facial_emotion_ros.cli.make_sample_bag:main',
            'benchmark = facial_emotion_ros.cli.benchmark:main',
            'quantize = facial_emotion_ros.cli.quantize:main',
            'explain = facial_emotion_ros.cli.explain:main',
            'hold_out = facial_emotion_ros.cli.hold_out:main',
            'prepare_affectnet = facial_emotion_ros.cli.prepare_affectnet:main',
            'render_faces = facial_emotion_ros.cli.render_faces:main',
            'demo = facial_emotion_ros.cli.demo:main',
        ],
    },
)
