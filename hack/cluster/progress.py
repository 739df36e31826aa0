"""How a build shows that it goes on: bars in a terminal, plain lines elsewhere."""

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

# Without a terminal a target says a line of its own at most this often.
LINE_EVERY_SECONDS = 20.0


class Progress:
    """Progress of several things that are built at once, from several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("packages"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Show a line above the bars."""
        self._console.print(line, highlight=False)

    def total(self, name: str, steps: int) -> None:
        """Begin a thing of so many steps."""
        with self._lock:
            self._tasks[name] = self._bars.add_task(name, total=steps, note="")
            self._counts[name], self._totals[name] = 0, steps
            self._started[name] = self._said[name] = time.monotonic()
        self._line(f"{name}: building ({steps} packages)")

    def step(self, name: str) -> None:
        """Count one step of a thing."""
        now = time.monotonic()
        with self._lock:
            self._counts[name] += 1
            self._bars.advance(self._tasks[name])
            due = now - self._said[name] >= LINE_EVERY_SECONDS
            if due:
                self._said[name] = now
        if due:
            self._line(f"{name}: {self._counts[name]} of {self._totals[name]} packages")

    def done(self, name: str, note: str) -> None:
        """Tell that a thing is finished, and how."""
        with self._lock:
            started = self._started.get(name)
            if name in self._tasks:
                # What the compiler's own cache already held was never announced: fill the bar.
                self._bars.update(self._tasks[name], completed=self._totals[name], note=note)
        if started is not None:
            self._line(f"{name}: {note} in {time.monotonic() - started:.0f} s")

    def _line(self, line: str) -> None:
        if not self._console.is_terminal:
            self.say(line)
