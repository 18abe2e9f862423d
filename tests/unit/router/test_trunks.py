"""The router's side of a trunk: when a message's span ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import structlog

from browsergo.chassis.telemetry import Telemetry
from browsergo.core import semconv
from browsergo.core.channel import frames
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.tracing import SpanRecord
from browsergo.v2 import trunk_pb2, types_pb2
from services.router.switchboard import Switchboard
from services.router.trunks import TrunkServicer

EDGE = types_pb2.EdgeRun(edge_id="a", boot=11)


class KeptSpans:
    """Telemetry that keeps what is recorded."""

    enabled = True

    def __init__(self) -> None:
        self.records: list[SpanRecord] = []

    def new_span_id(self) -> bytes:
        return b"s" * 8

    def record(self, record: SpanRecord) -> None:
        self.records.append(record)


class SlowStream:
    """The writing side of a stream that tells when each batch was in the edge's hands, before `write` returns."""

    def __init__(self) -> None:
        self.arrived_ns: list[int] = []
        self.arrived = asyncio.Event()
        self.returns = asyncio.Event()

    async def write(self, response: trunk_pb2.ExchangeResponse) -> None:
        if response.WhichOneof("body") == "batch":
            self.arrived_ns.append(time.time_ns())
            self.arrived.set()
            await self.returns.wait()


def test_a_message_has_left_the_router_before_its_edge_can_have_it() -> None:
    async def scenario() -> tuple[SpanRecord, int]:
        spans, stream = KeptSpans(), SlowStream()
        servicer = TrunkServicer(Switchboard("router-1", cast("Telemetry", spans), structlog.get_logger()))

        async def requests() -> AsyncIterator[trunk_pb2.ExchangeRequest]:
            introduction = trunk_pb2.EdgeIntroduction(edge=EDGE, layout_version=frames.LAYOUT_VERSION)
            yield trunk_pb2.ExchangeRequest(introduction=introduction)
            leaving = [Frame(Kind.MSG, edge=EDGE.boot, channel=b"c" * 16, seq=1, trace=b"t" * 24, payload=b"{}")]
            batch = trunk_pb2.Batch(headers=frames.encode_headers(leaving), payloads=frames.encode_payloads(leaving))
            yield trunk_pb2.ExchangeRequest(batch=batch)
            await stream.arrived.wait()
            await asyncio.sleep(0)
            stream.returns.set()

        await servicer.Exchange(requests(), cast("Any", stream))
        [span] = spans.records
        return span, stream.arrived_ns[0]

    span, arrived_ns = asyncio.run(scenario())
    assert (span.name, span.parent_id) == (semconv.SPAN_ROUTER_SWITCH, b"t" * 8)
    assert span.start_ns <= span.end_ns <= arrived_ns
