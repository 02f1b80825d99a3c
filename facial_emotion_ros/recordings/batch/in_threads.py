"""The same for many recordings at once: a store on a network answers each request in its own time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

#: Small requests, and whole tables, at once.
REQUESTS, TABLES = 32, 8

#: Shows the progress of what it is given the noun of, by a function of the number done and of all.
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

_Item = TypeVar('_Item')
_Found = TypeVar('_Found')


def silent(_: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show no progress."""
    return nullcontext(lambda *_: None)


def in_threads(
    stage: Stage, noun: str, work: Callable[[_Item], _Found], items: Iterable[_Item], at_once: int = REQUESTS
) -> list[_Found]:
    """Call a function for each item, many at once.

    :param stage: shows the progress.
    :param noun: what is counted.
    :param work: the function; the first error that it raises ends all.
    :param items: what it is called with.
    :param at_once: number of threads.
    :returns: what it returned, in the order of the items.
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
