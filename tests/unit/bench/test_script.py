"""What the browsers of the bench answer is checked by its clients: a wrong one never counts."""

import json

import pytest

from tests.bench import script


def test_a_browser_answers_each_command_with_json_that_its_clients_take() -> None:
    browser = script.Browser("d1")
    for command, large in ((script.evaluate(7), False), (script.screenshot(7), True), (script.flood(7, 3), False)):
        reply = browser.reply(command)
        assert reply is not None
        assert json.loads(reply.answer)["id"] == script.id_of(reply.answer) == 7
        assert script.is_right(reply.answer, "d1", large)
    assert browser.reply(script.flood(7, 3)) == script.Reply(b'{"id":7,"result":{"by":"d1"}}', 3)
    assert json.loads(script.event(5))["params"]["dataLength"] == 5
    assert script.id_of(script.event(5)) is None
    assert browser.reply(b'{"method":"x"}') is None


@pytest.mark.parametrize("name", ["d1", "d10", "1"])
def test_an_answer_of_another_browser_is_wrong(name: str) -> None:
    reply = script.Browser("d").reply(script.evaluate(1))
    assert reply is not None
    assert not script.is_right(reply.answer, name, large=False)


def test_a_large_answer_that_is_cut_is_wrong() -> None:
    reply = script.Browser("d").reply(script.screenshot(1))
    assert reply is not None
    assert not script.is_right(reply.answer[: 1 << 19] + reply.answer[-20:], "d", large=True)
