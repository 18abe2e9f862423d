"""Tickets: what the edge puts into URLs that it hands out, instead of the token that asked for them.

A ticket is for one device, and ends with the credential that asked for it or after some hours, whichever is first. What
it opened meanwhile may live as long as that credential.
"""

import secrets
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from browsergo.core import tokens
from edge.core.admission import TICKET_SUBJECT

CDP_TTL_S = 3600
FRONTEND_TTL_S = 12 * 3600


class Tickets:
    """Mints tickets. `key` None: nobody is asked for any (--insecure-no-auth)."""

    def __init__(self, key: Ed25519PrivateKey | None) -> None:
        self._key = key

    def cdp(self, device: str, grant: tokens.Grant) -> str:
        """For `webSocketDebuggerUrl`: to drive `device` as `grant` allows; "" if none is needed."""
        return self._mint(f"cdp:{device}:{grant.profile_for(device)}", grant, CDP_TTL_S)

    def frontend(self, device: str, grant: tokens.Grant) -> str:
        """For paths of the device origin: loads files of the DevTools front end, no more; "" if none is needed."""
        return self._mint(f"frontend:{device}", grant, FRONTEND_TTL_S)

    def _mint(self, scope: str, grant: tokens.Grant, ttl_s: int) -> str:
        if self._key is None:
            return ""
        now = int(time.time())
        return tokens.mint(
            self._key,
            subject=grant.subject if grant.subject.startswith(TICKET_SUBJECT) else f"{TICKET_SUBJECT}{grant.subject}",
            scopes=[scope],
            now_unix_s=now,
            ttl_s=max(1, min(ttl_s, grant.expires_unix_s - now)),
            token_id=secrets.token_hex(8),
            session_expires_unix_s=grant.session_expires_unix_s,
        )
