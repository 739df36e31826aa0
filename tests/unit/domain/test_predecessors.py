"""The next attempt begins only when nothing of the ones before can run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain.observed import JobView, ObservedRun, PodView
from mlops_operator.domain.predecessors import stragglers, waiting

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
POD = PodView(name="wine-1-x", uid="p", phase="Running", job="wine-1", node_name="node-1")
JOB = JobView(name="wine-1", uid="j", owner_uid="u", failed=True)


def observed(*pods: PodView, job: JobView = JOB, pod_uid: str | None = "p") -> ObservedRun:
    attempt: dict[str, Any] = {
        "number": 1,
        "endTime": NOW.isoformat(),
        **({"podUID": pod_uid} if pod_uid else {}),
    }
    metadata = {"name": "wine", "namespace": "ws-a", "uid": "u"}
    run = {"metadata": metadata, "spec": {"image": "x", "command": ["y"]}, "status": {"attempts": [attempt]}}
    return ObservedRun(TrainingRun.from_object(run), {job.name: job}, pods)


def reason(seen: ObservedRun, now: datetime = NOW) -> str | None:
    found = waiting(seen, now)
    return found.reason if found is not None else None


@pytest.mark.parametrize(
    "pod",
    [replace(POD, gone=True), replace(POD, phase="Failed"), replace(POD, phase="Succeeded", deleting=True)],
)
def test_nothing_is_left(pod: PodView) -> None:
    assert reason(observed(pod)) is None
    assert reason(observed()) is None


def test_a_pod_that_still_ends_is_waited_for() -> None:
    ending = replace(POD, deleting=True, gone_by=NOW + timedelta(seconds=60))
    found = waiting(observed(ending), NOW)
    assert found is not None
    assert (found.reason, found.again_seconds) == ("Terminating", 90)


def test_a_node_that_does_not_answer_is_named() -> None:
    lost = replace(POD, deleting=True, gone_by=NOW - timedelta(seconds=30))
    found = waiting(observed(lost), NOW)
    assert found is not None
    assert found.reason == "NodeUnreachable"
    assert "kubectl delete node node-1" in found.message
    given_up = replace(POD, conditions={"Ready": ("False", "", ""), "ContainersReady": ("True", "", "")})
    assert reason(observed(given_up)) == "NodeUnreachable"


def test_a_pod_without_a_node_is_on_no_unreachable_one() -> None:
    assert (
        reason(observed(replace(POD, node_name=None, deleting=True, gone_by=NOW - timedelta(days=1))))
        == "Terminating"
    )


def test_a_job_that_could_make_a_pod_is_waited_for_and_deleted_in_the_end() -> None:
    seen = observed(job=replace(JOB, failed=False))
    assert reason(seen) == "Terminating"
    assert stragglers(seen, NOW, NOW + timedelta(seconds=29)) == ()
    assert stragglers(seen, NOW, NOW + timedelta(seconds=30)) == (("wine-1", "j"),)
    assert stragglers(observed(), NOW, NOW + timedelta(days=1)) == (), "one that has ended keeps its logs"


def test_a_job_of_somebody_else_is_nobodys_predecessor() -> None:
    assert reason(observed(job=replace(JOB, failed=False, owner_uid=None))) is None


def test_a_pod_that_was_never_seen_may_yet_show_itself() -> None:
    assert reason(observed(pod_uid=None)) == "Terminating"
    assert reason(observed(pod_uid=None), NOW + timedelta(seconds=10)) is None
