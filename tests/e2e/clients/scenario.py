"""What every client is asked to do: the one definition that all client programs are handed.

`given` is what a step is told, `gives` what its results must contain. What a step gives beyond that (the digest of a
screenshot, say) is compared between two runs only.
"""

from typing import Any, NamedTuple

from tests.fakes.site import RESOURCE_PATHS

LEFT_PATH = "/page/left"  # the page that a client leaves behind, to be looked for from outside
BROWSER_VERSION = object()  # stands for the version that the browser says it has


class Step(NamedTuple):
    """One thing to do; `perform_NAME` of steps.py and `NAME` of node/clients/steps.mjs do it."""

    name: str
    words: str
    given: dict[str, Any]
    gives: dict[str, Any]


# A redirection is no response of its own to every client, and favicons none to any: neither is waited for.
_WATCHED = {"/resources": 200} | {path: 404 if path == "/missing.png" else 200 for path in RESOURCE_PATHS}
del _WATCHED["/moved"]

STEPS = (
    Step("connect", "connects and reads the browser's version", {}, {"version": BROWSER_VERSION}),
    Step("navigate", "opens a tab at a page", {"path": "/form"}, {"title": "Form"}),
    Step(
        "evaluate",
        "evaluates an expression in it",
        {"expression": "JSON.stringify({n: 6 * 7, text: 'ü✓', nested: [1, null, true]})"},
        {"value": '{"n":42,"text":"ü✓","nested":[1,null,true]}'},
    ),
    Step(
        "click",
        "types into a field and clicks a button",
        {"field": "#name", "text": "Ada", "button": "#greet"},
        {"greeting": "Hello, Ada!"},
    ),
    Step(
        "events",
        "is told every response of a page that loads others",
        {"path": "/resources", "watched": sorted(_WATCHED)},
        {"responses": _WATCHED},
    ),
    Step(
        "screenshot",
        "takes a screenshot",
        {"path": "/tall", "title": "Tall drawn"},
        {"png": True},
    ),
    Step(
        "tabs",
        "drives two more tabs at once and closes them",
        {"paths": ["/page/one", "/page/two"]},
        {"titles": ["one", "two"], "kept": [0, 1]},
    ),
    Step(
        "detach",
        "leaves without closing, comes back and finds its page",
        {"path": LEFT_PATH},
        {"title": "left"},
    ),
    Step("close", "closes as its documentation says", {}, {}),
)
