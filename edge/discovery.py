"""Plain HTTP of the edge: discovery of a device's browser, liveness and readiness."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import browsergo
from browsergo.core import tokens
from browsergo.core.discovery import METHODS, read_fetch, without_credentials
from browsergo.core.errors import (
    BrowserGoError,
    BrowserUnavailable,
    InvalidDeviceId,
    ServiceUnavailable,
    Unauthenticated,
)
from browsergo.core.ids import is_device_id
from edge.clients import Clients
from edge.core.admission import TICKET_SUBJECT, Admission, Knock, require_cdp
from edge.core.rewriting import rewrite

TICKET_TTL_S = 3600
_JSON, _TEXT = "application/json; charset=UTF-8", "text/plain; charset=UTF-8"
# What Chrome answers itself: done, no such target, wrong method. Anything else is the browser's failure.
_CHROMES_OWN = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})

Readiness = Callable[[], Awaitable[Mapping[str, str]]]


class Discovery:
    """The HTTP application. `readiness` names the parts that fail, with why; empty: ready."""

    def __init__(
        self,
        clients: Clients,
        admission: Admission,
        key: Ed25519PrivateKey | None,
        public_url: str,
        readiness: Readiness,
    ) -> None:
        self._clients = clients
        self._admission = admission
        self._key = key
        self._public_url = public_url
        self._readiness = readiness

    def app(self) -> Starlette:
        """The routes; every one of them answers errors as `CODE: what to do`."""
        document = self._guarded(self._document)
        routes = [
            Route("/healthz", self._guarded(self._healthz)),
            Route("/readyz", self._guarded(self._readyz)),
            Route("/v2/cdp/{device}/json", document, methods=METHODS),
            Route("/v2/cdp/{device}/json/{rest:path}", document, methods=METHODS),
            Route("/{path:path}", self._guarded(self._nothing)),
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return app

    def _guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self._admission.check_source(knock_of(request))
                return await endpoint(request)
            except BrowserGoError as error:
                return refusal(error)

        return guarded

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": browsergo.__version__})

    async def _readyz(self, request: Request) -> Response:
        failing = await self._readiness()
        body = {"status": "not ready" if failing else "ready", "failing": dict(failing)}
        return JSONResponse(body, 503 if failing else 200)

    async def _nothing(self, request: Request) -> Response:
        if request.url.path.startswith(("/v2/device", "/v2/control", "/v2/cdp/")):
            return PlainTextResponse("UPGRADE_REQUIRED: this path speaks WebSocket\n", 426, {"Upgrade": "websocket"})
        return PlainTextResponse("NOT_FOUND: nothing is served here\n", 404)

    async def _document(self, request: Request) -> Response:
        device = request.path_params["device"]
        grant = self._admission.grant(knock_of(request), time.time())
        if not is_device_id(device):
            raise InvalidDeviceId
        require_cdp(grant, device)
        fetch = read_fetch(request.method, f"/json/{request.path_params.get('rest', '')}", _query_for_browser(request))
        status, body = await self._clients.fetch(device, fetch.method, fetch.target)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:  # of its edge (no link yet) or its agent (too much to do)
            raise ServiceUnavailable("the device cannot answer now; try again", retry_after_s=1)
        if status not in _CHROMES_OWN:
            raise BrowserUnavailable(f"the device's browser answered with HTTP {status}")
        is_json = status == HTTPStatus.OK and not fetch.document.is_text
        if is_json and fetch.document.names_targets:
            body = rewrite(body, device, self._base(request), self._ticket(device, grant))
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return Response(body, status, headers, _JSON if is_json else _TEXT)

    def _base(self, request: Request) -> str:
        if self._public_url:
            return "ws" + self._public_url.removeprefix("http")
        scheme = "wss" if request.url.scheme == "https" else "ws"
        return f"{scheme}://{request.headers['host']}"

    def _ticket(self, device: str, grant: tokens.Grant) -> str:
        """A ticket for this device only; it ends with the credential that asked, and after an hour at most."""
        if self._key is None or self._admission.verifier is None:
            return ""
        now = int(time.time())
        return tokens.mint(
            self._key,
            subject=f"{TICKET_SUBJECT}{grant.subject}",
            scopes=[f"cdp:{device}:{grant.profile_for(device)}"],
            now_unix_s=now,
            ttl_s=max(1, min(TICKET_TTL_S, grant.expires_unix_s - now)),
            token_id=secrets.token_hex(8),
        )


def _query_for_browser(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return without_credentials(query.decode("ascii", "replace"))


def knock_of(request: Request) -> Knock:
    """What of an HTTP request decides whether it may come in."""
    headers = request.headers
    return Knock(
        tuple(headers.getlist("host")),
        tuple(headers.getlist("origin")),
        headers.get("authorization"),
        (),
        request.query_params.get("token"),
        request.query_params.get("ticket"),
    )


def refusal(error: BrowserGoError) -> Response:
    """The HTTP answer for an error."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None or error.http_status == 503:
        headers["Retry-After"] = str(error.retry_after_s or 1)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="browser-go"'
    return PlainTextResponse(f"{error.code}: {error.message}\n", error.http_status, headers)
