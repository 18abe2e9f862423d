"""Plays on all cores: a play needs no other, and there are many."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Part = TypeVar("Part")


def failures(work: Callable[[Part], str], parts: Iterable[Part]) -> list[str]:
    """Do the parts in processes of their own, one a core; what those said that failed, in order."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return [words for words in pool.map(work, parts) if words]
