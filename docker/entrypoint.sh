#!/bin/bash
# Sources ROS, wherever the base image has it, and our workspace; then runs the command.
set -e
for setup in "${ROS_ROOT:-/opt/ros/${ROS_DISTRO}}/install/setup.bash" "/opt/ros/${ROS_DISTRO}/setup.bash"; do
    if [ -f "$setup" ]; then
        . "$setup"
        break
    fi
done
. /opt/facial_emotion_ws/install/local_setup.bash
exec "$@"
