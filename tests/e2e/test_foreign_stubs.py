"""Somebody else's program, made from protos/ alone in an environment of its own, finds and uses the services."""

import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.stack import ROOT, Stack

pytestmark = pytest.mark.chrome

PROGRAM = Path(__file__).with_name("foreign_operator.py")
PACKAGES = ("grpcio", "grpcio-reflection", "protobuf")
INSTALL_TIMEOUT_S = 300


def run_outside(python: Path, folder: Path, stack: Stack) -> dict[str, Any]:
    """Run the operator's program in `folder` with nothing of this repository but a copy of protos/."""
    shutil.copytree(ROOT / "protos", folder / "protos")
    program = shutil.copy(PROGRAM, folder)
    urls = {name: getattr(stack.urls, name) for name in ("registry_grpc", "control_grpc", "router_grpc")}
    run = subprocess.run(
        [str(python), "-I", str(program), str(folder / "protos"), json.dumps(urls)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def check(found: dict[str, Any], folder: Path) -> None:
    """What such a program must have found at a stack with one browser."""
    assert found["stubs"] == str(folder / "stubs" / "browsergo")
    serving = {
        "registry_grpc": {"", "browsergo.v2.MembershipService", "browsergo.v2.RegistryService"},
        "control_grpc": {"", "browsergo.v2.ControlService"},
        "router_grpc": {"", "browsergo.v2.RouterService", "browsergo.v2.TrunkService"},
    }
    assert found["services"] == {name: dict.fromkeys(services, "SERVING") for name, services in serving.items()}
    [device] = found["devices"]
    assert (device["device"], device["state"]) == ("local", "DEVICE_STATE_ACTIVE")
    assert device["epoch"] >= 1
    assert device["edge"] in found["edges"]
    assert found["edges"] == ["edge-1", "edge-2"]
    assert device["browser"]
    assert found["browser"]["id"] == 41
    assert found["browser"]["result"]["product"].startswith("Chrome/")
    assert found["control"]["status"] == "ok"
    assert found["control"]["devices_active"] == 1
    assert {"registry", "edge edge-1", "edge edge-2"} < set(found["control"]["parts"])
    assert all(found["control"]["parts"].values())


def test_stubs_generated_elsewhere_speak_to_every_service(relay: Stack, tmp_path: Path) -> None:
    check(run_outside(Path(sys.executable), tmp_path, relay), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(2 * INSTALL_TIMEOUT_S)
def test_an_environment_of_its_own_needs_grpc_and_the_protos_only(relay: Stack, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned()],
        check=True, timeout=INSTALL_TIMEOUT_S,
    )  # fmt: skip
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    check(run_outside(python, folder, relay), folder)


def pinned() -> list[str]:
    """The packages as the server has them; the generator is of grpcio's own version."""
    lock = (ROOT / "requirements" / "server.txt").read_text()
    found = dict(re.findall(r"^([a-z-]+)==([\w.]+)", lock, re.MULTILINE))
    versions = {name: found[name] for name in PACKAGES} | {"grpcio-tools": found["grpcio"]}
    return [f"{name}=={version}" for name, version in versions.items()]
