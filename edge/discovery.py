"""Plain HTTP of the edge: discovery of a device's browser, liveness and readiness."""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import browsergo
from browsergo.core.discovery import METHODS, read_fetch, without_credentials
from browsergo.core.errors import (
    BrowserGoError,
    BrowserUnavailable,
    InvalidDeviceId,
    ServiceUnavailable,
)
from browsergo.core.ids import is_device_id
from browsergo.core.tokens import Grant
from edge.clients import Clients
from edge.core.admission import Admission, require_cdp
from edge.core.endpoints import frontend_prefix, websocket_endpoint
from edge.core.forwarding import Arrival
from edge.core.origins import Addresses
from edge.core.rewriting import LeadingBack, rewrite
from edge.overload import Overload
from edge.plain_http import application, knock_of, nothing_here, refusal
from edge.tickets import Tickets

_JSON, _TEXT = "application/json; charset=UTF-8", "text/plain; charset=UTF-8"
# What Chrome answers itself: done, no such target, wrong method. Anything else is the browser's failure.
_CHROMES_OWN = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})

Readiness = Callable[[], Awaitable[Mapping[str, str]]]


class Discovery:
    """The HTTP application of the edge's own origin. `readiness` names the parts that fail, with why; empty: ready."""

    def __init__(
        self,
        clients: Clients,
        admission: Admission,
        tickets: Tickets,
        addresses: Addresses,
        overload: Overload,
        readiness: Readiness,
    ) -> None:
        self._clients = clients
        self._admission = admission
        self._tickets = tickets
        self._addresses = addresses
        self._overload = overload
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
        return application(routes)

    def _guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self._admission.check_source(knock_of(request, self._admission))
                return await endpoint(request)
            except BrowserGoError as error:
                return refusal(error)

        return guarded

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": browsergo.__version__})

    async def _readyz(self, request: Request) -> Response:
        failing = await self._readiness()
        body = {
            "status": "not ready" if failing else "ready",
            "failing": dict(failing),
            "overload": self._overload.rung.word,
        }
        return JSONResponse(body, 503 if failing else 200)

    async def _nothing(self, request: Request) -> Response:
        if websocket_endpoint(request.url.path) is not None:
            return PlainTextResponse("UPGRADE_REQUIRED: this path speaks WebSocket\n", 426, {"Upgrade": "websocket"})
        return nothing_here()

    async def _document(self, request: Request) -> Response:
        device = request.path_params["device"]
        knock = knock_of(request, self._admission)
        grant = self._admission.grant(knock, time.time())
        if not is_device_id(device):
            raise InvalidDeviceId
        require_cdp(grant, device)
        self._overload.check_newcomer()  # where most clients begin
        fetch = read_fetch(request.method, f"/json/{request.path_params.get('rest', '')}", _query_for_browser(request))
        status, body = await self._clients.fetch(device, fetch.method, fetch.target)
        check_answered(status, _CHROMES_OWN)
        is_json = status == HTTPStatus.OK and not fetch.document.is_text
        if is_json and fetch.document.names_targets:
            body = rewrite(body, self._leading_back(knock.arrival, device, grant))
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return Response(body, status, headers, _JSON if is_json else _TEXT)

    def _leading_back(self, arrival: Arrival, device: str, grant: Grant) -> LeadingBack:
        """Where the URLs of a document for this client lead."""
        origin = self._addresses.device_origin(arrival)
        return LeadingBack(
            device=device,
            edge=self._addresses.edge(arrival),
            ticket=self._tickets.cdp(device, grant),
            frontend=f"{origin}{frontend_prefix(device, self._tickets.frontend(device, grant))}" if origin else "",
        )


def _query_for_browser(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return without_credentials(query.decode("ascii", "replace"))


def check_answered(status: int, browsers_own: frozenset[HTTPStatus]) -> None:
    """Raise what `status` of a fetch means, unless it is one that the browser itself answers with when all is well."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:  # of its edge (no link yet) or its agent (too much to do)
        raise ServiceUnavailable("the device cannot answer now; try again", retry_after_s=1)
    if status not in browsers_own:
        raise BrowserUnavailable(f"the device's browser answered with HTTP {status}")
