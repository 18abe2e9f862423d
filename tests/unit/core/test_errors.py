"""Each error has one code and its meaning on every wire."""

import ast
import builtins
from pathlib import Path

import pytest

from browsergo.core import errors
from browsergo.core.errors import BY_CODE, BrowserGoError, cut_utf8, from_code
from tests.unit.core import errors_page

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


ON_EVERY_WIRE = (
    "code", "category", "retryable", "grpc_status", "close_code", "http_status", "default_message", "cdp_error"
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]
# Exceptions that are no errors of the system: they reach no wire. A new one is in errors.py or has its reason here.
ON_NO_WIRE = {
    "browsergo/chassis/config.py: ConfigError": "keeps a program from starting",
    "browsergo/cli/exits.py: CliError": "ends a command with an exit code",
    "browsergo/cli/forward.py: Refusal": "an HTTP answer of the forwarder to a browser tab",
    "browsergo/core/cdp.py: UnacceptableCommand": "answered in Chrome's own words and codes",
    "browsergo/core/json_text.py: Malformed": "the scanner's own; UnacceptableCommand says it",
    "edge/trunks.py: StreamLost": "a trunk is tried again; /readyz says why",
    "services/registry/store/port.py: StoreError": "becomes ServiceUnavailable in the servicer",
    "deploy/setup.py: SetupError": "keeps a program from starting",
    "deploy/supervisor.py: StartFailed": "ends `browsergo up`",
    "deploy/protos.py: ProtocError": "ends a program of the developers",
    "deploy/refusals.py: Refused": "ends `browsergo up`",
}


def with_a_code(cls: type[BrowserGoError]) -> list[type[BrowserGoError]]:
    found = [cls] if "code" in vars(cls) else []
    return found + [error for child in cls.__subclasses__() for error in with_a_code(child)]


def test_no_code_is_used_twice_and_no_error_is_without_one() -> None:
    found = with_a_code(BrowserGoError)
    assert len({cls.code for cls in found}) == len(found)
    assert set(BY_CODE.values()) == set(found)
    categories = {errors.NetworkError, errors.ProtocolError, errors.ResourceError, errors.BusinessError}
    assert {cls for cls in classes_of(BrowserGoError) if cls not in found} == categories  # never raised themselves


def classes_of(root: type[BrowserGoError]) -> list[type[BrowserGoError]]:
    return [root, *[cls for child in root.__subclasses__() for cls in classes_of(child)]]


def exceptions_in(path: Path) -> list[str]:
    """The exception classes that a file of the product defines, by name."""
    known = {cls.__name__ for cls in classes_of(BrowserGoError)} | {
        name for name, thing in vars(builtins).items() if isinstance(thing, type) and issubclass(thing, BaseException)
    }
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and known & {ast.unparse(base).rpartition(".")[2] for base in node.bases}:
            known.add(node.name)
            found.append(f"{path.relative_to(ROOT).as_posix()}: {node.name}")
    return found


def test_every_error_that_may_reach_a_wire_is_in_the_one_file() -> None:
    files = [file for folder in ("browsergo", "edge", "services", "deploy") for file in (ROOT / folder).rglob("*.py")]
    found = {name for file in files if file.name != "errors.py" for name in exceptions_in(file)}
    assert found == set(ON_NO_WIRE)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_an_error_is_complete(cls: type[BrowserGoError]) -> None:
    assert cls.category in {"network", "protocol", "state", "resource", "business"}
    assert cls.grpc_status in GRPC_STATUSES
    assert cls.close_code in {1009, 1011, 1012, 1013} or 4000 <= cls.close_code <= 4999
    assert 400 <= cls.http_status <= 599
    assert -32099 <= cls.cdp_error <= -32000  # JSON-RPC's range for servers
    assert cls().message == cls.default_message


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls is not BrowserGoError], ids=lambda cls: cls.__name__)
def test_an_error_says_all_of_itself_or_by_its_category(cls: type[BrowserGoError]) -> None:
    """What only the root says is what an unknown error has. CDP has one code for all."""
    said = {name for parent in cls.__mro__[: cls.__mro__.index(BrowserGoError)] for name in vars(parent)}
    assert set(ON_EVERY_WIRE) - said == {"cdp_error"}


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls.close_code >= 4000], ids=lambda cls: cls.__name__)
def test_a_close_code_of_our_own_says_whether_it_may_help_to_try_again(cls: type[BrowserGoError]) -> None:
    assert cls.retryable == (cls.close_code < 4500)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("words", ["", "x" * 500, "ü" * 200, "\U0001f600" * 100])
def test_every_close_reason_fits_its_frame_and_names_its_code(cls: type[BrowserGoError], words: str) -> None:
    reason = cls(words).close_reason
    assert reason.startswith(f"{cls.code}: ")
    assert len(reason.encode()) <= 123


def test_the_page_for_people_shows_every_error() -> None:
    assert errors_page.written_table() == errors_page.table()


@pytest.mark.parametrize(
    ("cls", "close_code"),
    [
        (errors.DeviceLost, 4001),
        (errors.DeviceRestarted, 4001),
        (errors.DeviceReplaced, 4002),
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
        (errors.TakenOver, 4510),
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
