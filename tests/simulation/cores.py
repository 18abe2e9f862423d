"""Plays on all cores: a play needs no other, and there are many."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Part = TypeVar("Part")


def outcomes(work: Callable[[Part], str], parts: Iterable[Part]) -> Iterator[str]:
    """Do the parts in processes of their own, one a core; what each said, in order."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, parts)


def failures(work: Callable[[Part], str], parts: Iterable[Part]) -> list[str]:
    """The same; what those said that failed."""
    return [words for words in outcomes(work, parts) if words]
