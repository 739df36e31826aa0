"""Runs as they go on: a table in a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table

from hack.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from hack.kubectl import Kubectl

ENDED = {"Succeeded", "Failed", "Cancelled"}
LOOK_EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 600.0
METRICS_SHOWN = 4


def watch(
    kubectl: Kubectl,
    namespace: str,
    names: Sequence[str],
    console: Console,
    *,
    until_reason: str | None = None,
) -> None:
    """Show runs until all have ended, and their models are in the catalogue; or until they wait for a reason.

    Raises
    ------
    ClusterError
        If a run failed, or nothing came of it in ten minutes.
    """
    said: dict[str, str] = {}
    end = time.monotonic() + PATIENCE_SECONDS
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while True:
            runs = [r for r in kubectl.list("trainingrun", namespace) if r["metadata"]["name"] in names]
            if console.is_terminal:
                live.update(table(runs))
            else:
                _say_changes(runs, said, console)
            if _over(kubectl, namespace, runs, names, until_reason):
                return
            if time.monotonic() > end:
                raise ClusterError(f"The runs {', '.join(names)} have not ended in {PATIENCE_SECONDS:.0f} s.")
            time.sleep(LOOK_EVERY_SECONDS)


def _over(
    kubectl: Kubectl,
    namespace: str,
    runs: list[dict[str, Any]],
    names: Sequence[str],
    until_reason: str | None,
) -> bool:
    status = {r["metadata"]["name"]: r.get("status", {}) for r in runs}
    for name, state in status.items():
        if state.get("phase") == "Failed":
            raise ClusterError(f"The run {name} failed: {state.get('message', '')}")
    if len(status) < len(names):
        return False
    if until_reason and all(s.get("reason") == until_reason for s in status.values()):
        return True
    if not all(s.get("phase") in ENDED for s in status.values()):
        return False
    made = [s.get("model", {}).get("name") for s in status.values()]
    versions = {
        v["metadata"]["name"]: v.get("status", {}).get("phase")
        for v in kubectl.list("modelversion", namespace)
    }
    return all(name and versions.get(name) == "Ready" for name in made)


def metrics_line(run: dict[str, Any]) -> str:
    """Give the metrics of a run in a few words: loss 0.21, accuracy 0.93."""
    found = run.get("status", {}).get("metrics", [])[:METRICS_SHOWN]
    return ", ".join(f"{m['name']} {m['latest']:.4g}" for m in found if m.get("latest") is not None)


def table(runs: list[dict[str, Any]]) -> Table:
    """Give the runs as a table."""
    shown = Table("run", "phase", "reason", "step", "metrics", expand=True)
    for run in runs:
        status = run.get("status", {})
        progress = status.get("progress", {})
        step = f"{progress.get('step', '')}" + (
            f"/{progress['totalSteps']}" if progress.get("totalSteps") else ""
        )
        shown.add_row(
            run["metadata"]["name"],
            status.get("phase", ""),
            status.get("reason", ""),
            step,
            metrics_line(run),
        )
    return shown


def _say_changes(runs: list[dict[str, Any]], said: dict[str, str], console: Console) -> None:
    for run in runs:
        name, status = run["metadata"]["name"], run.get("status", {})
        line = f"{name}: {status.get('phase', '')} {status.get('reason', '')} {metrics_line(run)}".rstrip()
        if said.get(name) != line:
            said[name] = line
            console.print(line, highlight=False)
