"""`browsergo up` with real signals, sockets and processes; only the children are fakes (tests/fakes/child.py)."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from browsergo.cli.processes import ProcessIdentity, identity_of, is_running
from tests.fakes.child import EXIT_CRASH, SECRET
from tests.fakes.supervised import ALL, PATIENCE_S, read_children_output, supervised, wait_gone

STOP_ORDER = ["agent", "edge", "edge", "control", "router", "registry"]
QUICK = {"first_s": 0.05}


def browsergo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "browsergo.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def answers(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S) as answer:
        return int(answer.status)


def test_a_stack_starts_serves_and_ends_in_order(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        record = stack.ready()
        assert sorted(record.children) == sorted(ALL)
        assert all(is_running(child) for child in record.children.values())
        assert answers(record.port) == 200
        assert record.ready
        assert stack.stops() == 0
        assert [name.partition("-")[0] for name in stack.events("stopped")] == STOP_ORDER
        assert not any(is_running(child) for child in record.children.values())
        assert stack.left_in_run() == ["lock"]


def test_private_things_are_private(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        stack.ready()
        where = stack.where
        for folder in (where.keys, where.state, where.logs, where.run):
            assert folder.stat().st_mode & 0o777 == 0o700
        for file in (where.signing_key, where.record, where.device_token):
            assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_printed_can_be_pasted_and_the_admin_token_is_shown_once(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        port = stack.ready().port
        assert "admin token" in stack.said
        ws = f"ws://127.0.0.1:{port}/v2/cdp/local?token=eyJ"
        pasted = [line for line in stack.said.splitlines() if ws in line]
        assert [line.partition("(")[0] for line in pasted[:3]] == [
            "browser = playwright.chromium.connect_over_cdp",
            "const browser = await chromium.connectOverCDP",
            "const browser = await puppeteer.connect",
        ]
        assert all(line.endswith(('")', '");', '"});')) for line in pasted[:3])
        assert "\x1b" not in stack.said
        stack.stops()
    with supervised(tmp_path / "d") as again:
        again.ready()
        assert "admin token" not in again.said


def test_urls_prints_what_a_script_needs(tmp_path: Path) -> None:
    data_dir = tmp_path / "d"
    with supervised(data_dir) as stack:
        port = stack.ready().port
        urls = json.loads(browsergo("urls", "--json", "--data-dir", str(data_dir)).stdout)
        assert urls["client_ws"].startswith(f"ws://127.0.0.1:{port}/v2/cdp/local?token=eyJ")
        assert urls["client_http"].startswith(f"http://127.0.0.1:{port}/v2/cdp/local?token=eyJ")
        assert urls["control_ws"] == f"ws://127.0.0.1:{port}/v2/control"
        assert urls["registry_grpc"] == f"unix:{data_dir}/run/registry.sock"
        assert sorted(urls["tokens"]) == ["admin", "client", "control", "device"]
    gone = browsergo("urls", "--json", "--data-dir", str(data_dir))
    assert gone.returncode == 3
    assert gone.stdout == ""
    assert len(gone.stderr.splitlines()) == 1
    assert "browsergo up" in gone.stderr


def test_down_stops_the_stack_of_its_data_directory_only(tmp_path: Path) -> None:
    with supervised(tmp_path / "a") as one, supervised(tmp_path / "b") as other:
        one.ready()
        other.ready()
        # The stack's own parent must collect it, as init does for one that was started in the background.
        threading.Thread(target=one.process.wait, daemon=True).start()
        assert browsergo("down", "--data-dir", str(tmp_path / "a")).returncode == 0
        assert one.ends() == 0
        assert other.process.poll() is None
        assert answers(other.record().port) == 200
        assert browsergo("down", "--data-dir", str(tmp_path / "a")).returncode == 3


def test_two_stacks_share_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path / "a") as one, supervised(tmp_path / "b") as other:
        first, second = one.ready(), other.ready()
        assert not set(first.edges.values()) & set(second.edges.values())
        assert first.registry_grpc != second.registry_grpc
        one.stops()
        assert all(is_running(child) for child in other.children())
        assert answers(second.port) == 200


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        stack.ready()
        assert stack.stops(signal.SIGINT) == 130
        assert "Traceback" not in stack.said
        assert len(stack.events("stopped")) == len(ALL)


def test_ctrl_c_during_the_start_ends_everything(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"edge-1": "unready"}) as stack:
        stack.until("starting ")
        assert stack.stops(signal.SIGINT) == 130
        assert "Traceback" not in stack.said
        assert stack.left_in_run() == ["lock"]


def test_a_closed_terminal_drains(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with supervised(tmp_path / "d", stdout=writer) as stack:
        os.close(writer)
        while b"logs: " not in os.read(reader, 65_536):
            pass
        os.close(reader)
        stack.process.send_signal(signal.SIGHUP)
        assert stack.process.wait(PATIENCE_S) == 0
        assert len(stack.events("stopped")) == len(ALL)
        assert stack.left_in_run() == ["lock"]


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"agent": "stubborn"}, times={"stop_s": 3600}) as stack:
        children = list(stack.ready().children.values())
        stack.process.send_signal(signal.SIGINT)
        stack.until("stopping")
        assert stack.stops(signal.SIGINT) == 130
        assert not any(is_running(child) for child in children)
        assert stack.left_in_run() == ["lock"]


def test_a_child_that_ignores_sigterm_is_killed_with_all_it_started(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"edge-2": "stubborn"}, times={"stop_s": 0.3}) as stack:
        stack.ready()
        (grandchild,) = stack.pids("grandchild")
        identity = identity_of(grandchild)
        assert stack.stops() == 0
        assert "edge-2 | did not end within" in stack.said
        assert not is_running(identity)
        assert [name.partition("-")[0] for name in stack.events("stopped")] == [*STOP_ORDER[:2], *STOP_ORDER[3:]]


@pytest.mark.parametrize("behaviour", ["litter", "litter-apart"])
def test_what_a_dead_child_left_behind_is_ended_before_it_starts_again(tmp_path: Path, behaviour: str) -> None:
    with supervised(tmp_path / "d", behaviours={"agent": behaviour}, restarts=QUICK) as stack:
        stack.ready()
        left = identity_of(stack.pids("grandchild")[0])
        assert is_running(left)
        killed = stack.record().children["agent"]
        assert f"chrome-{killed.pid}" in stack.left_in_run()
        os.kill(killed.pid, signal.SIGKILL)
        stack.until("agent | ended by SIGKILL")
        wait_gone(left)
        assert f"chrome-{killed.pid}" not in stack.left_in_run()
        assert stack.stops() == 0
        assert not any(is_running(identity_of(pid)) for pid in stack.pids("grandchild"))


def test_a_child_that_dies_comes_back(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"control": "crash-once"}, restarts=QUICK) as stack:
        stack.until(f"control | exit code {EXIT_CRASH}, again in 0.1 s: out of luck")
        stack.ready()
        assert answers(stack.record().port) == 200
        assert stack.stops() == 0
        assert stack.events("started").count("control") == 2


def test_a_killed_edge_loses_no_port(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", restarts=QUICK) as stack:
        before = stack.ready()
        os.kill(before.children["edge-1"].pid, signal.SIGKILL)
        # Nobody is refused meanwhile: the supervisor holds the socket, and the new edge accepts what waits in it.
        assert answers(before.port) == 200
        after = stack.record()
        assert after.port == before.port
        assert after.children["edge-1"] != before.children["edge-1"]
        assert after.children["edge-2"] == before.children["edge-2"]


def test_kill_9_of_the_supervisor_leaves_nothing_and_the_next_start_works(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", "--port", "0") as stack:
        record = stack.ready()
        stack.process.kill()
        stack.process.wait(PATIENCE_S)
        for child in record.children.values():
            wait_gone(child)
    with supervised(tmp_path / "d", "--port", str(record.port)) as again:
        assert again.ready().port == record.port
        assert again.stops() == 0
        assert again.left_in_run() == ["lock"]


def test_what_survived_a_killed_supervisor_is_ended_by_the_next_start(tmp_path: Path) -> None:
    data_dir = tmp_path / "d"
    with supervised(data_dir, behaviours={"edge-1": "stubborn"}) as stack:
        record = stack.ready()
        stack.process.kill()
        stack.process.wait(PATIENCE_S)
        grandchild = identity_of(stack.pids("grandchild")[0])
        assert is_running(record.children["edge-1"])
        assert is_running(grandchild)
        profile = data_dir / "run" / "chrome-left"
        profile.mkdir()
        browser = subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()", f"--user-data-dir={profile}"],
            start_new_session=True,
        )
        bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", str(profile)])
        try:
            with supervised(data_dir, "--port", str(record.port)) as again:
                again.ready()
                assert not is_running(record.children["edge-1"])
                assert not is_running(grandchild)
                assert browser.wait(PATIENCE_S) == -signal.SIGTERM
                assert bystander.poll() is None
                assert not profile.exists()
        finally:
            for process in (browser, bystander):
                process.kill()
                process.wait(PATIENCE_S)


def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        record = stack.ready()
        text = stack.where.record.read_text()
        stack.stops()
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        recycled = ProcessIdentity(stranger.pid, (identity_of(stranger.pid).start_ticks or 0) - 1)
        fields = json.loads(text)
        fields["children"] = {"agent": {"pid": recycled.pid, "start_ticks": recycled.start_ticks}}
        stack.where.record.write_text(json.dumps(fields))
        with supervised(tmp_path / "d") as again:
            assert again.ready().supervisor != record.supervisor
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(PATIENCE_S)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with supervised(tmp_path / "d", "--port", str(port)) as stack:
            assert stack.ends() == 2
            (line,) = stack.said.splitlines()
            assert line.startswith(f"browsergo up: port {port} on 127.0.0.1 cannot be used (")
            assert "--port" in line
            assert stack.left_in_run() == ["lock"]


def test_a_data_directory_in_use_names_who_uses_it(tmp_path: Path) -> None:
    with supervised(tmp_path / "d") as stack:
        record = stack.ready()
        with supervised(tmp_path / "d") as second:
            assert second.ends() == 2
            (line,) = second.said.splitlines()
            assert f"(pid {stack.process.pid}, port {record.port})" in line
            assert "--data-dir" in line
        assert answers(record.port) == 200
        assert "stack.json" in stack.left_in_run()


def test_a_data_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with supervised(tmp_path / "file" / "d") as stack:
        assert stack.ends() == 2
        (line,) = stack.said.splitlines()
        assert "cannot be written" in line
        assert "--data-dir" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "only loopback"),
        (["--port", "70000"], "port"),
        (["--chrome", "/nonexistent/chrome"], "--chrome /nonexistent/chrome: not a program"),
        (["--no-device", "--chrome", sys.executable], "--no-device"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "deploy.local", "--data-dir", str(tmp_path / "d"), *arguments]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert said in refused.stderr
    assert not (tmp_path / "d").exists()


def test_an_unknown_flag_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local", "--data-dir", str(tmp_path / "d"), "--no-such-flag"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2
    assert "--no-such-flag" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "d").exists()


def test_no_chrome_is_one_clear_line(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "deploy.local", "--data-dir", str(tmp_path / "d")]
    refused = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=PATIENCE_S, check=False)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert all(way in line for way in ("--chrome", "install", "--cdp", "--no-device"))


def test_a_child_that_refuses_its_configuration_ends_the_start(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"registry": "refuse", "edge-1": "unready"}) as stack:
        assert stack.ends() == 2
        last = stack.said.splitlines()[-1]
        assert last == "browsergo up: registry refuses to start: registry: the store is locked by another registry"
        assert stack.left_in_run() == ["lock"]


def test_a_start_that_takes_too_long_says_what_is_missing_and_fails(tmp_path: Path) -> None:
    times = {"look_every_s": 0.02, "remark_s": 0.2, "give_up_s": 0.6}
    with supervised(tmp_path / "d", behaviours={"edge-1": "unready"}, times=times) as stack:
        assert stack.ends() == 1
        assert "not ready after 0 s: edge-1: 503 registry: no answer; waiting until" in stack.said
        assert stack.said.splitlines()[-1].startswith(
            "browsergo up: not ready after 1 s: edge-1: 503 registry: no answer"
        )
        assert len(stack.events("stopped")) == len(ALL)
        assert stack.left_in_run() == ["lock"]


def test_warnings_of_children_are_shown_and_secrets_are_not(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"control": "warn"}) as stack:
        stack.until("control | warning: lease is late token=[secret] late_s=3")
        stack.ready()
        log = read_children_output("control", stack.where)
        assert '"event": "ready"' in log
        assert '"event": "ready"' not in stack.said
        assert SECRET not in log + stack.said


def test_no_token_is_in_a_command_line_an_environment_or_a_log(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", behaviours={"control": "warn"}) as stack:
        record = stack.ready()
        for child in [record.supervisor, *record.children.values()]:
            for what in ("cmdline", "environ"):
                assert b"eyJ" not in Path(f"/proc/{child.pid}/{what}").read_bytes()
        stack.stops()
        assert not any("eyJ" in log.read_text() for log in stack.where.logs.iterdir())


def test_a_deep_data_directory_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)
    with supervised(deep) as stack:
        record = stack.ready()
        sockets = Path(record.sockets)
        assert not sockets.is_relative_to(deep)
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert record.registry_grpc == f"unix:{sockets}/registry.sock"
        assert stack.stops() == 0
        assert not sockets.exists()


def test_without_a_device_there_is_no_agent(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", "--no-device") as stack:
        record = stack.ready()
        assert record.device is None
        assert "agent" not in record.children
        assert not stack.where.device_token.exists()


def test_a_stack_without_authentication_says_so(tmp_path: Path) -> None:
    with supervised(tmp_path / "d", "--insecure-no-auth") as stack:
        port = stack.ready().port
        stack.until("no authentication (--insecure-no-auth)")
        assert f'connect_over_cdp("ws://127.0.0.1:{port}/v2/cdp/local")' in stack.said


def test_on_a_terminal_lines_to_paste_are_not_wrapped(tmp_path: Path) -> None:
    primary, secondary = os.openpty()
    said = b""
    with supervised(tmp_path / "d", stdout=secondary, environ={"TERM": "xterm", "COLUMNS": "60"}) as stack:
        os.close(secondary)
        while b"logs: " not in said:
            said += os.read(primary, 65_536)
        lines = said.decode().replace("\r", "").splitlines()
        (pasted,) = [line for line in lines if line.startswith("browser = playwright")]
        assert pasted.endswith('")')
        assert len(pasted) > 200
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(PATIENCE_S) == 0
    os.close(primary)
