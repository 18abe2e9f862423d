"""What is printed for people and for scripts."""

import dataclasses
import re
import time

import pytest

from browsergo.cli.processes import ProcessIdentity
from browsergo.cli.urls import Tokens, mint_tokens, paste_text, stack_urls
from browsergo.core.tokens import Verifier, load_key, new_key_pem
from tests.unit.cli.test_stack_record import a_record

RECORD = a_record(ProcessIdentity(1, 2))
TOKENS: Tokens = {"admin": "A", "client": "C", "control": "O", "device": "D"}
DAY_S = 86_400


def test_urls_carry_the_clients_token_and_no_other() -> None:
    urls = stack_urls(RECORD, "local", TOKENS)
    assert urls == {
        "device": "local",
        "client_ws": "ws://127.0.0.1:3000/v2/cdp/local?token=C",
        "client_http": "http://127.0.0.1:3000/v2/cdp/local?token=C",
        "control_ws": "ws://127.0.0.1:3000/v2/control",
        "device_ws": "ws://127.0.0.1:3000/v2/device",
        "registry_grpc": "unix:/d/run/registry.sock",
        "router_grpc": "unix:/d/run/router-1.sock",
        "control_grpc": "unix:/d/run/control.sock",
        "tokens": TOKENS,
    }


def test_an_ipv6_host_stands_in_brackets() -> None:
    urls = stack_urls(dataclasses.replace(RECORD, host="::1"), "local", TOKENS)
    assert urls["control_ws"] == "ws://[::1]:3000/v2/control"


def test_without_authentication_no_token_is_needed() -> None:
    urls = stack_urls(dataclasses.replace(RECORD, insecure_no_auth=True), "local", TOKENS)
    assert urls["client_ws"] == "ws://127.0.0.1:3000/v2/cdp/local"
    assert "http://127.0.0.1:3000/v2/cdp/local/json/list\n" in paste_text(urls)


def test_each_line_to_paste_is_whole_and_at_the_left_edge() -> None:
    lines = [line for line in paste_text(stack_urls(RECORD, "local", TOKENS)).splitlines() if line]
    assert 'browser = playwright.chromium.connect_over_cdp("ws://127.0.0.1:3000/v2/cdp/local?token=C")' in lines
    assert 'const browser = await chromium.connectOverCDP("ws://127.0.0.1:3000/v2/cdp/local?token=C");' in lines
    assert "http://127.0.0.1:3000/v2/cdp/local/json/list?token=C" in lines
    assert all(re.match(r"\S.*\S\Z|\S\Z", line) for line in lines)


@pytest.mark.parametrize("device", ["local", "lab-7.b_2"])
def test_tokens_allow_what_their_role_needs(device: str) -> None:
    key = load_key(new_key_pem())
    tokens, verifier, now = mint_tokens(key, device), Verifier(key.public_key()), time.time()
    admin, client = verifier.verify(tokens["admin"], now), verifier.verify(tokens["client"], now)
    control, own = verifier.verify(tokens["control"], now), verifier.verify(tokens["device"], now)
    assert admin.profile_for("anything") == "full"
    assert admin.may_register("anything")
    assert admin.may_control("control:debug")
    assert client.profile_for(device) == "full"
    assert client.profile_for("other") is None
    assert not client.may_register(device)
    assert not client.may_control("control:read")
    assert control.may_control("control:write")
    assert control.profile_for(device) is None
    assert own.may_register(device)
    assert not own.may_register("other")
    days = [round((grant.expires_unix_s - now) / DAY_S) for grant in (admin, client, control, own)]
    assert days == [30, 7, 7, 365]
