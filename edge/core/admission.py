"""Who may come in: Host, then Origin, then the token, all before any upgrade or body. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from browsergo.core.addresses import LOOPBACK_NAMES
from browsergo.core.errors import BadHost, BadOrigin, Forbidden, Unauthenticated
from browsergo.core.tokens import ADMIN_SCOPES, Grant, Verifier
from edge.core.forwarding import Arrival, Headers, TrustedProxies
from edge.core.origins import Addresses

BEARER_PREFIX = "bearer."
TICKET_SUBJECT = "ticket:"
_FOREVER = 2**53
_ANYBODY = Grant("anybody", (*ADMIN_SCOPES, "frontend:*"), _FOREVER, "none", _FOREVER)


@dataclass(frozen=True, slots=True)
class Knock:
    """What of a request decides whether it may come in; header values as sent."""

    arrival: Arrival
    origins: tuple[str, ...]
    authorization: str | None
    subprotocols: tuple[str, ...]
    url_token: str | None
    url_ticket: str | None


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules. `verifier` None: --insecure-no-auth."""

    verifier: Verifier | None
    public_hosts: frozenset[str]
    allowed_origins: frozenset[str]
    url_tokens: bool = True
    proxies: TrustedProxies = field(default_factory=TrustedProxies)

    def arrival(self, direct: Arrival, headers: Headers) -> Arrival:
        """How a request came, in the words of a trusted proxy if it came through one."""
        return self.proxies.arrival(direct, headers)

    def check_source(self, knock: Knock) -> None:
        """Raise BadHost for a name that is not ours (DNS rebinding), BadOrigin for a foreign page."""
        self._check_host(knock)
        if knock.origins and (len(knock.origins) > 1 or knock.origins[0] not in self.allowed_origins):
            raise BadOrigin("pages of this Origin may not connect; add it to allowed_origins if they should")

    def check_device_origin(self, knock: Knock, addresses: Addresses) -> None:
        """The same for requests to the device origin, where only its own pages may connect."""
        self._check_host(knock)
        own = all(addresses.is_device_origin(origin, knock.arrival) for origin in knock.origins)
        if len(knock.origins) > 1 or not own:
            raise BadOrigin("only pages of this origin itself may connect here")

    def _check_host(self, knock: Knock) -> None:
        hosts = knock.arrival.hosts
        if len(hosts) != 1 or not self._host_allowed(hosts[0]):
            raise BadHost("this Host is not served here; use localhost or a name from public_hosts")

    def _host_allowed(self, host: str) -> bool:
        name = host_name(host)
        return name is not None and (name in LOOPBACK_NAMES or name in self.public_hosts)

    def grant(self, knock: Knock, now_unix_s: float) -> Grant:
        """What the bearer may do. Raises Unauthenticated (with where a token may stand) or TokenExpired."""
        if self.verifier is None:
            return _ANYBODY
        token = _bearer(knock)
        if token is not None:
            return self.verifier.verify(token, now_unix_s)
        if knock.url_ticket:
            return self._ticket(knock.url_ticket, now_unix_s)
        if knock.url_token:
            if not self.url_tokens:
                raise Unauthenticated("tokens in URLs are turned off here; send Authorization: Bearer")
            return self.verifier.verify(knock.url_token, now_unix_s)
        raise Unauthenticated(
            "a token is needed: Authorization: Bearer TOKEN, subprotocol bearer.TOKEN, or ?token=TOKEN on CDP URLs;"
            " `browsergo urls` prints fresh ones"
        )

    def frontend_grant(self, ticket: str, now_unix_s: float) -> Grant:
        """What a front-end ticket allows, which stands in a path. Raises Unauthenticated or TokenExpired."""
        return _ANYBODY if self.verifier is None else self._ticket(ticket, now_unix_s)

    def _ticket(self, ticket: str, now_unix_s: float) -> Grant:
        assert self.verifier is not None
        try:
            grant = self.verifier.verify(ticket, now_unix_s)
        except Unauthenticated:
            raise Unauthenticated(
                "this ticket is not valid any more; fetch /json/version or /json/list again"
            ) from None
        if not grant.subject.startswith(TICKET_SUBJECT):
            raise Unauthenticated("a token is no ticket; send it as ?token=")
        return grant


def require_cdp(grant: Grant, device: str) -> None:
    """Raise Forbidden unless the bearer may drive `device`."""
    profile = grant.profile_for(device)
    if profile is None:
        raise Forbidden(f"the token has no cdp scope for device {device}")
    if profile != "full":
        raise Forbidden(f"profile {profile} is not served by this version; only full is")


def require_frontend(grant: Grant, device: str) -> None:
    """Raise Forbidden unless the bearer may load the DevTools front end of `device`'s browser."""
    if not grant.may_load_frontend(device):
        raise Forbidden(f"the ticket is not for the front end of device {device}")


def require_device(grant: Grant) -> None:
    """Raise Forbidden unless the bearer may register some device; which one is checked when it names itself."""
    if not any(scope.startswith("device:") for scope in grant.scopes):
        raise Forbidden("the token has no device scope")


def require_control(grant: Grant, scope: str) -> None:
    """Raise Forbidden unless `scope` was granted."""
    if not grant.may_control(scope):
        raise Forbidden(f"the token lacks {scope}")


def host_name(host: str) -> str | None:
    """The name in a Host header, lower case, without port and brackets; None if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def offered_subprotocols(headers: Iterable[str]) -> tuple[str, ...]:
    """All subprotocols of one or more Sec-WebSocket-Protocol headers."""
    return tuple(name.strip() for header in headers for name in header.split(",") if name.strip())


def _bearer(knock: Knock) -> str | None:
    if knock.authorization is not None:
        scheme, _, token = knock.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("the Authorization header is not of the form: Bearer TOKEN")
        return token.strip()
    offered = [name for name in knock.subprotocols if name.startswith(BEARER_PREFIX)]
    return offered[0].removeprefix(BEARER_PREFIX) if offered else None
