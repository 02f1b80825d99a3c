"""emotion_node in which points throw once. Usage: throwing_node.py KIND CALL --ros-args ...

KIND is a key of KINDS, CALL the number of the call that throws, counted for each point of POINTS from 1; or of some
points alone, as activate:1,cleanup:2. Everything else is the real thing.
"""

import sys

from facial_emotion_ros.emotion import esr, temporal_filter
from facial_emotion_ros.perception import face_stream
from facial_emotion_ros.pipeline import emotion_pipeline
from facial_emotion_ros.ros import emotion_node, health, node, outputs, worker

#: What is thrown; no path of Linux need be text, and no terminal can print every one.
KINDS = {
    'RuntimeError': lambda: RuntimeError('injected fault'),
    'MemoryError': MemoryError,
    'OSError': lambda: OSError(5, 'injected fault', b'/dev/\xff\xfe'.decode('utf-8', 'surrogateescape')),
}

#: name -> (where it is, what is called there)
POINTS = {
    'offer': (worker.FrameWorker, 'offer'),
    'decode': (worker, 'image_of'),
    'detect': (face_stream.FaceFinder, 'find'),
    'read': (esr.EsrEngine, 'estimate'),
    'smooth': (temporal_filter.TemporalFilter, 'smooth'),
    'publish': (outputs.Outputs, 'publish'),
    'clock': (node.EmotionNode, '_watch_clock'),
    'subscribers': (node.EmotionNode, '_follow_subscribers'),
    'diagnostics': (health, 'input_health'),
    'enable': (node.EmotionNode, '_enable'),
    'parameter': (node.EmotionNode, 'add_on_set_parameters_callback'),
    'configure': (emotion_pipeline.EmotionPipeline, 'warm_up'),
    'activate': (worker.FrameWorker, 'start'),
    'deactivate': (worker.FrameWorker, 'stop'),
    'cleanup': (outputs.Outputs, 'close'),
    'jump': (node.EmotionNode, '_clock_jumped'),
}


def throwing(point, function, kind, call):
    """Return a function that throws at one call and is the given one at all others."""
    calls = []
    # The node tells faults apart by where they come from: each point gets a file of its own.
    throw = compile('raise fault', 'point_' + point, 'exec')

    def called(*arguments, **named):
        calls.append(None)
        if len(calls) == call:
            exec(throw, {'fault': KINDS[kind]()})
        return function(*arguments, **named)

    return called


def main():
    """Run the node."""
    kind, call = sys.argv.pop(1), sys.argv.pop(1)
    some = dict(pair.split(':') for pair in call.split(',')) if ':' in call else dict.fromkeys(POINTS, call)
    calls = {point: int(some.get(point, 0)) for point in POINTS}
    for point, (place, name) in POINTS.items():
        if point != 'parameter':
            setattr(place, name, throwing(point, getattr(place, name), kind, calls[point]))
    add = node.EmotionNode.add_on_set_parameters_callback

    def add_ours(self, callback):  # rclpy has one of its own, for use_sim_time
        ours = callback.__module__ == 'facial_emotion_ros.ros.parameters'
        add(self, throwing('parameter', callback, kind, calls['parameter']) if ours else callback)

    node.EmotionNode.add_on_set_parameters_callback = add_ours
    return emotion_node.main()


if __name__ == '__main__':
    sys.exit(main())
