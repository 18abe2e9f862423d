"""The states of a device's connection, as one table; what is not listed is refused.

Source: design/endpoints.md ("/v2/device") and the seed's "Connection State Machine".
"""

from enum import Enum

from browsergo.core.errors import StateError


class State(Enum):
    """Where a device's connection stands; the value is the name on every wire."""

    CONNECTING = "CONNECTING"
    AUTHENTICATING = "AUTHENTICATING"
    REGISTERED = "REGISTERED"  # the lease is held
    ACTIVE = "ACTIVE"  # at least one link connection has said HELLO
    DISCONNECTING = "DISCONNECTING"
    ERROR = "ERROR"
    CLOSED = "CLOSED"


class Input(Enum):
    """What can happen to it."""

    UPGRADED = "upgraded"
    REGISTERED = "registered"
    HELLO = "hello"
    LAST_LINK_LOST = "last link lost"
    ENDING = "ending"
    FAILED = "failed"
    CLOSED = "closed"


_TABLE: dict[tuple[State, Input], State] = {
    (State.CONNECTING, Input.UPGRADED): State.AUTHENTICATING,
    (State.AUTHENTICATING, Input.REGISTERED): State.REGISTERED,
    (State.REGISTERED, Input.HELLO): State.ACTIVE,
    (State.ACTIVE, Input.HELLO): State.ACTIVE,
    (State.ACTIVE, Input.LAST_LINK_LOST): State.REGISTERED,
    (State.AUTHENTICATING, Input.ENDING): State.DISCONNECTING,
    (State.REGISTERED, Input.ENDING): State.DISCONNECTING,
    (State.ACTIVE, Input.ENDING): State.DISCONNECTING,
    (State.DISCONNECTING, Input.HELLO): State.DISCONNECTING,
    (State.DISCONNECTING, Input.LAST_LINK_LOST): State.DISCONNECTING,
    (State.DISCONNECTING, Input.ENDING): State.DISCONNECTING,
    (State.DISCONNECTING, Input.FAILED): State.DISCONNECTING,
    (State.CONNECTING, Input.FAILED): State.ERROR,
    (State.AUTHENTICATING, Input.FAILED): State.ERROR,
    (State.REGISTERED, Input.FAILED): State.ERROR,
    (State.ACTIVE, Input.FAILED): State.ERROR,
    (State.ERROR, Input.FAILED): State.ERROR,
    (State.ERROR, Input.ENDING): State.ERROR,
    (State.ERROR, Input.LAST_LINK_LOST): State.ERROR,
    **{(state, Input.CLOSED): State.CLOSED for state in State if state is not State.CLOSED},
}


def next_state(state: State, happened: Input) -> State:
    """The state after `happened`. Raises StateError, naming both, for what the table does not list."""
    try:
        return _TABLE[state, happened]
    except KeyError:
        raise StateError(f"{happened.value!r} cannot happen in state {state.value}") from None
