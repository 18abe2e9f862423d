"""What all plain HTTP of the edge has in common: how a request is read, and how it is refused."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from browsergo.core.errors import BrowserGoError, Unauthenticated
from edge.core.admission import Admission, Knock
from edge.core.endpoints import hides_separators
from edge.core.forwarding import Arrival


def application(routes: Sequence[BaseRoute]) -> Starlette:
    """An application whose own refusals have the form of all others, `CODE: what to do`."""
    app = Starlette(routes=routes, middleware=[Middleware(OpenPaths)], exception_handlers={HTTPException: _refused})
    app.router.redirect_slashes = False
    return app


class OpenPaths:
    """Nothing is served at a path that hides a separator in an encoding: who filters by path must see the same one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        hidden = scope["type"] == "http" and hides_separators(scope["raw_path"].decode("latin-1"))
        await (nothing_here() if hidden else self._app)(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        text = f"METHOD_NOT_ALLOWED: {request.method[:16]} is not served here; use {allowed}\n"
        return PlainTextResponse(text, error.status_code, error.headers)
    return nothing_here()


def nothing_here() -> Response:
    """404 for what is no path of ours."""
    return PlainTextResponse("NOT_FOUND: nothing is served here\n", HTTPStatus.NOT_FOUND)


def knock_of(request: Request, admission: Admission) -> Knock:
    """What of an HTTP request decides whether it may come in."""
    headers = request.headers
    peer = request.client.host if request.client is not None else ""
    direct = Arrival(peer, request.url.scheme, tuple(headers.getlist("host")))
    return Knock(
        admission.arrival(direct, headers.getlist),
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
