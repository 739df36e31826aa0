"""The end of a training: what is kept goes into the bucket, the manifests last."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_operator.agent.collect import collect
from mlops_operator.agent.failure import report_of, shorten
from mlops_operator.agent.history import write_history
from mlops_operator.agent.model_files import Details, ModelSearch, Selection, describe
from mlops_operator.agent.places import Places
from mlops_operator.agent.requirements import installed
from mlops_operator.agent.steering import Steering
from mlops_operator.agent.summary import metric_statuses
from mlops_operator.agent.tracking import Tracking
from mlops_operator.agent.upload import Entry, OutOfTime, Uploader
from mlops_operator.agent.workers import await_others
from mlops_operator.api.base import Scalar
from mlops_operator.api.wire import (
    STAGED_FILE,
    FileEntry,
    ModelDescription,
    RunManifest,
    SidecarOrder,
    StagedReport,
    TerminationReport,
    TrainingExit,
)
from mlops_operator.errors import AlreadyExists, IntegrityError, MlopsError, ObjectNotFound
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import canonical_json, document_digest
from mlops_operator.storage.layout import attempt_manifest_key, run_manifest_key

_log = logging.getLogger(__name__)
_MODEL_FOLDER = "artifacts/model/"
_MAX_LOGGED_PARAMETERS = 500
_MAX_VALUE_LENGTH = 1024  # of a Scalar
_MAX_WARNING_BYTES = 400


@dataclass(frozen=True)
class Outcome:
    """How the upload ended. ``manifest_digest``: of the run's manifest, where there is one."""

    manifest_digest: str | None = None
    failure: TerminationReport | None = None


@dataclass
class Finish:
    """Uploads what a training left. It may be called again after a crash, at any time.

    Parameters
    ----------
    deadline
        Gives the time (of time.monotonic) at which to stop, or None.
    steering
        Has the last checkpoints to upload, and how the objective stands.
    """

    order: SidecarOrder
    places: Places
    tracking: Tracking
    training: TrainingExit
    bucket: Bucket
    deadline: Callable[[], float | None]
    steering: Steering | None = None
    _warnings: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        """Do all of it; every error is an outcome."""
        try:
            return self._run()
        except (MlopsError, OSError) as error:
            _log.exception("the upload failed")
            return Outcome(failure=upload_failure(error))
        except Exception as error:  # noqa: BLE001 - an outcome too, told as InternalError
            _log.exception("this should not happen")
            return Outcome(failure=report_of(error))

    def _run(self) -> Outcome:
        data = self._standing_manifest()
        if data is None:
            try:
                data = self._upload()
            except OutOfTime as error:
                return Outcome(
                    failure=TerminationReport(
                        cause="UploadFailed",
                        message=f"the pod was deleted before everything was in the bucket: {error}",
                    )
                )
        if self.training.exit_code != 0 or self.order.run.worker:
            return Outcome()
        manifest = RunManifest.model_validate_json(data)
        if self.order.model is not None and manifest.model is None:
            return Outcome(failure=self._no_model())
        if self.order.workers > 1:
            return self._finish_with_others(data)
        return Outcome(manifest_digest=self._publish(data))

    def _finish_with_others(self, data: bytes) -> Outcome:
        """Write the run's manifest when all workers have ended well; one that has not is a failure of its own."""
        others = await_others(
            self.bucket, self.order.run, self.order.workers, lambda: self.deadline() is not None
        )
        if others is None:
            return Outcome()
        content = json.loads(data) | {"workers": [other.to_object() for other in others]}
        return Outcome(manifest_digest=self._publish(canonical_json(content)))

    # --- manifests --------------------------------------------------------------------------------------------

    def _standing_manifest(self) -> bytes | None:
        """Give the attempt's manifest that a process before this one wrote."""
        try:
            return self.bucket.get_bytes(attempt_manifest_key(self.order.run))
        except ObjectNotFound:
            return None

    def _publish(self, data: bytes) -> str:
        """Write the run's manifest, last of all: it makes the run valid."""
        key = run_manifest_key(self.order.run)
        try:
            self.bucket.put_once(key, data)
        except AlreadyExists as error:
            if self.bucket.get_bytes(key) != data:
                raise AlreadyExists(
                    f"{key} is there already with other content: another attempt of this run finished before"
                ) from error
        return document_digest(data)

    def _upload(self) -> bytes:
        speaks = self.training.exit_code == 0 and not self.order.run.worker
        selection, details = self._model() if speaks else (None, None)
        collection = collect(self.order, self.places, selection)
        uploader = Uploader(self.bucket, self.order.run, self.deadline)
        uploader.look()
        complete = True
        try:
            # What a failed run is judged by goes first.
            uploader.upload(self._reports())
            # Then what a further attempt goes on from.
            if self.steering is not None:
                self._warnings.extend(self.steering.finish(self.training, self.bucket))
            uploader.upload(collection.files)
        except OutOfTime as error:
            if self.training.exit_code == 0:
                raise
            complete = False
            self._warnings.append(f"the pod was deleted before everything was in the bucket: {error}")
        if complete:
            uploader.verify()
        self._warnings.extend(collection.left_out.sentences())
        entries = sorted(uploader.entries)
        description = _description(selection, details, entries) if selection and details else None
        data = manifest_bytes(self._manifest(description), entries)
        key = attempt_manifest_key(self.order.run)
        try:
            self.bucket.put_once(key, data)
        except AlreadyExists:
            data = self.bucket.get_bytes(key)
        return data

    def _manifest(self, model: ModelDescription | None) -> RunManifest:
        staged = self._staged()
        return RunManifest(
            run=self.order.run,
            training=self.training,
            files=[],
            model=model,
            metrics=metric_statuses(self.tracking),
            objective=self.steering.objective() if self.steering is not None else None,
            checkpoint=self.steering.checkpoint if self.steering is not None else None,
            resumed=staged.resumed,
            skipped_checkpoints=staged.skipped_checkpoints,
            parameters=self._parameters(),
            commit=staged.commit,
            datasets=staged.datasets,
            tracking_run_id=self.tracking.run_id if self.tracking.runs else None,
            warnings=[
                shorten(text, _MAX_WARNING_BYTES)
                for text in [*self.training.warnings, *self.tracking.warnings, *self._warnings]
            ],
            created_at=datetime.now(UTC),
        )

    def _staged(self) -> StagedReport:
        path = self.places.path(STAGED_FILE)
        return StagedReport.model_validate_json(path.read_bytes()) if path.is_file() else StagedReport()

    def _parameters(self) -> dict[str, Scalar]:
        """Give the parameters of the spec, and those that the code logged for our run."""
        run = self.tracking.runs.get(self.tracking.run_id)
        logged = list(run.params.items())[:_MAX_LOGGED_PARAMETERS] if run else []
        return {key: value[:_MAX_VALUE_LENGTH] for key, value in logged} | self.order.parameters

    # --- files ------------------------------------------------------------------------------------------------

    def _reports(self) -> dict[str, str]:
        """Write log, metrics and tracked runs as files: path below the attempt's prefix → place."""
        files: dict[str, str] = {}
        log = whole_log(self.places.run)
        if log is not None:
            files["logs/train.log"] = str(log)
        packages = installed(self.places)
        if packages is not None:
            files["logs/packages.txt"] = str(packages)
        history = self.places.run / "metrics-history.jsonl"
        if write_history(self.tracking, history):
            files["metrics.jsonl"] = str(history)
        if self.tracking.runs:
            tracked = self.places.run / "tracking-runs.json"
            tracked.write_text(json.dumps(_tracked_runs(self.tracking), indent=1), encoding="utf-8")
            files["tracking.json"] = str(tracked)
        return files

    def _search(self) -> ModelSearch:
        logged = self.tracking.last_model()
        return ModelSearch(
            working=self.places.path(self.order.working_dir),
            output=self.places.output,
            model_dir=self.places.model,
            path=self.order.model.path if self.order.model else None,
            logged=logged.folder if logged else None,
        )

    def _model(self) -> tuple[Selection | None, Details | None]:
        selection = self._search().find()
        if selection is None:
            return None, None
        details = describe(selection)
        self._warnings.extend(details.warnings)
        if len(selection.candidates) > 1:
            self._warnings.append(
                f"{len(selection.candidates)} files fit the model; the newest was taken: {selection.shown_path}"
            )
        return selection, details

    def _no_model(self) -> TerminationReport:
        path = self.order.model.path if self.order.model else None
        wanted = (
            f"nothing fits outputs.model.path {path!r} below {self.order.working_dir}"
            if path
            else "no file in MLOPS_MODEL_DIR, no model logged with MLflow, no *.onnx in the output or working folder"
        )
        ended = "ended well"
        if self.training.early_stopped:
            ended = (
                "was stopped early (metrics.earlyStopping: write the model while it trains, or on SIGTERM)"
            )
        return TerminationReport(
            cause="NoModelProduced",
            message=shorten(
                f"the training {ended}, but there is no model: {wanted}. Seen: {self._search().seen()}"
            ),
        )


def upload_failure(error: Exception) -> TerminationReport:
    """Give the cause of a failed upload: the storage's own where it has one, else UploadFailed."""
    report = report_of(error)
    if report.cause in ("StorageDenied", "StorageUnavailable") or (
        report.cause == "StorageFull" and not isinstance(error, OSError)
    ):
        return report
    prefix = "" if isinstance(error, IntegrityError) else f"{type(error).__name__}: "
    return TerminationReport(cause="UploadFailed", message=shorten(f"{prefix}{error}"))


def manifest_bytes(manifest: RunManifest, entries: list[Entry]) -> bytes:
    """Give the canonical JSON of a manifest with these files, without an object for each of 50,000."""
    frame = canonical_json(manifest.to_object() | {"files": []})
    before, hole, after = frame.partition(b'"files":[]')
    if not hole:
        raise ValueError("a manifest has no files")
    lines = (
        canonical_json({"path": path, "sha256": sha256, "sizeBytes": size}) for path, size, sha256 in entries
    )
    return b"".join((before, b'"files":[', b",".join(lines), b"]", after))


def whole_log(run: Path) -> Path | None:
    """Give the training's log: one file, or, where the entrypoint was killed, its three parts put together."""
    parts = [path for name in ("log", "log.tail.0", "log.tail.1") if (path := run / name).is_file()]
    if len(parts) <= 1:
        return parts[0] if parts else None
    whole = run / "log.whole"
    with whole.open("wb") as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
    return whole


def _description(selection: Selection, details: Details, entries: list[Entry]) -> ModelDescription:
    onnx = details.onnx
    return ModelDescription(
        path=selection.shown_path,
        selected_by=selection.selected_by,
        candidates=list(selection.candidates),
        format=details.format,
        main_file=details.main_file,
        files=[
            FileEntry(path=path.removeprefix(_MODEL_FOLDER), size_bytes=size, sha256=sha256)
            for path, size, sha256 in entries
            if path.startswith(_MODEL_FOLDER)
        ],
        inputs=onnx.inputs if onnx else [],
        outputs=onnx.outputs if onnx else [],
        framework=details.framework,
        framework_version=details.framework_version,
    )


def _tracked_runs(tracking: Tracking) -> list[dict[str, Any]]:
    return [
        {
            "runId": run.run_id,
            "name": run.name,
            "status": run.status,
            "startTime": run.start_ms,
            "endTime": run.end_ms,
            "params": run.params,
            "tags": run.tags,
        }
        for run in tracking.runs.values()
    ]
