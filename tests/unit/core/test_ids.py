"""Identifiers: what may name a device, and which binding is newer."""

import pytest

from browsergo.core.ids import UNBOUND, Binding, is_device_id


@pytest.mark.parametrize("text", ["local", "a", "A-1_b.c", "0", "x" * 128, "..a", "anybody"])
def test_a_device_id(text: str) -> None:
    assert is_device_id(text)


@pytest.mark.parametrize("text", ["", "x" * 129, "a b", "a/b", "a\n", "ä", "a:b", "~", "any", ".", "..", "\u0661"])
def test_no_device_id(text: str) -> None:
    assert not is_device_id(text)


def test_the_epoch_decides_before_the_number() -> None:
    assert UNBOUND < Binding(1, 9) < Binding(2, 1) < Binding(2, 2)
