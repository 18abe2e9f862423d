"""Files of the DevTools front end that a Chrome serves below `/devtools/`: which of them may be asked for. Pure.

The edge reads a person's request with it, and the agent the FETCH that comes of it: neither passes on anything else.
"""

import re

from browsergo.core.errors import FrontendNotFound

FOLDER = "/devtools/"
PAGE = "inspector.html"
# `page` and `browser` are Chrome's WebSockets. No empty part and none that begins with a dot: no way up or elsewhere.
_FILE = re.compile(r"/devtools/(?!page/|browser/)(?:[\w@-][\w.@-]{0,127}/){0,15}[\w@-][\w.@-]{0,127}\Z", re.ASCII)
_PAGE_NAME = re.compile(r"[a-z_]{1,64}\.html\Z")


def read_file(path: str) -> str:
    """The request target for the file at `path` (decoded, without a query). Raises FrontendNotFound."""
    if _FILE.match(path) is None:
        raise FrontendNotFound
    return path


def page_name(devtools_frontend_url: object) -> str:
    """Which page of the front end Chrome would open for a target: the last word of its `devtoolsFrontendUrl`."""
    if not isinstance(devtools_frontend_url, str):
        return PAGE
    name = devtools_frontend_url.partition("?")[0].rpartition("/")[2]
    return name if _PAGE_NAME.match(name) is not None else PAGE
