"""The process table: command lines, environment and order, as data."""

from pathlib import Path

import pytest

from browsergo.cli.stack import DataDir
from deploy.table import ChildSpec, EdgePlace, Plan, child_environ, process_table, stop_groups

RUN = Path("/d/run")


def a_plan(
    *,
    chrome: Path | None = Path("/usr/bin/chromium"),
    cdp: str | None = None,
    insecure: bool = False,
    embedded: bool = False,
) -> Plan:
    return Plan(
        data_dir=DataDir(Path("/d")),
        sockets=RUN,
        edges=(EdgePlace("edge-1", "127.0.0.1", 3000, 7, 9), EdgePlace("edge-2", "127.0.0.1", 40_000, 8)),
        embedded=embedded,
        log_level="info",
        insecure_no_auth=insecure,
        chrome=chrome,
        cdp=cdp,
    )


def words_of(table: list[ChildSpec], name: str) -> list[str]:
    (spec,) = [spec for spec in table if spec.name == name]
    return list(spec.argv)


def values_of(words: list[str], flag: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == flag]


def test_every_process_is_in_it_once() -> None:
    names = [spec.name for spec in process_table(a_plan())]
    assert names == ["registry", "router-1", "control", "edge-1", "edge-2", "agent"]


def test_an_embedded_router_is_in_the_process_of_the_first_edge() -> None:
    table = process_table(a_plan(embedded=True))
    assert [spec.name for spec in table] == ["registry", "control", "edge-1", "edge-2", "agent"]
    assert values_of(words_of(table, "edge-1"), "-m") == ["deploy.embedded"]
    assert values_of(words_of(table, "edge-2"), "-m") == ["edge"]
    assert [values_of(words_of(table, f"edge-{n}"), "--routers") for n in (1, 2)] == [["unix:/d/run/router-1.sock"]] * 2


def test_processes_find_one_another() -> None:
    table = process_table(a_plan())
    registry, router = "unix:/d/run/registry.sock", "unix:/d/run/router-1.sock"
    control = "unix:/d/run/control.sock"
    assert values_of(words_of(table, "registry"), "--listen") == [registry]
    assert values_of(words_of(table, "router-1"), "--listen") == [router]
    assert values_of(words_of(table, "control"), "--listen") == [control]
    for name in ("router-1", "control", "edge-1", "edge-2"):
        assert values_of(words_of(table, name), "--registry") == [registry]
    for name in ("control", "edge-1", "edge-2"):
        assert values_of(words_of(table, name), "--routers") == [router]
    assert values_of(words_of(table, "edge-2"), "--control") == [control]


def test_each_edge_inherits_its_own_sockets() -> None:
    table = process_table(a_plan())
    assert [spec.inherited_fds for spec in table if spec.kind == "edge"] == [(7, 9), (8,)]
    assert values_of(words_of(table, "edge-1"), "--device-origin-fd") == ["9"]
    assert values_of(words_of(table, "edge-2"), "--device-origin-fd") == []
    assert values_of(words_of(table, "edge-1"), "--fd") == ["7"]
    assert values_of(words_of(table, "edge-2"), "--fd") == ["8"]


def test_the_agent_dials_the_private_edge_first() -> None:
    agent = words_of(process_table(a_plan()), "agent")
    assert values_of(agent, "--edges") == ["ws://127.0.0.1:40000", "ws://127.0.0.1:3000"]
    assert values_of(agent, "--token-file") == ["/d/run/device.token"]
    assert values_of(agent, "--state-dir") == ["/d/run"]
    assert values_of(agent, "--chrome") == ["/usr/bin/chromium"]


def test_a_running_browser_is_used_instead_of_a_started_one() -> None:
    agent = words_of(process_table(a_plan(chrome=None, cdp="http://127.0.0.1:9222")), "agent")
    assert values_of(agent, "--cdp") == ["http://127.0.0.1:9222"]
    assert "--chrome" not in agent


def test_without_a_browser_there_is_no_agent() -> None:
    assert "agent" not in [spec.name for spec in process_table(a_plan(chrome=None))]


@pytest.mark.parametrize("insecure", [False, True])
def test_only_edges_are_told_to_ask_for_no_token(insecure: bool) -> None:
    told = [spec.name for spec in process_table(a_plan(insecure=insecure)) if "--insecure-no-auth" in spec.argv]
    assert told == (["edge-1", "edge-2"] if insecure else [])


def test_all_log_json_for_the_supervisor_to_read() -> None:
    for spec in process_table(a_plan()):
        assert values_of(list(spec.argv), "--log-format") == ["json"]
        assert values_of(list(spec.argv), "--log-level") == ["info"]


def test_those_who_ask_stop_before_those_who_answer() -> None:
    groups = stop_groups(process_table(a_plan()))
    assert groups == [["agent"], ["edge-1", "edge-2"], ["control"], ["router-1"], ["registry"]]
    assert stop_groups(process_table(a_plan(chrome=None)))[0] == ["edge-1", "edge-2"]


def test_children_see_the_environment_but_for_what_is_settled() -> None:
    environ = {"HOME": "/home/ada", "BROWSERGO_UP_PORT": "1", "BROWSERGO_AGENT_CHROME": "/x", "BROWSERGO_EDGE_X": "2"}
    seen = child_environ(environ, None)
    assert {"HOME", "BROWSERGO_EDGE_X", "PYTHONUNBUFFERED"} <= set(seen)
    assert not {"BROWSERGO_UP_PORT", "BROWSERGO_AGENT_CHROME", "BROWSERGO_CONFIG"} & set(seen)


def test_a_named_configuration_file_is_for_all() -> None:
    assert child_environ({"BROWSERGO_CONFIG": "/old"}, Path("/new.toml"))["BROWSERGO_CONFIG"] == "/new.toml"
    assert child_environ({"BROWSERGO_CONFIG": "/old"}, None)["BROWSERGO_CONFIG"] == "/old"
