"""Prepare the next batches while the network works on this one."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def read_ahead(prepare, steps, threads=2, depth=4):
    """Prepare batches in threads of their own, in order.

    Decoding and warping leave Python's lock, so threads do. As each batch depends on its step alone, the order in which
    threads finish changes nothing.

    :param prepare: called with one item of `steps`; returns a batch.
    :param steps: iterable of what `prepare` wants, such as step numbers.
    :param threads: 0 to prepare each batch when it is asked for.
    :param depth: batches that are ready or in work at most, which bounds the memory.
    :returns: generator of batches, in the order of `steps`; an exception of `prepare` comes where its batch would.
    """
    if threads < 1:
        for step in steps:
            yield prepare(step)
        return
    steps = iter(steps)
    pool = ThreadPoolExecutor(threads, thread_name_prefix='read_ahead')
    try:
        ahead = deque()
        while True:
            while len(ahead) < max(depth, 1):
                try:
                    ahead.append(pool.submit(prepare, next(steps)))
                except StopIteration:
                    break
            if not ahead:
                return
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
