"""`python -m browsergo.agent`: put this machine's browser on an edge, and keep it there."""

import asyncio
import os
import random
import uuid
from pathlib import Path
from typing import Any

import structlog

import browsergo
from browsergo.agent.browser import Browser, BrowserWatch, Version
from browsergo.agent.chrome import Chrome, find_chrome, is_program
from browsergo.agent.config import AgentConfig, Compression
from browsergo.agent.device import Device
from browsergo.agent.stays import Stays
from browsergo.chassis.config import load_or_exit, refuse
from browsergo.chassis.logs import configure_logs
from browsergo.chassis.process import Stop, run
from browsergo.core import semconv
from browsergo.core.backoff import Backoff
from browsergo.core.device_messages import Capabilities, Registration
from browsergo.core.errors import (
    BrowserGoError,
    BrowserUnavailable,
    DeviceGone,
    DeviceRestarted,
)

BROWSER_RETRY_CAP_S = 10.0
_NO_CHROME = (
    "no Chrome or Chromium found: install one, name one with --chrome PATH,"
    " or use a running one with --cdp http://127.0.0.1:9222"
)

Log = structlog.typing.FilteringBoundLogger


class Agent:
    """One installed agent: starts its browser, boots a device on it, registers with the edges in turn."""

    def __init__(self, config: AgentConfig, program: Path | None, log: Log) -> None:
        self._config = config
        self._program = program
        self._log = log
        self._instance = uuid.uuid4().hex
        self._stays: Stays | None = None

    async def run(self) -> None:
        """Until cancelled: a browser, a boot, and again when the browser dies."""
        backoff = Backoff(0.5, BROWSER_RETRY_CAP_S)
        while True:
            try:
                await self._boot(backoff)
            except BrowserUnavailable as error:
                self._log.error(
                    "browser unavailable", browser=self._config.cdp or str(self._program), reason=error.message
                )
            await asyncio.sleep(backoff.next_delay_s(random.random()))

    async def _boot(self, backoff: Backoff) -> None:
        browser, life = await self._find_browser()
        try:
            version = await browser.version()
            compression = Compression(self._config.compression, self._config.compress_above_bytes)
            device = Device(self._config.device_id, uuid.uuid4().hex, browser, self._log, compression)
            self._log.info("browser ready", browser=version.product)
            backoff.reset()
            await self._serve(device, version, life)
        finally:
            await life.stop()

    async def _find_browser(self) -> tuple[Browser, Chrome | BrowserWatch]:
        """The browser of this boot, started or found, and what knows of its end. Raises BrowserUnavailable."""
        if self._program is None:
            browser = Browser.at(self._config.cdp or "")
            return browser, await browser.watch()
        chrome = await Chrome.launch(self._program, self._config.state_dir, headless=self._config.headless)
        return Browser("127.0.0.1", chrome.port), chrome

    async def _serve(self, device: Device, version: Version, life: Chrome | BrowserWatch) -> None:
        """Serve this boot until its browser ends (then return) or the agent is stopped (then cancelled)."""
        stays = self._stays = Stays(self._config, device, lambda: self._registration(device, version), self._log)
        serving = asyncio.create_task(stays.keep())
        timing = asyncio.create_task(device.keep_time())
        tasks: set[asyncio.Task[Any]] = {serving, timing, asyncio.create_task(life.ended())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._log.error("browser ended")
            await self._part(device, DeviceRestarted("the device's browser ended"))
        except asyncio.CancelledError:
            await self._part(device, DeviceGone("the agent was stopped"))
            raise
        finally:
            for task in tasks:
                task.cancel()
            device.cancel_work()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _part(self, device: Device, error: BrowserGoError) -> None:
        """Tell the clients, then the edge: told first, it would no longer listen to the rest."""
        await device.end(error)
        if self._stays is not None:
            self._stays.leave(error.message)

    def _registration(self, device: Device, version: Version) -> Registration:
        name, _, number = version.product.partition("/")
        capabilities = Capabilities(
            browser_name=name,
            browser_version=number,
            platform=os.uname().sysname if hasattr(os, "uname") else os.name,
            user_agent=version.user_agent,
            features=("link.v2",),
        )
        return Registration(
            self._config.device_id,
            self._instance,
            device.boot,
            self._config.name or self._config.device_id,
            browsergo.__version__,
            "agent",
            capabilities,
            self._config.labels,
            {"pid": str(os.getpid())},
            device.epoch,
        )


async def serve(config: AgentConfig, program: Path | None, stop: Stop) -> None:
    """Run the agent until asked to stop; then end its channels truthfully and its browser cleanly."""
    log = configure_logs(semconv.SERVICE_AGENT, config.device_id, config.log_level, config.log_format)
    log.info("ready", device=config.device_id, edges=config.edges)
    agent = asyncio.create_task(Agent(config, program, log).run())
    waiting = asyncio.create_task(stop.requested.wait())
    await asyncio.wait({agent, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not agent.done():
        log.info("stopping")
        agent.cancel()
    waiting.cancel()
    results = await asyncio.gather(agent, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


def main() -> None:
    """Entry point."""
    config = load_or_exit(AgentConfig)
    program = config.chrome
    if program is None and config.cdp is None:
        program = find_chrome(os.environ, Path.home())
        if program is None:
            refuse(config.section, _NO_CHROME)
    if program is not None and not is_program(program):
        refuse(config.section, f"chrome: {program} is not a program that can be started")
    run(lambda stop: serve(config, program, stop))


if __name__ == "__main__":
    main()
