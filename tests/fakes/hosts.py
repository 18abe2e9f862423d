"""Hosts of the test's own on this machine: each has its own network and its own /etc/hosts, and a wire to the other.

A host is a thread that has left for namespaces of its own (unshare(2), CLONE_NEWNET and CLONE_NEWNS): what it starts,
sockets, threads and processes, stays in them. Nothing outside changes, no packet leaves, and the kernel removes all of
it when the thread and what it started have ended, however they ended.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Of TEST-NET-3 (RFC 5737): nobody's, anywhere.
ADDRESSES = ("203.0.113.1", "203.0.113.2")
_NEW_NETWORK, _NEW_MOUNTS = 0x4000_0000, 0x0002_0000
_WIRE = "wire"


def may_make_hosts() -> bool:
    """Whether this user may: root."""
    return os.geteuid() == 0


class Host:
    """One host. `call` runs a function on it."""

    def __init__(self, address: str, thread: ThreadPoolExecutor) -> None:
        self.address = address
        self._thread = thread
        self.thread_id = self.call(_leave_this_machine)

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns on this host: the sockets, threads and processes that it starts are of this host."""
        return self._thread.submit(function).result()

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """The wire is pulled out: what is sent goes nowhere, and nobody is told."""
        self.run("ip", "link", "set", _WIRE, "down")
        try:
            yield
        finally:
            self.run("ip", "link", "set", _WIRE, "up")

    @contextmanager
    def running(self, make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
        """A context that is made, entered and left on this host."""
        context = self.call(make)
        entered = self.call(context.__enter__)
        try:
            yield entered
        finally:
            self.call(lambda: context.__exit__(None, None, None))

    def run(self, *words: str) -> None:
        """A command, which must succeed."""

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)

        ended = self.call(run)
        assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"


@contextmanager
def two_hosts(folder: Path, names: tuple[str, str]) -> Iterator[tuple[Host, Host]]:
    """Two hosts that know each other by these names and reach each other only."""
    known = folder / "hosts"
    known.write_text(_hosts_file(dict(zip(names, ADDRESSES, strict=True))))
    with ThreadPoolExecutor(1) as first_thread, ThreadPoolExecutor(1) as second_thread:
        first, second = Host(ADDRESSES[0], first_thread), Host(ADDRESSES[1], second_thread)
        far_end = ("peer", "name", _WIRE, "netns", str(second.thread_id))
        first.run("ip", "link", "add", _WIRE, "type", "veth", *far_end)
        for host in (first, second):
            host.run("ip", "address", "add", f"{host.address}/30", "dev", _WIRE)
            host.run("ip", "link", "set", _WIRE, "up")
            host.run("ip", "link", "set", "lo", "up")
            host.run("mount", "--bind", str(known), "/etc/hosts")
        yield first, second


def _hosts_file(addresses: Mapping[str, str]) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
    return "\n".join([*lines, ""])


def _leave_this_machine() -> int:
    """Put the calling thread into namespaces of its own; its id, by which others find them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK | _NEW_MOUNTS) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace of its own for a test: {os.strerror(number)}")
    # Without this, what is mounted here would be mounted outside too.
    subprocess.run(["mount", "--make-rprivate", "/"], timeout=30, check=True)
    return threading.get_native_id()
