"""Finding, starting and stopping the browser of this agent."""

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from browsergo.core.errors import BrowserUnavailable

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 4.0
REMOVAL_PASSES = 5
PROFILE_PREFIX = "chrome-"
MKDTEMP_BYTES = 9  # a slash and eight letters
MAX_TMPDIR_BYTES = 60  # Chrome makes a folder and a unix socket in it; 107 bytes is the limit of the whole path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC_APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
# Where Playwright's installer puts its Chromium; the newest build is the longest and last of name.
_PLAYWRIGHT_BUILDS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium",
    "chromium-*/chrome-mac*/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    "chromium_headless_shell-*/chrome-*/*headless*shell",
)

# Headless Chromium on a closed network stalls while it looks for its maker (compat.md, "Chrome as seen by the agent").
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--remote-debugging-port=0",
)
_LISTENING = re.compile(rb"DevTools listening on ws://[^/\s]+:(\d+)(/devtools/browser/\S+)")
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def find_chrome(environ: Mapping[str, str], home: Path) -> Path | None:
    """The browser to start when none is named: one on PATH, or one that Playwright installed."""
    on_path = (shutil.which(name, path=environ.get("PATH")) for name in NAMES)
    candidates = [*(Path(found) for found in on_path if found), *_playwright_builds(environ, home), *_MAC_APPLICATIONS]
    return next((candidate for candidate in candidates if is_program(candidate)), None)


def is_program(path: Path) -> bool:
    """Whether `path` can be started."""
    return path.is_file() and os.access(path, os.X_OK)


def _playwright_builds(environ: Mapping[str, str], home: Path) -> list[Path]:
    named = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    folders = [Path(named)] if named else [home / ".cache" / "ms-playwright", home / "Library/Caches/ms-playwright"]
    return [
        build
        for folder in folders
        for pattern in _PLAYWRIGHT_BUILDS
        for build in sorted(folder.glob(pattern), key=lambda path: (len(str(path)), path), reverse=True)
    ]


def chrome_argv(program: Path, profile: Path, *, headless: bool, as_root: bool) -> list[str]:
    """The command line. Root needs --no-sandbox: Chromium refuses to start otherwise (docs/operations)."""
    words = [str(program), *_FLAGS, f"--user-data-dir={profile}"]
    if headless:
        words.append("--headless")
    if as_root:
        words.append("--no-sandbox")
    return [*words, "about:blank"]


class Chrome:
    """One running browser that this agent started, with a fresh profile."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        folders: tuple[Path, Path],
        stderr: "_Stderr",
        port: int,
        path: str,
    ) -> None:
        self._process = process
        self._folders = folders
        self._stderr = stderr
        self.port = port
        self.browser_path = path
        stderr.discard()

    @classmethod
    async def launch(cls, program: Path, state_dir: Path | None, *, headless: bool) -> "Chrome":
        """Start it and wait until it listens. Raises BrowserUnavailable with its last words."""
        folders = _make_folders(state_dir)
        argv = chrome_argv(program, folders[0], headless=headless, as_root=hasattr(os, "geteuid") and os.geteuid() == 0)
        process: asyncio.subprocess.Process | None = None
        stderr = _Stderr()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr.writing,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
                env=_environ(os.environ, folders[1]),
            )
            async with asyncio.timeout(START_TIMEOUT_S):
                port, path = await _listening(process, await stderr.listen())
            return cls(process, folders, stderr, port, path)
        except BaseException as error:
            if process is not None:
                await _end(process)
            stderr.close()
            _remove(folders)
            if isinstance(error, TimeoutError):
                raise BrowserUnavailable(f"the browser did not listen within {START_TIMEOUT_S:g} s") from None
            if isinstance(error, OSError):
                raise BrowserUnavailable(f"the browser cannot be started: {error.strerror}") from None
            raise

    async def ended(self) -> int:
        """Wait until it exits; its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and remove its profile."""
        try:
            await _end(self._process)
        finally:
            self._stderr.close()
            _remove(self._folders)


class _Stderr:
    """What a process says on stderr, through a pipe of our own.

    With asyncio's own pipe, `Process.wait` also waits until everybody has closed it: a process that the browser left in
    another session would hide its end from us.
    """

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self._pipe = os.fdopen(reading, "rb", buffering=0)
        self._transport: asyncio.ReadTransport | None = None
        self._discarding: asyncio.Task[None] | None = None
        self._stream = asyncio.StreamReader()

    async def listen(self) -> asyncio.StreamReader:
        """The process has its end of the pipe: read ours."""
        self._close_writing()
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._stream), self._pipe
        )
        return self._stream

    def discard(self) -> None:
        """Read on, so that the process is never held up, and forget it."""
        self._discarding = asyncio.create_task(_discard(self._stream))

    def close(self) -> None:
        """Stop reading, whoever still writes."""
        self._close_writing()
        if self._discarding is not None:
            self._discarding.cancel()
        if self._transport is not None:
            self._transport.close()
        else:
            self._pipe.close()

    def _close_writing(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1


def _environ(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """What a browser sees of the environment: nothing of our settings, a token may be among them."""
    kept = {name: value for name, value in environ.items() if not name.startswith("BROWSERGO_")}
    return {**kept, "TMPDIR": str(scratch)}


def _make_folders(state_dir: Path | None) -> tuple[Path, Path]:
    """A fresh profile and a folder for temporary files. Raises BrowserUnavailable."""
    try:
        if state_dir is not None:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        profile = Path(tempfile.mkdtemp(prefix=PROFILE_PREFIX, dir=state_dir))
        return profile, _scratch_folder(profile)
    except OSError as error:
        raise BrowserUnavailable(f"no room for the browser's profile: {error.strerror}: {error.filename}") from None


def _scratch_folder(profile: Path) -> Path:
    """A folder for Chrome's temporary files, ours to remove, where the path of a unix socket in it is not too long."""
    folder = profile / "tmp"
    if len(os.fsencode(folder)) <= MAX_TMPDIR_BYTES:
        folder.mkdir(mode=0o700)
        return folder
    place = tempfile.gettempdir()
    room = len(os.fsencode(place)) + len(PROFILE_PREFIX) + MKDTEMP_BYTES <= MAX_TMPDIR_BYTES
    return Path(tempfile.mkdtemp(prefix=PROFILE_PREFIX, dir=place if room else "/tmp"))  # noqa: S108  # private by mkdtemp, and short


async def _listening(process: asyncio.subprocess.Process, stderr: asyncio.StreamReader) -> tuple[int, str]:
    last = b""
    while line := await stderr.readline():
        match = _LISTENING.search(line)
        if match is not None:
            return int(match[1]), match[2].decode()
        last = line.strip() or last
    code = await process.wait()
    raise BrowserUnavailable(f"the browser exited with {code}: {last.decode('utf-8', 'replace')[:200]}")


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL for its whole session: renderers and the crash handler live there too.

    SIGKILL comes also if this is cancelled while the process takes its time.
    """
    try:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _remove(folders: Iterable[Path]) -> None:
    # Chrome's dying children may still write: what comes back after one pass goes with the next.
    for _ in range(REMOVAL_PASSES):
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if not any(folder.exists() for folder in folders):
            return


def _die_with_parent(parent: int) -> Callable[[], None]:
    """Between fork and exec: ask for SIGKILL when the agent is gone, however it ended."""

    def ask() -> None:
        if _PRCTL is not None:
            _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask
