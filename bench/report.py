"""What a measurement found: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Aim:
    """What a figure should be."""

    limit: float
    at_least: bool = False  # else at most

    def met(self, value: float) -> bool:
        """Tell whether a value is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        """Give it for people."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True)
class Line:
    """One figure. ``text`` is how people read it, where the value alone says too little."""

    name: str
    value: float
    unit: str = ""
    text: str = ""
    aim: Aim | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        return None if self.aim is None else self.aim.met(self.value)


@dataclass(frozen=True)
class Machine:
    """Where and under what load something was measured."""

    processors: int
    memory_gib: float
    kernel: str
    load_before: float
    load_after: float


@dataclass(frozen=True)
class Result:
    """A measurement with all that it saw."""

    name: str
    title: str
    lines: Sequence[Line]
    machine: Machine
    details: dict[str, Any] = field(default_factory=dict)
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def met(self) -> bool:
        """Whether every aim is met."""
        return all(line.met is not False for line in self.lines)


def load_average() -> float:
    """Give how many processes wanted to run in the last minute, on average."""
    return os.getloadavg()[0]


def this_machine(load_before: float) -> Machine:
    """Describe where this runs. ``load_before``: the load average before the measurement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        os.cpu_count() or 0,
        round(memory, 1),
        platform.release(),
        round(load_before, 2),
        round(load_average(), 2),
    )


def table(result: Result) -> Table:
    """Give the table of a result."""
    machine = result.machine
    caption = (
        f"{result.measured_at}; {machine.processors} processors, {machine.memory_gib:g} GiB;"
        f" load average {machine.load_before:g} before, {machine.load_after:g} after"
    )
    found = Table(title=result.title, caption=caption, title_justify="left", caption_justify="left")
    found.add_column("")
    found.add_column("measured", justify="right")
    found.add_column("aim", justify="right")
    found.add_column("")
    for line in result.lines:
        mark = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[line.met]
        aim = line.aim.text(line.unit) if line.aim else ""
        found.add_row(line.name, line.text or f"{line.value:.2f}{line.unit}", aim, mark)
    return found


def write(result: Result, folder: Path) -> Path:
    """Write a result as JSON; gives the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    content = asdict(result) | {"met": result.met}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def show(results: Sequence[Result], console: Console) -> None:
    """Print the tables."""
    for result in results:
        console.print()
        console.print(table(result))
