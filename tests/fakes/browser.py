"""A browser's debugging port that counts: how often each command was executed, and what it was asked to say.

Commands are executed one after another on each socket, as Chrome's are, and take `latency_s` each.

Fake.count {key}            event Fake.counted {key}, answer {key}
Fake.stamp {key}            the same, both {stamp}: the product, a slash, the key
Page.stopLoading {key}      answer {key}
Fake.never {key}            executed, never answered
Fake.flood {count, bytes}   so many events Fake.flooded {n, filler}, as fast as they are taken, then the answer
Fake.large {bytes}          answer {filler} of so many bytes, as one WebSocket frame; others go on meanwhile
Target.attachToTarget {}    event Target.attachedToTarget with a new session, answer {sessionId}
Browser.getVersion {}       answer {product}
"""

import asyncio
import itertools
import json
import struct
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Message = dict[str, Any]

BROWSER_PATH = "/devtools/browser/fake"
PAGE_PATH = "/devtools/page/FAKEPAGE"
UNKNOWN_METHOD = -32601
PIECE_BYTES = 64 << 10


class FakeBrowser:
    """A browser at `url`, run by a thread of its own until the context ends. `port` 0 is any free one."""

    def __init__(
        self, latency_s: float = 0.0, product: str = "Fake/1.0", *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.executions: Counter[str] = Counter()
        self.hosts: Counter[str] = Counter()  # Host headers of whoever came
        self.origins: Counter[str] = Counter()
        self.offered_bytes = 0
        self._latency_s = latency_s
        self._product = product
        self._sessions = itertools.count(1)
        self._host, self._port = host, port
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._server: Server
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def address(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = serve(
            self._converse, self._host, self._port,
            process_request=self._answer_http, compression=None, max_size=None, ping_interval=None, close_timeout=0.1,
        )  # fmt: skip
        async with server as self._server:
            self._port = next(iter(self._server.sockets)).getsockname()[1]
            self._started.set()
            await self._stop.wait()

    # --- HTTP ----------------------------------------------------------------------------------------

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        self.hosts[request.headers.get("Host", "")] += 1
        if (origin := request.headers.get("Origin")) is not None:
            self.origins[origin] += 1
        path = urlsplit(request.path).path
        if path in {BROWSER_PATH, PAGE_PATH}:
            return None
        document = self._documents().get(path.rstrip("/"))
        status, body = (404, b"no such target") if document is None else (200, json.dumps(document).encode())
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
        return Response(status, "", headers, body)

    def _documents(self) -> dict[str, object]:
        at = f"ws://localhost:{self._port}"
        version = {"Browser": self._product, "User-Agent": "Fake", "webSocketDebuggerUrl": at + BROWSER_PATH}
        page = {"id": "FAKEPAGE", "type": "page", "title": "", "url": "", "webSocketDebuggerUrl": at + PAGE_PATH}
        return {"/json/version": version, "/json/list": [page], "/json": [page], "/json/protocol": {"domains": []}}

    # --- CDP -----------------------------------------------------------------------------------------

    async def _converse(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await self._execute(connection, json.loads(message))
        except ConnectionClosed:
            pass  # whoever asked is gone

    async def _execute(self, connection: ServerConnection, command: Message) -> None:
        params: Message = command.get("params", {})
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        if "key" in params:
            self.executions[params["key"]] += 1
        method = command["method"]
        if method == "Fake.never":
            return
        if method == "Fake.large":
            await _say_slowly(connection, command["id"], params["bytes"])
            return
        if method == "Fake.flood":
            await self._flood(connection, params["count"], params["bytes"])
        answer: Message = {"id": command["id"]}
        react = self._reactions().get(method)
        if react is None:
            answer["error"] = {"code": UNKNOWN_METHOD, "message": f"'{method}' wasn't found"}
        else:
            event, answer["result"] = react(params)
            if event is not None:
                await _say(connection, event)
        await _say(connection, answer)

    def _reactions(self) -> dict[str, Callable[[Message], tuple[Message | None, Message]]]:
        return {
            "Fake.count": lambda params: _counted({"key": params["key"]}),
            "Page.stopLoading": lambda params: (None, params),
            "Fake.stamp": lambda params: self._stamped(params["key"]),
            "Fake.flood": lambda _: (None, {}),
            "Target.attachToTarget": lambda _: self._attached(),
            "Browser.getVersion": lambda _: (None, {"product": self._product}),
        }

    def _stamped(self, key: str) -> tuple[Message, Message]:
        said = {"stamp": f"{self._product}/{key}"}
        return {"method": "Fake.stamped", "params": said}, said

    def _attached(self) -> tuple[Message, Message]:
        session = f"SESSION{next(self._sessions)}"
        target = {"targetId": "FAKEPAGE", "type": "page"}
        params = {"sessionId": session, "targetInfo": target, "waitingForDebugger": False}
        return {"method": "Target.attachedToTarget", "params": params}, {"sessionId": session}

    async def _flood(self, connection: ServerConnection, count: int, size_bytes: int) -> None:
        filler = "x" * size_bytes
        for number in range(1, count + 1):
            await _say(connection, {"method": "Fake.flooded", "params": {"n": number, "filler": filler}})
            self.offered_bytes += size_bytes


def _counted(said: Message) -> tuple[Message, Message]:
    return {"method": "Fake.counted", "params": said}, said


async def _say(connection: ServerConnection, message: Message) -> None:
    await connection.send(json.dumps(message, separators=(",", ":")))  # Chrome writes no blanks


async def _say_slowly(connection: ServerConnection, command_id: int, size_bytes: int) -> None:
    """One WebSocket frame in pieces: the library would make it, copy by copy, while nobody else is served."""
    head, tail = b'{"id":%d,"result":{"filler":"' % command_id, b'"}}'
    length = len(head) + size_bytes + len(tail)
    connection.transport.write(struct.pack("!BBQ", 0x81, 127, length) + head)
    for begin in range(0, size_bytes, PIECE_BYTES):
        connection.transport.write(b"x" * min(PIECE_BYTES, size_bytes - begin))
        await connection.drain()
        await asyncio.sleep(0)
    connection.transport.write(tail)
