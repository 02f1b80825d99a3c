"""Images that no camera should send: every encoding with every field wrong, as fields of sensor_msgs/Image."""

import array

HUGE = (1 << 32) - 1
HEIGHT, WIDTH = 8, 8
#: encoding -> (bytes of a pixel in the rows of the image itself, bytes of colour behind those as a share of them)
LAYOUTS = dict(
    [(name, (3, 0)) for name in ('bgr8', 'rgb8', '8UC3')]
    + [(name, (4, 0)) for name in ('bgra8', 'rgba8')]
    + [
        (name, (2, 0))
        for name in (
            'mono16',
            'uyvy',
            'yuv422',
            'yuyv',
            'yuv422_yuy2',
            'bayer_rggb16',
            'bayer_bggr16',
            'bayer_gbrg16',
            'bayer_grbg16',
        )
    ]
    + [(name, (6, 0)) for name in ('bgr16', 'rgb16')]
    + [(name, (1, 0)) for name in ('mono8', '8UC1', 'bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8')]
    + [('nv12', (1, 0.5)), ('nv21', (1, 0.5)), ('nv24', (1, 2))]
)


def fields(encoding, height=HEIGHT, width=WIDTH, padding=0):
    """Return the fields of a good image of one colour.

    :param padding: bytes after each row.
    """
    octets, more = LAYOUTS[encoding]
    step = width * octets + padding
    return {
        'encoding': encoding,
        'height': height,
        'width': width,
        'step': step,
        'is_bigendian': 0,
        'data': array.array('B', b'\x80' * int(height * step * (1 + more))),
    }


def malformed():
    """List them.

    :returns: [(what is wrong, fields)].
    """
    cases = []
    for encoding, (_, more) in LAYOUTS.items():
        good = fields(encoding)
        data, step = good['data'], good['step']
        wrongs = [
            ('step one too small', {'step': step - 1, 'data': data[: int(HEIGHT * (step - 1) * (1 + more))]}),
            ('step 0', {'step': 0}),
            ('step 0 and no bytes', {'step': 0, 'data': data[:0]}),
            ('step too large for the bytes', {'step': step + 1}),
            ('step huge', {'step': HUGE}),
            ('step that overflows to the right length', {'step': step + (1 << 32) // HEIGHT}),
            ('one byte short', {'data': data[:-1]}),
            ('one byte too many', {'data': data + data[:1]}),
            ('no bytes', {'data': data[:0]}),
            ('one row', {'data': data[:step]}),
            ('height 0', {'height': 0}),
            ('width 0', {'width': 0}),
            ('nothing at all', {'height': 0, 'width': 0, 'step': 0, 'data': data[:0]}),
            ('height one more', {'height': HEIGHT + 1}),
            ('width one more', {'width': WIDTH + 1}),
            ('height huge', {'height': HUGE}),
            ('width huge', {'width': HUGE}),
            ('all huge', {'height': HUGE, 'width': HUGE, 'step': HUGE}),
        ]
        if encoding.endswith('16'):
            wrongs.append(('odd byte order', {'is_bigendian': 2}))
        cases += [('%s: %s' % (encoding, what), dict(good, **wrong)) for what, wrong in wrongs]
    for encoding in ('', 'klingon8', 'BGR8', 'bgr8 ', 'x' * 1000, '32FC1', '16UC1', '8UC4', '64FC12', 'BGR8\n'):
        cases.append(('encoding %r' % encoding[:20], dict(fields('bgr8'), encoding=encoding)))
    return cases
