"""Generate browsergo/v2 from protos/, or check that what is committed is what protos/ say.

    python -m deploy.protos            write browsergo/v2
    python -m deploy.protos --check    compare only; exit code 1 names what differs

The versions of the generators are pinned in pyproject.toml, so the comparison is byte by byte.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "browsergo" / "v2"
WRITTEN_BY_HAND = "__init__.py"
OUTPUTS = ("python", "grpc_python", "mypy", "mypy_grpc")


class ProtocError(Exception):
    """protoc refused; the text is what it said."""


def main(arguments: Sequence[str]) -> int:
    """0: written, or equal; 1: differs, or protoc failed; 2: usage."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m deploy.protos [--check]", file=sys.stderr)
        return 2
    try:
        fresh = generate(PROTOS)
    except ProtocError as error:
        print(f"protos: {error}", file=sys.stderr)
        return 1
    if arguments:
        return report(differences(fresh, committed(GENERATED)))
    write(fresh, GENERATED)
    return 0


def generate(protos: Path) -> dict[str, bytes]:
    """The files protoc makes from browsergo/v2 under `protos`, by name. Raises ProtocError."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={protos}"]
        # The plugins of this environment, also when it is not activated.
        command += [f"--plugin=protoc-gen-{name}={_plugin(name)}" for name in ("mypy", "mypy_grpc")]
        command += [f"--{name}_out={folder}" for name in OUTPUTS]
        command += sorted(str(file) for file in (protos / "browsergo" / "v2").glob("*.proto"))
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ProtocError(result.stderr.strip())
        return committed(Path(folder) / "browsergo" / "v2")


def _plugin(name: str) -> Path:
    return Path(sys.executable).parent / f"protoc-gen-{name}"


def committed(folder: Path) -> dict[str, bytes]:
    """The generated files in `folder`, by name."""
    files = [*folder.glob("*.py"), *folder.glob("*.pyi")]
    return {file.name: file.read_bytes() for file in files if file.name != WRITTEN_BY_HAND}


def differences(fresh: dict[str, bytes], existing: dict[str, bytes]) -> list[str]:
    """Names of files that are missing, left over or not equal."""
    return sorted(name for name in fresh.keys() | existing.keys() if fresh.get(name) != existing.get(name))


def report(names: Sequence[str]) -> int:
    """Say what differs; the exit code."""
    for name in names:
        print(f"protos: browsergo/v2/{name} is not what protos/ say; run `make protos` and commit it", file=sys.stderr)
    return 1 if names else 0


def write(fresh: dict[str, bytes], folder: Path) -> None:
    """Make `folder` hold exactly `fresh`, beside what is written by hand."""
    for stale in committed(folder).keys() - fresh.keys():
        (folder / stale).unlink()
    for name, content in fresh.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
