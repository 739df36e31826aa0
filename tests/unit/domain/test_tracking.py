"""What the conditions say of a run's metrics, and what its pod gets for the remote MLflow server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.base import Condition
from mlops_operator.api.trainingrun import MetricStatus, TrackingStatus, TrainingRun, TrainingRunStatus
from mlops_operator.api.wire import BucketHint, ProgressReport, RunIdentity, SidecarOrder, TrackingReport
from mlops_operator.domain import tracking
from mlops_operator.domain.conditions import Claim
from mlops_operator.domain.effects import WorkspaceReady
from mlops_operator.domain.job import run_job
from mlops_operator.domain.live import tracking_of
from mlops_operator.settings import Settings
from tests.unit.domain.world import NAMESPACE, SPEC, UID

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MLFLOW = {"uri": "https://hub.example.org/tracking/", "credentialsSecretRef": {"name": "hub"}}


def _run(mlflow: dict[str, Any] | None = None) -> TrainingRun:
    spec = SPEC | ({"tracking": {"mlflow": mlflow}} if mlflow else {})
    return TrainingRun.from_object(
        {"metadata": {"name": "wine", "namespace": NAMESPACE, "uid": UID}, "spec": spec}
    )


def _report(state: Any = None, **fields: Any) -> ProgressReport:
    run = RunIdentity(name="wine", namespace=NAMESPACE, uid=UID)
    remote = (
        TrackingReport(state=state, message=f"it is {state}", run_id="r", url="https://m/#/r")
        if state
        else None
    )
    return ProgressReport(run=run, pod_uid="p", sequence=1, phase="Running", tracking=remote, **fields)


def _conditions(*claims: Claim) -> TrainingRunStatus:
    return TrainingRunStatus(
        conditions=[
            Condition(
                type=claim.type,
                status=claim.status,
                reason=claim.reason,
                message=claim.message,
                last_transition_time=NOW,
            )
            for claim in claims
        ]
    )


def test_that_all_is_well_is_not_worth_a_write_while_it_runs() -> None:
    for report in (None, _report(), _report("Forwarding")):
        assert not tracking.while_it_runs(TrainingRunStatus(), report)


def test_trouble_with_the_server_is_told_and_taken_back() -> None:
    (trouble,) = tracking.while_it_runs(TrainingRunStatus(), _report("Unreachable"))
    assert (trouble.type, trouble.status, trouble.reason) == ("MetricsForwarded", "False", "Unreachable")
    assert trouble.message == "it is Unreachable"
    (mended,) = tracking.while_it_runs(_conditions(trouble), _report("Forwarding"))
    assert (mended.status, mended.reason) == ("True", "Forwarding")


@pytest.mark.parametrize(
    ("state", "truth"), [("Forwarded", "True"), ("Incomplete", "False"), ("Refused", "False")]
)
def test_the_end_says_what_became_of_it(state: str, truth: str) -> None:
    status = TrainingRunStatus(metrics=[MetricStatus(name="loss")])
    received, forwarded = tracking.at_the_end(_run(MLFLOW), status, _report(state), trained=True)
    assert (received.status, received.reason) == ("True", "Received")
    assert (forwarded.status, forwarded.reason) == (truth, state)


def test_an_end_without_a_last_word_is_not_taken_for_well() -> None:
    status = TrainingRunStatus(metrics=[MetricStatus(name="loss")])
    _, forwarded = tracking.at_the_end(_run(MLFLOW), status, _report("Forwarding"), trained=True)
    assert (forwarded.status, forwarded.reason) == ("False", "Incomplete")


def test_a_run_without_metrics_says_what_to_do() -> None:
    (claim,) = tracking.at_the_end(_run(), TrainingRunStatus(), None, trained=True)
    assert (claim.type, claim.status, claim.reason) == ("MetricsReceived", "False", "NoMetrics")
    for part in ("MLOPS_METRICS_FILE", "spec.tracking.mlflow.uri", "set_tracking_uri"):
        assert part in claim.message
    (claim,) = tracking.at_the_end(_run(MLFLOW), TrainingRunStatus(), None, trained=True)
    assert MLFLOW["uri"] in claim.message  # type: ignore[operator]
    assert not tracking.at_the_end(_run(), TrainingRunStatus(), None, trained=False)


def test_conditions_stay_until_something_else_is_said() -> None:
    old = Claim("MetricsForwarded", "False", "Unreachable", "")
    received = Claim("MetricsReceived", "True", "Received", "")
    assert tracking.settled(_conditions(old), []) == [old]
    new = Claim("MetricsForwarded", "True", "Forwarded", "")
    assert tracking.settled(_conditions(old), [new, received]) == [received, new]


def test_the_remote_run_is_the_one_that_is_shown() -> None:
    ours = tracking_of(_report(tracking_run_id="local"), None)
    assert ours == TrackingStatus(run_id="local")
    theirs = tracking_of(_report("Forwarding", tracking_run_id="local"), ours)
    assert theirs == TrackingStatus(run_id="r", url="https://m/#/r")
    assert tracking_of(_report(tracking_run_id="local"), theirs) == theirs


def _pod(run: TrainingRun) -> dict[str, Any]:
    workspace = WorkspaceReady(NOW, "s", BucketHint(endpoint="http://s3", bucket="b"), "PEM")
    job = run_job(run, 2, workspace=workspace, datasets=(), secrets=(), settings=Settings())
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_credentials_reach_the_sidecar_alone() -> None:
    pod = _pod(_run(MLFLOW))
    containers = {c["name"]: c for c in (*pod["initContainers"], *pod["containers"])}
    mounting = [
        name
        for name, container in containers.items()
        if any(mount["name"] == "mlflow-credentials" for mount in container["volumeMounts"])
    ]
    assert mounting == ["agent"]
    order = SidecarOrder.model_validate_json(_variables(containers["agent"])["MLOPS_ORDER"])
    assert order.remote is not None
    assert (order.remote.uri, order.remote.secret, order.remote.experiment) == (
        MLFLOW["uri"],
        "hub",
        NAMESPACE,
    )
    variables = _variables(containers["train"])
    assert json.loads(variables["MLFLOW_RUN_CONTEXT"]) == {
        "mlops.eoepca.org/run": f"{NAMESPACE}/wine",
        "mlops.eoepca.org/run-uid": UID,
        "mlops.eoepca.org/attempt": "2",
    }
    assert "MLFLOW_RUN_ID" not in variables
    assert variables["MLFLOW_TRACKING_URI"].startswith("http://127.0.0.1:")


def test_without_a_remote_server_there_is_nothing_of_it() -> None:
    pod = _pod(_run())
    assert "mlflow-credentials" not in json.dumps(pod)
    assert "MLFLOW_RUN_CONTEXT" not in json.dumps(pod)
