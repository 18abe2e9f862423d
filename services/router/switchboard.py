"""What a router does with frames and commands, however the trunks reach it: gRPC, or within one process."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog
from google.protobuf.message import DecodeError

from browsergo.chassis.outbox import Outbox
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import errors, semconv
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.queue import Queued
from browsergo.core.tracing import SpanRecord
from browsergo.v2 import router_pb2, types_pb2
from services.router.core.switch import Forward, Switch

_TRACED = frozenset({Kind.CMD, Kind.MSG})


class Trunk:
    """One edge's stream, as the router sees it; or, `inside`, that of the router's own clients."""

    def __init__(self, edge: types_pb2.EdgeRun, inside: bool = False) -> None:
        self.edge = edge
        self.inside = inside
        self.outbox = Outbox()
        self.replaced = asyncio.Event()
        self.status = router_pb2.TrunkStatus(edge=edge)

    def snapshot(self) -> router_pb2.TrunkStatus:
        """Counters since the trunk came up."""
        self.status.queued_bytes = self.outbox.queued_bytes
        return self.status


class _Asked(NamedTuple):
    """A command that an edge has not answered yet."""

    trunk: Trunk
    answer: "asyncio.Future[router_pb2.EdgeAnswer]"


class Switchboard:
    """The trunks of a router, and the way of a frame from one into the outbox of another."""

    def __init__(self, router_id: str, telemetry: Telemetry, log: structlog.typing.FilteringBoundLogger) -> None:
        self.router_id = router_id
        self.draining = asyncio.Event()
        self.switch: Switch[Trunk] = Switch()
        self._telemetry = telemetry
        self._log = log
        self._asked: dict[int, _Asked] = {}
        self._last_asked = 0

    def drain(self) -> None:
        """End every trunk: the edges go on through another router."""
        self.draining.set()

    # --- trunks --------------------------------------------------------------------------------------

    @property
    def trunks(self) -> list[Trunk]:
        """Those of edges."""
        return [trunk for trunk in self.switch.trunks() if not trunk.inside]

    def connect(self, edge: types_pb2.EdgeRun, *, inside: bool = False) -> Trunk:
        """An edge's trunk is up. An older one that it replaces is told so, the other edges that it is lost."""
        trunk = Trunk(edge, inside)
        old = self.switch.connect(edge.boot, trunk)
        if old is not None:
            old.replaced.set()
            self._forward(self.switch.lost(edge.boot), time.time_ns())
        if inside:
            return trunk
        self._log.info("trunk up", edge=edge.edge_id, boot=f"{edge.boot:016x}")
        return trunk

    def disconnect(self, trunk: Trunk) -> None:
        """It is gone: what waited for it is dropped, and the other edges are told."""
        trunk.outbox.discard()
        self._give_up(trunk)
        self._forward(self.switch.disconnect(trunk.edge.boot, trunk), time.time_ns())
        self._log.info("trunk down", edge=trunk.edge.edge_id, boot=f"{trunk.edge.boot:016x}")

    # --- frames --------------------------------------------------------------------------------------

    def arrived(self, trunk: Trunk, batch: Sequence[Frame], payload_bytes: int) -> list[Outbox]:
        """Hand the frames of one batch on; the outboxes that are full now. Raises BadFrame."""
        trunk.status.batches_in += 1
        trunk.status.frames_in += len(batch)
        trunk.status.bytes_in += payload_bytes
        now_ns = time.time_ns()
        for frame in batch:
            if frame.kind == Kind.ADMIN_ANSWER:
                self._answered(trunk, frame)
        onward = [frame for frame in batch if frame.kind != Kind.ADMIN_ANSWER]
        return self._forward(self.switch.route(trunk.edge.boot, onward), now_ns)

    def leaving(self, trunk: Trunk, taken: list[Queued], payload_bytes: int) -> None:
        """A batch is about to be handed to its edge, which may have it before we run again: its spans end here."""
        trunk.status.batches_out += 1
        trunk.status.frames_out += len(taken)
        trunk.status.bytes_out += payload_bytes
        if self._telemetry.enabled:
            self._trace(taken, time.time_ns())

    def _forward(self, forwards: Iterable[Forward[Trunk]], now_ns: int) -> list[Outbox]:
        full: dict[int, Outbox] = {}
        for forward in forwards:
            outbox = forward.trunk.outbox
            outbox.push(forward.frame, now_ns)
            if outbox.full:
                full[id(outbox)] = outbox
        return list(full.values())

    def _trace(self, taken: list[Queued], now_ns: int) -> None:
        for frame, since_ns in taken:
            if frame.kind in _TRACED and not frame.flags & frames.Flag.MORE:
                self._telemetry.record(_switch_span(frame, self._telemetry.new_span_id(), since_ns, now_ns))

    # --- commands for edges ------------------------------------------------------------------------------

    async def command(self, request: router_pb2.CommandEdgeRequest) -> router_pb2.CommandEdgeResponse:
        """Ask an edge over its trunk (ADMIN) and wait.

        Raises EdgeNotFound, ServiceUnavailable (the trunk ended meanwhile), and what the edge answers.
        """
        trunk = self.switch.trunk(request.edge.boot)
        if trunk is None:
            raise errors.EdgeNotFound(f"edge {request.edge.edge_id or request.edge.boot} has no trunk here")
        self._last_asked += 1
        number = self._last_asked
        answer: asyncio.Future[router_pb2.EdgeAnswer] = asyncio.get_running_loop().create_future()
        self._asked[number] = _Asked(trunk, answer)
        try:
            frame = Frame(Kind.ADMIN, edge=request.edge.boot, seq=number, payload=request.SerializeToString())
            trunk.outbox.push(frame, time.time_ns())
            outcome = await answer
        finally:
            del self._asked[number]
        if outcome.WhichOneof("outcome") == "error":
            raise errors.from_code(outcome.error.code, outcome.error.message)
        return outcome.response

    def _answered(self, trunk: Trunk, frame: Frame) -> None:
        """Only the edge that was asked can answer. Raises BadFrame."""
        asked = self._asked.get(frame.seq)
        if asked is None or asked.trunk is not trunk or asked.answer.done():
            return
        try:
            asked.answer.set_result(router_pb2.EdgeAnswer.FromString(frame.payload))
        except DecodeError:
            raise errors.BadFrame("the answer to a command could not be read") from None

    def _give_up(self, trunk: Trunk) -> None:
        """No answer will come over this trunk any more."""
        for asked in self._asked.values():
            if asked.trunk is trunk and not asked.answer.done():
                asked.answer.set_exception(
                    errors.ServiceUnavailable("the trunk to the edge ended; the command may have been executed")
                )


def _switch_span(frame: Frame, span_id: bytes, since_ns: int, now_ns: int) -> SpanRecord:
    direction = semconv.DIRECTION_DOWN if frame.kind == Kind.CMD else semconv.DIRECTION_UP
    attributes: dict[str, str | int | bool] = {
        semconv.ATTR_DIRECTION: direction,
        semconv.ATTR_CHANNEL: frame.channel.hex(),
        semconv.ATTR_SEQUENCE: frame.seq,
        semconv.ATTR_BYTES: len(frame.payload),
    }
    return SpanRecord(
        semconv.SPAN_ROUTER_SWITCH, frame.trace[:16], span_id, frame.trace[16:], since_ns, now_ns, attributes
    )
