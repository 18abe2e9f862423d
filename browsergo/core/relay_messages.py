"""The few CDP messages that the relay itself writes: errors, an empty result, and the events by which sessions end."""

import json


def error_answer(
    command_id: int | None, session_id: str | None, code: int, message: str, error_details: str | None = None
) -> bytes:
    """A CDP error response. `error_details` becomes `error.data`, a string: Puppeteer prints it by concatenation."""
    error: dict[str, object] = {"code": code, "message": message}
    if error_details is not None:
        error["data"] = error_details
    return _dump({"error": error}, command_id, session_id)


def empty_result(command_id: int, session_id: str | None) -> bytes:
    """`{"id":n,"result":{}}`."""
    return _dump({"result": {}}, command_id, session_id)


def _dump(body: dict[str, object], command_id: int | None, session_id: str | None) -> bytes:
    head: dict[str, object] = {} if command_id is None else {"id": command_id}
    tail: dict[str, object] = {} if session_id is None else {"sessionId": session_id}
    return json.dumps({**head, **body, **tail}, separators=(",", ":")).encode()


def relay_error(
    command_id: int,
    session_id: str | None,
    *,
    code: int,
    reason: str,
    words: str,
    executed: str,
    device: str,
    trace: str,
) -> bytes:
    """The one error with which the relay answers a command it cannot get answered (delivery.md).

    `executed` is `no` (never written to any socket) or `unknown`; `no` is never false.
    """
    fate = "was not executed" if executed == "no" else "may have been executed"
    retry = "safe" if executed == "no" else "unsafe"
    details = f"reason={reason} executed={executed} retry={retry} device={device} trace={trace}"
    return error_answer(command_id, session_id, code, f"Browser-Go: {words}; command {fate}", error_details=details)


def detached_event(session_id: str, parent: str | None) -> bytes:
    """Target.detachedFromTarget, for a session that ends because its channel does."""
    return _event("Target.detachedFromTarget", {"sessionId": session_id}, parent)


def inspector_detached(reason: str) -> bytes:
    """Inspector.detached, the last event of a page endpoint."""
    return _event("Inspector.detached", {"reason": reason}, None)


def _event(method: str, params: dict[str, str], session_id: str | None) -> bytes:
    tail = {} if session_id is None else {"sessionId": session_id}
    return json.dumps({"method": method, "params": params, **tail}, separators=(",", ":")).encode()
