"""Which files of a browser's front end may be asked for."""

import pytest

from browsergo.core.errors import FrontendNotFound
from browsergo.core.frontend import read_file


@pytest.mark.parametrize(
    "path",
    [
        "/devtools/inspector.html",
        "/devtools/entrypoints/inspector/inspector.js",
        "/devtools/third_party/codemirror.next/chunk/codemirror.js",
        "/devtools/core/i18n/locales/en-US.json",
        "/devtools/Images/touch-app@2x.png",
        "/devtools/" + "/".join("d" * 128 for _ in range(16)),
    ],
)
def test_files_are_asked_for_as_they_are(path: str) -> None:
    assert read_file(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/devtools",
        "/devtools/",
        "/json/version",
        "/devtools/page/AB12",
        "/devtools/browser/4f0c",
        "/devtools/../json/new",
        "/devtools/..",
        "/devtools/a/../b",
        "/devtools/.hidden",
        "/devtools//a",
        "/devtools/a/",
        "/devtools/a\n",
        "/devtools/a b",
        "/devtools/a?b",
        "/devtools/a#b",
        "/devtools/a%2fb",
        "/devtools/ä.js",
        "/devtools/" + "x" * 129,
        "/devtools/" + "/".join("d" for _ in range(17)),
        "/Devtools/inspector.html",
    ],
)
def test_nothing_else_is(path: str) -> None:
    with pytest.raises(FrontendNotFound):
        read_file(path)
