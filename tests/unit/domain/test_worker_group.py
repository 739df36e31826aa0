"""Several workers: the first that went wrong is the cause, and those that were stopped for it are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_operator.api.wire import (
    Cause,
    TerminationReport,
    TrainingExit,
)
from mlops_operator.domain import worker_group
from mlops_operator.domain.observed import ContainerView, JobView, PodView
from mlops_operator.domain.outcome import Facts, Manifest, ending
from mlops_operator.domain.waiting import Waiting
from mlops_operator.domain.worker_group import Worker

START = datetime(2026, 3, 1, tzinfo=UTC)
FULL = TerminationReport(cause="StorageFull", message="no space left")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def training(code: int, seconds: float, **more: Any) -> TrainingExit:
    return TrainingExit(exit_code=code, start_time=START, end_time=at(seconds), **more)


def worker(
    index: int,
    phase: str = "Running",
    *,
    exited: TrainingExit | None = None,
    code: int | None = None,
    finished: float | None = None,
    stopped: float | None = None,
    gone: bool = False,
    report: TerminationReport | None = None,
    cancelled: bool = False,
) -> Worker:
    """A worker. ``exited``: as its agent reports; ``code``: of its container; ``stopped``: when its pod was deleted."""
    ended = at(finished) if finished is not None else None
    train = ContainerView("train", exit_code=code, finished_at=ended)
    pod = PodView(
        f"p-{index}",
        f"u-{index}",
        phase,
        "wine-1",
        index=index,
        deleting=stopped is not None,
        stop_requested_at=at(stopped) if stopped is not None else None,
        gone=gone,
        containers=(train,),
    )
    over = gone or phase in ("Succeeded", "Failed")
    facts = Facts(pod, exited, report, cancelled=cancelled, over=over, deleted=stopped is not None or gone)
    return Worker(index, pod, None, facts)


def job(failing: float | None = None, **more: Any) -> JobView:
    since = at(failing) if failing is not None else None
    return JobView("wine-1", "j", "u", failing_since=since, failed=failing is not None, **more)


DONE = training(0, 10)
# A worker that ended by itself with 3 after 5.2 s; one whose peer vanished under it; one that was stopped for it.
FAILED = worker(1, "Failed", exited=training(3, 5.2), code=3, finished=6)
BROKEN = worker(0, "Failed", exited=training(1, 5.4), code=1, finished=5)
STOPPED = worker(
    0, "Failed", exited=training(143, 8, terminated=True), code=143, finished=9, stopped=7, gone=True
)
ROWS: list[tuple[str, list[Worker], JobView | None, int | None, Cause | None]] = [
    ("all well, not yet over", [worker(0, exited=DONE), worker(1)], job(), None, None),
    ("all well, nothing stored", [worker(0, "Succeeded", exited=DONE, code=0), worker(1, "Succeeded", code=0)], job(), None, "UploadFailed"),
    ("one failed, its peer is stopped", [STOPPED, FAILED], job(7), 1, "UserError"),
    ("one failed, its peer still ends", [worker(0, stopped=7), FAILED], job(7), 1, None),
    ("both failed: the earlier, though its container ended later", [BROKEN, FAILED], job(7), 1, "UserError"),
    ("both failed, no report arrived", [worker(0, "Failed", code=1, finished=8), worker(1, "Failed", code=3, finished=6)], job(9), 1, "UserError"),
    ("one deleted, its peer breaks", [BROKEN, worker(1, "Failed", exited=training(143, 4.5, terminated=True), stopped=4, gone=True)], job(9), 1, "Deleted"),
    ("the last one deleted after it was done", [worker(0, "Succeeded", exited=DONE, code=0), worker(1, "Succeeded", code=0, stopped=12, gone=True)], job(), None, "UploadFailed"),
    ("one could not store its files", [worker(0, exited=DONE, stopped=20, gone=True), worker(1, "Succeeded", exited=DONE, code=0, finished=15, report=FULL)], job(gone=True), 1, "StorageFull"),
    ("the Job was deleted", [worker(0, stopped=4, gone=True), worker(1, stopped=4, gone=True)], job(gone=True), 0, "Deleted"),
    ("cancelled, and one broke by that", [worker(0, stopped=4, gone=True, cancelled=True), worker(1, "Failed", exited=training(1, 4.1), code=1, cancelled=True, stopped=4)], job(gone=True), 0, "Cancelled"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("workers", "seen", "culprit", "cause"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_first_that_went_wrong_is_the_cause(
    workers: list[Worker], seen: JobView | None, culprit: int | None, cause: Cause | None
) -> None:
    found = worker_group.culprit(workers, seen)
    assert (found.index if found is not None else None) == culprit
    facts = worker_group.together(workers, seen)
    ended = ending(replace(facts, manifest=Manifest.ABSENT))
    assert (ended.cause if ended is not None else None) == cause


def test_a_verified_manifest_is_a_success_whatever_becomes_of_the_pods() -> None:
    facts = worker_group.together([STOPPED, FAILED], job(7))
    ended = ending(replace(facts, manifest=Manifest.VERIFIED))
    assert ended is not None
    assert ended.cause == "Succeeded"


def test_kubernetes_is_left_to_stop_the_peers_of_a_failed_pod() -> None:
    assert not worker_group.ends_attempt(FAILED, job())
    assert not worker_group.ends_attempt(worker(1, "Running", exited=DONE, report=FULL), job())


def test_the_operator_ends_what_kubernetes_does_not() -> None:
    not_stored = worker(1, "Succeeded", exited=DONE, code=0, finished=15, report=FULL)
    deleted = worker(1, stopped=4)
    for found, cause in ((not_stored, "StorageFull"), (deleted, "Deleted")):
        assert worker_group.ends_attempt(found, job())
        assert worker_group.cause(found) == cause
        assert not worker_group.ends_attempt(found, job(failing=3)), "Kubernetes has begun to stop them"
        assert not worker_group.ends_attempt(found, job(gone=True)), "they are ended already"


def test_what_one_worker_has_done_is_not_the_whole() -> None:
    done, lost = worker(0, "Running", exited=DONE), worker(1, stopped=12)
    assert worker_group.together([done, worker(1)], job()).exit_code is None
    assert worker_group.together([done, lost], job()).exit_code is None
    both = [worker(0, "Succeeded", exited=DONE, code=0), worker(1, exited=DONE, stopped=12, gone=True)]
    assert worker_group.together(both, job()).exit_code == 0, "all had ended: they are not run again"


def test_an_end_that_was_recorded_outlasts_what_was_seen() -> None:
    """The operator was restarted: the lost pod is not there any more, and its peer broke for it."""
    facts = Facts(over=True, deleted=True, stopped_for="Deleted")
    vanished = Worker(1, None, None, facts)
    broken = Worker(0, BROKEN.pod, None, replace(BROKEN.facts, stopped_for="Deleted"))
    ended = ending(replace(worker_group.together([broken, vanished], job(9)), manifest=Manifest.ABSENT))
    assert ended is not None
    assert ended.cause == "Deleted"


def test_waiting_counts_the_pods() -> None:
    unschedulable = Waiting("Unschedulable", "No node takes the pod: 0/1 nodes.")
    assert worker_group.waiting([None, None]) is None
    assert worker_group.waiting([unschedulable]) == unschedulable
    found = worker_group.waiting([None, unschedulable, unschedulable, Waiting("ImagePull", "…")])
    assert found is not None
    assert found.reason == "Unschedulable"
    assert found.message.startswith("2 of 4 pods wait (Unschedulable). No node takes the pod")
