"""Refuse oversized requests to the parameter services, which rclpy processes in the executor's thread.

A request with 100,000 settings would block every other callback for many seconds. A lock also protects rclpy, which
does not expect another thread to declare parameters during a request.
"""

from typing import Any, Callable

from rcl_interfaces.msg import SetParametersResult

from facial_emotion_ros.ros.logs import EVERY_5_S

#: Maximum entries of a request: about 16 times the number of parameters.
MAX_ENTRIES = 1000

#: Service -> the list in its request. Source: rcl_interfaces/srv.
_LISTS = {
    'describe_parameters': 'names',
    'get_parameters': 'names',
    'get_parameter_types': 'names',
    'list_parameters': 'prefixes',
    'set_parameters': 'parameters',
    'set_parameters_atomically': 'parameters',
}


def limit_requests(node: Any, on_refused: Callable[[], Any], lock: Any) -> None:
    """Make a node's parameter services refuse requests of more than MAX_ENTRIES entries.

    A refused get returns nothing, as for unknown names; a refused set returns one result with the reason.

    :param node: rclpy node with parameter services.
    :param on_refused: called for each refused request.
    :param lock: held during any other request; hold it to declare parameters in another thread.
    """
    for service in node.services:
        name = service.srv_name.rpartition('/')[2]
        if name in _LISTS:
            service.callback = _limited(service.callback, name, node.get_logger(), on_refused, lock)


def _limited(callback, name, logger, on_refused, lock):
    def limited(request, response):
        count = len(getattr(request, _LISTS[name]))
        if count <= MAX_ENTRIES:
            with lock:
                return callback(request, response)
        reason = 'Refused a request of %s: expected %d entries at most, got %d; split it.' % (name, MAX_ENTRIES, count)
        on_refused()
        logger.warning(reason, **EVERY_5_S)
        refusal = SetParametersResult(successful=False, reason=reason)
        if hasattr(response, 'results'):
            response.results = [refusal]
        elif isinstance(getattr(response, 'result', None), SetParametersResult):
            response.result = refusal
        return response

    return limited
