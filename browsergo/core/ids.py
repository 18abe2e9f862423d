"""Identifiers: their form, and what parses them.

Source: design/delivery.md, "Identifiers"; design/endpoints.md for the form of a device id.
"""

import re
from typing import NamedTuple

DEVICE_ID_FORM = "1 to 128 of A-Z a-z 0-9 . _ -"
_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
RESERVED_DEVICE_IDS = frozenset({"any", ".", ".."})

INSTANCE_ID_FORM = "1 to 64 of A-Z a-z 0-9 . _ -"
_INSTANCE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")

CHANNEL_ID_BYTES = 16
NO_CHANNEL = bytes(CHANNEL_ID_BYTES)


def is_device_id(text: str) -> bool:
    """Whether `text` may name a device: the form of endpoints.md, and not a reserved word."""
    return _DEVICE_ID.match(text) is not None and text not in RESERVED_DEVICE_IDS


def is_instance_id(text: str) -> bool:
    """Whether `text` may name a running router or edge."""
    return _INSTANCE_ID.match(text) is not None


class Binding(NamedTuple):
    """Which path a channel is on: compared as a pair, newer is greater (delivery.md, "Bindings").

    `epoch` fences devices, `n` counts HELLOs and OPENEDs of one boot.
    """

    epoch: int
    n: int


UNBOUND = Binding(0, 0)
