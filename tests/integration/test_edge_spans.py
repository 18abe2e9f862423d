"""Spans through real edges and routers into a collector: every hop of a command, and nothing that spoils an export."""

import json
from pathlib import Path
from typing import Any

from browsergo.core import semconv
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.tracing import SpanRecord, encode_records
from tests.fakes.device_client import DeviceClient, EchoDevice
from tests.fakes.edge_world import World, play
from tests.fakes.otlp_sink import CollectedSpan, OtlpSink
from tests.fakes.websocket_client import dial_socket

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def good(name: str = semconv.SPAN_AGENT_DISPATCH) -> SpanRecord:
    return SpanRecord(name, b"t" * 16, b"s" * 8, b"p" * 8, 1, 2, {"a": 1})


def changed(field: int, value: Any) -> bytes:
    """A good record with one field replaced."""
    [row] = json.loads(encode_records([good()]))
    row[field] = value
    return json.dumps([row]).encode()


HOSTILE = [
    b"nonsense",
    b"[" * 100_000,
    b"{}",
    b"[7]",
    changed(0, 7),
    changed(0, json.loads('"\\ud800"')),
    changed(1, "ff"),
    changed(1, 7),
    changed(2, "00" * 7),
    changed(4, -1),
    changed(4, 2**64),
    changed(5, 2**70),
    changed(5, True),
    changed(6, {"a": 2**63}),
    changed(6, {"a": -(2**63) - 1}),
    changed(6, {"a": [1]}),
    changed(6, {"a": json.loads('"\\udfff"')}),
    changed(6, {json.loads('"\\ud800"'): 1}),
    changed(7, json.loads('"\\ud800"')),
    changed(7, 7),
]


def test_records_that_cannot_be_exported_close_the_link_and_spoil_no_export(tmp_path: Path, sink: OtlpSink) -> None:
    async def scenario(world: World) -> None:
        device, _ = await DeviceClient.active(world)
        assert device.ack.trace
        for payload in HOSTILE:
            link = await device.link()
            link.hello()
            link.send(Frame(Kind.SPANS, payload=encode_records([good()])), Frame(Kind.SPANS, payload=payload))
            assert (await link.socket.closed()).code == 4502, payload[:80]

    play(tmp_path, scenario)
    arrived = [span for span in sink.spans() if span.process.service == semconv.SERVICE_AGENT]
    assert len(arrived) == len(HOSTILE)
    assert {span.name for span in arrived} == {semconv.SPAN_AGENT_DISPATCH}


def test_a_command_leaves_a_span_at_every_hop_below_its_own(tmp_path: Path, sink: OtlpSink) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, edge=world.edges[1])
        client = await dial_socket(
            world.edge.address, "/v2/cdp/laptop", headers=world.bearer("cdp:laptop:full") | {"traceparent": CALLER}
        )
        assert (await client.call(1, "Page.navigate", {"url": "https://secret.example/"}))["id"] == 1
        await echo.leave()

    play(tmp_path, scenario, edges=2)
    spans = sink.spans()
    [command] = [span for span in spans if span.name == f"{semconv.SPAN_COMMAND} Page.navigate"]
    assert (command.trace_id.hex(), command.parent_id.hex()) == tuple(CALLER.split("-")[1:3])
    hops = sorted(_hop(span) for span in spans if span.parent_id == command.span_id)
    assert hops == sorted(
        [
            (semconv.SPAN_EDGE_QUEUE, "down"),
            (semconv.SPAN_ROUTER_SWITCH, "down"),
            (semconv.SPAN_EDGE_LINK, "down"),
            (semconv.SPAN_EDGE_LINK, "up"),
            (semconv.SPAN_ROUTER_SWITCH, "up"),
        ]
    )
    assert len({span.span_id for span in spans}) == len(spans)
    assert b"secret.example" not in sink.raw()


def _hop(span: CollectedSpan) -> tuple[str, str]:
    return span.name, str(span.attributes[semconv.ATTR_DIRECTION])
