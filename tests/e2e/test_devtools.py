"""The DevTools front end of the device's own Chrome, in a person's browser: it loads, steps and shows the page."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.devtools_scenario import RELAY_NAME
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_http import exchange, upgrade_request
from tests.e2e.test_discovery import PREFIX
from tests.fakes.site import Site
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def named_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is also reached by a name that is not loopback."""
    settings = {"BROWSERGO_EDGE_PUBLIC_HOSTS": json.dumps([RELAY_NAME])}
    with Stack(tmp_path_factory.mktemp("named"), settings) as stack:
        yield stack


def opened_page(stack: Stack, url: str, name: str = "127.0.0.1") -> dict[str, Any]:
    """A new page of the local browser, as a client that knows the relay under `name` is told of it."""
    connection = HTTPConnection(*stack.address, timeout=15)
    headers = {"Host": f"{name}:{stack.port}", "Authorization": f"Bearer {stack.urls.tokens['client']}"}
    connection.request("PUT", f"{PREFIX}/json/new?{url}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    page: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return page


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("127.0.0.1", "localhost")), RELAY_NAME]
)
def test_it_loads_evaluates_steps_and_shows_a_page(named_relay: Stack, site: Site, name: str) -> None:
    opened = opened_page(named_relay, f"{site.url}/steps", name)
    url = opened["devtoolsFrontendUrl"]
    assert urlsplit(url).hostname == name
    assert urlsplit(url).port != named_relay.port
    run = subprocess.run(
        [sys.executable, "-m", "tests.e2e.devtools_scenario", url],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert run.returncode == 0, re.sub(r"eyJ[\w.-]+", "TICKET", run.stderr)
    seen = json.loads(run.stdout)
    assert seen == {"title": "Steps", "button": "greeted", "stepped": [0, 1, 2], "failures": []}
    with RawClient(opened["webSocketDebuggerUrl"].replace(name, "127.0.0.1")) as client:
        assert client.evaluate("window.step", "") == 2


@pytest.fixture(scope="module")
def frontend(named_relay: Stack) -> str:
    """A page's devtoolsFrontendUrl."""
    url: str = opened_page(named_relay, "about:blank")["devtoolsFrontendUrl"]
    return url


def ask(at: str, path: str, **headers: str) -> tuple[int, str]:
    """One GET at the origin of the URL `at`: status and body."""
    parts = urlsplit(at)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_the_device_origin_serves_front_ends_and_pages_and_nothing_else(named_relay: Stack, frontend: str) -> None:
    prefix = urlsplit(frontend).path.removesuffix("/devtools/inspector.html")
    assert ask(frontend, f"{prefix}/devtools/inspector.html")[0] == 200
    bearer = {"Authorization": f"Bearer {named_relay.urls.tokens['admin']}"}
    for path in ("/", "/healthz", f"{PREFIX}/json/list", f"{prefix}/json/list", f"{prefix}/devtools/nothing.js"):
        assert ask(frontend, path, **bearer)[0] == 404, path
    origin = (urlsplit(frontend).hostname or "", urlsplit(frontend).port or 0)
    for path in ("/v2/control", "/v2/device", PREFIX, f"{PREFIX}/devtools/browser"):
        assert exchange(origin, upgrade_request(origin, path, bearer)).status == 404, path


def test_the_edges_own_origin_serves_no_file_of_a_device(named_relay: Stack, frontend: str) -> None:
    path = urlsplit(frontend).path
    assert ask(f"http://127.0.0.1:{named_relay.port}", path)[0] == 404


def test_the_ticket_in_the_path_is_for_files_only(named_relay: Stack, frontend: str) -> None:
    match = re.search(r"/~([^/]+)/", urlsplit(frontend).path)
    assert match is not None
    path = f"{PREFIX}/devtools/browser?ticket={match[1]}"
    assert exchange(named_relay.address, upgrade_request(named_relay.address, path)).status == 403
    assert ask(f"http://127.0.0.1:{named_relay.port}", f"{PREFIX}/json/list?ticket={match[1]}")[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Service-Worker": "script"}, 403),
    ],
)
def test_foreign_pages_and_service_workers_get_nothing(frontend: str, headers: dict[str, str], status: int) -> None:
    assert ask(frontend, urlsplit(frontend).path, **headers)[0] == status


def test_pages_of_the_device_origin_may_not_dial_the_edges_own(named_relay: Stack, frontend: str) -> None:
    origin = f"http://{urlsplit(frontend).netloc}"
    headers = {"Origin": origin, "Authorization": f"Bearer {named_relay.urls.tokens['admin']}"}
    for path in (PREFIX, "/v2/control"):
        assert exchange(named_relay.address, upgrade_request(named_relay.address, path, headers)).status == 403


def test_no_ticket_is_in_any_log(named_relay: Stack, frontend: str) -> None:
    assert ask(frontend, urlsplit(frontend).path)[0] == 200
    assert all("eyJ" not in text for text in named_relay.logs().values())
