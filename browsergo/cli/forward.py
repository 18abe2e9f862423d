"""`browsergo forward DEVICE`: a loopback listener that serves one device at the root, as a local Chrome would.

For clients that know only host and port, or drop the path of a URL (Puppeteer 24 `browserURL`, nodriver, Selenium,
pydoll, chrome-remote-interface). It adds the token that such clients cannot send, so it checks Host and Origin itself:
whoever reaches it drives the browser.
"""

import asyncio
import json
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
import typer

from browsergo.cli.exits import FAILED, USAGE, CliError
from browsergo.cli.stack import DataDir, ready_record
from browsergo.cli.tokens import read_signing_key
from browsergo.cli.urls import authority, client_token
from browsergo.core.addresses import LOOPBACK_NAMES
from browsergo.core.discovery import devtools_url, read_fetch
from browsergo.core.errors import BrowserGoError
from browsergo.core.ids import DEVICE_ID_FORM, is_device_id

HEAD_BYTES = 32 << 10
HEAD_TIMEOUT_S = 10.0
UPSTREAM_TIMEOUT_S = 15.0
MAX_DOCUMENT_BYTES = 16 << 20
PIPE_BYTES = 256 << 10
_ALLOWED_ORIGINS = frozenset({"devtools://devtools"})
_SERVED = ("/json", "/devtools/")
# Of the client's own connection; and of a body, which is dropped here (pychrome sends one with every GET).
_NOT_PASSED_ON = frozenset(
    {
        *(b"host", b"authorization", b"origin", b"accept-encoding", b"connection", b"keep-alive"),
        *(b"content-length", b"content-type", b"transfer-encoding", b"expect"),
    }
)


class Refusal(Exception):
    """A request that is not passed on."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Upstream:
    """The edge, and how to be let in. `token` is asked for at each connection; "" sends none."""

    host: str
    port: int
    prefix: str
    tls: bool
    device: str
    token: Callable[[], str]

    @property
    def path(self) -> str:
        """Where the device is served on the edge."""
        return f"{self.prefix}/v2/cdp/{self.device}"


def upstream_at(url: str, device: str, token: Callable[[], str]) -> Upstream:
    """The edge at `http(s)://host[:port][/prefix]`. Raises ValueError for another form."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        raise ValueError("an edge is http://host:port or https://host")
    tls = parts.scheme == "https"
    return Upstream(parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls, device, token)


def upstream_of(device: str, edge: str, token_file: Path | None, where: DataDir) -> Upstream:
    """Where to forward to: the edge that is named, or the stack of a data directory. Raises CliError."""
    if not is_device_id(device):
        raise CliError(USAGE, f"{device!r}: a device id is {DEVICE_ID_FORM}")
    try:
        if edge:
            return upstream_at(edge, device, lambda: _read_token(token_file))
    except ValueError as error:
        raise CliError(USAGE, f"--edge {edge}: {error}") from None
    record = ready_record(where)
    key = read_signing_key(where.signing_key)
    return upstream_at(f"http://{authority(record.host, record.port)}", device, lambda: client_token(key, device))


def _read_token(token_file: Path | None) -> str:
    """Read afresh at each connection, so that it can be renewed."""
    try:
        return token_file.read_text().strip() if token_file is not None else ""
    except OSError as error:
        raise Refusal(502, f"NO_TOKEN: the token file cannot be read ({error.strerror})") from None


# --- decisions -------------------------------------------------------------------------------------------------------


def check(request: h11.Request) -> None:
    """Raise Refusal for a Host that is not loopback (DNS rebinding), a web page's Origin, or a path not served."""
    hosts, origins = _values(request, b"host"), _values(request, b"origin")
    if len(hosts) != 1 or _name(hosts[0]) not in LOOPBACK_NAMES:
        raise Refusal(421, "BAD_HOST: only loopback names are served here")
    if origins and (len(origins) > 1 or origins[0] not in _ALLOWED_ORIGINS):
        raise Refusal(403, "BAD_ORIGIN: web pages may not connect")
    path = request.target.decode("ascii", "replace").partition("?")[0]
    if path != "/json" and not path.startswith(_SERVED):
        raise Refusal(404, "NOT_FOUND: /json/* and /devtools/* are served here")


def passed_on(request: h11.Request, upstream: Upstream) -> h11.Request:
    """The request as the edge gets it: at the device's path, with the token, as an upgrade or for one answer only."""
    headers = [(name, value) for name, value in request.headers if name not in _NOT_PASSED_ON]
    headers.append((b"host", authority(upstream.host, upstream.port).encode()))
    headers.append((b"connection", b"Upgrade" if is_upgrade(request) else b"close"))
    if token := upstream.token():
        headers.append((b"authorization", f"Bearer {token}".encode()))
    return h11.Request(method=request.method.upper(), target=upstream.path.encode() + request.target, headers=headers)


def is_upgrade(request: h11.Request) -> bool:
    """Whether a WebSocket is wanted."""
    return any(value.lower() == "websocket" for value in _values(request, b"upgrade"))


def is_rewritten(request: h11.Request) -> bool:
    """Whether the answer holds URLs that must lead back here."""
    path = request.target.decode("ascii", "replace").partition("?")[0]
    try:
        return read_fetch("PUT", path).document.names_targets
    except BrowserGoError:
        return False


