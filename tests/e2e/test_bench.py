"""`make bench` in small: rows of this project are measured, and what cannot be is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.stack import ROOT


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "tests.bench", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("modes", ["seq,big", pytest.param("pipe64,50x50,flood", marks=pytest.mark.slow)])
def test_our_rows_are_measured_with_the_cpu_of_each_process(tmp_path: Path, modes: str) -> None:
    rows = ("direct", "browsergo-traced", "browsergo-embedded")
    out = tmp_path / "out.json"
    run = bench(*rows, "--modes", modes, "--rounds", "1", "--scale", "0.02", "--json", str(out))
    assert run.returncode == 0, run.stderr
    found = json.loads(out.read_text())
    assert set(found) == set(rows)
    for row in rows:
        assert set(found[row]) == set(modes.split(","))
        for rounds in found[row].values():
            assert [measured["errors"] for measured in rounds] == [0]
    first = modes.partition(",")[0]
    roles = found["browsergo-traced"][first][0]["cpu_ns"]
    assert {role for role, used in roles.items() if used > 0} >= {"edge", "router"}
    assert set(found["browsergo-embedded"][first][0]["cpu_ns"]) == {"registry", "control", "embedded"}
    assert run.stdout.count("| browsergo-embedded |") == len(modes.split(","))


def test_a_wrong_name_is_told_with_those_there_are() -> None:
    run = bench("nobody", "--modes", "seq")
    assert run.returncode == 2
    assert "nobody: rows are direct, nginx" in run.stderr
