# facial_emotion_ros for Jetson AGX Xavier and Xavier NX: JetPack 5.1.2 (L4T r35.4.1), Python 3.8, ROS 2 Humble,
# TensorRT 8.5, ONNX Runtime 1.17.
#
# NEITHER BUILT NOR RUN ON A BOARD YET: written from the documentation of base image and wheel, and only its structure is
# tested. docs/jetson.md says how to use it and what to check first.
#
#     docker build -f docker/jetson_xavier.Dockerfile -t facial_emotion_ros:xavier --build-arg ONNXRUNTIME_SHA256=... .
#
# The base image, by github.com/dusty-nv/jetson-containers (packages/ros), has ROS built from source below
# /opt/ros/humble.
# The GPU's driver comes from the board itself: run it with `--runtime nvidia`.
# It is not pinned: name a digest that you have checked by `--build-arg BASE_IMAGE=dustynv/ros@sha256:...`.
ARG BASE_IMAGE=dustynv/ros:humble-ros-base-l4t-r35.4.1
FROM ${BASE_IMAGE}

SHELL ["/bin/bash", "-e", "-o", "pipefail", "-c"]
ENV ROS_DISTRO=humble

# No apt: the key of ROS's package source in images of that age has expired. git, wget and pip are there.
# NVIDIA's wheel for JetPack 5, from elinux.org/Jetson_Zoo (ONNX Runtime). NVIDIA publishes no checksum of it, so it
# has to be given; docs/jetson.md says where it comes from.
ARG ONNXRUNTIME_URL=https://nvidia.box.com/shared/static/zostg6agm00fb6t5uisw51qi6kpcuwzd.whl
ARG ONNXRUNTIME_WHEEL=onnxruntime_gpu-1.17.0-cp38-cp38-linux_aarch64.whl
ARG ONNXRUNTIME_SHA256=
RUN [[ "${ONNXRUNTIME_SHA256}" =~ ^[0-9a-f]{64}$ ]] \
    || { echo "expected --build-arg ONNXRUNTIME_SHA256=... (64 digits) of ${ONNXRUNTIME_WHEEL}, got" \
              "'${ONNXRUNTIME_SHA256}'; docs/jetson.md says where it comes from" >&2; exit 1; }
WORKDIR /opt/wheels
RUN wget -q -O "${ONNXRUNTIME_WHEEL}" "${ONNXRUNTIME_URL}" \
    && echo "${ONNXRUNTIME_SHA256}  ${ONNXRUNTIME_WHEEL}" | sha256sum -c - \
    # Without dependencies: they are for tools of its own, and would replace the image's numpy.
    && python3 -m pip install --disable-pip-version-check --no-cache-dir --no-deps "./${ONNXRUNTIME_WHEEL}" \
    && rm "${ONNXRUNTIME_WHEEL}" \
    && python3 -c 'import cv2, numpy; print("OpenCV", cv2.__version__, "numpy", numpy.__version__)'

# Messages that the image may lack: hri_msgs 2.0.0, vision_msgs 4.1.1, common_interfaces 4.2.4, by commit.
ARG HRI_MSGS_COMMIT=5d52c81f7d310d487148fb776851ad636270210d
ARG VISION_MSGS_COMMIT=e77fa2d97d69abaaa546592892d2d5d16cec9977
ARG COMMON_INTERFACES_COMMIT=53761cba9a000902602e7e695cb40de78eadee7f
WORKDIR /opt/facial_emotion_ws
RUN . "${ROS_ROOT:-/opt/ros/humble}/install/setup.bash" \
    && mkdir -p messages && cd messages \
    && git clone -q https://github.com/ros4hri/hri_msgs.git && git -C hri_msgs checkout -q "${HRI_MSGS_COMMIT}" \
    && wanted=hri_msgs \
    && if ! ros2 pkg prefix vision_msgs; then \
           git clone -q https://github.com/ros-perception/vision_msgs.git \
           && git -C vision_msgs checkout -q "${VISION_MSGS_COMMIT}" && wanted="$wanted vision_msgs"; \
       fi \
    && for package in diagnostic_msgs std_srvs; do \
           ros2 pkg prefix "$package" || wanted="$wanted $package"; \
       done \
    && if [[ "$wanted" == *diagnostic_msgs* || "$wanted" == *std_srvs* ]]; then \
           git clone -q https://github.com/ros2/common_interfaces.git \
           && git -C common_interfaces checkout -q "${COMMON_INTERFACES_COMMIT}"; \
       fi \
    && cd .. \
    && colcon build --base-paths messages --packages-select $wanted --cmake-args -DBUILD_TESTING=OFF \
    && rm -rf build log messages

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
RUN . "${ROS_ROOT:-/opt/ros/humble}/install/setup.bash" && . install/local_setup.bash \
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
CMD ["ros2", "launch", "facial_emotion_ros", "jetson_xavier.launch.py"]
