"""The wheel holds the processes and nothing else, and a device's owner gets along without the server's packages."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import browsergo

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("browsergo", "edge", "services", "deploy")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: a build leaves files behind, and takes what an earlier one left.
    folder, sources = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(sources)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_four_packages_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    version = browsergo.__version__
    assert tops == {*PACKAGES, f"browser_go-{version}.dist-info"}


def test_the_base_install_runs_agent_and_command_line_without_the_server_extra(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    # The lock as constraints: the versions that were tested, but only those that the base install asks for.
    lock = (ROOT / "requirements" / "server.txt").read_text()
    pins = [line.partition(" ")[0] for line in lock.splitlines() if "==" in line]
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(pins))
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints), str(wheel)], check=True
    )

    absent = [str(python), "-c", "import importlib.util as u; print(u.find_spec('grpc'), u.find_spec('opentelemetry'))"]
    assert subprocess.run(absent, capture_output=True, text=True, check=True).stdout == "None None\n"
    version = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "browsergo"), "version"], capture_output=True, text=True, check=True
    )
    assert browsergo.__version__ in version.stdout
    subprocess.run([str(python), "-m", "browsergo.agent", "--help"], check=True, capture_output=True)
