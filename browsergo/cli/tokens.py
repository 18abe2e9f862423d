"""Tokens from the key of a local stack: the key is read, the token is printed, neither is kept."""

import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from browsergo.cli.exits import USAGE, CliError
from browsergo.core.tokens import CONTROL_SCOPES, PROFILES, load_key, mint

DAY_S = 86_400
MAX_TTL_S = 10 * 366 * DAY_S
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": DAY_S}
_DURATION = re.compile(r"(\d{1,9})([smhd])\Z")
# A device id of endpoints.md, or a glob over such ids.
_DEVICE_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,128}\Z")


def parse_duration_s(text: str) -> int:
    """`90s`, `15m`, `1h` or `7d` in seconds. Raises CliError (exit code 2)."""
    match = _DURATION.match(text)
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not 0 < seconds <= MAX_TTL_S:
        raise CliError(USAGE, f"--ttl {text!r}: write a time of at most ten years like 90s, 15m, 1h or 7d")
    return seconds


def check_scope(scope: str) -> str:
    """`scope`, if a token may carry it (browsergo/core/tokens). Raises CliError (exit code 2)."""
    kind, _, rest = scope.partition(":")
    pattern, _, profile = rest.rpartition(":")
    known = (
        scope in CONTROL_SCOPES
        or (kind == "device" and _DEVICE_GLOB.match(rest) is not None)
        or (kind == "cdp" and profile in PROFILES and _DEVICE_GLOB.match(pattern) is not None)
    )
    if not known:
        raise CliError(
            USAGE,
            f"--scope {scope!r}: known are {', '.join(CONTROL_SCOPES)}, device:ID and cdp:ID:{'|'.join(PROFILES)}"
            " (ID may be a pattern like lab-*)",
        )
    return scope


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in `path`. Raises CliError (exit code 2) that never shows what the file holds."""
    try:
        return load_key(path.read_bytes())
    except FileNotFoundError:
        raise CliError(USAGE, f"{path}: no such key; `browsergo up` makes it on its first run") from None
    except OSError as error:
        raise CliError(USAGE, f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise CliError(USAGE, f"{path}: not an Ed25519 key in PEM; move it away and `browsergo up` makes one") from None


def mint_now(key: Ed25519PrivateKey, subject: str, scopes: Iterable[str], ttl_s: int) -> str:
    """A token that holds from this second for `ttl_s`."""
    token_id = secrets.token_urlsafe(12)
    return mint(key, subject=subject, scopes=scopes, now_unix_s=int(time.time()), ttl_s=ttl_s, token_id=token_id)
