"""Who may come in: Host, Origin, token, in this order and in every form."""

import uuid
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from browsergo.core import tokens
from browsergo.core.errors import BadHost, BadOrigin, Forbidden, TokenExpired, Unauthenticated
from browsergo.core.tokens import ADMIN_SCOPES, Grant, Verifier
from edge.core.admission import (
    Admission,
    Knock,
    host_name,
    offered_subprotocols,
    require_cdp,
    require_control,
    require_device,
)
from edge.core.forwarding import Arrival

NOW = 1_700_000_000
KEY = Ed25519PrivateKey.generate()
RULES = Admission(Verifier(KEY.public_key()), frozenset({"relay.example"}), frozenset({"devtools://devtools"}))


def mint(*scopes: str, subject: str = "somebody", ttl_s: int = 60, key: Ed25519PrivateKey = KEY) -> str:
    return tokens.mint(key, subject=subject, scopes=scopes, now_unix_s=NOW, ttl_s=ttl_s, token_id=uuid.uuid4().hex)


def knock(
    *,
    hosts: tuple[str, ...] = ("localhost:3000",),
    origins: tuple[str, ...] = (),
    authorization: str | None = None,
    subprotocols: tuple[str, ...] = (),
    url_token: str | None = None,
    url_ticket: str | None = None,
) -> Knock:
    return Knock(Arrival("127.0.0.1", "http", hosts), origins, authorization, subprotocols, url_token, url_ticket)


# --- Host -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LOCALHOST:3000",
        "LocalHost.:1",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:3000",
        "relay.example",
        "Relay.EXAMPLE:443",
        "relay.example.",
    ],
)
def test_our_own_names_are_served_whatever_the_port_and_spelling(host: str) -> None:
    RULES.check_source(knock(hosts=(host,)))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:3000",
        "relay.example.evil",
        "evil-relay.example",
        "user@localhost",
        "user:pass@localhost",
        "@localhost",
        "localhost@evil.example",
        "localhost/",
        "localhost/path",
        "localhost?query",
        "localhost#fragment",
        "localhost:99999",
        "localhost:port",
        "localhost:-1",
        "::1",
        "[::1",
        "[::2]",
        "[evil]",
        "0.0.0.0",
        "127.0.0.2",
        "2130706433",
        "localhost,localhost",
        "localhost evil.example",
        "..localhost",
        "localhost\\.evil.example",
        "loc\u212ahost",
    ],
)
def test_other_names_are_not(host: str) -> None:
    with pytest.raises(BadHost):
        RULES.check_source(knock(hosts=(host,)))


@pytest.mark.parametrize("hosts", [(), ("localhost", "localhost"), ("localhost", "evil.example")])
def test_there_must_be_exactly_one_host(hosts: tuple[str, ...]) -> None:
    with pytest.raises(BadHost):
        RULES.check_source(knock(hosts=hosts))


@pytest.mark.parametrize(
    ("host", "name"), [("A.B:1", "a.b"), ("[::1]:1", "::1"), ("a.", "a"), ("a/b", None), ("u@a", None), (":1", None)]
)
def test_the_name_in_a_host_header(host: str, name: str | None) -> None:
    assert host_name(host) == name


# --- Origin ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origins", [(), ("devtools://devtools",)])
def test_no_origin_and_listed_origins_pass(origins: tuple[str, ...]) -> None:
    RULES.check_source(knock(origins=origins))


@pytest.mark.parametrize(
    "origins",
    [
        ("https://evil.example",),
        ("null",),
        ("",),
        ("DEVTOOLS://devtools",),
        ("devtools://devtools/",),
        ("devtools://devtools.evil",),
        ("http://localhost:3000",),
        ("devtools://devtools", "devtools://devtools"),
    ],
)
def test_other_origins_do_not_not_even_our_own_host(origins: tuple[str, ...]) -> None:
    with pytest.raises(BadOrigin):
        RULES.check_source(knock(origins=origins))


def test_the_host_is_looked_at_before_the_origin() -> None:
    with pytest.raises(BadHost):
        RULES.check_source(knock(hosts=("evil.example",), origins=("https://evil.example",)))


# --- tokens ---------------------------------------------------------------------------------------------------


def test_a_token_may_stand_in_four_places() -> None:
    token = mint("control:read")
    ticket = mint("cdp:a:full", subject="ticket:somebody")
    for shown in (
        knock(authorization=f"Bearer {token}"),
        knock(authorization=f"bearer  {token} "),
        knock(subprotocols=("other", f"bearer.{token}")),
        knock(url_token=token),
    ):
        assert RULES.grant(shown, NOW).scopes == ("control:read",)
    assert RULES.grant(knock(url_ticket=ticket), NOW).scopes == ("cdp:a:full",)


