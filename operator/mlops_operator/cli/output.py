"""What a command prints: a table for people, or JSON, YAML and names for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlops_operator.api.base import GROUP
from mlops_operator.api.history import RunEntry
from mlops_operator.cli.filters import Field, duration_seconds

# Nothing is cut off for a program or a file that reads the table.
_UNLIMITED: Final = 10_000
_COLOURS: Final = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow", "Running": "cyan"}
_METRICS_SHOWN: Final = 2
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


class Output(StrEnum):
    """Form of the output."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def console() -> Console:
    """Give the console of what a command prints."""
    return Console(width=None if sys.stdout.isatty() else _UNLIMITED, highlight=False, soft_wrap=False)


def print_document(document: Any, output: Output) -> None:
    """Print JSON or YAML."""
    if output is Output.YAML:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_names(kind: str, names: Sequence[str]) -> None:
    """Print names as ``kubectl -o name`` does."""
    for name in names:
        sys.stdout.write(f"{kind}.{GROUP}/{name}\n")


def print_object(obj: dict[str, Any], output: Output, sentence: str) -> None:
    """Print an object that was made or changed: a sentence, or itself."""
    if output is Output.NAME:
        print_names(str(obj["kind"]).lower(), [obj["metadata"]["name"]])
    elif output in (Output.JSON, Output.YAML):
        obj["metadata"].pop("managedFields", None)
        print_document(obj, output)
    else:
        sys.stdout.write(sentence + "\n")


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table as kubectl does, in colours where there is a terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title.upper(), no_wrap=not sys.stdout.isatty(), overflow="fold")
    for row in rows:
        table.add_row(*row)
    shown = console()
    if sys.stdout.isatty():
        shown.print(table)
        return
    with shown.capture() as capture:
        shown.print(table)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))


def print_runs(
    entries: Sequence[RunEntry], live: frozenset[str], columns: Sequence[Field], output: Output
) -> None:
    """Print runs. ``live``: uids of those that are in the cluster."""
    if output in (Output.JSON, Output.YAML):
        items = [{**entry.to_object(), "inCluster": entry.uid in live} for entry in entries]
        print_document({"kind": "RunList", "items": items}, output)
    elif output is Output.NAME:
        print_names("trainingrun", [entry.name for entry in entries])
    else:
        _print_run_table(entries, live, columns, wide=output is Output.WIDE)


def _print_run_table(
    entries: Sequence[RunEntry], live: frozenset[str], columns: Sequence[Field], *, wide: bool
) -> None:
    titles = ["name", "phase", "experiment", *(f.title for f in columns)]
    titles += [] if columns else ["metrics"]
    titles += ["model", "duration", "age"]
    if wide:
        titles += ["reason", "display name", "rerun of", "where", "uid", "commit", "image"]
    rows: list[list[str | Text]] = []
    for entry in entries:
        row: list[str | Text] = [
            entry.name,
            Text(entry.phase or "Pending", style=_COLOURS.get(entry.phase, "")),
            entry.experiment or "",
        ]
        row += [show(field.of(entry)) for field in columns] if columns else [metrics_text(entry)]
        row += [entry.model or "", short_time(duration_seconds(entry)), age(entry.created_at)]
        if wide:
            rerun = entry.rerun_of.name if entry.rerun_of else ""
            where = "cluster" if entry.uid in live else "bucket"
            row += [entry.reason or "", entry.display_name or "", rerun, where, entry.uid]
            row += [(entry.commit or "")[:12], entry.image or ""]
        rows.append(row)
    print_table(titles, rows)


def metrics_text(entry: RunEntry) -> str:
    """Give the objective, else the first few metrics, in a few words."""
    if entry.objective is not None and entry.objective.best is not None:
        return f"{entry.objective.name} {show(entry.objective.best)}"
    shown = list(entry.metrics.items())[:_METRICS_SHOWN]
    return ", ".join(f"{name} {show(value)}" for name, value in shown)


def show(value: Any) -> str:
    """Give a value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def short_time(seconds: float | None) -> str:
    """Give a time as kubectl does: 90s, 5m, 3h, 2d."""
    if seconds is None:
        return ""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def age(since: datetime | None) -> str:
    return short_time((datetime.now(UTC) - since).total_seconds()) if since is not None else ""
