"""Runs a process table: starts every child, restarts what dies, waits until all serve, and stops them in order.

One task a child keeps it running; the main task waits for readiness or for the end. All of it in one thread.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from browsergo.cli.processes import ProcessIdentity
from browsergo.cli.stack import DataDir
from deploy import announcements
from deploy.child import Child, ChildLog
from deploy.child_output import Quota, plain_text, urgent_text
from deploy.leash import adopt_orphans, kill_leftovers, reap_orphans
from deploy.private_files import clear_folder
from deploy.restarts import Restarts, RestartTimes
from deploy.screen import Screen
from deploy.table import ChildSpec, stop_groups

EXIT_MISCONFIGURED = 2
# A process that is not gone this long after SIGKILL hangs in the kernel; nothing more can be done for it here.
_KILL_PATIENCE_S = 2.0
_KILL_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Times:
    """How long the supervisor waits for what; seconds."""

    restarts: RestartTimes = field(default_factory=RestartTimes)
    look_every_s: float = 0.1
    remark_s: float = 30.0
    give_up_s: float = 60.0
    stop_s: float = 5.0


class StartFailed(Exception):
    """The stack did not come up. `misconfigured`: a child refused its configuration, so another try would not help."""

    def __init__(self, message: str, *, misconfigured: bool = False) -> None:
        super().__init__(message)
        self.misconfigured = misconfigured


class Supervisor:
    """The children of one stack. `changed` is called whenever a child was started, with who they are now."""

    def __init__(
        self,
        *,
        table: list[ChildSpec],
        environ: Mapping[str, str],
        where: DataDir,
        screen: Screen,
        times: Times,
        changed: Callable[[dict[str, ProcessIdentity]], None],
    ) -> None:
        self._table = table
        self._environ = environ
        self._where = where
        self._screen = screen
        self._times = times
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._logs: dict[str, ChildLog] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stop_asked = asyncio.Event()
        self._was_ready = False

    def start(self) -> None:
        """Start all children at once."""
        adopt_orphans()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._collect)
        for spec in self._table:
            self._logs[spec.name] = ChildLog(self._where.logs / f"{spec.name}.log")
            self._keepers[spec.name] = asyncio.create_task(self._keep(spec), name=spec.name)

    async def wait_ready(self, missing: Callable[[], Awaitable[str | None]]) -> None:
        """Return when `missing()` is None. Raises StartFailed: it takes too long, or a child makes it hopeless."""
        try:
            await self._unless_broken(self._poll(missing))
            self._was_ready = True
        finally:
            self._screen.end_progress()

    async def wait_for(self, end: asyncio.Event) -> None:
        """Keep the children running until `end`."""
        await self._unless_broken(end.wait())

    async def _unless_broken(self, doing: Coroutine[Any, Any, object]) -> None:
        """Finish `doing`, unless a keeper gives up: it never ends by itself while the stack runs."""
        task = asyncio.ensure_future(doing)
        try:
            await asyncio.wait([task, *self._keepers.values()], return_when=asyncio.FIRST_COMPLETED)
            for keeper in self._keepers.values():
                if keeper.done():
                    keeper.result()
            await task
        finally:
            task.cancel()

    async def _poll(self, missing: Callable[[], Awaitable[str | None]]) -> None:
        loop = asyncio.get_running_loop()
        began, remarked = loop.time(), False
        while (what := await missing()) is not None:
            after_s = loop.time() - began
            if after_s >= self._times.give_up_s:
                raise StartFailed(announcements.gave_up(what, after_s, self._where))
            if after_s >= self._times.remark_s and not remarked:
                remarked = True
                self._screen.say(announcements.still_waiting(what, after_s, self._times.give_up_s), "yellow")
            self._screen.progress(announcements.waiting(what, after_s))
            await asyncio.sleep(self._times.look_every_s)

    async def stop(self, forced: asyncio.Event) -> None:
        """End all children in order, each group within `stop_s`; as soon as `forced` is set, all at once by SIGKILL."""
        self._stop_asked.set()
        for group in stop_groups(self._table):
            if not forced.is_set():
                await self._stop_group(group, forced)
        for child in self._running():
            child.kill_session()
        await self._gone(list(self._children), _KILL_PATIENCE_S)
        await self._end_leftovers()
        self._finish()

    async def _stop_group(self, names: list[str], forced: asyncio.Event) -> None:
        for name in names:
            if name in self._children:
                self._children[name].send(signal.SIGTERM)
        force = asyncio.ensure_future(forced.wait())
        gone = asyncio.ensure_future(self._gone(names, self._times.stop_s))
        await asyncio.wait([force, gone], return_when=asyncio.FIRST_COMPLETED)
        force.cancel()
        gone.cancel()
        for name in names:
            child = self._children.get(name)
            if child is not None and not child.exited.is_set() and not forced.is_set():
                self._screen.child(name, announcements.stubborn(self._times.stop_s))
                child.kill_session()

    async def _gone(self, names: list[str], patience_s: float) -> None:
        keepers = [self._keepers[name] for name in names]
        if keepers:
            await asyncio.wait(keepers, timeout=patience_s)

    def _finish(self) -> None:
        for keeper in self._keepers.values():
            if not keeper.cancel() and not keeper.cancelled():
                keeper.exception()  # the first one was raised already; none is to be reported as forgotten
        reap_orphans(own=())
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        for log in self._logs.values():
            log.close()

    def _running(self) -> list[Child]:
        return [child for child in self._children.values() if not child.exited.is_set()]

    def _collect(self) -> None:
        """SIGCHLD: somebody below us ended."""
        for child in self._running():
            child.collect()
        reap_orphans(own=self._live())

    async def _keep(self, spec: ChildSpec) -> None:
        """Keep one child running until the stack stops."""
        restarts = Restarts(self._times.restarts)
        loop = asyncio.get_running_loop()
        while not self._stop_asked.is_set():
            began = loop.time()
            code, last_line = await self._run_once(spec)
            if self._stop_asked.is_set():
                return
            if code == EXIT_MISCONFIGURED and not self._was_ready:
                raise StartFailed(announcements.misconfigured(spec.name, plain_text(last_line)), misconfigured=True)
            delay_s = restarts.delay_s(loop.time() - began)
            self._screen.child(spec.name, announcements.died(code, delay_s, plain_text(last_line)), "red")
            await self._pause(delay_s)

    async def _run_once(self, spec: ChildSpec) -> tuple[int, str]:
        """Start a child and wait for its end: exit code and last line. Nothing that it started lives on."""
        try:
            child = Child.spawn(spec, self._environ, self._logs[spec.name])
        except OSError as error:
            return EXIT_MISCONFIGURED, f"{spec.argv[0]}: {error.strerror}"
        self._children[spec.name] = child
        await child.read_output(self._notice(spec.name))
        self._changed({name: known.identity for name, known in self._children.items()})
        await child.exited.wait()
        await self._end_leftovers()
        await child.output_ended()
        if spec.scratch is not None:
            clear_folder(self._where.run, spec.scratch)
        return child.exit_code or 0, child.last_line

    async def _end_leftovers(self) -> None:
        """SIGKILL to what belongs to no running child, and wait until it is gone."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _KILL_PATIENCE_S
        while kill_leftovers(live=self._live()) and loop.time() < deadline:
            await asyncio.sleep(_KILL_LOOK_S)
            reap_orphans(own=self._live())

    def _live(self) -> list[int]:
        return [child.pid for child in self._running()]

    def _notice(self, name: str) -> Callable[[str], None]:
        """Shows a child's warnings and errors, but no flood of them, and none while all are being stopped."""
        quota, loop = Quota(), asyncio.get_running_loop()

        def notice(line: str) -> None:
            text = urgent_text(line)
            if text is None or self._stop_asked.is_set():
                return
            shown, dropped = quota.take(loop.time())
            if dropped:
                self._screen.child(name, announcements.left_out(dropped, self._where.logs / f"{name}.log"))
            if shown:
                self._screen.child(name, text)

        return notice

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stop_asked.wait()
        except TimeoutError:
            return
