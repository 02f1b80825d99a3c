# facial_emotion_ros for x86_64 (and 64-bit ARM without a GPU): Ubuntu 24.04, Python 3.12, ROS 2 Jazzy, the CPU.
#
# NEITHER BUILT NOR RUN YET: only its structure is tested.
#
#     docker build -f docker/x86.Dockerfile -t facial_emotion_ros:jazzy .
#     docker run --rm --network host --ipc host facial_emotion_ros:jazzy
#
# The base is Docker's official image for all processors as of October 2026. Its digest was compared with what several
# public projects have pinned, not with the registry. A newer one: `--build-arg BASE_IMAGE=ros:jazzy-ros-base-noble`.
ARG BASE_IMAGE=ros:jazzy-ros-base-noble@sha256:066420e07f60aa18262f2479981def87ebcfcec42eefb0c0c57c4a46098348ca
FROM ${BASE_IMAGE}

SHELL ["/bin/bash", "-e", "-o", "pipefail", "-c"]
# The package disables the telemetry of ONNX Runtime itself; this is for whatever else imports it, as the check below.
ENV ROS_DISTRO=jazzy
ENV ORT_DISABLE_TELEMETRY=1

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-numpy python3-opencv python3-pip \
        ros-jazzy-bond ros-jazzy-cv-bridge ros-jazzy-hri-msgs ros-jazzy-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

# Version and checksums are those of run.lock. Without dependencies: pip's numpy would replace the system's, for which
# OpenCV was built. The container is an environment of its own, hence --break-system-packages.
COPY requirements/run.lock /opt/requirements.lock
RUN awk '/^[a-z]/ {wanted = /^onnxruntime==/} wanted' /opt/requirements.lock > /opt/onnxruntime.lock \
    && python3 -m pip install --disable-pip-version-check --no-cache-dir --no-deps --break-system-packages \
        --require-hashes -r /opt/onnxruntime.lock \
    && python3 -c 'import cv2, numpy, onnxruntime; print("ONNX Runtime", onnxruntime.__version__)'

WORKDIR /opt/facial_emotion_ws
COPY setup.py setup.cfg package.xml LICENSE src/facial_emotion_ros/
COPY resource src/facial_emotion_ros/resource
COPY facial_emotion_ros src/facial_emotion_ros/facial_emotion_ros
COPY launch src/facial_emotion_ros/launch
COPY config src/facial_emotion_ros/config
COPY messages src/facial_emotion_ros/messages
COPY models src/facial_emotion_ros/models
COPY samples src/facial_emotion_ros/samples
COPY recipes src/facial_emotion_ros/recipes
COPY examples src/facial_emotion_ros/examples
RUN . /opt/ros/jazzy/setup.bash \
    && colcon build --base-paths src --packages-select facial_emotion_ros \
    && rm -rf build log

# Not as root. 1000 is the first user of most hosts, whose shared memory it can then open; --user sets another. The group
# video opens cameras, and the GPU of a Jetson. /engines: see docs/jetson.md.
RUN { getent passwd 1000 || useradd --create-home --uid 1000 robot; } \
    && usermod --append --groups video "$(id -un 1000)" \
    && install -d -o 1000 -g "$(id -g 1000)" /engines
USER 1000

COPY docker/entrypoint.sh /facial_emotion_entrypoint.sh
ENTRYPOINT ["/facial_emotion_entrypoint.sh"]
CMD ["ros2", "launch", "facial_emotion_ros", "node.launch.py"]
