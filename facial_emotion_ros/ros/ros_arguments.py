"""The command line of an executable with options of its own: which words are for ROS."""


def split_arguments(arguments):
    """Take apart a command line, without rclpy, which counts words like a:=b as its own wherever they stand.

    :param arguments: list of str.
    :returns: (the words outside --ros-args ... [--], the words for ROS with --ros-args before them).
    """
    ours, for_ros, is_ours = [], [], True
    for word in arguments:
        if word == '--ros-args':
            is_ours = False
        elif word == '--' and not is_ours:
            is_ours = True
        else:
            (ours if is_ours else for_ros).append(word)
    return ours, ['--ros-args'] + for_ros if for_ros else []
