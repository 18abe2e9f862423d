"""What the supervisor decides: delays, contradictions, whose a process is, and what people are told."""

import signal
from pathlib import Path

import pytest

from browsergo.cli.processes import ProcessStat
from deploy import announcements
from deploy.config import UpConfig, contradiction
from deploy.leash import descendants, leftovers
from deploy.local import not_installed
from deploy.readiness import probes, unready_text
from deploy.restarts import Restarts, RestartTimes

US, EDGE, AGENT, CHROME, RENDERER, CRASH_HANDLER = 100, 201, 202, 301, 302, 303


def stat(pid: int, parent: int, session: int) -> ProcessStat:
    return ProcessStat(pid, "S", parent, session, 1)


# Chrome has a session of its own; its crash handler is an orphan in it, which the supervisor has adopted.
FAMILY = [
    stat(1, 0, 1),
    stat(US, 1, US),
    stat(EDGE, US, EDGE),
    stat(AGENT, US, AGENT),
    stat(CHROME, AGENT, CHROME),
    stat(RENDERER, CHROME, CHROME),
    stat(CRASH_HANDLER, US, CHROME),
    stat(999, 1, 999),
]


def test_a_child_that_dies_again_and_again_waits_ever_longer_up_to_a_bound() -> None:
    restarts = Restarts(RestartTimes())
    delays = [restarts.delay_s(ran_s=0.1) for _ in range(7)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_steady_run_is_forgiven() -> None:
    restarts = Restarts(RestartTimes())
    for _ in range(5):
        restarts.delay_s(ran_s=29.9)
    assert restarts.delay_s(ran_s=30.0) == 0.2
    assert restarts.delay_s(ran_s=1.0) == 0.4


def test_nothing_is_left_over_while_its_owner_lives() -> None:
    assert leftovers(FAMILY, US, {EDGE, AGENT}) == []


def test_an_edges_death_leaves_the_browser_alone() -> None:
    alive = [entry for entry in FAMILY if entry.pid != EDGE]
    assert leftovers(alive, US, {AGENT}) == []


def test_a_dead_agents_browser_is_left_over_and_nothing_else() -> None:
    orphaned = [entry for entry in FAMILY if entry.pid not in {AGENT, CHROME}] + [stat(CHROME, US, CHROME)]
    assert sorted(leftovers(orphaned, US, {EDGE})) == [CHROME, RENDERER, CRASH_HANDLER]


def test_when_no_child_lives_all_below_us_is_left_over_and_nobody_else() -> None:
    assert sorted(leftovers(FAMILY, US, ())) == [EDGE, AGENT, CHROME, RENDERER, CRASH_HANDLER]


def test_descendants_are_found_at_any_depth_and_loops_end() -> None:
    assert sorted(entry.pid for entry in descendants(FAMILY, {AGENT})) == [CHROME, RENDERER]
    loop = [stat(5, 6, 5), stat(6, 5, 5)]
    assert [entry.pid for entry in descendants(loop, {5})] == [6]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], None),
        (["--host", "::1"], None),
        (["--host", "localhost", "--cdp", "http://127.0.0.1:9222"], None),
        (["--host", "0.0.0.0"], "--host 0.0.0.0"),
        (["--host", "192.0.2.1"], "only loopback"),
        (["--chrome", "/c", "--cdp", "http://127.0.0.1:9222"], "choose one"),
        (["--no-device", "--cdp", "http://127.0.0.1:9222"], "leave out --chrome and --cdp"),
    ],
)
def test_contradictions_are_found_before_anything_starts(flags: list[str], said: str | None) -> None:
    why = contradiction(UpConfig.load(flags, {}))
    assert why is None if said is None else why is not None and said in why


def test_a_missing_library_is_named_with_what_to_install() -> None:
    assert not_installed() is None
    assert "'browser-go[server]'" in (not_installed(["sys", "no_such_module"]) or "")


def test_the_environment_configures_a_stack() -> None:
    config = UpConfig.load(["--port", "3100"], {"BROWSERGO_UP_PORT": "3200", "BROWSERGO_UP_DEVICE": "false"})
    assert config.port == 3100
    assert not config.device


def test_readiness_asks_for_the_device_with_a_token_only_when_there_is_one() -> None:
    assert [probe.path for probe in probes("T", has_device=False)] == ["/readyz"]
    edge, device = probes("T", has_device=True)
    assert edge.headers == {}
    assert (device.path, device.headers) == ("/v2/cdp/local/json/version", {"authorization": "Bearer T"})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"status": "unready", "registry": "no answer", "router": "ok"}', "503 registry: no answer"),
        (b'{"status": "unready", "parts": {"registry": "ok", "trunk": "lost"}}', "503 parts: trunk: lost"),
        (b'{"status": "unready", "failing": {"control": "no answer"}}', "503 failing: control: no answer"),
        (b'{"registry": true, "trunk": false}', "503 trunk: False"),
        (b"device offline\n", "503 device offline"),
        (b"\xff\x00", "503 \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_an_unready_answer_is_told_by_what_is_not_well(body: bytes, said: str) -> None:
    assert unready_text(503, body) == said


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "exit code 0"), (7, "exit code 7"), (-signal.SIGKILL, "ended by SIGKILL"), (-99, "ended by signal 99")],
)
def test_an_end_is_named(code: int, said: str) -> None:
    assert announcements.exit_text(code) == said


def test_a_death_says_when_it_is_tried_again_and_why_it_happened() -> None:
    assert announcements.died(1, 0.4, "no such store") == "exit code 1, again in 0.4 s: no such store"
    assert announcements.died(0, 0.2, "bye") == "exit code 0, again in 0.2 s"


def test_other_commands_are_quoted_with_the_flag_they_need() -> None:
    assert announcements.data_dir_hint(None) == ""
    assert announcements.data_dir_hint(Path("/d")) == " --data-dir /d"
