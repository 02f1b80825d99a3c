# evaluate_recording on a cluster of Ray, its head and its workers: Debian 12, Python 3.12, Ray, rosbags, no ROS.
#
# NOT BUILT YET: its packages were installed and run outside of Docker (docs/fleet.md), its structure is tested.
#
#     docker build -f docker/ray.Dockerfile -t REGISTRY/facial_emotion_ray:1 .
#     docker run --rm -v ~/rides:/rides -v ~/rides_read:/read REGISTRY/facial_emotion_ray:1 \
#         python -m facial_emotion_ros.cli.evaluate_recording /rides --output /read --ray local
#
# The base is Docker's official image. Its digest was compared with what public projects have pinned, not with the
# registry. A newer one: `--build-arg BASE_IMAGE=python:3.12-slim-bookworm`.
ARG BASE_IMAGE=python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254
FROM ${BASE_IMAGE}

SHELL ["/bin/bash", "-e", "-o", "pipefail", "-c"]
# Nothing of Ray or ONNX Runtime reports usage, also where the package has not switched that off first.
ENV ORT_DISABLE_TELEMETRY=1
ENV RAY_USAGE_STATS_ENABLED=0
ENV RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9

# wget: KubeRay asks by it whether a node is well.
RUN apt-get update && apt-get install -y --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
COPY requirements/fleet.lock /opt/requirements.lock
RUN python3 -m pip install --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
        -r /opt/requirements.lock \
    && python3 -c 'import cv2, numpy, onnxruntime, ray, rosbags, s3fs; print("Ray", ray.__version__)'

# Python finds the package in its folder, and the package its models beside it, as in a checkout.
ENV PYTHONPATH=/opt/facial_emotion_ros
WORKDIR /opt/facial_emotion_ros
COPY setup.py setup.cfg package.xml LICENSE ./
COPY resource resource
COPY facial_emotion_ros facial_emotion_ros
COPY launch launch
COPY config config
COPY messages messages
COPY models models
COPY samples samples
COPY recipes recipes
COPY examples examples
COPY docs/columns.md docs/
RUN python3 -m compileall -q facial_emotion_ros

# Not as root. Without this file in the home folder Ray asks the metadata servers of three clouds where it runs.
RUN useradd --create-home --uid 1000 ray \
    && echo '{}' > /home/ray/ray_bootstrap_config.yaml \
    && install -d -o 1000 -g 1000 /scratch
USER 1000
# Recordings that lie at a URL are fetched to here: a volume, for they may be larger than the root file system. Ray would
# put its sockets and logs there too, and the autoscaler of KubeRay looks for these in /tmp/ray.
ENV TMPDIR=/scratch
ENV RAY_TMPDIR=/tmp
CMD ["python", "-m", "facial_emotion_ros.cli.evaluate_recording", "--help"]
