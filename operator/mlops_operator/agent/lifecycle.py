"""The sidecar's life: follow the training, report, upload at its end, acknowledge, wait to be stopped."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from mlops_operator.agent.buckets import open_workspace
from mlops_operator.agent.failure import shorten, write_report
from mlops_operator.agent.finish import Finish, Outcome
from mlops_operator.agent.follow.sources import make_followers
from mlops_operator.agent.forwarding import Forwarding
from mlops_operator.agent.history import next_part
from mlops_operator.agent.places import Places, write_whole
from mlops_operator.agent.progress import ProgressEndpoint, Reporter
from mlops_operator.agent.requirements import Keeper
from mlops_operator.agent.steering import Steering
from mlops_operator.agent.summary import metric_statuses, total_steps
from mlops_operator.agent.tracking import Tracking
from mlops_operator.agent.upload import HistoryUploader
from mlops_operator.agent.usage import UsageFile
from mlops_operator.agent.workers import own_identity
from mlops_operator.api.wire import (
    STAGED_FILE,
    TOKEN_FILE,
    USAGE_FILE,
    ProgressReport,
    SidecarOrder,
    StagedReport,
    TerminationReport,
    TrainingExit,
)
from mlops_operator.errors import MlopsError
from mlops_operator.storage.layout import attempt_progress_key

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_FOLLOW_SECONDS = 1.0
_PART_SECONDS = 60.0
_PART_PATIENCE_SECONDS = 20.0
_UPLOAD_PATIENCE_SECONDS = 600.0
# A rolled-over Secret reaches a mounted volume after about a minute.
_DENIED_PATIENCE_SECONDS = 150.0
# The kubelet stops a sidecar when the other containers have ended: what they wrote is there, or never comes.
_LATE_END_SECONDS = 5.0
_MANIFEST_SECONDS = 3.0
_DELIVERY_SECONDS = 2.0
# Of the time for uploads, where the pod must go.
_OTHER_FILES_SHARE = 0.25
_MAX_WARNING_BYTES = 400
_KEEP_SECONDS = 120.0
_KILLED = 137

Phase = Literal["Staging", "Running", "Uploading", "Done"]


@dataclass
class State:
    """What is told of the run beside its metrics."""

    phase: Phase = "Staging"
    started_at: datetime | None = None
    training: TrainingExit | None = None
    outcome: Outcome = field(default_factory=Outcome)


class Lifecycle:
    """Runs until ``terminating`` is set and everything that can be done is done."""

    def __init__(
        self,
        order: str,
        places: Places,
        tracking: Tracking,
        environment: Mapping[str, str],
        terminating: threading.Event,
    ) -> None:
        common = SidecarOrder.model_validate_json(order)
        self._order = common.model_copy(update={"run": own_identity(common.run, environment)})
        self._places = places
        self._tracking = tracking
        self._terminating = terminating
        self._pod_uid = environment.get("MLOPS_POD_UID", "")
        self._state = State()
        self._deadline: float | None = None
        self._staged = self._read_staged()
        self._followers = make_followers(self._order, places, tracking)
        self._usage = UsageFile(places.path(USAGE_FILE))
        self._forwarding = None
        # Of several workers the first speaks for all.
        if self._order.remote is not None and not self._order.run.worker:
            self._forwarding = Forwarding(self._order, self._order.remote, places, tracking)
        endpoint = None
        if self._order.progress_url:
            endpoint = ProgressEndpoint(
                self._order.progress_url, places.path(TOKEN_FILE), environment.get("MLOPS_PROGRESS_CA")
            )
        self._reporter = Reporter(
            endpoint,
            self._report,
            self._version,
            self._order.progress_interval_seconds,
            leave=self._leave_progress,
        )
        self._bucket = open_workspace(places, self._order.bucket, patience_seconds=_PART_PATIENCE_SECONDS)
        self._steering = Steering(self._order, places, tracking, self._bucket, self._checkpoint_deadline)
        self._ended = threading.Event()
        self._keeper = Keeper(self._bucket, places, self._staged.requirements_key)
        self._leaving = threading.Lock()
        self._last_left = False

    def run(self) -> int:
        """Follow, upload, acknowledge, wait; give the exit code."""
        self._reporter.start()
        threading.Thread(target=self._upload_parts, name="history", daemon=True).start()
        self._steering.start()
        self._keeper.start()
        outcome = self._earlier_outcome()
        if outcome is None:
            if self._forwarding is not None:
                self._forwarding.start()
            training = self._follow()
            if training is None:
                _log.info("stopped before the training started")
                self._reporter.stop()
                return 0
            outcome = self._finish(training)
            if self._forwarding is not None:
                self._forwarding.finish(training, lambda: self._deadline)
            self._keep_packages()
            self._acknowledge(outcome)
        self._terminating.wait()
        self._reporter.stop()
        code = 1 if outcome.failure else 0
        if threading.active_count() > 1:
            # An upload that cannot end any more must not keep the pod.
            logging.shutdown()
            os._exit(code)
        return code

    # --- while it trains --------------------------------------------------------------------------------------

    def _follow(self) -> TrainingExit | None:
        """Wait for the end of the training, taking its metrics in. None: it never started."""
        followed = 0.0
        while True:
            stopping = self._terminating.wait(_LOOK_SECONDS)
            self._look_for_start()
            training = self._read_exit()
            if training is None and stopping:
                if self._state.started_at is None:
                    return None
                training = self._late_exit()
            if training is not None or time.monotonic() - followed >= _FOLLOW_SECONDS:
                self._poll(final=training is not None)
                followed = time.monotonic()
            if training is not None:
                return training

    def _poll(self, *, final: bool) -> None:
        for follower in self._followers:
            try:
                follower.poll(final=final)
            except OSError as error:
                self._tracking.warn(f"metrics cannot be followed: {error}")
        self._steering.poll()

    def _look_for_start(self) -> None:
        if self._state.started_at is None:
            started = read_json(self._places.run / "started.json")
            if started is not None:
                self._state.started_at = datetime.fromisoformat(started["startTime"])
                self._state.phase = "Running"
                self._reporter.now()

    def _read_exit(self) -> TrainingExit | None:
        done = read_json(self._places.run / "done.json")
        return None if done is None else TrainingExit.model_validate(done)

    def _late_exit(self) -> TrainingExit:
        """Give the exit of a training whose entrypoint was killed, by the kernel for its memory or by the kubelet."""
        give_up = time.monotonic() + _LATE_END_SECONDS
        while time.monotonic() < give_up:
            training = self._read_exit()
            if training is not None:
                return training
            time.sleep(_LOOK_SECONDS)
        now = datetime.now(UTC)
        return TrainingExit(
            exit_code=_KILLED, signal="SIGKILL", start_time=self._state.started_at or now, end_time=now
        )

    def _upload_parts(self) -> None:
        """Load what the upload will need, then upload the metrics of each minute."""
        uploader = HistoryUploader(self._bucket, self._order.run, lambda: next_part(self._tracking))
        try:
            _log.info("the bucket is %s", self._bucket.name)
            while not self._ended.wait(_PART_SECONDS):
                end = uploader.upload()
                if end is not None:
                    self._tracking.history_uploaded(end)
        except (MlopsError, OSError) as error:
            _log.warning("the metrics are not in the bucket before the end: %s", error)

    # --- its end ----------------------------------------------------------------------------------------------

    def _finish(self, training: TrainingExit) -> Outcome:
        """Upload, in a thread: a bucket that does not answer must not outlast the pod's time."""
        self._ended.set()
        if self._forwarding is not None:
            self._forwarding.before_upload(training)
        self._state.training = training
        self._state.started_at = self._state.started_at or training.start_time
        self._state.phase = "Uploading"
        self._reporter.now()
        hurry = training.terminated or self._terminating.is_set()
        if hurry:
            self._set_deadline()
        bucket = open_workspace(
            self._places,
            self._order.bucket,
            patience_seconds=self._order.upload_seconds if hurry else _UPLOAD_PATIENCE_SECONDS,
            denied_seconds=0.0 if hurry else _DENIED_PATIENCE_SECONDS,
        )
        outcomes: list[Outcome] = []
        finish = Finish(
            self._order,
            self._places,
            self._tracking,
            training,
            bucket,
            lambda: self._deadline,
            self._steering,
        )
        thread = threading.Thread(target=lambda: outcomes.append(finish.run()), name="finish", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if self._terminating.is_set() and self._deadline is None:
                self._set_deadline()
            if self._deadline is not None and time.monotonic() > self._deadline + _MANIFEST_SECONDS:
                break
        if outcomes:
            return outcomes[0]
        message = "the pod was deleted before everything was in the bucket: the bucket did not answer in time"
        return Outcome(failure=TerminationReport(cause="UploadFailed", message=message))

    def _keep_packages(self) -> None:
        """Wait a little for what makes the next run faster: everything of this one is in the bucket."""
        give_up = time.monotonic() + _KEEP_SECONDS
        while not self._keeper.wait(_LOOK_SECONDS):
            if self._terminating.is_set() or time.monotonic() > give_up:
                return

    def _set_deadline(self) -> None:
        self._deadline = time.monotonic() + max(1.0, self._order.upload_seconds - _MANIFEST_SECONDS)

    def _checkpoint_deadline(self) -> float | None:
        """Give the time at which checkpoints must be there: what is left is for the other files."""
        if self._deadline is None:
            return None
        return self._deadline - self._order.upload_seconds * _OTHER_FILES_SHARE

    def _acknowledge(self, outcome: Outcome) -> None:
        self._state.outcome = outcome
        self._state.phase = "Done"
        if outcome.failure is not None:
            _log.error("%s: %s", outcome.failure.cause, outcome.failure.message)
            write_report(self._places.termination_log, outcome.failure)
        if outcome.failure is None or not outcome.failure.cause.startswith("Storage"):
            self._write_progress()
        self._reporter.now(_DELIVERY_SECONDS)
        report = outcome.failure or TerminationReport(cause="Succeeded", message="")
        acknowledgement = report.to_object() | {"manifestDigest": outcome.manifest_digest}
        write_whole(self._places.run / "ack", json.dumps(acknowledgement).encode())
        _log.info("acknowledged")

    def _write_progress(self) -> None:
        """Leave the last report in the bucket, for an operator that no push reached."""
        try:
            body = self._report(int(time.time() * 1000)).model_dump_json(by_alias=True, exclude_none=True)
            self._leave_progress(body.encode(), last=True)
        except (MlopsError, OSError) as error:
            _log.warning("progress.json is not in the bucket: %s", error)

    def _leave_progress(self, report: bytes, *, last: bool = False) -> None:
        """Put a report into the bucket; nothing replaces the last one."""
        with self._leaving:
            if last or not self._last_left:
                self._bucket.put_bytes(attempt_progress_key(self._order.run), report)
            self._last_left = self._last_left or last

    def _earlier_outcome(self) -> Outcome | None:
        """Give the outcome that a process before this one acknowledged."""
        acknowledgement = read_json(self._places.run / "ack")
        if acknowledgement is None:
            return None
        outcome = Outcome(manifest_digest=acknowledgement.get("manifestDigest"))
        if acknowledgement["cause"] != "Succeeded":
            outcome = Outcome(failure=TerminationReport.model_validate(acknowledgement))
        self._state = State("Done", None, self._read_exit(), outcome)
        self._ended.set()
        self._reporter.now()
        return outcome

    # --- reports ----------------------------------------------------------------------------------------------

    def _version(self) -> object:
        state = self._state
        forwarded = self._forwarding.report() if self._forwarding is not None else None
        return (
            self._tracking.changes,
            self._steering.changes,
            self._usage.version,
            state.phase,
            state.outcome,
            forwarded,
        )

    def _report(self, sequence: int) -> ProgressReport:
        state = self._state
        step = self._tracking.step
        return ProgressReport(
            run=self._order.run,
            pod_uid=self._pod_uid,
            sequence=sequence,
            phase=state.phase,
            started_at=state.started_at,
            commit=self._staged.commit,
            tracking_run_id=self._tracking.run_id if self._tracking.runs else None,
            tracking=self._forwarding.report() if self._forwarding is not None else None,
            step=step,
            total_steps=total_steps(self._order.parameters, step),
            metrics=metric_statuses(self._tracking),
            objective=self._steering.objective(),
            checkpoint=self._steering.checkpoint,
            resumed=self._staged.resumed,
            skipped_checkpoints=self._staged.skipped_checkpoints,
            usage=self._usage.read(),
            training=state.training,
            manifest_digest=state.outcome.manifest_digest,
            failure=state.outcome.failure,
            warnings=[shorten(text, _MAX_WARNING_BYTES) for text in self._warnings()],
        )

    def _warnings(self) -> list[str]:
        training = self._state.training
        return [*(training.warnings if training is not None else []), *self._tracking.warnings]

    def _read_staged(self) -> StagedReport:
        path = self._places.path(STAGED_FILE)
        return StagedReport.model_validate_json(path.read_bytes()) if path.is_file() else StagedReport()


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a file that appears whole; None where there is none yet."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return content if isinstance(content, dict) else None
