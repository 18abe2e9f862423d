"""The clients, the ways in which each is given the browser, and what a run of each gives."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from tests.e2e.chrome import DirectChrome
from tests.e2e.clients.bystander import Aftermath, Bystander
from tests.e2e.clients.scenario import BROWSER_VERSION, STEPS, Step
from tests.e2e.node_program import FOLDER, node_path
from tests.e2e.raw_cdp import RawClient
from tests.fakes.stack import ROOT, Stack

CLIENTS_PYTHON = ROOT / ".venv" / "clients" / "bin" / "python"
PROGRAM_TIMEOUT_S = 110


class Where(NamedTuple):
    """A browser as one client is given it, and (`observed`) the ws URL by which the tests watch it."""

    url: str
    headers: dict[str, str]
    observed: str


class Relay(NamedTuple):
    """A stack, and where `browsergo forward` serves its device."""

    stack: Stack
    forward: tuple[str, int]

    def ws_url(self) -> Where:
        return Where(self.stack.urls.client_ws, {}, self.stack.urls.client_ws)

    def ws_header(self) -> Where:
        return self._with_header(self.stack.urls.client_ws)

    def http_url(self) -> Where:
        return Where(self.stack.urls.client_http, {}, self.stack.urls.client_ws)

    def http_header(self) -> Where:
        return self._with_header(self.stack.urls.client_http)

    def forwarded(self) -> Where:
        return Where(f"http://{self.forward[0]}:{self.forward[1]}", {}, self.stack.urls.client_ws)

    def _with_header(self, url: str) -> Where:
        bare, _, token = url.partition("?token=")
        return Where(bare, {"Authorization": f"Bearer {token}"}, self.stack.urls.client_ws)


class Way(NamedTuple):
    """How a client is told where the browser is: through the relay, and the like of it at Chrome itself."""

    words: str
    through: Callable[[Relay], Where]
    scheme: str


WS_URL = Way("ws URL", Relay.ws_url, "ws")
WS_HEADER = Way("ws URL, token in a header", Relay.ws_header, "ws")
HTTP_URL = Way("http URL", Relay.http_url, "http")
HTTP_HEADER = Way("http URL, token in a header", Relay.http_header, "http")
FORWARD = Way("`browsergo forward`", Relay.forwarded, "http")


def by_project_python(module: str) -> tuple[str, ...]:
    """The command line of a program that runs beside the tests."""
    return (sys.executable, "-m", f"tests.e2e.clients.{module}")


def by_clients_python(module: str, *words: str) -> tuple[str, ...]:
    """The command line of a program that runs in the clients' own environment."""
    return (str(CLIENTS_PYTHON), "-m", f"tests.e2e.clients.{module}", *words)


def by_node(program: str, *words: str) -> tuple[str, ...]:
    """The command line of a program of node/clients."""
    return (node_path(), str(FOLDER / "clients" / program), *words)


@dataclass(frozen=True)
class ClientUnderTest:
    """A client library, the program that drives it, and its ways.

    `by_chance` names the step whose result the client leaves to chance: two runs of it cannot be compared.
    """

    name: str
    argv: Callable[[], tuple[str, ...]]
    ways: tuple[Way, ...]
    by_chance: str = ""


CLIENTS = (
    ClientUnderTest(
        "Playwright (Python)",
        lambda: by_project_python("playwright_program"),
        (WS_URL, WS_HEADER, HTTP_URL, HTTP_HEADER),
    ),
    ClientUnderTest(
        "Playwright (Node)", lambda: by_node("playwright_program.mjs"), (WS_URL, WS_HEADER, HTTP_URL, HTTP_HEADER)
    ),
    ClientUnderTest(
        "Puppeteer 24", lambda: by_node("puppeteer_program.mjs", "puppeteer-core"), (WS_URL, WS_HEADER, FORWARD)
    ),
    ClientUnderTest(
        "Puppeteer 25",
        lambda: by_node("puppeteer_program.mjs", "puppeteer-core-25"),
        (WS_URL, WS_HEADER, HTTP_URL, HTTP_HEADER),
    ),
    ClientUnderTest("chrome-remote-interface", lambda: by_node("cri_program.mjs"), (WS_URL, FORWARD)),
    ClientUnderTest("pychrome", lambda: by_clients_python("pychrome_program"), (FORWARD,)),
    ClientUnderTest("pydoll", lambda: by_clients_python("pydoll_program"), (FORWARD,)),
    ClientUnderTest("nodriver", lambda: by_clients_python("nodriver_program"), (FORWARD,)),
    ClientUnderTest("Selenium", lambda: by_clients_python("selenium_program"), (FORWARD,)),
    ClientUnderTest("DevTools, driven by Playwright", lambda: by_project_python("devtools_program"), (HTTP_URL,)),
    # Whenever it connects for BiDi, ChromeDriver sends one page of its own choice, anybody's, to about:blank: it may be
    # the page that was left to be found again.
    ClientUnderTest(
        "Selenium, BiDi", lambda: by_clients_python("selenium_program", "bidi"), (FORWARD,), by_chance="detach"
    ),
)


