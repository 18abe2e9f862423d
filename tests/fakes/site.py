"""A small web site on loopback for browsers under test: forms, sub-resources, a tall noisy page, links.

Everything it serves is deterministic, so two runs against it can be compared.
"""

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

TALL_WIDTH_PX = 800
TALL_HEIGHT_PX = 8000
RESOURCE_PATHS = ("/style.css", "/app.js", "/dot.svg", "/api/items.json", "/moved", "/missing.png")

_HEAD = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'

_FORM = (
    _HEAD
    + """<title>Form</title><h1>Form</h1>
<label>Name <input id="name"></label> <button id="greet">Greet</button> <p id="greeting">nobody yet</p>
<p id="clicks">0</p>
<script>
greet.onclick = () => { greeting.textContent = 'Hello, ' + document.getElementById('name').value + '!'; };
document.body.addEventListener('click', () => { clicks.textContent = 1 + Number(clicks.textContent); });
</script>"""
)

_RESOURCES = (
    _HEAD
    + """<title>Resources</title><link rel="stylesheet" href="/style.css"><h1>Resources</h1>
<img src="/dot.svg" alt="dot"><img src="/missing.png" alt="missing">
<p id="items">loading</p><script src="/app.js"></script>"""
)

_APP_JS = """
Promise.all([fetch('/api/items.json').then(r => r.json()), fetch('/moved').then(r => r.json())])
  .then(both => { items.textContent = both.map(b => b.items.length).join('+'); document.title = 'Resources loaded'; });
"""

# Seven eighths are smooth gradients; the noise (a fixed linear congruential sequence) is what makes the PNG large.
_TALL = (
    _HEAD
    + """<title>Tall</title><style>html,body{margin:0}canvas{display:block}.band{height:1000px}</style>
<canvas id="noise" width="800" height="2000"></canvas>
<div class="band" style="background:linear-gradient(#123,#fed)"></div>
<div class="band" style="background:linear-gradient(90deg,#abc,#321)"></div>
<div class="band" style="background:linear-gradient(#0f0,#00f)"></div>
<div class="band" style="background:linear-gradient(45deg,#f00,#ff0)"></div>
<div class="band" style="background:linear-gradient(#fff,#000)"></div>
<div class="band" style="background:linear-gradient(#808,#088)"></div>
<script>
const canvas = document.getElementById('noise'), pen = canvas.getContext('2d');
const picture = pen.createImageData(800, 2000);
let state = 12345;
for (let i = 0; i < picture.data.length; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  picture.data[i] = i % 4 === 3 ? 255 : state >>> 24;
}
pen.putImageData(picture, 0, 0);
document.title = 'Tall drawn';
</script>"""
)

_LINKS = (
    _HEAD
    + """<title>Links</title><ul><li><a id="one" href="/page/one">one</a></li>
<li><a id="two" href="/page/two" target="_blank" rel="opener">two, in a tab of its own</a></li></ul>"""
)


_STEPS = (
    _HEAD
    + """<title>Steps</title><style>#greet { position: absolute; left: 40px; top: 40px; width: 200px; height: 80px; }
</style><button id="greet">greet</button>
<script>
greet.onclick = () => { greet.textContent = 'greeted'; };
function walk() {
  debugger;
  window.step = 1;
  window.step = 2;
}
</script>"""
)


class Answer(NamedTuple):
    """What a path is answered with."""

    status: HTTPStatus
    content_type: str
    body: str
    location: str = ""


def _page(body: str) -> Answer:
    return Answer(HTTPStatus.OK, "text/html; charset=utf-8", body)


_ANSWERS = {
    "/": _page(_LINKS),
    "/form": _page(_FORM),
    "/resources": _page(_RESOURCES),
    "/tall": _page(_TALL),
    "/steps": _page(_STEPS),
    "/style.css": Answer(HTTPStatus.OK, "text/css", "h1 { color: rgb(1, 2, 3); }"),
    "/app.js": Answer(HTTPStatus.OK, "text/javascript", _APP_JS),
    "/dot.svg": Answer(
        HTTPStatus.OK,
        "image/svg+xml",
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>',
    ),
    "/api/items.json": Answer(HTTPStatus.OK, "application/json", '{"items": [1, 2, 3]}'),
    "/moved": Answer(HTTPStatus.FOUND, "text/plain", "moved", "/api/items.json"),
}
_NOT_FOUND = Answer(HTTPStatus.NOT_FOUND, "text/plain", "not found")


def answer_to(path: str) -> Answer:
    """The answer to a path (its query is ignored); `/page/NAME` is a page titled NAME."""
    path = path.partition("?")[0]
    if path.startswith("/page/"):
        name = path.removeprefix("/page/")
        return _page(f"{_HEAD}<title>{name}</title><h1 id=name>{name}</h1>")
    return _ANSWERS.get(path, _NOT_FOUND)


class _Responder(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = answer_to(self.path)
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: what a browser fetched is asked of the browser."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    # A browser that is killed while it fetches is not an error of the site.
    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet."""


class Site:
    """The site, served from a thread until the context ends. `url` has no trailing slash."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Responder)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
