"""Tokens: what is minted holds for as long as it says, and nothing else does."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from browsergo.core import errors, tokens
from browsergo.core.tokens import Grant, Verifier

NOW = 1_700_000_000
KEY = tokens.load_key(tokens.new_key_pem())
VERIFIER = Verifier(KEY.public_key())


def minted(*scopes: str, ttl_s: int = 60) -> str:
    return tokens.mint(KEY, subject="me", scopes=scopes, now_unix_s=NOW, ttl_s=ttl_s, token_id="t1")


def test_a_minted_token_grants_what_it_says() -> None:
    assert VERIFIER.verify(minted("device:a", "control:read"), NOW) == Grant(
        "me", ("device:a", "control:read"), NOW + 60, "t1", NOW + 60
    )


def test_a_ticket_says_how_long_what_it_opened_may_live() -> None:
    ticket = tokens.mint(
        KEY, subject="ticket:me", scopes=["cdp:a:full"], now_unix_s=NOW, ttl_s=60, token_id="t2",
        session_expires_unix_s=NOW + 7_000,
    )  # fmt: skip
    grant = VERIFIER.verify(ticket, NOW)
    assert (grant.expires_unix_s, grant.session_expires_unix_s) == (NOW + 60, NOW + 7_000)
    with pytest.raises(errors.TokenExpired):
        VERIFIER.verify(ticket, NOW + 60)


def test_a_front_end_ticket_loads_the_files_of_its_device_and_does_nothing_else() -> None:
    grant = VERIFIER.verify(minted("frontend:laptop"), NOW)
    assert grant.may_load_frontend("laptop")
    assert not grant.may_load_frontend("phone")
    assert grant.profile_for("laptop") is None
    assert not grant.may_register("laptop")
    assert not VERIFIER.verify(minted(*tokens.ADMIN_SCOPES), NOW).may_load_frontend("laptop")


def test_a_token_names_its_key() -> None:
    assert jwt.get_unverified_header(minted())["kid"] == tokens.key_id(KEY.public_key())
    assert tokens.key_id(KEY.public_key()) != tokens.key_id(tokens.load_key(tokens.new_key_pem()).public_key())


@pytest.mark.parametrize("now", [NOW - 30, NOW, NOW + 59.9])
def test_a_token_holds_from_a_clocks_skew_before_it_was_made_until_it_expires(now: float) -> None:
    VERIFIER.verify(minted(), now)


def test_an_expired_token_says_so() -> None:
    with pytest.raises(errors.TokenExpired):
        VERIFIER.verify(minted(), NOW + 60)


def test_a_token_of_the_future_is_refused() -> None:
    with pytest.raises(errors.Unauthenticated, match="clocks"):
        VERIFIER.verify(minted(), NOW - 31)


def test_a_token_of_another_key_is_refused() -> None:
    other = tokens.load_key(tokens.new_key_pem())
    token = tokens.mint(other, subject="me", scopes=["device:*"], now_unix_s=NOW, ttl_s=60, token_id="t")
    with pytest.raises(errors.Unauthenticated):
        VERIFIER.verify(token, NOW)


def altered(**changes: object) -> dict[str, object]:
    claims: dict[str, object] = {
        "iss": "browser-go",
        "aud": "browser-go",
        "sub": "me",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
        "jti": "t",
        "scope": "device:*",
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def signed(claims: dict[str, object]) -> str:
    return jwt.encode(claims, KEY, algorithm="EdDSA")


def test_the_claims_that_the_next_test_alters_are_good() -> None:
    assert VERIFIER.verify(signed(altered()), NOW).subject == "me"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"iss": None},
        {"aud": None},
        {"sub": None},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"jti": None},
        {"scope": None},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": float("inf")},
        {"nbf": {}},
    ],
)
def test_a_token_that_lacks_a_claim_or_is_for_somebody_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(errors.Unauthenticated):
        VERIFIER.verify(signed(altered(**changes)), NOW)


def unsigned(algorithm: str) -> str:
    parts = [{"alg": algorithm, "typ": "JWT"}, altered()]
    return ".".join(encoded(json.dumps(part).encode()) for part in parts) + "."


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def public_raw() -> bytes:
    return KEY.public_key().public_bytes(
        serialization.Encoding.Raw,
        serialization.PublicFormat.Raw,
    )


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\ud800",
        "\0" * 100,
        unsigned("none"),
        unsigned("EdDSA"),
        jwt.encode(altered(), public_raw(), algorithm="HS256"),
        jwt.encode(altered(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
        encoded(b"[" * 2500) + ".e30.e30",
        minted() + "x",
        minted()[:-2],
    ],
)
def test_no_other_algorithm_and_no_damage_passes(token: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        VERIFIER.verify(token, NOW)


def test_a_token_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(errors.Unauthenticated, match="too long"):
        VERIFIER.verify(minted("x" * 5000), NOW)


def test_a_refusal_shows_nothing_of_the_token() -> None:
    token = minted("device:secret")
    with pytest.raises(errors.Unauthenticated) as caught:
        Verifier(tokens.load_key(tokens.new_key_pem()).public_key()).verify(token, NOW)
    assert not any(part in str(caught.value) for part in token.split("."))
    assert caught.value.__cause__ is None


def test_a_key_of_another_kind_is_refused() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for unfit in (pem, b"", b"not a key"):
        with pytest.raises(ValueError, match=r".+"):
            tokens.load_key(unfit)


# --- scopes -----------------------------------------------------------------------------------------------------------


def grant(*scopes: str) -> Grant:
    return Grant("me", scopes, NOW, "t", NOW)


@pytest.mark.parametrize(
    ("scope", "device", "may"),
    [
        ("device:a", "a", True),
        ("device:a", "A", False),
        ("device:a", "ab", False),
        ("device:*", "anything", True),
        ("device:lab-*", "lab-1", True),
        ("device:lab-*", "home-1", False),
        ("cdp:a:full", "a", False),
        ("device", "a", False),
        ("", "a", False),
    ],
)
def test_who_may_register_as_which_device(scope: str, device: str, may: bool) -> None:
    assert grant(scope).may_register(device) is may


@pytest.mark.parametrize(
    ("scopes", "profile"),
    [
        (("cdp:a:full",), "full"),
        (("cdp:*:observe",), "observe"),
        (("cdp:*:observe", "cdp:a:automation"), "automation"),
        (("cdp:a:full", "cdp:a:observe"), "full"),
        (("cdp:b:full",), None),
        (("cdp:a:root",), None),
        (("cdp:a",), None),
        (("device:a",), None),
        ((), None),
    ],
)
def test_the_widest_profile_that_matches_the_device_counts(scopes: tuple[str, ...], profile: str | None) -> None:
    assert grant(*scopes).profile_for("a") == profile


def test_control_scopes_are_granted_one_by_one() -> None:
    assert grant("control:read").may_control("control:read")
    assert not grant("control:read").may_control("control:write")
    assert not grant("control:*").may_control("control:read")


def test_an_admin_may_everything() -> None:
    admin = grant(*tokens.ADMIN_SCOPES)
    assert admin.may_register("a")
    assert admin.profile_for("a") == "full"
    assert all(admin.may_control(scope) for scope in tokens.CONTROL_SCOPES)
