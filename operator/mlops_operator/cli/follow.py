"""A run as it goes on, and what it prints; the exit code tells how it ended."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from mlops_operator.api.history import entry_of
from mlops_operator.api.trainingrun import ENDED
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.errors import RUN_CANCELLED, RUN_FAILED, CliError, ClusterError
from mlops_operator.cli.output import metrics_text
from mlops_operator.cli.runs import Place
from mlops_operator.errors import MlopsError, ObjectNotFound

LOOK_SECONDS: Final = 1.0
# The last lines may still be on their way when the status says that it is over.
_LOG_END_SECONDS: Final = 30.0
_TRAINS: Final = ("Running", "Uploading")


@dataclass
class Log:
    """The log of one pod after the other, printed by kubectl to our standard output."""

    cluster: Cluster
    process: subprocess.Popen[bytes] | None = None
    pod: str | None = None
    complete: bool = False

    def attend(self, pod: str | None) -> None:
        """Begin with this pod's log, unless it is shown already."""
        if pod is None or pod == self.pod:
            return
        self.end()
        self.pod, self.complete = pod, False
        sys.stdout.flush()
        self.process = subprocess.Popen(
            self.cluster.log_command(pod, follow=True), stdout=None, stderr=subprocess.DEVNULL
        )

    def end(self, patience_seconds: float = _LOG_END_SECONDS) -> None:
        """Let it come to its end, but not for ever."""
        if self.process is None:
            return
        try:
            self.complete = self.process.wait(patience_seconds) == 0
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()
        self.process = None


def follow(place: Place, name: str) -> int:
    """Show a run until its end; gives the exit code.

    Raises
    ------
    CliError
        There is no such run, or it was deleted meanwhile.
    """
    cluster = place.need_cluster("follow")
    log, said = Log(cluster), ""
    try:
        while True:
            run = cluster.run(name)
            if run is None:
                raise CliError(
                    f"there is no run {name} in the cluster; `kubectl mlops logs {name}` reads the bucket"
                )
            status = run.get("status") or {}
            said = _say(run, said)
            if status.get("phase") in _TRAINS:
                log.attend(_pod(status))
            if status.get("phase") in ENDED:
                log.end()
                if not log.complete:
                    _print_log(place, run)
                return _conclude(run)
            time.sleep(LOOK_SECONDS)
    finally:
        log.end(0.0)


def show_log(place: Place, name: str, attempt: int | None, *, following: bool) -> int:
    """Print what the training printed, from its pod or from the bucket; gives the exit code."""
    found = place.one(name)
    run = place.whole(found)
    status = run.get("status") or {}
    if following and found.live is not None and status.get("phase") not in ENDED:
        return follow(place, name)
    _print_log(place, run, attempt)
    return 0


def _print_log(place: Place, run: dict[str, Any], attempt: int | None = None) -> None:
    status = run.get("status") or {}
    attempts = {entry["number"]: entry for entry in status.get("attempts") or []}
    if not attempts:
        place.warn(f"nothing was printed yet: {status.get('message') or 'the run has not begun'}")
        return
    number = attempt or max(attempts)
    if number not in attempts:
        raise CliError(f"the run has no attempt {number}; it has {', '.join(map(str, sorted(attempts)))}")
    pod = attempts[number].get("podName")
    if place.cluster is not None and pod and status.get("phase") not in ("Pending", "Queued", "Staging"):
        try:
            sys.stdout.write(place.cluster.logs(pod))
        except ClusterError:
            pass  # the pod is gone: the bucket has it
        else:
            return
    sys.stdout.write(_stored_log(place, run, number))


def _stored_log(place: Place, run: dict[str, Any], number: int) -> str:
    entry = entry_of(run)
    key = f"mlops/runs/{entry.name}-{entry.uid[:8]}/attempts/{number}/logs/train.log"
    try:
        return place.bucket.get_bytes(key).decode(errors="replace")
    except ObjectNotFound:
        return str(((run.get("status") or {}).get("failure") or {}).get("logTail") or "")
    except MlopsError as error:
        raise CliError(
            f"the pod of {entry.name} is gone, and its log was not read from the bucket: {error}"
        ) from error


def _pod(status: dict[str, Any]) -> str | None:
    attempts = status.get("attempts") or [{}]
    pod = attempts[-1].get("podName")
    return str(pod) if pod else None


def _say(run: dict[str, Any], before: str) -> str:
    """Print one line for each change, on standard error: standard output is the training's own."""
    status = run.get("status") or {}
    phase = status.get("phase") or "Pending"
    reason = status.get("reason") or phase
    line = phase if reason == phase else f"{phase} ({reason}): {status.get('message') or ''}"
    figures = metrics_text(entry_of(run))
    step = (status.get("progress") or {}).get("step")
    if phase in _TRAINS and step is not None:
        line += f", step {step}"
    line += f", {figures}" if figures and phase not in ENDED else ""
    if line != before:
        sys.stderr.write(f"--- {run['metadata']['name']}: {line}\n")
        sys.stderr.flush()
    return line


def _conclude(run: dict[str, Any]) -> int:
    entry = entry_of(run)
    made = f", model {entry.model}" if entry.model else ""
    figures = metrics_text(entry)
    if figures and entry.phase == "Succeeded":
        sys.stderr.write(f"--- {entry.name}: {figures}{made}\n")
    return {"Succeeded": 0, "Cancelled": RUN_CANCELLED}.get(entry.phase, RUN_FAILED)
