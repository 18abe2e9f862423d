"""The import contract of pyproject.toml can fail, and holds for what really gets loaded."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("browsergo", "edge", "services", "deploy")
PROCESSES = (
    "browsergo.agent",
    "browsergo.cli",
    "deploy",
    "edge",
    "services.control",
    "services.registry",
    "services.router",
)
SERVER_ONLY = ("google.protobuf", "grpc", "opentelemetry")

# contract, then the files that break it and the line each gets
VIOLATIONS: list[tuple[str, dict[str, str]]] = [
    ("processes", {"edge/__init__.py": "import services.router"}),
    ("processes", {"services/__init__.py": "import edge"}),
    ("processes", {"browsergo/cli/__init__.py": "import deploy.local"}),
    ("services", {"services/router/__init__.py": "import services.registry"}),
    ("layers", {"browsergo/core/__init__.py": "import browsergo.chassis"}),
    ("layers", {"browsergo/agent/__init__.py": "import browsergo.cli"}),
    ("layers", {"browsergo/core/ids.py": "import browsergo.v2"}),
    ("layers", {"browsergo/anything/__init__.py": ""}),
    ("purity", {"browsergo/core/channel/__init__.py": "import random"}),
    ("purity", {"edge/core/__init__.py": "import asyncio"}),
    ("purity", {"services/router/core/__init__.py": "from google.protobuf import message"}),
    ("websockets", {"browsergo/chassis/logs.py": "import websockets"}),
    ("services-websockets", {"services/control/__init__.py": "from browsergo.chassis import websocket"}),
    ("device-side", {"browsergo/agent/__init__.py": "import browsergo.chassis.telemetry"}),
    ("device-side", {"browsergo/cli/__init__.py": "import grpc"}),
    ("cycles", {"edge/one.py": "import edge.two", "edge/two.py": "import edge.one"}),
]


def copy_of_sources(to: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", to)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def lint_imports(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_sources_keep_the_contract(tmp_path: Path) -> None:
    result = lint_imports(copy_of_sources(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "lines"), VIOLATIONS)
def test_a_bad_import_breaks_its_contract(tmp_path: Path, contract: str, lines: dict[str, str]) -> None:
    copy_of_sources(tmp_path)
    for name, line in lines.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("a") as file:
            file.write(f"\n{line}\n")

    result = lint_imports(tmp_path, "--contract", contract)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout


def test_every_contract_has_a_violation() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["id"] for contract in settings["contracts"]} == {contract for contract, _ in VIOLATIONS}


LOAD_EVERYTHING = """
import importlib, json, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    ("package", "entry"), [("browsergo.agent", "browsergo.agent.__main__"), ("browsergo.cli", "browsergo.cli.main")]
)
def test_device_side_loads_neither_grpc_nor_protobuf_nor_opentelemetry(package: str, entry: str) -> None:
    # A contract sees imports in our sources; only a process shows what a package's __init__ drags in.
    result = subprocess.run(
        [sys.executable, "-c", LOAD_EVERYTHING, package], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(result.stdout)
    assert entry in loaded
    assert [name for name in loaded if name.startswith(SERVER_ONLY)] == []


def test_what_is_shared_is_used_by_two_processes() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    used_by = {process: graph.find_upstream_modules(process, as_package=True) for process in PROCESSES}
    lonely = {}
    # A package counts as one: browsergo.core.channel holds both ends of a channel, one for each side.
    for shared in sorted(graph.find_children("browsergo.core") | graph.find_children("browsergo.chassis")):
        modules = {shared, *graph.find_descendants(shared)}
        users = [process for process, used in used_by.items() if modules & used]
        if len(users) < 2:
            lonely[shared] = users
    assert lonely == {}, "used by fewer than two processes: move each to the one that needs it, or out"
