"""Plain HTTP of a test: one request a connection, sent as it is given."""

import asyncio
import json
from typing import Any, NamedTuple

from tests.fakes.raw_peer import TIMEOUT_S, Address, raw_connection


class HttpAnswer(NamedTuple):
    """A response; header names in lower case."""

    status: int
    header: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


async def request(
    address: Address, path: str, method: str = "GET", lines: list[str] | None = None, /, **header: str
) -> HttpAnswer:
    """Ask; a header is named with underscores, `Host=""` leaves it out; `lines` are further header lines."""
    fields = {"Host": f"{address[0]}:{address[1]}", "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in header.items()
    }
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value)]
    async with raw_connection(address) as peer:
        peer.writer.write("\r\n".join([*head, *(lines or []), "", ""]).encode())
        first, found = await peer.read_head()
        async with asyncio.timeout(TIMEOUT_S):
            body = await peer.reader.read()
    return HttpAnswer(int(first.split()[1]), dict(found), body)
