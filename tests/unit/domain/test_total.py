"""Plans are total: whatever is observed, however odd, gives a plan whose status the schema takes, and which is at rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.api.trainingrun import ENDED, TrainingRun, TrainingRunStatus
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain.effects import (
    CheckWorkspace,
    Create,
    Failed,
    Outcome,
    ReadRunManifest,
    RunManifestRead,
)
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.run_plan import plan_run
from mlops_operator.domain.views import job_view, pod_view
from mlops_operator.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
UID = "0a1b2c3d-1"
METADATA = {"name": "wine", "namespace": "ws-a", "uid": UID, "creationTimestamp": "2026-02-28T00:00:00Z"}
TEXTS = st.sampled_from(
    ["", "OOMKilled", "Error", "ImagePullBackOff", "x" * 5000, '{"cause":"StorageFull","message":"m"}']
)
TIMES = st.sampled_from(
    ["2026-03-01T00:00:00Z", "1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon", None, 7]
)
STATES = st.one_of(
    st.builds(lambda r, m: {"waiting": {"reason": r, "message": m}}, TEXTS, TEXTS),
    st.builds(lambda t: {"running": {"startedAt": t}}, TIMES),
    st.builds(
        lambda c, r, m: {"terminated": {"exitCode": c, "reason": r, "message": m}},
        st.sampled_from([0, 1, 125, 127, 137, None, "one"]),
        TEXTS,
        TEXTS,
    ),
    st.sampled_from([{}, None, "odd"]),
)
CONTAINERS = st.lists(
    st.builds(lambda n, s: {"name": n, "state": s}, st.sampled_from(["train", "agent", "stage-in"]), STATES),
    max_size=3,
)
JOBS = st.builds(
    lambda mine, gone, ended: job_view(
        {
            "metadata": {
                "name": "wine-1",
                "uid": "job-1",
                "labels": {"mlops.eoepca.org/owner-uid": UID if mine else "other"},
                "ownerReferences": [{"uid": UID}],
            },
            "status": {"conditions": [{"type": ended, "status": "True"}, "odd"]},
        },
        gone,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["Complete", "Failed", "Suspended"]),
)
PODS = st.builds(
    lambda phase, created, containers, deleting, gone: pod_view(
        {
            "metadata": {
                "name": "p",
                "uid": "pod-1",
                "labels": {"job-name": "wine-1"},
                "creationTimestamp": created,
                **({"deletionTimestamp": "2026-03-01T00:00:00Z"} if deleting else {}),
            },
            "spec": {"nodeName": "n"},
            "status": {"phase": phase, "initContainerStatuses": containers, "containerStatuses": containers},
        },
        gone,
    ),
    st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown", None]),
    TIMES,
    CONTAINERS,
    st.booleans(),
    st.booleans(),
)
NUMBERS = st.floats() | st.none()
REPORTS = st.builds(
    lambda phase, step, total, value, begin, code: ProgressReport.model_validate(
        {
            "run": {"name": "wine", "namespace": "ws-a", "uid": UID},
            "pod_uid": "pod-1",
            "sequence": 1,
            "phase": phase,
            "step": step,
            "total_steps": total,
            "started_at": begin,
            "metrics": [{"name": "loss", "latest": value, "updated_at": begin}] * 70,
            "training": None if code is None else {"exit_code": code, "start_time": begin, "end_time": begin},
        }
    ),
    st.sampled_from(["Staging", "Running", "Uploading", "Done"]),
    st.integers() | st.none(),
    st.integers() | st.none(),
    NUMBERS,
    st.datetimes(),
    st.sampled_from([None, 0, 1, 137]),
)
STATUSES: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda phase, attempts, retry: {"phase": phase, "attempts": attempts, "retry": retry},
    st.sampled_from([None, "Pending", "Queued", "Running", "Uploading", "Suspended", "Succeeded", "Failed"]),
    st.sampled_from(
        [
            [],
            [{"number": 1}],
            [{"number": 1, "jobUID": "job-1", "podUID": "pod-1"}],
            [{"number": 1, "jobUID": "job-0"}],
            [{"number": 1, "jobUID": "job-1", "podUID": "pod-1", "cause": "Suspended"}],
            [{"number": 1, "jobUID": "job-1", "cause": "Odd"}],
            [{"number": 1, "jobUID": "job-0", "cause": "Evicted", "endTime": "2026-02-28T23:00:00Z"}],
            [{"number": 1, "jobUID": "job-1", "podUID": "pod-1", "endTime": "2026-03-01T00:00:00Z"}],
        ]
    ),
    st.sampled_from(
        [None, {"failures": 1, "disruptions": 9}, {"failures": 9, "nextTime": "2026-03-01T00:00:07Z"}]
    ),
)
FAILED = st.builds(
    lambda cause, transient, failures: Failed(NOW, cause, "m" * 5000, transient, failures),
    st.sampled_from(["SecretMissing", "Odd", "StorageDenied", "Invalid"]),
    st.booleans(),
    st.integers(-1, 10**6),
)
READS: st.SearchStrategy[Outcome] = FAILED | st.just(RunManifestRead(NOW, None))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    STATUSES,
    st.fixed_dictionaries(
        {
            "cancel": st.booleans(),
            "suspend": st.booleans(),
            "startDeadlineSeconds": st.sampled_from([None, 1, 10**6]),
            "retry": st.sampled_from([{}, {"sides": ["User", "Platform"], "limit": 9}]),
        }
    ),
    st.none() | JOBS,
    st.none() | PODS,
    st.none() | REPORTS,
    st.none() | FAILED,
    READS,
)
def test_any_observation_gives_a_plan(  # noqa: PLR0917 - given by hypothesis
    status: dict[str, Any],
    asked: dict[str, Any],
    job: Any,
    pod: Any,
    report: Any,
    refused: Any,
    read: Outcome,
) -> None:
    spec = {"image": "x", "command": ["y"], **asked, "outputs": {"model": {"name": "wine"}}}
    run = TrainingRun.from_object({"metadata": METADATA, "spec": spec, "status": status})
    outcomes: dict[Any, Outcome] = {
        ReadRunManifest("ws-a", "wine", UID, f"1:{moment}"): read
        for moment in ("pod-ended", "training-ended", "done")
    }
    if refused is not None:
        outcomes |= {Create("ws-a", "Job", "wine-1"): refused, CheckWorkspace("ws-a"): refused}
    observed = ObservedRun(
        run, {"wine-1": job} if job else {}, (pod,) if pod else (), progress=report, outcomes=outcomes
    )
    plan = plan_run(observed, Settings(), NOW)
    assert plan.requeue_after_seconds is None or plan.requeue_after_seconds >= 0
    if plan.status is None:
        assert plan.create_job is None
        return
    written = TrainingRunStatus.model_validate(plan.status)
    assert run.status.phase not in ENDED or written.phase == run.status.phase
    again = replace(observed, run=run.model_copy(update={"status": written}))
    assert plan_run(again, Settings(), NOW).status is None
