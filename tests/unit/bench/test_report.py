"""From measurements to a table."""

from tests.bench.report import Measurement, figures_of, table


def measured(wall_s: float, p50_us: float, **cpu_us: int) -> Measurement:
    cpu_ns = {role: used * 1000 * 10 for role, used in cpu_us.items()}
    return {"units": 10, "wall_s": wall_s, "p50_us": p50_us, "p99_us": 9.0, "bytes": 10_000_000, "cpu_ns": cpu_ns}


def test_figures_are_medians_over_the_rounds_for_each_unit() -> None:
    found = figures_of(
        [measured(1, 5, edge=10, router=4), measured(2, 7, edge=30, router=1), measured(4, 6, edge=20, router=0)]
    )
    assert (found.per_s, found.p50_us, found.mb_per_s) == (5.0, 6.0, 5.0)
    assert found.cpu_us == 20.0
    assert found.parts_us == {"edge": 20.0, "router": 1.0}
    assert found.spread == 31 / 14


def test_ratios_are_to_the_peer_and_left_out_without_it() -> None:
    results = {"ours": {"seq": [measured(1, 30, edge=60)]}, "peer": {"seq": [measured(1, 10, node=20)]}}
    lines = table(results, {"seq": "one in flight"}, "peer").splitlines()
    assert lines[0] == "**seq**: one in flight"
    assert lines[4] == "| ours | 10 | 30 | 9 | 10.0 | 60.0 | 1.00 | 3.0 | 3.0 | edge 60.0 |"
    assert lines[5] == "| peer | 10 | 10 | 9 | 10.0 | 20.0 | 1.00 | 1.0 | 1.0 | node 20.0 |"
    alone = table({"ours": results["ours"]}, {"seq": "one in flight"}, "peer").splitlines()
    assert alone[4] == "| ours | 10 | 30 | 9 | 10.0 | 60.0 | 1.00 |  |  | edge 60.0 |"


def test_a_row_that_failed_in_a_mode_is_not_in_its_table() -> None:
    results = {"ours": {"seq": [measured(1, 30, edge=60)]}, "peer": {"big": [measured(1, 10, node=20)]}}
    assert "peer |" not in table(results, {"seq": ""}, "x")
