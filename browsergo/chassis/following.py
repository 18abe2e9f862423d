"""Follows a watch of the registry; without a registry, what it told last goes on."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from browsergo.chassis.logs import Logger
from browsergo.core.backoff import Backoff
from browsergo.core.errors import BrowserGoError
from browsergo.core.views import Told, View

RETRY_FIRST_S, RETRY_CAP_S = 0.1, 2.0

Value = TypeVar("Value")


class Follower(Generic[Value]):
    """Keeps `view` as the registry tells it; `subject` is what it tells of, for the log."""

    def __init__(
        self,
        watch: Callable[[int, int], AsyncIterator[Told[Value]]],
        subject: str,
        log: Logger,
    ) -> None:
        """`watch` begins a watch from a generation and revision on. It raises a BrowserGoError, or just ends."""
        self._watch = watch
        self._subject = subject
        self._log = log
        self.view = View[Value]()
        self.is_current = False  # the watch is up and whole

    async def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Watch until cancelled; `changed` is called when there is news. A registry that is away is asked again."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            try:
                async for told in self._watch(self.view.generation, self.view.revision):
                    if self.view.told(told):
                        self.is_current = True
                        backoff.reset()
                        changed()
                why = "the registry ended it"
            except BrowserGoError as error:
                why = error.message
            finally:
                self.view.interrupted()
                was_current, self.is_current = self.is_current, False
            if was_current:
                self._log.info("watch interrupted", of=self._subject, detail=why, known=len(self.view))
            await asyncio.sleep(backoff.next_delay_s(0.5 + random.random() / 2))
