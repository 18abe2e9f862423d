"""Fixtures of every test: the site, a Chrome of the test's own, and real relays."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chrome import DirectChrome
from tests.fakes.forward import Forward
from tests.fakes.otlp_sink import OtlpSink
from tests.fakes.site import Site
from tests.fakes.stack import Stack


def pytest_configure() -> None:
    """Who runs in the background or under nohup ignores these signals, and all that tests start would do so, too."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The web site that browsers are sent to."""
    with Site() as site:
        yield site


@pytest.fixture(scope="session")
def direct_chrome() -> Iterator[DirectChrome]:
    """A Chrome without a relay, to compare with."""
    with DirectChrome() as chrome:
        yield chrome


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with the device `local` for all tests that leave it as they found it."""
    with Stack(tmp_path_factory.mktemp("relay")) as stack:
        yield stack


@pytest.fixture(scope="session")
def forwarded(relay: Stack) -> Iterator[tuple[str, int]]:
    """Where `browsergo forward` serves the relay's device at the root."""
    with Forward(relay.data_dir) as forward:
        yield forward.address


@pytest.fixture
def fresh_relay(tmp_path: Path) -> Iterator[Stack]:
    """A stack of the test's own, to break."""
    with Stack(tmp_path) as stack:
        yield stack


@pytest.fixture(params=["direct", "relay"])
def client_ws(request: pytest.FixtureRequest) -> str:
    """A browser endpoint; the test runs once against Chrome itself and once through the relay."""
    if request.param == "direct":
        chrome: DirectChrome = request.getfixturevalue("direct_chrome")
        return chrome.client_ws
    stack: Stack = request.getfixturevalue("relay")
    return stack.urls.client_ws


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpSink]:
    """A collector, to which what a test starts in this process exports."""
    with OtlpSink() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector
