"""Where checkpoints are, and what of an agent's word on them and on the objective comes into the status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.checkpoints import ResolvedResume
from mlops_operator.api.trainingrun import AttemptStatus, TrainingRun, TrainingRunSpec
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain import checkpoints, live, objective
from mlops_operator.domain.attempt import Attempt
from mlops_operator.domain.outcome import Facts

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def run_of(spec: dict[str, Any], status: dict[str, Any] | None = None) -> TrainingRun:
    meta = {"name": "wine", "namespace": "ws-alice", "uid": "0a1b2c3d-1"}
    whole = {"image": "x", "command": ["x"], **spec}
    return TrainingRun.from_object({"metadata": meta, "spec": whole, "status": status or {}})


def report_of(**fields: Any) -> ProgressReport:
    run = {"name": "wine", "namespace": "ws-alice", "uid": "0a1b2c3d-1"}
    return ProgressReport.model_validate(
        {"run": run, "pod_uid": "p", "sequence": 1, "phase": "Running", **fields}
    )


@pytest.mark.parametrize(
    ("spec", "folder"),
    [
        ({}, "/mlops/output/checkpoints"),
        ({"checkpoints": {"path": "runs/a/"}}, "/mlops/code/runs/a"),
        ({"workingDir": "/mlops/code/src", "checkpoints": {"path": "./outputs"}}, "/mlops/code/src/outputs"),
    ],
)
def test_the_folder(spec: dict[str, Any], folder: str) -> None:
    assert (
        checkpoints.folder(TrainingRunSpec.model_validate({"image": "x", "command": ["x"], **spec})) == folder
    )


def test_the_order_names_the_run_to_go_on_from() -> None:
    spec = {
        "checkpoints": {"keep": 3, "completeMarkers": ["done"], "syncIntervalSeconds": 5, "resume": False}
    }
    order = checkpoints.order(run_of(spec), ResolvedResume(training_run="teacher", uid="u"))
    assert (order.keep, order.markers, order.interval_seconds, order.resume) == (3, ["done"], 5, False)
    assert order.resume_from is not None
    assert (order.resume_from.name, order.resume_from.namespace) == ("teacher", "ws-alice")


def test_the_objective_of_earlier_attempts_goes_into_the_order() -> None:
    spec = {
        "metrics": {
            "objective": {"name": "loss", "goal": "Minimize"},
            "earlyStopping": {"patience": 3, "minDelta": 0.1},
        }
    }
    status = {
        "objective": {"name": "loss", "goal": "Minimize", "best": 0.25, "step": 7, "checkpoint": "s3://b/c/"}
    }
    order = objective.order(run_of(spec, status))
    assert order is not None
    assert (order.patience, order.min_delta) == (3, 0.1)
    assert (order.best, order.step, order.checkpoint) == (0.25, 7, "s3://b/c/")
    assert objective.order(run_of({})) is None


def test_a_report_brings_objective_and_checkpoint_and_its_silence_takes_nothing_away() -> None:
    run = run_of({})
    best = {"name": "loss", "goal": "Minimize", "best": float("nan"), "step": 3}
    newest = {
        "name": "c-9",
        "step": 2**60,
        "time": "1950-01-01T00:00:00Z",
        "sizeBytes": -1,
        "uri": "s3://b/c/",
    }
    status = live.apply(run.status, report_of(objective=best, checkpoint=newest), {}, NOW)
    assert status.objective is not None
    assert (status.objective.best, status.objective.step) == (None, None), "the API server takes no NaN"
    assert status.checkpoint is not None
    assert (status.checkpoint.step, status.checkpoint.size_bytes) == (None, 0)
    assert live.apply(status, report_of(), {}, NOW) == status


def test_an_attempt_keeps_what_it_went_on_from() -> None:
    resumed = {"trainingRun": "wine", "uid": "u", "attempt": 1, "name": "c-9", "digest": "sha256:0"}
    report = report_of(resumed=resumed, skipped_checkpoints=["x" * 900] * 20)
    attempt = Attempt(AttemptStatus(number=2), "wine-2", None, None, report, Facts())
    updated = attempt.updated()
    assert updated.resumed_from is not None
    assert updated.resumed_from.name == "c-9"
    assert updated.skipped_checkpoints is not None
    assert [len(text) for text in updated.skipped_checkpoints] == [512] * 8


def test_the_message_of_an_early_end_names_the_best() -> None:
    spec = {"metrics": {"objective": {"name": "loss", "goal": "Minimize"}, "earlyStopping": {"patience": 3}}}
    status = {
        "objective": {"name": "loss", "goal": "Minimize", "best": 0.25, "step": 7, "checkpoint": "s3://b/c/"}
    }
    run = run_of(spec, status)
    text = objective.stopped_early(run, run.status.objective)
    assert "no better for 3 values in a row" in text
    assert "The best loss is 0.25 at step 7, whose checkpoint is s3://b/c/." in text
    assert objective.stopped_early(run, None).endswith("verified.")
