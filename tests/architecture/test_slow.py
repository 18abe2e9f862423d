"""The slow tests run in two runs that leave none out and hide no failure."""

import pytest

from tests.slow import COMPUTING, ROOT, pytest_argv, verdict


def test_each_folder_of_tests_is_in_exactly_one_of_the_runs() -> None:
    computing, waiting = pytest_argv([], computing=True), pytest_argv([], computing=False)
    assert [folder for folder in COMPUTING if folder in computing] == list(COMPUTING)
    assert [word for word in waiting if word.startswith("--ignore=")] == [f"--ignore={folder}" for folder in COMPUTING]
    assert all((ROOT / folder).is_dir() for folder in COMPUTING)
    for argv in (computing, waiting):
        assert argv[3:5] == ["-m", "slow"]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((0, 0), 0),
        ((0, 1), 1),
        ((1, 0), 1),
        ((0, 5), 0),
        ((5, 0), 0),
        ((5, 5), 5),
        ((5, 1), 1),
        ((0, -9), -9),
        ((2, 0), 2),
    ],
)
def test_a_failure_of_either_run_is_one_of_all(codes: tuple[int, int], expected: int) -> None:
    assert verdict(codes) == expected
