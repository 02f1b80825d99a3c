"""The same for many recordings at once: a store on a network answers each request in its own time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

#: Small requests, and whole tables, at once.
REQUESTS, TABLES = 32, 8

#: Shows the progress of what it is given the noun of, by a function of the number done and of all.
Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

_Item, _Found = TypeVar('_Item'), TypeVar('_Found')


def in_threads(
    stage: Stage | None, noun: str, work: Callable[[_Item], _Found], items: Iterable[_Item], at_once: int = REQUESTS
) -> list[_Found]:
    """Call a function for each item, many at once.

    :param stage: shows the progress; None shows nothing.
    :param noun: what is counted.
    :param work: the function; the first error that it raises ends all.
    :param items: what it is called with.
    :param at_once: number of threads.
    :returns: what it returned, in the order of the items.
    """
    if stage is None:
        return _call(work, list(items), at_once, lambda *_: None)
    with stage(noun) as report:
        return _call(work, list(items), at_once, report)


def _call(work, items, at_once, report) -> list[Any]:
    found: list[Any] = []
    pool = ThreadPoolExecutor(at_once)
    try:
        for each in pool.map(work, items):
            found.append(each)
            report(len(found), len(items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found
