"""The trunks of a router: one Exchange stream per edge process, frames in, frames out."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, NamedTuple

import structlog
from google.protobuf.message import DecodeError
from grpc import aio

import browsergo
from browsergo.chassis.grpc_errors import abort
from browsergo.chassis.outbox import Outbox
from browsergo.chassis.telemetry import Telemetry
from browsergo.core import errors, semconv
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.channel.queue import Queued
from browsergo.core.tracing import SpanRecord
from browsergo.v2 import router_pb2, trunk_pb2, trunk_pb2_grpc, types_pb2
from services.router.core.switch import Forward, Switch

if TYPE_CHECKING:
    Context = aio.ServicerContext[trunk_pb2.ExchangeRequest, trunk_pb2.ExchangeResponse]

_TRACED = frozenset({Kind.CMD, Kind.MSG})


class Trunk:
    """One edge's stream, as the router sees it."""

    def __init__(self, edge: types_pb2.EdgeRun) -> None:
        self.edge = edge
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


class TrunkServicer(trunk_pb2_grpc.TrunkServiceServicer):
    """TrunkService, and what the rest of the router needs of its trunks."""

    def __init__(self, router_id: str, telemetry: Telemetry, log: structlog.typing.FilteringBoundLogger) -> None:
        self._router_id = router_id
        self._telemetry = telemetry
        self._log = log
        self._draining = asyncio.Event()
        self._asked: dict[int, _Asked] = {}
        self._last_asked = 0
        self.switch: Switch[Trunk] = Switch()

    def drain(self) -> None:
        """End every trunk: the edges go on through another router."""
        self._draining.set()

    async def Exchange(  # type: ignore[override]  # it writes to the context instead of yielding
        self, request_iterator: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> None:
        """One edge's trunk, until either side ends it."""
        requests = aiter(request_iterator)
        edge = await self._introduced(requests, context)
        trunk = Trunk(edge)
        old = self.switch.connect(edge.boot, trunk)
        if old is not None:
            old.replaced.set()
        self._log.info("trunk up", edge=edge.edge_id, boot=f"{edge.boot:016x}")
        try:
            await self._carry(trunk, requests, context)
        finally:
            trunk.outbox.discard()
            self._give_up(trunk)
            self._forward(self.switch.disconnect(edge.boot, trunk), time.time_ns())
            self._log.info("trunk down", edge=edge.edge_id, boot=f"{edge.boot:016x}")

    async def _introduced(
        self, requests: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> types_pb2.EdgeRun:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("body") != "introduction":
            await abort(context, errors.BadFrame("a trunk starts with an introduction"))
        introduction = first.introduction
        if introduction.layout_version != frames.LAYOUT_VERSION:
            await abort(context, errors.UnsupportedVersion(f"batch layout {introduction.layout_version}"))
        if introduction.edge.boot in (frames.NO_EDGE, frames.EVERY_EDGE):
            await abort(context, errors.InvalidArgument("this boot is not an address"))
        answer = trunk_pb2.RouterIntroduction(
            router_id=self._router_id, layout_version=frames.LAYOUT_VERSION, version=browsergo.__version__
        )
        await context.write(trunk_pb2.ExchangeResponse(introduction=answer))
        return introduction.edge

    async def _carry(
        self, trunk: Trunk, requests: AsyncIterator[trunk_pb2.ExchangeRequest], context: "Context"
    ) -> None:
        """Read and write until one direction ends, the trunk is replaced, or the router drains."""
        tasks = {
            asyncio.create_task(self._read(trunk, requests)),
            asyncio.create_task(self._write(trunk, context)),
            asyncio.create_task(trunk.replaced.wait()),
            asyncio.create_task(self._draining.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if isinstance(error, errors.BrowserGoError):
                await abort(context, error)

    async def _read(self, trunk: Trunk, requests: AsyncIterator[trunk_pb2.ExchangeRequest]) -> None:
        async for request in requests:
            batch = request.batch
            arrived = frames.decode_batch(batch.headers, batch.payloads)
            trunk.status.batches_in += 1
            trunk.status.frames_in += len(arrived)
            trunk.status.bytes_in += len(batch.payloads)
            for outbox in self._dispatch(trunk, arrived):
                await outbox.drained()  # back-pressure: this edge waits while that one takes nothing

    def _dispatch(self, trunk: Trunk, arrived: list[Frame]) -> list[Outbox]:
        """Hand the frames on; the outboxes that are full now."""
        now_ns = time.time_ns()
        for frame in arrived:
            if frame.kind == Kind.ADMIN_ANSWER:
                self._answered(trunk, frame)
        onward = [frame for frame in arrived if frame.kind != Kind.ADMIN_ANSWER]
        return self._forward(self.switch.route(trunk.edge.boot, onward), now_ns)

    def _forward(self, forwards: Iterable[Forward[Trunk]], now_ns: int) -> list[Outbox]:
        full: dict[int, Outbox] = {}
        for forward in forwards:
            outbox = forward.trunk.outbox
            outbox.push(forward.frame, now_ns)
            if outbox.full:
                full[id(outbox)] = outbox
        return list(full.values())

    async def _write(self, trunk: Trunk, context: "Context") -> None:
        while True:
            taken = await trunk.outbox.take()
            if not taken:
                return
            if self._telemetry.enabled:
                self._trace(taken, time.time_ns())  # before the write: the edge may have it before we run again
            leaving = [queued.frame for queued in taken]
            payloads = frames.encode_payloads(leaving)
            batch = trunk_pb2.Batch(headers=frames.encode_headers(leaving), payloads=payloads)
            await context.write(trunk_pb2.ExchangeResponse(batch=batch))
            trunk.status.batches_out += 1
            trunk.status.frames_out += len(leaving)
            trunk.status.bytes_out += len(payloads)

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
