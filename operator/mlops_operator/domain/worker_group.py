"""What several pods of one attempt amount to: which worker's end is the attempt's, and what they wait for.

Kubernetes stops the other workers when one has failed; what becomes of those it stopped is a consequence and never the
cause. Nothing is judged before all have ended, so that a new attempt never meets an old worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlops_operator.api.wire import Cause, ProgressReport
from mlops_operator.domain import disruption
from mlops_operator.domain.observed import JobView, PodView
from mlops_operator.domain.outcome import Facts, is_lost
from mlops_operator.domain.times import EPOCH, in_utc
from mlops_operator.domain.waiting import Waiting

LATE = datetime.max.replace(tzinfo=UTC)  # of an end whose time is not known


@dataclass(frozen=True)
class Worker:
    """One pod of an attempt. ``pod``: perhaps a tombstone; None: it is not there."""

    index: int
    pod: PodView | None
    report: ProgressReport | None
    facts: Facts


def culprit(workers: Sequence[Worker], job: JobView | None) -> Worker | None:
    """Find the worker that failed or was lost first; None: none was, as far as is known."""
    found = [(when, worker.index) for worker in workers if (when := _went_wrong_at(worker, job)) is not None]
    return workers[min(found)[1]] if found else None


def _went_wrong_at(worker: Worker, job: JobView | None) -> datetime | None:
    """When a worker went wrong by itself: not where Kubernetes stopped it for another one."""
    failed, lost = _failed_at(worker.facts), _lost_at(worker, job)
    return min((when for when in (failed, lost) if when is not None), default=None)


def _failed_at(facts: Facts) -> datetime | None:
    training, pod = facts.training, facts.pod
    if training is not None and training.exit_code != 0:
        return None if training.terminated else in_utc(training.end_time)
    stopped = pod.stop_requested_at if pod is not None else None
    for container in (*pod.init, *pod.containers) if pod is not None else ():
        if container.exit_code and container.name != "agent":
            ended = container.finished_at or LATE
            return ended if stopped is None or ended < stopped else None
    return _not_stored_at(facts)


def _not_stored_at(facts: Facts) -> datetime | None:
    agent, train, training = facts.container("agent"), facts.container("train"), facts.training
    if facts.report is None and not (facts.over and agent is not None and agent.exit_code):
        return None
    ended = train.finished_at if train is not None else None
    return ended or (in_utc(training.end_time) if training is not None else LATE)


def _lost_at(worker: Worker, job: JobView | None) -> datetime | None:
    pod = worker.pod
    if pod is None:
        # What was ended on purpose and is not there any more was ended first.
        ended = worker.facts.cancelled or worker.facts.stopped_for is not None
        return (EPOCH if ended else LATE) if worker.facts.over else None
    if not is_lost(pod) or pod.phase == "Succeeded":
        return None
    ends = [c.finished_at for c in (*pod.init, *pod.containers) if c.finished_at is not None]
    when = pod.stop_requested_at or min(ends, default=LATE)
    stopped = job is not None and job.failing_since is not None and when >= job.failing_since
    return None if stopped else when


def was_lost(worker: Worker, job: JobView | None) -> bool:
    """Whether a worker's pod was taken away before it had failed by itself."""
    failed, lost = _failed_at(worker.facts), _lost_at(worker, job)
    return lost is not None and (failed is None or lost <= failed)


def together(workers: Sequence[Worker], job: JobView | None) -> Facts:
    """Give the facts of an attempt of several workers: those of the first that went wrong, else of worker 0."""
    over = all(worker.facts.over for worker in workers)
    found = culprit(workers, job)
    facts = found.facts if found is not None else workers[0].facts
    lost = found is not None and was_lost(found, job)
    ended_well = all(worker.facts.exit_code == 0 for worker in workers)
    if facts.exit_code == 0 and not ended_well and (lost or found is None):
        facts = _unfinished(facts)
    return replace(facts, over=over, waits=not over, deleted=lost)


def _unfinished(facts: Facts) -> Facts:
    """Give the facts as if the command had not ended: what one worker has done is not the whole."""
    pod = facts.pod
    if pod is not None:
        pod = replace(pod, containers=tuple(replace(c, exit_code=None) for c in pod.containers))
    return replace(facts, pod=pod, training=None, recorded_exit=None)


def ends_attempt(found: Worker, job: JobView | None) -> bool:
    """Whether the operator ends the attempt for a worker that went wrong, as Kubernetes does not, or not yet.

    Kubernetes stops the others when a pod has failed. It sees no failure where files could not be stored, and where a
    pod is lost it waits until it is gone.
    """
    if job is None or job.gone or job.deleting or job.failing_since is not None:
        return False
    stored_nothing = found.pod is not None and found.pod.phase == "Succeeded" and found.facts.over
    return was_lost(found, job) or stored_nothing


def cause(found: Worker) -> Cause:
    """Say in a word how a worker went wrong."""
    disrupted = disruption.of_pod(found.pod)
    if disrupted is not None and (found.pod is None or found.pod.phase != "Succeeded"):
        return disrupted
    return found.facts.report.cause if found.facts.report is not None else "UploadFailed"


def stopping(found: Worker, job: JobView | None) -> Waiting:
    """Say that one worker went wrong, and the others are being stopped."""
    said = disruption.said_of(found.pod)
    what = f"was lost ({cause(found)}{f': {said}' if said else ''})" if was_lost(found, job) else "has failed"
    return Waiting(
        "Terminating", f"Worker {found.index} {what}; the others are stopped, with time to upload their logs."
    )


def waiting(found: Sequence[Waiting | None]) -> Waiting | None:
    """Say in one sentence why workers wait, from what each of them waits for; the first reason counts."""
    reasons = [entry for entry in found if entry is not None]
    if not reasons or len(found) == 1:
        return reasons[0] if reasons else None
    alike = [entry for entry in reasons if entry.reason == reasons[0].reason]
    message = f"{len(alike)} of {len(found)} pods wait ({reasons[0].reason}). {reasons[0].message}"
    return replace(reasons[0], message=message)
