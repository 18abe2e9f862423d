"""The life of a device's connection, pair by pair."""

from itertools import product

import pytest

from browsergo.core.errors import StateError
from edge.core.lifecycle import Input, State, next_state

S, I = State, Input  # noqa: E741 - a table with long names is no table

# Written out a second time, by hand: what is not here must be refused.
ALLOWED = {
    (S.CONNECTING, I.UPGRADED): S.AUTHENTICATING,
    (S.CONNECTING, I.FAILED): S.ERROR,
    (S.CONNECTING, I.CLOSED): S.CLOSED,
    (S.AUTHENTICATING, I.REGISTERED): S.REGISTERED,
    (S.AUTHENTICATING, I.ENDING): S.DISCONNECTING,
    (S.AUTHENTICATING, I.FAILED): S.ERROR,
    (S.AUTHENTICATING, I.CLOSED): S.CLOSED,
    (S.REGISTERED, I.HELLO): S.ACTIVE,
    (S.REGISTERED, I.ENDING): S.DISCONNECTING,
    (S.REGISTERED, I.FAILED): S.ERROR,
    (S.REGISTERED, I.CLOSED): S.CLOSED,
    (S.ACTIVE, I.HELLO): S.ACTIVE,
    (S.ACTIVE, I.LAST_LINK_LOST): S.REGISTERED,
    (S.ACTIVE, I.ENDING): S.DISCONNECTING,
    (S.ACTIVE, I.FAILED): S.ERROR,
    (S.ACTIVE, I.CLOSED): S.CLOSED,
    (S.DISCONNECTING, I.HELLO): S.DISCONNECTING,
    (S.DISCONNECTING, I.LAST_LINK_LOST): S.DISCONNECTING,
    (S.DISCONNECTING, I.ENDING): S.DISCONNECTING,
    (S.DISCONNECTING, I.FAILED): S.DISCONNECTING,
    (S.DISCONNECTING, I.CLOSED): S.CLOSED,
    (S.ERROR, I.LAST_LINK_LOST): S.ERROR,
    (S.ERROR, I.ENDING): S.ERROR,
    (S.ERROR, I.FAILED): S.ERROR,
    (S.ERROR, I.CLOSED): S.CLOSED,
}
PAIRS = list(product(State, Input))


@pytest.mark.parametrize(("state", "happened"), PAIRS, ids=[f"{s.name}-{i.name}" for s, i in PAIRS])
def test_every_state_meets_every_input(state: State, happened: Input) -> None:
    if (state, happened) in ALLOWED:
        assert next_state(state, happened) is ALLOWED[state, happened]
    else:
        with pytest.raises(StateError) as refused:
            next_state(state, happened)
        assert state.value in refused.value.message
        assert happened.value in refused.value.message


def test_the_states_are_spelled_as_on_every_wire() -> None:
    assert [state.value for state in State] == [
        "CONNECTING", "AUTHENTICATING", "REGISTERED", "ACTIVE", "DISCONNECTING", "ERROR", "CLOSED",
    ]  # fmt: skip
