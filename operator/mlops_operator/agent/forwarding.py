"""Forwards what the code logs to the remote MLflow server, in a thread that nothing waits for while it trains.

What is to be sent is the journal of the tracking store; how far it was sent, and what is known of the remote side, is in
a file beside it. So a restarted sidecar goes on where this one was, and a server that is down for hours is caught up.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mlops_operator.agent.copied_runs import RunCopier
from mlops_operator.agent.forwarded_models import ModelForwarder, RemoteModels
from mlops_operator.agent.forwarded_runs import RemoteRuns, RunForwarder, run_of
from mlops_operator.agent.places import Places, write_whole
from mlops_operator.agent.remote_mlflow import Refused, RemoteMlflow, Unreachable
from mlops_operator.agent.tracking import Tracking
from mlops_operator.api.wire import (
    MLFLOW_CREDENTIALS_DIR,
    RemoteTracking,
    SidecarOrder,
    TrackingReport,
    TrainingExit,
    run_tags,
)

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0
_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 1.0, 30.0
_COPY_SECONDS = 15.0
_STEP_RECORDS = 1000
_STEP_POINTS = 5000
# After the upload: how long the end waits for a server in trouble, for one call, and in all.
_TROUBLED_SECONDS, _STALLED_SECONDS, _LONGEST_SECONDS = 5.0, 60.0, 900.0
_COPY_PATIENCE_SECONDS = 10.0
# So many failures in a row may be a server that is restarted.
_PASSING_FAILURES = 3
_LOOK_SECONDS = 0.1
_MAX_WARNINGS = 20


class Forwarding:
    """The thread, and what is told of it."""

    def __init__(
        self, order: SidecarOrder, remote: RemoteTracking, places: Places, tracking: Tracking
    ) -> None:
        self._order = order
        self._tracking = tracking
        self._file = places.run / "forwarding.json"
        self._remote = RemoteMlflow(remote.uri, places.path(MLFLOW_CREDENTIALS_DIR), remote.secret)
        self._runs = RunForwarder(
            self._remote, remote.experiment, run_tags(order.run), self._describe, self._warn
        )
        self._models = ModelForwarder(self._remote, self._runs, remote.experiment, self._warn)
        self._copier = RunCopier(self._remote, self._runs.find_experiment, order.run, tracking)
        self._warnings: dict[str, None] = {}
        self._cursor = 0
        self._moves = 0
        self._failures = 0
        self._copied_at = 0.0
        self._training: TrainingExit | None = None
        self._copied_last = threading.Event()
        self._complete = False
        self._stopping = False
        self._wake = threading.Event()
        self._state = TrackingReport()
        self._load()
        self._thread = threading.Thread(target=self._loop, name="forwarding", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def report(self) -> TrackingReport:
        """Say how it goes, and which run is ours there."""
        ours = self._tracking.run_id
        known = self._runs.known.ids.get(ours)
        url = self._runs.page(ours)
        if known is None and (copied := self._copier.first()) is not None:
            known, url = copied
        return self._state.model_copy(update={"run_id": known, "url": url})

    def before_upload(self, training: TrainingExit) -> None:
        """Wait a little for what the code logged past the sidecar: it belongs to what is uploaded."""
        self._training = training
        self._wake.set()
        passes_by = any(run.copied for run in list(self._tracking.runs.values()))
        give_up = time.monotonic() + (0.0 if training.terminated else _COPY_PATIENCE_SECONDS)
        while (passes_by or not self._tracking.summaries) and not self._failures:
            if self._copied_last.wait(_LOOK_SECONDS) or time.monotonic() > give_up:
                return

    def finish(self, training: TrainingExit, deadline: Callable[[], float | None]) -> None:
        """Catch up after the upload, as long as something moves; then say how it ended."""
        self._training = training
        self._wake.set()
        begun = moved = time.monotonic()
        moves = self._moves
        while self._thread.is_alive() and not self._complete:
            time.sleep(_LOOK_SECONDS)
            now, latest = time.monotonic(), deadline()
            if self._moves != moves:
                moves, moved = self._moves, now
            patience = _TROUBLED_SECONDS if self._failures > _PASSING_FAILURES else _STALLED_SECONDS
            if now - moved > patience or now - begun > _LONGEST_SECONDS or (latest and now > latest):
                break
        self._stopping = True
        self._wake.set()
        if self._complete:
            self._tell("Forwarded", f"Everything that was logged is at {self._remote.uri}.")
        else:
            why = f": {self._state.message}" if self._state.message else ""
            self._tell(
                "Incomplete",
                f"Not everything that was logged could be forwarded to {self._remote.uri} before the run's end{why}"
                " All of it is in the run's bucket.",
            )
        self._save()

    # --- the thread -------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._stopping:
            pause = _PAUSE_SECONDS
            try:
                if self._step():
                    pause = 0.0
                elif self._complete:
                    return
            except Unreachable as error:
                pause = self._troubled("Unreachable", f"{error}. It is tried again; the training goes on.")
            except Refused as error:
                pause = self._troubled("Refused", f"{self._remote.advice(error)} It is tried again.")
            except Exception as error:  # noqa: BLE001 - a defect of ours never stops the training
                _log.exception("forwarding to %s", self._remote.uri)
                pause = self._troubled("Refused", f"{type(error).__name__}: {error}. It is tried again.")
            else:
                if self._failures:
                    self._tell("Forwarding", f"{self._remote.uri} takes again what is logged.")
                self._failures = 0
            self._wake.wait(pause)
            self._wake.clear()

    def _troubled(self, state: Any, message: str) -> float:
        if not self._failures:
            _log.warning("%s", message)
        self._tell(state, message)
        self._failures += 1
        return min(_LAST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 10))

    def _step(self) -> bool:
        """Send what is next; whether there may be more."""
        training = self._training
        # Asked for first: a wrong address or token is told before anything is logged.
        self._runs.find_experiment()
        if training is not None and not self._copied_last.is_set():
            self._copier.copy()
            self._copied_last.set()
        batch, end = self._next()
        if end != self._cursor:
            self._send(batch)
            self._cursor = end
            self._moves += 1
            self._save()
            return True
        if time.monotonic() - self._copied_at >= _COPY_SECONDS:
            self._copier.copy()
            self._copied_at = time.monotonic()
        if training is not None:
            self._end(training)
            self._complete = True
        return False

    def _next(self) -> tuple[list[dict[str, Any]], int]:
        batch: list[dict[str, Any]] = []
        end, points = self._cursor, 0
        for record, after in self._tracking.records(self._cursor):
            end = after
            if not self._is_copied(record):
                batch.append(record)
                points += len(record.get("m", ()))
            if len(batch) >= _STEP_RECORDS or points >= _STEP_POINTS:
                break
        return batch, end

    def _is_copied(self, record: dict[str, Any]) -> bool:
        run = self._tracking.runs.get(str(run_of(record)))
        return run is not None and run.copied

    def _send(self, batch: list[dict[str, Any]]) -> None:
        whole = [record for record in batch if "model" not in record and "registered" not in record]
        self._runs.send(whole)
        for record in batch:
            try:
                if "model" in record:
                    self._models.model(record)
                elif "registered" in record:
                    self._models.registration(record)
            except Refused as error:
                if not error.of_content:
                    raise
                name = record.get("name") or record.get("registered")
                self._warn(f"the model {name} is not forwarded: {self._remote.uri} says: {error}")

    def _end(self, training: TrainingExit) -> None:
        """Say what the code did not: the run's parameters, and the end of runs that it left open."""
        ours = self._tracking.run_id
        if ours in self._runs.known.ids:
            run = self._tracking.runs.get(ours)
            logged = run.params if run is not None else {}
            missing = {k: str(v) for k, v in self._order.parameters.items() if k not in logged}
            where = f"s3://{self._order.bucket.bucket}/{self._order.run.attempt_prefix}"
            self._runs.log(ours, missing, {"mlops.eoepca.org/storage": where})
        status = "KILLED" if training.terminated else "FAILED" if training.exit_code else "FINISHED"
        for run_id in list(self._runs.known.ids):
            run = self._tracking.runs.get(run_id)
            if run is None or run.status == "RUNNING":
                self._runs.end(run_id, status, int(training.end_time.timestamp() * 1000))

    def _describe(self, run_id: str) -> dict[str, Any] | None:
        run = self._tracking.runs.get(run_id)
        if run is not None:
            return {"name": run.name, "tags": dict(run.tags), "at": run.start_ms, "user": run.user}
        if run_id != self._tracking.run_id:
            return None
        return {"name": self._tracking.run_name, "tags": {}, "at": time.time_ns() // 1_000_000, "user": ""}

    # --- what is written down ---------------------------------------------------------------------------------

    def _tell(self, state: Any, message: str) -> None:
        self._state = TrackingReport(state=state, message=message)

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings[text] = None
        self._tracking.warn(text)

    def _save(self) -> None:
        content = {
            "cursor": self._cursor,
            "runs": asdict(self._runs.known),
            "models": asdict(self._models.known),
            "state": self._state.to_object(),
            "warnings": list(self._warnings),
        }
        write_whole(self._file, json.dumps(content).encode())

    def _load(self) -> None:
        try:
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return
        self._cursor = content["cursor"]
        self._runs.known = RemoteRuns(**content["runs"])
        self._models.known = RemoteModels(**content["models"])
        self._state = TrackingReport.model_validate(content["state"])
        for text in content["warnings"]:
            self._warn(text)