def test_the_header_rules_then_the_subprotocol_then_the_ticket_then_the_url() -> None:
    everything = knock(
        authorization=f"Bearer {mint('s:header')}",
        subprotocols=(f"bearer.{mint('s:subprotocol')}",),
        url_ticket=mint("s:ticket", subject="ticket:somebody"),
        url_token=mint("s:url"),
    )
    without_header = replace(everything, authorization=None)
    without_both = replace(without_header, subprotocols=())
    last = replace(without_both, url_ticket=None)
    seen = [RULES.grant(shown, NOW).scopes for shown in (everything, without_header, without_both, last)]
    assert seen == [("s:header",), ("s:subprotocol",), ("s:ticket",), ("s:url",)]


def test_a_bad_token_in_front_is_not_made_good_by_one_behind() -> None:
    good = mint("control:read")
    for shown in (
        knock(authorization="Bearer garbage", url_token=good),
        knock(authorization="Basic dTpw", url_token=good),
        knock(authorization="Bearer ", url_token=good),
        knock(authorization="", url_token=good),
        knock(subprotocols=("bearer.garbage",), url_token=good),
        knock(url_ticket="garbage", url_token=good),
    ):
        with pytest.raises(Unauthenticated):
            RULES.grant(shown, NOW)


def foreign() -> str:
    return mint("control:read", key=Ed25519PrivateKey.generate())


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "x" * 5000, "ey\u00e4.\u00e4.\u00e4", foreign()])
def test_what_is_no_token_of_ours_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        RULES.grant(knock(url_token=token), NOW)
    assert not token or token not in refused.value.message


def test_an_expired_token_is_said_to_be_expired_and_a_future_one_too_early() -> None:
    token = mint("control:read", ttl_s=60)
    assert RULES.grant(knock(url_token=token), NOW + 59).subject == "somebody"
    with pytest.raises(TokenExpired):
        RULES.grant(knock(url_token=token), NOW + 60)
    with pytest.raises(Unauthenticated, match="not valid yet"):
        RULES.grant(knock(url_token=token), NOW - 31)


def test_tokens_in_urls_can_be_turned_off_and_tickets_go_on() -> None:
    rules = replace(RULES, url_tokens=False)
    with pytest.raises(Unauthenticated, match="turned off"):
        rules.grant(knock(url_token=mint("control:read")), NOW)
    assert rules.grant(knock(url_ticket=mint("cdp:a:full", subject="ticket:x")), NOW).subject == "ticket:x"


@pytest.mark.parametrize("ticket", [mint("cdp:a:full"), mint("cdp:a:full", subject="ticket:x", ttl_s=-1), "garbage"])
def test_what_is_no_ticket_is_refused_with_where_to_get_one_or_what_it_is(ticket: str) -> None:
    with pytest.raises(Unauthenticated, match=r"fetch /json/version|send it as \?token="):
        RULES.grant(knock(url_ticket=ticket), NOW)


def test_nobody_needs_a_token_where_auth_is_off_but_host_and_origin_still_count() -> None:
    rules = replace(RULES, verifier=None)
    assert set(rules.grant(knock(), NOW).scopes) == {*ADMIN_SCOPES, "frontend:*"}
    assert rules.frontend_grant("", NOW).may_load_frontend("laptop")
    with pytest.raises(BadHost):
        rules.check_source(knock(hosts=("evil.example",)))
    with pytest.raises(BadOrigin):
        rules.check_source(knock(origins=("https://evil.example",)))


# --- scopes ---------------------------------------------------------------------------------------------------


def grant(*scopes: str) -> Grant:
    return Grant("somebody", scopes, NOW + 60, "id", NOW + 60)


@pytest.mark.parametrize("scopes", [("cdp:laptop:full",), ("cdp:lap*:full",), ("cdp:*:observe", "cdp:laptop:full")])
def test_who_may_drive_a_device(scopes: tuple[str, ...]) -> None:
    require_cdp(grant(*scopes), "laptop")


@pytest.mark.parametrize(
    "scopes",
    [
        (),
        ("cdp:phone:full",),
        ("cdp:lap:full",),
        ("cdp:laptop",),
        ("cdp:laptop:everything",),
        ("device:laptop",),
        ("control:write",),
        ("cdp:laptop:observe",),
        ("cdp:laptop:automation",),
    ],
)
def test_who_may_not(scopes: tuple[str, ...]) -> None:
    with pytest.raises(Forbidden):
        require_cdp(grant(*scopes), "laptop")


def test_devices_need_a_scope_of_their_own() -> None:
    require_device(grant("device:laptop"))
    with pytest.raises(Forbidden):
        require_device(grant("cdp:*:full", "control:write"))


def test_operators_need_exactly_the_scope_asked_for() -> None:
    require_control(grant("control:write", "control:read"), "control:read")
    for scope in ("control:write", "control:debug"):
        with pytest.raises(Forbidden, match=scope):
            require_control(grant("control:read", "control:*", "device:*"), scope)


def test_subprotocols_come_from_all_headers_in_order() -> None:
    assert offered_subprotocols(["a, b,,", " c ", ""]) == ("a", "b", "c")
