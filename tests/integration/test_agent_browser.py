"""The browser that an agent starts: it comes up or says why, and nothing of it is left."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from browsergo.agent import chrome
from browsergo.agent.browser import BROWSER_ENDPOINT, Browser
from browsergo.agent.chrome import Chrome
from browsergo.core.errors import (
    BrowserGoError,
    BrowserUnavailable,
    DeviceNotFound,
    FrontendNotFound,
    MethodNotAllowed,
    TargetNotFound,
)
from tests.fakes.browser import PAGE_PATH, FakeBrowser
from tests.fakes.chrome_program import PORT, seen_by, write_program
from tests.fakes.processes import ProcessId, descendants, is_alive
from tests.fakes.site import Site


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder for profiles whose path is short, as Chrome's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="state-", dir="/tmp") as folder:
        yield Path(folder)


async def launch(program: Path, state: Path) -> Chrome:
    return await Chrome.launch(program, state, headless=True)


def living() -> set[ProcessId]:
    """What runs below this process."""
    return {process for process in descendants(os.getpid()) if is_alive(process)}


def test_a_browser_comes_up_with_its_port_and_goes_with_its_profile(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "polite")

    async def scenario() -> None:
        running = await launch(program, state)
        seen = seen_by(program)
        assert (running.port, running.browser_path) == (PORT, "/devtools/browser/abc")
        assert seen.profile.parent == state
        assert seen.environ["TMPDIR"] == str(seen.profile / "tmp")
        began_s = time.monotonic()
        await running.stop()
        assert time.monotonic() - began_s < chrome.STOP_TIMEOUT_S / 2
        assert list(state.iterdir()) == []

    before = living()
    asyncio.run(scenario())
    assert living() <= before


def test_a_browser_that_ignores_sigterm_is_killed_with_all_it_started_and_its_profile_goes(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chrome, "STOP_TIMEOUT_S", 0.5)
    program = write_program(tmp_path / "chrome", "stubborn")

    async def scenario() -> None:
        running = await launch(program, state)
        assert len(living()) == len(before) + 2
        began_s = time.monotonic()
        await running.stop()
        assert 0.5 <= time.monotonic() - began_s < 3
        assert list(state.iterdir()) == []

    before = living()
    asyncio.run(scenario())
    assert living() <= before


def test_a_profile_goes_even_if_something_writes_into_it_to_the_end(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "litter")

    async def scenario() -> None:
        running = await launch(program, state)
        await running.stop()
        assert list(state.iterdir()) == []

    before = living()
    asyncio.run(scenario())
    assert living() <= before


def test_the_end_of_a_browser_is_noticed(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "polite")

    async def scenario() -> int:
        running = await launch(program, state)
        os.kill(seen_by(program).pid, 9)
        code = await asyncio.wait_for(running.ended(), 5)
        await running.stop()
        return code

    assert asyncio.run(scenario()) == -9
    assert list(state.iterdir()) == []


def under(runner: Callable[[], asyncio.Runner], scenario: Coroutine[Any, Any, None]) -> None:
    with runner() as loop:
        loop.run(scenario)


LOOPS = [asyncio.Runner, lambda: asyncio.Runner(loop_factory=uvloop.new_event_loop)]


@pytest.mark.parametrize("runner", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("killed", [True, False])
def test_whoever_keeps_the_browsers_stderr_open_keeps_nobody_waiting(
    tmp_path: Path, state: Path, runner: Callable[[], asyncio.Runner], killed: bool
) -> None:
    program = write_program(tmp_path / "chrome", "escaping")

    async def scenario() -> None:
        running = await launch(program, state)
        seen = seen_by(program)
        try:
            async with asyncio.timeout(3):
                if killed:
                    os.kill(seen.pid, 9)
                    await running.ended()
                await running.stop()
        finally:
            os.kill(seen.grandchild, 9)

    under(runner, scenario())
    assert list(state.iterdir()) == []


def test_a_browser_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "broken")
    with pytest.raises(BrowserUnavailable, match="exited with 7: no display and no hope"):
        asyncio.run(launch(program, state))
    assert list(state.iterdir()) == []


def test_a_browser_that_never_listens_is_given_up_and_leaves_nothing(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chrome, "START_TIMEOUT_S", 0.5)
    program = write_program(tmp_path / "chrome", "silent")
    before = living()
    with pytest.raises(BrowserUnavailable, match=r"did not listen within 0\.5 s"):
        asyncio.run(launch(program, state))
    assert list(state.iterdir()) == []
    assert living() <= before


def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "silent")

    async def scenario() -> None:
        starting = asyncio.create_task(launch(program, state))
        while not Path(f"{program}.seen").exists():  # noqa: ASYNC110 - the program has no other way to tell
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    before = living()
    asyncio.run(scenario())
    assert list(state.iterdir()) == []
    assert living() <= before


def test_an_end_that_is_cancelled_is_an_end_all_the_same(tmp_path: Path, state: Path) -> None:
    program = write_program(tmp_path / "chrome", "stubborn")

    async def scenario() -> None:
        running = await launch(program, state)
        ending = asyncio.create_task(running.stop())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        await asyncio.wait_for(running.ended(), 5)

    before = living()
    asyncio.run(scenario())
    assert list(state.iterdir()) == []
    assert living() <= before


@pytest.mark.parametrize("content", ["#!/no/such/interpreter\n", "not a program at all"])
def test_a_file_that_is_no_program_is_a_browser_that_is_not_available(
    tmp_path: Path, state: Path, content: str
) -> None:
    program = tmp_path / "chrome"
    program.write_text(content)
    program.chmod(0o755)
    with pytest.raises(BrowserUnavailable, match="cannot be started"):
        asyncio.run(launch(program, state))
    assert list(state.iterdir()) == []


def test_a_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    program = write_program(tmp_path / "chrome", "polite")
    with pytest.raises(BrowserUnavailable, match=r"no room for the browser's profile: .*file"):
        asyncio.run(launch(program, blocked / "state"))


# --- talking to it -----------------------------------------------------------------------------------------


def test_chrome_is_asked_as_localhost_and_without_an_origin() -> None:
    async def scenario(address: Browser) -> None:
        version = await address.version()
        assert (version.product, version.user_agent) == ("Fake/1.0", "Fake")
        assert (await address.fetch("GET", "/json/list/")).status == 200
        for endpoint in (BROWSER_ENDPOINT, PAGE_PATH):
            connection = await address.dial(endpoint)
            connection.abort()

    with FakeBrowser() as browser:
        for host in ("127.0.0.1", "localhost"):
            asyncio.run(scenario(Browser.at(f"http://{host}:{browser.port}")))
        assert set(browser.hosts) == {"localhost"}
        assert not browser.origins
    with FakeBrowser(host="::1") as browser:
        asyncio.run(scenario(Browser.at(f"http://[::1]:{browser.port}/")))
        assert set(browser.hosts) == {"localhost"}
        assert not browser.origins


def test_the_end_of_a_browser_that_runs_elsewhere_is_noticed() -> None:
    async def scenario() -> None:
        with ExitStack() as running:
            browser = running.enter_context(FakeBrowser())
            watch = await Browser.at(browser.url).watch()
            watching = asyncio.create_task(watch.ended())
            await Browser.at(browser.url).version()
            assert not watching.done()
            await asyncio.to_thread(running.close)
            await asyncio.wait_for(watching, 5)
        with pytest.raises(BrowserUnavailable):
            await Browser.at(browser.url).watch()

    asyncio.run(scenario())


def test_a_page_that_is_not_there_is_no_target() -> None:
    with FakeBrowser() as browser, pytest.raises(TargetNotFound):
        asyncio.run(Browser.at(browser.url).dial("/devtools/page/GONE"))


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/json/new", MethodNotAllowed),
        ("DELETE", "/json/list", MethodNotAllowed),
        ("GET", "/json/close/..", TargetNotFound),
        ("GET", "/json/version/../new", DeviceNotFound),
        ("GET", "/", DeviceNotFound),
        ("GET", "/devtools/page/FAKEPAGE", FrontendNotFound),
        ("GET", "/devtools/../json/list", FrontendNotFound),
    ],
)
def test_only_documents_and_files_of_the_front_end_are_fetched(
    method: str, path: str, refusal: type[BrowserGoError]
) -> None:
    with FakeBrowser() as browser, pytest.raises(refusal):
        asyncio.run(Browser.at(browser.url).fetch(method, path))


def test_what_does_not_answer_as_a_browser_is_none() -> None:
    with Site() as site, pytest.raises(BrowserUnavailable, match="not a browser's debugging port"):
        asyncio.run(Browser.at(site.url).version())
