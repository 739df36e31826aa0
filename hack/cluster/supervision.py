"""The process that starts the components, restarts what dies, and stops them in order on SIGTERM.

Start it with `python -m hack.cluster.supervision CLONE`. It needs the standard library alone and little memory.
"""

import asyncio
import contextlib
import http
import json
import os
import signal
import ssl
import stat
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.cluster.components import Component, components
from hack.cluster.places import Places
from hack.cluster.processes import start_ticks

PROBE_INTERVAL_SECONDS = 0.1
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
# Having run this long, a component that dies is restarted without delay again.
STEADY_SECONDS = 60.0
AUTOGROUP_NICE = -5
# Without these the components would send what goes to the cluster's own addresses to a proxy.
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@dataclass
class Condition:
    """What is known about one component."""

    name: str
    pid: int = 0
    start_ticks: int = 0
    ready: bool = False
    restarts: int = 0
    last_exit: int | None = None
    started: float = 0.0


def environment(inherited: dict[str, str]) -> dict[str, str]:
    """Give the components' environment: the machine's without proxies, and without settings meant for etcd."""
    return {
        name: value
        for name, value in inherited.items()
        if name.lower() not in _PROXIES and not name.startswith("ETCD_")
    }


def backoff(failures: int) -> float:
    """Give how long to wait before the next start, from how many quick deaths there were in a row."""
    return BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]


def is_ready(address: str, authority: Path) -> bool:
    """Ask a component whether it is ready."""
    if not address:
        return True
    if address.startswith("/"):
        try:
            return stat.S_ISSOCK(Path(address).stat().st_mode)
        except FileNotFoundError:
            return False
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if address.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
    try:
        with urllib.request.build_opener(*handlers).open(address, timeout=2) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False  # not yet: it is asked again


def remove_stale_socket(part: Component) -> None:
    """Remove the socket that a dead process left behind: it would pass for readiness."""
    if part.ready.startswith("/"):
        Path(part.ready).unlink(missing_ok=True)


def prefer(pid: int) -> None:
    """Let a component's session go before others on a busy machine: API calls must not wait for a compiler."""
    autogroup = Path(f"/proc/{pid}/autogroup")
    # Some kernels have no such groups, some machines do not let us, and what died at once has none any more.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        autogroup.write_text(str(AUTOGROUP_NICE))


class Supervisor:
    """Keeps the components of one cluster running."""

    def __init__(self, places: Places, parts: tuple[Component, ...]) -> None:
        self._places = places
        self._parts = parts
        self._conditions = {part.name: Condition(part.name) for part in parts}
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep everything running until `stop` is set, then end it in the opposite order."""
        self._publish()
        keepers = [asyncio.create_task(self._keep(part)) for part in self._parts]
        stopping = asyncio.create_task(stop.wait())
        # A keeper never returns: if one does, it failed, and the reason belongs into the log.
        await asyncio.wait([*keepers, stopping], return_when=asyncio.FIRST_COMPLETED)
        failed = [keeper.exception() for keeper in keepers if keeper.done()]
        for task in (*keepers, stopping):
            task.cancel()
        await asyncio.gather(*keepers, stopping, return_exceptions=True)
        for part in reversed(self._parts):
            await self._end(part)
        for error in failed:
            if error:
                raise error

    async def _keep(self, part: Component) -> None:
        failures = 0
        for name in part.after:
            await self._ready[name].wait()
        while True:
            process = await self._start(part)
            probe = asyncio.create_task(self._watch_readiness(part))
            condition = self._conditions[part.name]
            try:
                condition.last_exit = await process.wait()
            finally:
                probe.cancel()
            condition.ready = False
            self._ready[part.name].clear()
            ran = time.time() - condition.started
            failures = 0 if ran > STEADY_SECONDS else failures + 1
            condition.restarts += 1
            self._publish()
            print(f"{part.name} ended with {condition.last_exit} after {ran:.0f} s", flush=True)
            await asyncio.sleep(backoff(failures - 1) if failures else 0)

    async def _start(self, part: Component) -> asyncio.subprocess.Process:
        remove_stale_socket(part)
        with (self._places.log / f"{part.name}.log").open("ab") as log:
            # Should the supervisor be killed, the kernel ends its children.
            process = await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig=TERM",
                *part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(dict(os.environ)),
                start_new_session=True,
            )
        prefer(process.pid)
        self._running[part.name] = process
        condition = self._conditions[part.name]
        condition.pid, condition.start_ticks = process.pid, start_ticks(process.pid) or 0
        condition.started = time.time()
        self._publish()
        return process

    async def _watch_readiness(self, part: Component) -> None:
        # What is asked is another process: there is no event to wait for.
        while not await asyncio.to_thread(is_ready, part.ready, self._places.pki / "ca.crt"):  # noqa: ASYNC110
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)
        self._conditions[part.name].ready = True
        self._ready[part.name].set()
        self._publish()

    async def _end(self, part: Component) -> None:
        process = self._running.get(part.name)
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), part.grace_seconds)
        except TimeoutError:
            print(f"{part.name} did not end within {part.grace_seconds:.0f} s and is killed", flush=True)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _publish(self) -> None:
        draft = self._places.processes.with_suffix(".draft")
        draft.write_text(json.dumps([asdict(condition) for condition in self._conditions.values()], indent=1))
        draft.replace(self._places.processes)


async def _main(places: Places) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Supervisor(places, components(places)).run(stop)


if __name__ == "__main__":
    asyncio.run(_main(Places(Path(sys.argv[1]))))
