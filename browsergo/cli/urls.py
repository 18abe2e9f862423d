"""The addresses of a running stack, ready to paste."""

from typing import NamedTuple, TypedDict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from browsergo.cli.stack import StackRecord
from browsergo.cli.tokens import DAY_S, mint_now
from browsergo.core.tokens import ADMIN_SCOPES, CONTROL_SCOPES

ADMIN_TTL_S = 30 * DAY_S
CLIENT_TTL_S = 7 * DAY_S
CONTROL_TTL_S = 7 * DAY_S
DEVICE_TTL_S = 365 * DAY_S


class Tokens(TypedDict):
    """One token for each role; admin: all scopes, 30 days; client and control: 7 days; device: a year."""

    admin: str
    client: str
    control: str
    device: str


class Urls(TypedDict):
    """What `browsergo urls --json` prints; the keys are an interface.

    `client_*` carry their token; `control_ws` and `device_ws` take theirs in `Authorization: Bearer` or as the
    subprotocol `bearer.<jwt>`. `*_grpc` are addresses for gRPC clients on this machine.
    """

    device: str
    client_ws: str
    client_http: str
    control_ws: str
    device_ws: str
    registry_grpc: str
    router_grpc: str
    control_grpc: str
    tokens: Tokens


class Paste(NamedTuple):
    """One thing to paste, and what it is for."""

    title: str
    line: str


def admin_token(key: Ed25519PrivateKey) -> str:
    """A token for everything."""
    return mint_now(key, "admin", ADMIN_SCOPES, ADMIN_TTL_S)


def client_token(key: Ed25519PrivateKey, device: str) -> str:
    """A token to drive `device`."""
    return mint_now(key, "client", [f"cdp:{device}:full"], CLIENT_TTL_S)


def device_token(key: Ed25519PrivateKey, device: str) -> str:
    """A token to register as `device`."""
    return mint_now(key, device, [f"device:{device}"], DEVICE_TTL_S)


def mint_tokens(key: Ed25519PrivateKey, device: str) -> Tokens:
    """Fresh tokens for every role, those of clients and devices for `device` only."""
    return {
        "admin": admin_token(key),
        "client": client_token(key, device),
        "control": mint_now(key, "control", CONTROL_SCOPES, CONTROL_TTL_S),
        "device": device_token(key, device),
    }


def authority(host: str, port: int) -> str:
    """`host:port` as a URL has it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def stack_urls(record: StackRecord, device: str, tokens: Tokens) -> Urls:
    """The URLs of the stack in `record` for `device`. A stack without authentication needs no token in them."""
    at = authority(record.host, record.port)
    query = "" if record.insecure_no_auth else f"?token={tokens['client']}"
    return {
        "device": device,
        "client_ws": f"ws://{at}/v2/cdp/{device}{query}",
        "client_http": f"http://{at}/v2/cdp/{device}{query}",
        "control_ws": f"ws://{at}/v2/control",
        "device_ws": f"ws://{at}/v2/device",
        "registry_grpc": record.registry_grpc,
        "router_grpc": record.router_grpc,
        "control_grpc": record.control_grpc,
        "tokens": tokens,
    }


def pastes(urls: Urls) -> list[Paste]:
    """Lines for the clients people use, each whole on its own."""
    ws, (page_list, _, query) = urls["client_ws"], urls["client_http"].partition("?")
    listed = f"{page_list}/json/list{'?' + query if query else ''}"
    return [
        Paste("Playwright, Python", f'browser = playwright.chromium.connect_over_cdp("{ws}")'),
        Paste("Playwright, Node", f'const browser = await chromium.connectOverCDP("{ws}");'),
        Paste("Puppeteer", f'const browser = await puppeteer.connect({{browserWSEndpoint: "{ws}"}});'),
        Paste("DevTools: lists the pages; open a page's devtoolsFrontendUrl in any browser", listed),
        Paste("Any other CDP client", ws),
        Paste(
            "Control, for operators (token: Authorization: Bearer, or subprotocol bearer.TOKEN)",
            f"{urls['control_ws']}\n{urls['tokens']['control']}",
        ),
    ]


def paste_text(urls: Urls) -> str:
    """The same as text: a title, the line at the left edge, an empty line between two."""
    return "\n\n".join(f"# {paste.title}\n{paste.line}" for paste in pastes(urls))