class Row(NamedTuple):
    """One line of the matrix."""

    client: ClientUnderTest
    way: Way

    @property
    def words(self) -> str:
        return f"{self.client.name}, {self.way.words}"


ROWS = tuple(Row(client, way) for client in CLIENTS for way in client.ways)


class Run(NamedTuple):
    """What a client's program printed, and what was seen after it had ended."""

    version: str
    steps: dict[str, dict[str, Any]]
    aftermath: Aftermath


class Comparison(NamedTuple):
    """One row run against Chrome itself and through the relay."""

    row: Row
    direct: Run
    relay: Run

    def verdict(self, step: Step) -> str:
        """`same`, `better`, `cannot` (against Chrome itself either), `worse`, or `chance`."""
        if step.name == self.row.client.by_chance:
            return "chance"
        direct, relay = (run.steps.get(step.name, {"cannot": "never reached"}) for run in (self.direct, self.relay))
        if "gives" in direct:
            return "same" if relay == direct else "worse"
        return "better" if "gives" in relay else "cannot"


def printed_by(argv: tuple[str, ...], where: Where, site: str, steps: Iterable[Step] = STEPS) -> dict[str, Any]:
    """What a client's program prints of some steps."""
    named = [{"name": step.name, "given": step.given} for step in steps]
    given = {"url": where.url, "headers": where.headers, "site": site, "steps": named}
    ended = subprocess.run(
        argv, input=json.dumps(given), cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    printed: dict[str, Any] = json.loads(ended.stdout)
    return printed


def run_program(argv: tuple[str, ...], where: Where, site: str) -> Run:
    """Run the whole scenario beside a bystander."""
    with Bystander(where.observed, site) as bystander:
        printed = printed_by(argv, where, site)
        return Run(printed["version"], printed["steps"], bystander.aftermath())


@dataclass
class Matrix:
    """All rows, each run when it is first asked for; what is the same against Chrome itself is run once."""

    relay: Relay
    site: str
    _direct: dict[tuple[str, str], Run] = field(default_factory=dict)
    _comparisons: dict[Row, Comparison] = field(default_factory=dict)

    def comparison(self, row: Row) -> Comparison:
        """Both runs of a row."""
        if row not in self._comparisons:
            through = run_program(row.client.argv(), row.way.through(self.relay), self.site)
            self._comparisons[row] = Comparison(row, self._against_chrome(row), through)
        return self._comparisons[row]

    def _against_chrome(self, row: Row) -> Run:
        """A Chrome of its own for every run: some clients end it."""
        key = (row.client.name, row.way.scheme)
        if key not in self._direct:
            with DirectChrome() as chrome:
                url = chrome.client_ws if row.way.scheme == "ws" else f"http://{chrome.address}"
                self._direct[key] = run_program(row.client.argv(), Where(url, {}, chrome.client_ws), self.site)
        return self._direct[key]


@cache
def browser_version(url: str) -> str:
    """What the browser at a ws URL says of itself, without its name."""
    with RawClient(url) as client:
        return str(client.call("Browser.getVersion")["product"]).rpartition("/")[2]


def expected(step: Step, version: str) -> dict[str, Any]:
    """What a step's results must contain, of a browser of this version."""
    return {key: version if value is BROWSER_VERSION else value for key, value in step.gives.items()}
