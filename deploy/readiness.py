"""Whether the stack serves: asked from outside, over its public port, as a client would."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from browsergo.cli.stack import LOCAL_DEVICE
from browsergo.cli.urls import authority
from deploy.child_output import shortened

PROBE_TIMEOUT_S = 3.0
MAX_ANSWER_BYTES = 64 * 1024
_OK = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """One GET that must answer 200; `what` names it for people."""

    what: str
    path: str
    headers: Mapping[str, str]


def probes(token: str, has_device: bool) -> list[Probe]:
    """What must answer, in order: the edge with all it stands on, then the local browser through the whole relay."""
    edge = Probe("edge-1", "/readyz", {})
    device = Probe("the local browser", f"/v2/cdp/{LOCAL_DEVICE}/json/version", {"authorization": f"Bearer {token}"})
    return [edge, device] if has_device else [edge]


async def missing(host: str, port: int, wanted: list[Probe], timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
    """The first of `wanted` that does not answer yet, with its reason; None: all do."""
    for probe in wanted:
        try:
            async with asyncio.timeout(timeout_s):
                status, body = await get(host, port, probe)
        except TimeoutError:
            return f"{probe.what}: no answer"
        except (OSError, h11.RemoteProtocolError) as error:
            return f"{probe.what}: {type(error).__name__}"
        if status != _OK:
            return f"{probe.what}: {unready_text(status, body)}"
    return None


def unready_text(status: int, body: bytes) -> str:
    """What a refusing answer says, short: the parts of a JSON object that are not well, or its text."""
    text = body.decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        return shortened(f"{status} {text}")
    return shortened(f"{status} {_complaints(document)}")


def _complaints(document: object) -> str:
    if not isinstance(document, dict):
        return str(document)
    well = ("ok", "ready", "serving", True)
    return ", ".join(
        f"{key}: {_complaints(value)}" for key, value in document.items() if not (value in well or key == "status")
    )


async def get(host: str, port: int, probe: Probe) -> tuple[int, bytes]:
    """One HTTP GET: status, and the body's first MAX_ANSWER_BYTES. Raises OSError or h11.RemoteProtocolError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        wire = h11.Connection(h11.CLIENT)
        headers = {"host": authority(host, port), "connection": "close", **probe.headers}
        request = h11.Request(method="GET", target=probe.path, headers=list(headers.items()))
        writer.write(wire.send(request) + wire.send(h11.EndOfMessage()))
        return await _read_answer(reader, wire)
    finally:
        writer.close()


async def _read_answer(reader: asyncio.StreamReader, wire: h11.Connection) -> tuple[int, bytes]:
    status, body = 0, b""
    while len(body) < MAX_ANSWER_BYTES:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(MAX_ANSWER_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    return status, body
