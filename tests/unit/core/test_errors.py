"""Each error has one code and its meaning on every wire."""

import pytest

from browsergo.core import errors
from browsergo.core.errors import BY_CODE, BrowserGoError, cut_utf8, from_code

ALL = sorted(BY_CODE.values(), key=lambda cls: cls.__name__)
GRPC_STATUSES = {
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNAUTHENTICATED",
}


def leaves(cls: type[BrowserGoError]) -> list[type[BrowserGoError]]:
    children = cls.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [cls]


def test_every_error_that_is_raised_has_a_code_of_its_own() -> None:
    # HandshakeRefused (chassis) is told to nobody: it never leaves the agent that dialed.
    found = [cls for cls in leaves(BrowserGoError) if cls.__module__ == BrowserGoError.__module__]
    assert len({cls.code for cls in found}) == len(found)
    assert all(BY_CODE[cls.code] is cls for cls in found)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_an_error_is_complete(cls: type[BrowserGoError]) -> None:
    assert cls.category in {"network", "protocol", "state", "resource", "business"}
    assert cls.grpc_status in GRPC_STATUSES
    assert cls.close_code in {1009, 1011, 1012, 1013} or 4000 <= cls.close_code <= 4999
    assert 400 <= cls.http_status <= 599
    assert cls().message == cls.default_message


@pytest.mark.parametrize(
    ("cls", "close_code"),
    [
        (errors.DeviceLost, 4001),
        (errors.DeviceRestarted, 4001),
        (errors.StaleEpoch, 4002),
        (errors.SlowConsumer, 4003),
        (errors.Draining, 4004),
        (errors.Overloaded, 4005),
        (errors.TokenExpired, 4006),
        (errors.Unauthenticated, 4500),
        (errors.Forbidden, 4501),
        (errors.BadMessage, 4502),
        (errors.UnsupportedVersion, 4504),
        (errors.DeviceConflict, 4505),
        (errors.DeviceReplaced, 4510),
        (errors.MessageTooBig, 1009),
    ],
)
def test_close_codes_are_those_of_the_design(cls: type[BrowserGoError], close_code: int) -> None:
    assert cls.close_code == close_code


@pytest.mark.parametrize(
    ("cls", "status"),
    [
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.BadOrigin, 403),
        (errors.DeviceNotFound, 404),
        (errors.DeviceConflict, 409),
        (errors.BadHost, 421),
        (errors.RateLimited, 429),
        (errors.DeviceOffline, 503),
        (errors.Overloaded, 503),
    ],
)
def test_refusals_before_the_upgrade_are_those_of_the_design(cls: type[BrowserGoError], status: int) -> None:
    assert cls.http_status == status


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_an_error_survives_the_wire(cls: type[BrowserGoError]) -> None:
    again = from_code(cls.code, "words")
    assert type(again) is cls
    assert again.message == "words"


def test_an_unknown_code_is_an_internal_error_that_says_so() -> None:
    error = from_code("FROM_THE_FUTURE", "words")
    assert type(error) is BrowserGoError
    assert error.message == "FROM_THE_FUTURE: words"


def test_a_close_reason_fits_its_frame() -> None:
    error = errors.DeviceLost("ü" * 200)
    assert error.close_reason.startswith("DEVICE_LOST: üüü")
    assert len(error.close_reason.encode()) in (122, 123)


@pytest.mark.parametrize(
    ("text", "limit", "expected"), [("abc", 3, "abc"), ("äö", 3, "ä"), ("\U0001f600", 3, ""), ("", 0, "")]
)
def test_text_is_cut_between_characters(text: str, limit: int, expected: str) -> None:
    assert cut_utf8(text, limit) == expected


def test_half_a_surrogate_is_no_reason_to_fail() -> None:
    assert cut_utf8("a\ud800b", 10) == "a?b"
