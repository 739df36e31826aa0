"""Processes by identity: a process id alone may have been given to another process since."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process id together with the time its process started, in clock ticks since boot."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        """Tell whether this very process still runs (a zombie does not)."""
        return start_ticks(self.pid) == self.start_ticks

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return  # it ended between the question and the signal: what was wanted


def start_ticks(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot; None if there is none or it is a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold spaces and brackets itself; the fields after it are numbered from 3.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[22 - 3])


def identify(pid: int) -> Process | None:
    """Give the process that has this id now."""
    ticks = start_ticks(pid)
    return None if ticks is None else Process(pid, ticks)


def running() -> Iterator[tuple[Process, list[str]]]:
    """Give every process with its command line, kernel threads left out."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        process = identify(int(entry.name))
        if line and process:
            yield process, line.decode(errors="replace").rstrip("\0").split("\0")


def of_cluster(command: list[str], cluster: Path, programs: Iterable[str]) -> bool:
    """Tell whether a command line is one of the programs of the cluster that lies in this folder.

    An editor or a pager that has one of the cluster's files open is not.
    """
    # setpriv appears for an instant, before it becomes the program behind it.
    names = {Path(word).name for word in command[:4]}
    prefix = f"{cluster}/"
    return bool(names & set(programs)) and any(prefix in word for word in command)


def wait(until: Callable[[], bool], seconds: float, interval: float = 0.05) -> bool:
    """Wait until a condition holds; tell whether it came to hold in time."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def end(find: Callable[[], list[Process]], grace_seconds: float) -> None:
    """End all processes that `find` gives, until it gives none: politely at first, then by force.

    Raises
    ------
    ClusterError
        If some are left all the same.
    """
    for process in find():
        process.signal(signal.SIGTERM)
    if wait(lambda: not find(), grace_seconds):
        return

    def killed() -> bool:
        left = find()
        for process in left:
            process.signal(signal.SIGKILL)
        return not left

    if not wait(killed, 20, interval=0.2):
        left = ", ".join(str(process.pid) for process in find())
        raise ClusterError(f"These processes of the cluster do not end: {left}; end them, then try again.")
