"""Which QoS overrides of topics there can be: rclpy's own errors name no parameter."""

from facial_emotion_ros.errors import BadParameter

#: What the names of their parameters begin with.
PREFIX = 'qos_overrides.'

#: What a QoS override may say.
_POLICIES = {'reliability': ('reliable', 'best_effort', 'best_available', 'system_default'),
             'durability': ('volatile', 'transient_local', 'best_available', 'system_default'),
             'history': ('keep_last', 'keep_all', 'system_default')}


def qos_faults(given):
    """Find QoS overrides that no topic can have.

    :param given: dict of what a file or a command line sets: name -> value.
    :returns: list of BadParameter, in order of name.
    """
    faults = []
    for name in sorted(given):
        policy, value = name.rpartition('.')[2], given[name]
        words = _POLICIES.get(policy)
        if not name.startswith(PREFIX) or not words and policy != 'depth':
            continue
        fits = type(value) is int and value >= 0 if not words else isinstance(value, str) and value.lower() in words
        if not fits:
            faults.append(BadParameter('Parameter %s must be %s, but is %r.' % (
                name, 'one of ' + ', '.join(words) if words else 'an integer of 0 or more', value)))
    return faults
