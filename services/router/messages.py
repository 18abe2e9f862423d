"""Commands of other services for browsers: the router is the client, and the client end of their channels."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import structlog

from browsergo.chassis.client_channels import ClientChannels
from browsergo.chassis.process import new_boot
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import cdp, errors
from browsergo.core.channel import pieces
from browsergo.core.channel.client_state import ClientLimits
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.pieces import Payload
from browsergo.core.ids import is_device_id
from browsergo.v2 import types_pb2
from services.router.switchboard import Switchboard

Resolve = Callable[[str], Awaitable[int]]  # the boot of the edge that holds a device; raises why there is none

BROWSER_ENDPOINT = "/devtools/browser"
MAX_CALLS = 256
_TARGET = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


class Call:
    """One command, and the future of its answer."""

    def __init__(self, command_id: int) -> None:
        self._id = command_id
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def deliver(self, payload: Payload) -> None:
        """Its answer; events are nobody's here."""
        if not self.answer.done() and pieces.read_head(payload).id == self._id:
            self.answer.set_result(bytes(payload))

    def hold(self, held: bool) -> None:
        """There is no second command that could wait."""

    def end(self, error: errors.BrowserGoError | None) -> None:
        """Over, and without an answer only if the command was never accepted."""
        if not self.answer.done():
            self.answer.set_exception(error or errors.DeviceGone())


class Messages(ClientChannels[Call]):
    """A channel for each call: it is opened, carries one command and its answer, and is closed."""

    def __init__(
        self,
        board: Switchboard,
        resolve: Resolve,
        telemetry: Telemetry,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        super().__init__(new_boot(), board.router_id, ClientLimits(), telemetry, log)
        self._board = board
        self._resolve = resolve
        self._trunk = board.connect(types_pb2.EdgeRun(edge_id=board.router_id, boot=self.address), inside=True)

    async def route(self, device: str, target: str, message: bytes) -> bytes:
        """The answer to a CDP command, by the browser or, truthfully, by the relay.

        Raises InvalidArgument, InvalidDeviceId, Overloaded, and what a channel is refused with.
        """
        if not is_device_id(device):
            raise errors.InvalidDeviceId
        if target and not _TARGET.match(target):
            raise errors.TargetNotFound
        try:
            command = cdp.read_command(message)
        except cdp.UnacceptableCommand as refusal:
            raise errors.InvalidArgument(f"no CDP command: {refusal}") from None
        if self.channels >= MAX_CALLS:
            raise errors.Overloaded("too many calls at once", retry_after_s=1)
        call = Call(command.id)
        channel = await self.open(device, f"/devtools/page/{target}" if target else BROWSER_ENDPOINT, None, call)
        try:
            self.command(channel, message)
            return await call.answer
        finally:
            self.gone(channel)

    async def run(self) -> None:
        """Take what the edges send here, and keep time; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.keep_time())
            group.create_task(self._read())

    async def _read(self) -> None:
        while taken := await self._trunk.outbox.take():
            self._board.leaving(self._trunk, taken, sum(len(queued.frame.payload) for queued in taken))
            for queued in taken:
                self._arrived(queued.frame)

    def _arrived(self, frame: Frame) -> None:
        if frame.kind == Kind.UNREACHABLE:
            self.edge_unreachable(frame.source, self._board.router_id)
            return
        try:
            self.frame(self._board.router_id, frame)
        except errors.BrowserGoError as error:  # one bad frame must not end the other channels
            self._log.warning("frame refused", kind=frame.kind.name, reason=error.code, detail=error.message)

    def send(self, router: str, frame: Frame) -> None:
        """Onto the switch; there is no other router on the way."""
        self._board.arrived(self._trunk, [frame], len(frame.payload))

    async def seek(self, device: str, frame: Frame) -> None:
        """To the edge that the registry names."""
        edge = frame.edge or await self._resolve(device)
        self.send(self._board.router_id, frame._replace(edge=edge))
