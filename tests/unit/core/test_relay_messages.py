"""The messages that the relay itself writes."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from browsergo.core import relay_messages

STEADY = settings(derandomize=True, deadline=None)
TEXTS = st.text(max_size=8) | st.sampled_from(["\\", '"', "\u2028", "\0", "id", "\U0001f600"])


def relay_error(command_id: int, session_id: str | None, executed: str) -> bytes:
    return relay_messages.relay_error(
        command_id, session_id, code=-32000, reason="R", words="w", executed=executed, device="d", trace="t"
    )


@STEADY
@given(st.integers(-(2**31), 2**31 - 1), st.none() | TEXTS)
def test_an_answer_of_the_relay_carries_id_and_session(command_id: int, session_id: str | None) -> None:
    error = json.loads(
        relay_messages.relay_error(
            command_id, session_id, code=-32000, reason="R", words="w", executed="no", device="d", trace="t"
        )
    )
    assert error.pop("sessionId", None) == session_id
    assert error == {
        "id": command_id,
        "error": {
            "code": -32000,
            "message": "Browser-Go: w; command was not executed",
            "data": "reason=R executed=no retry=safe device=d trace=t",
        },
    }
    result = json.loads(relay_messages.empty_result(command_id, session_id))
    assert (result["id"], result["result"], result.get("sessionId")) == (command_id, {}, session_id)


def test_an_unknown_fate_is_not_safe_to_retry() -> None:
    error = relay_messages.relay_error(
        1, None, code=-32000, reason="R", words="w", executed="unknown", device="d", trace="t"
    )
    assert b"may have been executed" in error
    assert b"executed=unknown retry=unsafe" in error


def test_last_events_are_spelled_as_chrome_spells_them() -> None:
    assert (
        relay_messages.detached_event("S", None) == b'{"method":"Target.detachedFromTarget","params":{"sessionId":"S"}}'
    )
    assert json.loads(relay_messages.detached_event("S", "P"))["sessionId"] == "P"
    assert relay_messages.inspector_detached("R") == b'{"method":"Inspector.detached","params":{"reason":"R"}}'
