"""The event loops that the processes run on: uvloop where there is one, asyncio elsewhere. Their closing differs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import uvloop

SCENARIO_S = 30.0


class Loop(NamedTuple):
    """One kind of loop."""

    factory: Callable[[], asyncio.AbstractEventLoop] | None

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario; what the loop itself complains about fails the test."""
        complaints: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, found: complaints.append(found))
            async with asyncio.timeout(SCENARIO_S):
                await scenario()

        with asyncio.Runner(loop_factory=self.factory) as runner:
            runner.run(main())
        assert not complaints


ON_BOTH_LOOPS = pytest.mark.parametrize("loop", [Loop(None), Loop(uvloop.new_event_loop)], ids=["asyncio", "uvloop"])
