"""Tokens: EdDSA JWTs with scopes, and what a scope allows. Pure: keys and time are arguments.

Claims: `iss, aud=browser-go, sub, exp, nbf, iat, jti, scope` and `kid` in the header
(design/endpoints.md, "Authentication"). `scope` is a space-separated list of

    device:<id or glob>                     may register as that device
    cdp:<id or glob>:<full|automation|observe>
    control:read | control:write | control:debug
    frontend:<id>                           may load the files of that device's DevTools front end

A ticket names in `session_exp` when the credential ends that it was given for: it opens a connection until `exp`, and
what it opened may live until then.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from browsergo.core.errors import TokenExpired, Unauthenticated

AUDIENCE = "browser-go"
ISSUER = "browser-go"
ALGORITHM = "EdDSA"
CLOCK_SKEW_S = 30
MAX_TOKEN_BYTES = 4096
PROFILES = ("observe", "automation", "full")
CONTROL_SCOPES = ("control:read", "control:write", "control:debug")
ADMIN_SCOPES = ("cdp:*:full", "device:*", *CONTROL_SCOPES)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token allows."""

    subject: str
    scopes: tuple[str, ...]
    expires_unix_s: int
    token_id: str
    session_expires_unix_s: int

    def may_register(self, device_id: str) -> bool:
        """Whether the bearer may register as `device_id`."""
        return any(kind == "device" and fnmatchcase(device_id, rest) for kind, rest in self._split())

    def profile_for(self, device_id: str) -> str | None:
        """The widest profile the bearer has on `device_id`; None: no access."""
        best = -1
        for kind, rest in self._split():
            pattern, _, profile = rest.rpartition(":")
            if kind == "cdp" and profile in PROFILES and fnmatchcase(device_id, pattern):
                best = max(best, PROFILES.index(profile))
        return PROFILES[best] if best >= 0 else None

    def may_load_frontend(self, device_id: str) -> bool:
        """Whether the bearer may load the DevTools front end of `device_id`'s browser."""
        return any(kind == "frontend" and fnmatchcase(device_id, rest) for kind, rest in self._split())

    def may_control(self, scope: str) -> bool:
        """Whether `scope` (`control:read`, ...) was granted."""
        return scope in self.scopes

    def _split(self) -> Iterable[tuple[str, str]]:
        for scope in self.scopes:
            kind, _, rest = scope.partition(":")
            yield kind, rest


def new_key_pem() -> bytes:
    """A fresh Ed25519 private key, PKCS#8 PEM."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> Ed25519PrivateKey:
    """The private key in `pem`. Raises ValueError for anything but an Ed25519 key."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the signing key is not an Ed25519 key")
    return key


def key_id(public: Ed25519PublicKey) -> str:
    """A stable name for a key: the start of its SHA-256, base64url."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()[:9]).decode()


def mint(
    key: Ed25519PrivateKey,
    *,
    subject: str,
    scopes: Iterable[str],
    now_unix_s: int,
    ttl_s: int,
    token_id: str,
    session_expires_unix_s: int | None = None,
) -> str:
    """A signed token that holds from `now_unix_s` for `ttl_s` seconds."""
    claims: dict[str, str | int] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now_unix_s,
        "nbf": now_unix_s,
        "exp": now_unix_s + ttl_s,
        "jti": token_id,
        "scope": " ".join(scopes),
    }
    if session_expires_unix_s is not None:
        claims["session_exp"] = session_expires_unix_s
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key_id(key.public_key())})


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks tokens against one public key."""

    public: Ed25519PublicKey

    def verify(self, token: str, now_unix_s: float) -> Grant:
        """The grant of `token`. Raises Unauthenticated or TokenExpired; never says what was in it."""
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated("the token is too long")
        try:
            claims = jwt.decode(
                token,
                self.public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "nbf", "sub", "jti", "scope"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, begins = int(claims["exp"]), int(claims["nbf"])
            scopes, session = tuple(str(claims["scope"]).split()), int(claims.get("session_exp", expires))
            grant = Grant(str(claims["sub"]), scopes, expires, str(claims["jti"]), session)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(f"the token is not valid here ({type(error).__name__})") from None
        if now_unix_s >= expires:
            raise TokenExpired
        if now_unix_s < begins - CLOCK_SKEW_S:
            raise Unauthenticated("the token is not valid yet; check the clocks")
        return grant
