"""Text from outside: what JSON calls a string is not always one."""

import re
from typing import TypeGuard

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def is_text(found: object) -> TypeGuard[str]:
    """A string that can be passed on as UTF-8. JSON knows halves of characters (RFC 8259, 8.2), nobody else does."""
    return isinstance(found, str) and not _HALF_CHARACTER.search(found)
