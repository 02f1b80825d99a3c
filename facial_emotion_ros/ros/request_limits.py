"""Refuse requests that hold too much: rclpy's parameter services work on whatever comes, in the executor's thread.

A hundred thousand settings stop every other callback for many seconds; no user has so many parameters.
"""

from rcl_interfaces.msg import SetParametersResult

from facial_emotion_ros.ros.log_limits import FAULT

#: A request may hold this many entries: some sixteen times as many as the node has parameters.
MAX_ENTRIES = 1000

#: Service -> the field of its request that is a list. Source: rcl_interfaces/srv.
_LISTS = {'describe_parameters': 'names', 'get_parameters': 'names', 'get_parameter_types': 'names',
          'list_parameters': 'prefixes', 'set_parameters': 'parameters', 'set_parameters_atomically': 'parameters'}


def limit_requests(node, on_refused):
    """Have the node's parameter services refuse requests of more than MAX_ENTRIES entries before any work.

    A refused reading returns nothing, as for unknown names; a refused setting returns one result with the reason.

    :param node: rclpy node with parameter services.
    :param on_refused: function without arguments, called for each refused request.
    """
    for service in node.services:
        name = service.srv_name.rpartition('/')[2]
        if name in _LISTS:
            service.callback = _limited(service.callback, name, node.get_logger(), on_refused)


def _limited(answer, name, logger, on_refused):
    def callback(request, response):
        count = len(getattr(request, _LISTS[name]))
        if count <= MAX_ENTRIES:
            return answer(request, response)
        reason = 'Refused a request of %s: expected %d entries at most, got %d; ask in parts.' % (
            name, MAX_ENTRIES, count)
        on_refused()
        logger.warning(reason, **FAULT)
        return _with_reason(response, reason)
    return callback


def _with_reason(response, reason):
    refusal = SetParametersResult(successful=False, reason=reason)
    if hasattr(response, 'results'):
        response.results = [refusal]
    elif hasattr(response, 'result') and isinstance(response.result, SetParametersResult):
        response.result = refusal
    return response
