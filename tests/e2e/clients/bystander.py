"""What a client leaves behind, seen from outside: by somebody who has a page in the same browser."""

from typing import NamedTuple, Self

from websockets.exceptions import ConnectionClosed

from tests.e2e.raw_cdp import Message, RawClient

_MINE = "still mine"
END_TIMEOUT_S = 5.0
_FIRST_ID = 1_000_000  # above the ids of `call`


class Aftermath(NamedTuple):
    """What is so after a client closed and its process ended; without a browser the rest is unknown."""

    browser_lives: bool
    bystander_kept: bool | None = None
    pages_left: tuple[str, ...] | None = None


class Bystander:
    """A client of its own with one page, in a browser that another client uses meanwhile.

    Leaving the context closes its page and every page that came since.
    """

    def __init__(self, url: str, site: str) -> None:
        self._url, self._site = url, site
        self._client = RawClient(url)
        self._last_id = _FIRST_ID
        self._lives = True

    def __enter__(self) -> Self:
        self._client.__enter__()
        self._before = {target["targetId"] for target in self._pages(self._client)}
        self._session = self._client.open_page()
        self._own = self._client.call("Target.getTargetInfo", session=self._session)["targetInfo"]["targetId"]
        self._client.evaluate(f"window.mine = {_MINE!r}", self._session)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.socket.close()
        if not self._lives:
            return
        with RawClient(self._url) as client:
            came = [target["targetId"] for target in self._pages(client) if target["targetId"] not in self._before]
            for number, target in enumerate(came, _FIRST_ID):
                client.send(number, "Target.closeTarget", {"targetId": target})
            client.receive_answers(len(came))  # an error too: it is gone already

    def aftermath(self) -> Aftermath:
        """Look now."""
        try:
            probe = self._opened_page()
            answer = self._ask("Runtime.evaluate", {"expression": "window.mine"}, self._session)
            listed = self._ask("Target.getTargets", {})
        except (ConnectionClosed, LookupError):
            self._lives = False
            return Aftermath(browser_lives=False)
        if "result" not in answer and self._is_ending():
            return Aftermath(browser_lives=False)
        kept = answer.get("result", {}).get("result", {}).get("value") == _MINE
        left = [
            target["url"].removeprefix(self._site)
            for target in listed["result"]["targetInfos"]
            if target["type"] == "page" and target["targetId"] not in {*self._before, self._own, probe}
        ]
        return Aftermath(True, kept, tuple(sorted(left)))

    def _opened_page(self) -> str:
        """A page that the browser still opens: one that is about to end answers other questions for a while.

        Raises LookupError if it opens none.
        """
        opened = self._ask("Target.createTarget", {"url": "about:blank"})
        return str(opened["result"]["targetId"])

    def _is_ending(self) -> bool:
        """Whether a browser that has lost the page follows it."""
        try:
            self._client.receive_rest(END_TIMEOUT_S)
        except TimeoutError:
            return False
        self._lives = False
        return True

    def _ask(self, method: str, params: Message, session: str = "") -> Message:
        """The whole answer: an error is one too. Raises ConnectionClosed."""
        self._last_id += 1
        self._client.send(self._last_id, method, params, session)
        return self._client.receive_answers(1)[-1]

    @staticmethod
    def _pages(client: RawClient) -> list[Message]:
        infos = client.call("Target.getTargets")["targetInfos"]
        return [target for target in infos if target["type"] == "page"]