def rewritten(body: bytes, upstream: Upstream, host: str) -> bytes:
    """A discovery document whose URLs name `host` (as the client spelled it) instead of the edge."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    entries = document if isinstance(document, list) else [document]
    for entry in entries:
        if isinstance(entry, dict):
            _lead_back(entry, upstream, host)
    return json.dumps(document, indent=2).encode()


def _lead_back(entry: dict[str, Any], upstream: Upstream, host: str) -> None:
    url = entry.get("webSocketDebuggerUrl")
    if not isinstance(url, str):
        return
    path = urlsplit(url).path.removeprefix(upstream.path)
    entry["webSocketDebuggerUrl"] = f"ws://{host}{path}"
    if "devtoolsFrontendUrl" in entry:
        entry["devtoolsFrontendUrl"] = devtools_url(entry["webSocketDebuggerUrl"])


def _values(request: h11.Request, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in request.headers if name == wanted]


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


# --- the listener ----------------------------------------------------------------------------------------------------


class Forwarder:
    """Serves connections, one request each (or one WebSocket)."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._tls = ssl.create_default_context() if upstream.tls else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for asyncio.start_server. Ordinary ends are quiet."""
        client = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        try:
            await self._exchange(client, reader, writer)
        except Refusal as refusal:
            _answer(client, writer, refusal.status, f"{refusal}\n".encode())
        except h11.RemoteProtocolError:
            _answer(client, writer, 400, b"BAD_REQUEST: this is not HTTP\n")
        except (OSError, TimeoutError, EOFError):
            pass  # one side left or is silent: the other one is closed with it
        finally:
            writer.close()

    async def _exchange(
        self, client: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            request = await _request(client, reader)
        check(request)
        edge_reader, edge_writer = await self._dial()
        try:
            edge = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
            edge_writer.write(edge.send(passed_on(request, self._upstream)) + edge.send(h11.EndOfMessage()))
            async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
                head = await _event(edge, edge_reader)
                if isinstance(head, h11.InformationalResponse) and head.status_code == 101:
                    writer.write(client.send(head))
                else:
                    await self._pass_document(request, head, (edge, edge_reader), (client, writer))
                    return
            writer.write(edge.trailing_data[0])
            edge_writer.write(client.trailing_data[0])
            await _splice((reader, edge_writer), (edge_reader, writer))
        finally:
            edge_writer.close()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        up = self._upstream
        try:
            async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
                return await asyncio.open_connection(up.host, up.port, ssl=self._tls, limit=PIPE_BYTES)
        except (OSError, TimeoutError):
            raise Refusal(502, f"EDGE_UNREACHABLE: {authority(up.host, up.port)} does not answer") from None

    async def _pass_document(
        self,
        request: h11.Request,
        head: object,
        edge: tuple[h11.Connection, asyncio.StreamReader],
        client: tuple[h11.Connection, asyncio.StreamWriter],
    ) -> None:
        if not isinstance(head, h11.Response):
            raise Refusal(502, "EDGE_UNREACHABLE: the edge answered with something else than HTTP")
        body = b""
        while isinstance(event := await _event(*edge), h11.Data):
            body += bytes(event.data)
            if len(body) > MAX_DOCUMENT_BYTES:
                raise Refusal(502, "TOO_BIG: the edge's answer is too big")
        if head.status_code == 200 and is_rewritten(request):
            body = rewritten(body, self._upstream, _values(request, b"host")[0])
        content_type = next((value for name, value in head.headers if name == b"content-type"), b"text/plain")
        bare = request.method.upper() == b"HEAD"
        _answer(*client, head.status_code, b"" if bare else body, content_type)


async def _request(client: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    """The request; a body, which no path here has a use for, is read and dropped, within bounds."""
    request = await _event(client, reader)
    if not isinstance(request, h11.Request):
        raise EOFError
    left = HEAD_BYTES
    while isinstance(event := await _event(client, reader), h11.Data):
        left -= len(event.data)
        if left < 0:
            raise Refusal(413, "TOO_BIG: no request here has a body")
    return request


async def _event(wire: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := wire.next_event()) is h11.NEED_DATA:
        wire.receive_data(await reader.read(PIPE_BYTES))
    return event


def _answer(
    client: h11.Connection,
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    content_type: bytes = b"text/plain; charset=utf-8",
) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    try:
        writer.write(client.send(h11.Response(status_code=status, headers=headers)))
        writer.write(client.send(h11.Data(data=body)) + client.send(h11.EndOfMessage()))
    except h11.LocalProtocolError:
        return  # the client broke the protocol so early that nothing can be answered


async def _splice(
    *directions: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Copy both ways until either side ends; `drain` is the back-pressure."""
    tasks = [asyncio.create_task(_copy(*direction)) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIPE_BYTES):
        writer.write(piece)
        await writer.drain()


def run_forward(upstream: Upstream, port: int) -> None:
    """Listen until SIGINT or SIGTERM. Raises CliError for a port that cannot be had."""
    asyncio.run(_listen(upstream, port))


async def _listen(upstream: Upstream, port: int) -> None:
    try:
        server = await asyncio.start_server(Forwarder(upstream).serve, "127.0.0.1", port, limit=PIPE_BYTES)
    except OSError as error:
        raise CliError(FAILED, f"port {port} cannot be had ({error.strerror}); choose another with --port") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bound = server.sockets[0].getsockname()[1]
    typer.echo(f"device {upstream.device} is served at http://127.0.0.1:{bound} until Ctrl-C")
    async with server:
        await stop.wait()
