"""Process many items in threads, to hide the latency of network stores, with a progress display."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

#: Number of threads for small requests, and for whole tables.
REQUESTS, TABLES = 32, 8

#: Progress display: from a noun for the items to a context manager of a function (number done, number of all).
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

_Item = TypeVar('_Item')
_Found = TypeVar('_Found')


def silent(_: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show no progress."""
    return nullcontext(lambda *_: None)


def in_threads(
    stage: Stage, noun: str, work: Callable[[_Item], _Found], items: Iterable[_Item], at_once: int = REQUESTS
) -> list[_Found]:
    """Call a function for each item in threads.

    :param stage: progress display.
    :param noun: name of the items for it.
    :param work: the function; its first error is raised.
    :param items: its arguments.
    :param at_once: number of threads.
    :returns: its results, in the order of the items.
    """
    found: list[_Found] = []
    wanted = list(items)
    with stage(noun) as report:
        pool = ThreadPoolExecutor(at_once)
        try:
            for each in pool.map(work, wanted):
                found.append(each)
                report(len(found), len(wanted))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return found
