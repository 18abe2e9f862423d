"""Several things in the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def together(jobs: list[Callable[[], None]]) -> None:
    """Run all at once and raise the first failure."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()
