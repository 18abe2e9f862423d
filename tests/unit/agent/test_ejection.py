"""A pool member that fails is tried, then left alone, then tried again."""

from browsergo.agent.ejection import EJECTED_S, FAILURES, RETRY_S, Ejection


def test_it_is_out_after_five_failures_in_a_row_and_back_after_ten_seconds_each_time() -> None:
    member = Ejection()
    assert [member.failed() for _ in range(FAILURES - 1)] == [RETRY_S] * 4
    assert not member.out
    assert [member.failed(), member.failed()] == [EJECTED_S, EJECTED_S] == [10.0, 10.0]
    assert member.out


def test_what_works_once_has_all_its_tries_again() -> None:
    member = Ejection()
    for _ in range(FAILURES):
        member.failed()
    member.worked()
    assert not member.out
    assert member.failed() == RETRY_S
