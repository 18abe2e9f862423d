"""The device origin: what a device supplies for people to look at, on an origin of its own.

Today that is the DevTools front end of the device's own Chrome. A hostile browser may supply anything in its place, so
none of it shares an origin with the edge's own pages, it may talk to this origin only, and its ticket opens nothing but
these files (design/endpoints.md).
"""

import time
from http import HTTPStatus
from pathlib import PurePosixPath

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from browsergo.core.errors import (
    BrowserGoError,
    Forbidden,
    FrontendNotFound,
)
from edge.clients import Clients
from edge.core.admission import Admission, require_frontend
from edge.core.endpoints import FrontendFile, frontend_file
from edge.core.origins import Addresses
from edge.discovery import check_answered
from edge.plain_http import application, knock_of, nothing_here, refusal

# By the name of the file, never by the word of the device: `nosniff` makes the browser believe it.
CONTENT_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_BROWSERS_OWN = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})
_ANY_BYTES = "application/octet-stream"
# The front end's own policy is narrower but for other hosts, to which it would be allowed to talk.
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval';"
    " form-action 'none'; frame-ancestors 'self'; object-src 'none'"
)
_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the ticket stands in the path
    "X-Content-Type-Options": "nosniff",
}


class DeviceOrigin:
    """The HTTP application of the device origin."""

    def __init__(self, clients: Clients, admission: Admission, addresses: Addresses) -> None:
        self._clients = clients
        self._admission = admission
        self._addresses = addresses

    def app(self) -> Starlette:
        """One route, for GET and HEAD: every path is read by `frontend_file`."""
        return application([Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        try:
            self._admission.check_device_origin(knock_of(request, self._admission), self._addresses)
            file = frontend_file(request.url.path)
            if file is None:
                return nothing_here()
            return await self._file(request, file)
        except BrowserGoError as error:
            return refusal(error)

    async def _file(self, request: Request, file: FrontendFile) -> Response:
        require_frontend(self._admission.frontend_grant(file.ticket, time.time()), file.device)
        if "service-worker" in request.headers:  # it would outlive its ticket, and see what other pages here load
            raise Forbidden("no service workers here")
        status, body = await self._clients.fetch(file.device, "GET", file.path)
        check_answered(status, _BROWSERS_OWN)
        if status == HTTPStatus.NOT_FOUND or not body:  # Chrome answers 200 and nothing where it has no file
            raise FrontendNotFound
        return Response(body, status, _HEADERS, CONTENT_TYPES.get(PurePosixPath(file.path).suffix, _ANY_BYTES))


class ByHost:
    """One port for two origins: a host name of its own tells the device origin apart."""

    def __init__(self, edge: ASGIApp, device_origin: ASGIApp, admission: Admission, addresses: Addresses) -> None:
        self._edge = edge
        self._device_origin = device_origin
        self._admission = admission
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        arrival = knock_of(Request(scope), self._admission).arrival
        app = self._device_origin if self._addresses.shares_port(arrival) else self._edge
        await app(scope, receive, send)
