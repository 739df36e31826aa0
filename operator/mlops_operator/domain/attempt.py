"""What is known of the attempt under way: its Job, its pod, what its agent reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops_operator.api.trainingrun import AttemptStatus, FailureStatus, TrainingRunSpec
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain import checkpoints, usage, worker_group
from mlops_operator.domain.causes import known_cause
from mlops_operator.domain.live import log_tail
from mlops_operator.domain.naming import job_name
from mlops_operator.domain.observed import JobView, ObservedRun, PodView
from mlops_operator.domain.outcome import Ending, Facts, is_lost
from mlops_operator.domain.times import whole_second
from mlops_operator.domain.worker_group import Worker
from mlops_operator.settings import Settings

# What attempts[].cause says where the operator ends all workers, and none of them is to blame.
ENDED_BY_US = frozenset({"Suspended", "StartDeadlineExceeded"})


@dataclass(frozen=True)
class Attempt:
    """An attempt as recorded, and as seen. ``job``: ours, perhaps a tombstone; None: it is not there."""

    recorded: AttemptStatus
    name: str  # of the Job
    job: JobView | None
    pod: PodView | None
    report: ProgressReport | None
    facts: Facts
    workers: tuple[Worker, ...] = ()  # the first one is that of pod and report

    @property
    def culprit(self) -> Worker | None:
        """The worker that went wrong first, where there are several; not where the operator ends them all."""
        found = worker_group.culprit(self.workers, self.job) if len(self.workers) > 1 else None
        by_us = self.facts.cancelled or self.recorded.cause in ENDED_BY_US
        return None if found is None or (by_us and worker_group.was_lost(found, self.job)) else found

    @property
    def failed_worker(self) -> int | None:
        """Its index."""
        return self.culprit.index if self.culprit is not None else None

    def updated(self) -> AttemptStatus:
        """Give the record with what was seen of Job, pod and command."""
        pod, job, report, code = self.pod, self.job, self.report, self.facts.exit_code
        recorded = checkpoints.resumed(self.recorded, report) if report is not None else self.recorded
        return recorded.model_copy(
            update={
                "job_uid": self.recorded.job_uid or (job.uid if job is not None else None),
                "pod_uid": (pod.uid if pod is not None else None) or self.recorded.pod_uid,
                "pod_name": (pod.name if pod is not None else None) or self.recorded.pod_name,
                "node_name": (pod.node_name if pod is not None else None) or self.recorded.node_name,
                "training_start_time": self.recorded.training_start_time or self._training_started(),
                "exit_code": code if code is not None else self.recorded.exit_code,
                "usage": usage.of_attempt([worker.report for worker in self.workers], self.recorded.usage),
            }
        )

    def _training_started(self) -> datetime | None:
        """When the last of the workers began."""
        starts = [_started(worker) for worker in self.workers]
        known = [start for start in starts if start is not None]
        return max(known) if known and len(known) == len(starts) else None

    def failure(self, ended: Ending, message: str) -> FailureStatus:
        """``status.failure``."""
        training = self.facts.training
        text = training.log_tail if training is not None else None
        if ended.container == "requirements":
            text = ended.said
        return FailureStatus(
            cause=ended.cause,
            side=ended.side,
            container=ended.container,
            exit_code=self.facts.exit_code if ended.container in (None, "train") else None,
            worker=self.failed_worker,
            message=message,
            log_tail=log_tail(text) if text is not None else None,
        )


def find_attempt(observed: ObservedRun, recorded: AttemptStatus) -> Attempt:
    """Find what belongs to a recorded attempt."""
    run = observed.run
    name = job_name(run.metadata.name, recorded.number)
    found = observed.jobs.get(name)
    is_ours = (
        found is not None and found.owner_uid == run.metadata.uid and recorded.job_uid in (None, found.uid)
    )
    job = found if is_ours else None
    workers = tuple(_worker(observed, recorded, job, index) for index in range(run.spec.worker_count))
    first = workers[0]
    facts = worker_group.together(workers, job) if len(workers) > 1 else first.facts
    return Attempt(recorded, name, job, first.pod, first.report, facts, workers)


def _started(worker: Worker) -> datetime | None:
    if worker.report is not None and worker.report.started_at is not None:
        return whole_second(worker.report.started_at)
    train = worker.facts.container("train")
    return train.running_since if train is not None else None


def _worker(observed: ObservedRun, recorded: AttemptStatus, job: JobView | None, index: int) -> Worker:
    own = recorded
    if observed.run.spec.worker_count > 1:
        # The exit code is that of all, and the pod that of worker 0.
        own = recorded.model_copy(update={"exit_code": None, **({"pod_uid": None} if index else {})})
    pod = _pod(observed, job_name(observed.run.metadata.name, recorded.number), own, index)
    report = _report(observed, own, pod, index)
    return Worker(index, pod, report, _facts(observed, own, job, pod, report))


def _pod(observed: ObservedRun, job: str, recorded: AttemptStatus, index: int) -> PodView | None:
    pods = [pod for pod in observed.pods if pod.job == job and pod.index == index]
    if recorded.pod_uid is not None:
        return next((pod for pod in pods if pod.uid == recorded.pod_uid), None)
    return next((pod for pod in pods if not pod.gone), pods[0] if pods else None)


def _report(
    observed: ObservedRun, recorded: AttemptStatus, pod: PodView | None, index: int
) -> ProgressReport | None:
    """Give the last report, if it speaks of this attempt's pod."""
    report = observed.worker_progress.get(index) if index else observed.progress
    if report is None or report.run.uid != observed.run.metadata.uid or report.run.attempt != recorded.number:
        return None
    known = pod.uid if pod is not None else recorded.pod_uid
    return report if known in (None, report.pod_uid) else None


def _facts(
    observed: ObservedRun,
    recorded: AttemptStatus,
    job: JobView | None,
    pod: PodView | None,
    report: ProgressReport | None,
) -> Facts:
    job_lost = job is None or job.gone or job.deleting
    if pod is None:
        # A Job keeps the pod that it failed with: where there is none, somebody deleted it.
        deleted = recorded.pod_uid is not None or job_lost or (job is not None and job.failed)
        over = deleted or (job is not None and job.complete)
    else:
        over = pod.gone or pod.phase in ("Succeeded", "Failed")
        deleted = is_lost(pod) or job_lost
    return Facts(
        pod=pod,
        training=report.training if report is not None else None,
        report=report.failure if report is not None else None,
        reported_done=report is not None and report.phase == "Done",
        cancelled=observed.run.spec.cancel,
        over=over,
        deleted=deleted,
        stopped_for=known_cause(recorded.cause) if recorded.cause is not None else None,
        recorded_exit=0 if job is not None and job.complete else recorded.exit_code,
    )


def accelerator_text(spec: TrainingRunSpec, settings: Settings) -> str:
    """Give what the run asks for of GPUs, for messages: ``class gpu-large: 1 nvidia.com/gpu``."""
    accelerator = spec.accelerator
    if accelerator is None or accelerator.class_ not in settings.accelerator_classes:
        return ""
    found = settings.accelerator_classes[accelerator.class_]
    labels = ",".join(f"{key}={value}" for key, value in sorted(found.node_selector.items()))
    where = f" on a node labelled {labels}" if labels else ""
    return f"class {accelerator.class_}: {accelerator.count} {found.resource}{where}"
