"""What is to be done next for a TrainingDataset.

The version that the spec names is looked for in the status, then in the bucket (a resource made anew finds its versions
there), and only then made by a snapshot Job. A try that failed is followed by another after a while, as what it met
with may be mended; versions that were made never change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from mlops_operator.api.trainingdataset import (
    DatasetPhase,
    DatasetVersionStatus,
    SnapshotStatus,
    TrainingDataset,
    TrainingDatasetStatus,
)
from mlops_operator.api.wire import TerminationReport
from mlops_operator.domain import podless, prerequisites, publication, retention
from mlops_operator.domain.conditions import Claim, clip, find, kstatus, settle
from mlops_operator.domain.effects import (
    CheckSecret,
    Create,
    DatasetManifestRead,
    Effect,
    Failed,
    PublishDatasetItem,
    ReadDatasetManifest,
    WorkspaceReady,
)
from mlops_operator.domain.naming import dataset_manifest_key, snapshot_job_name
from mlops_operator.domain.observed import JobView, ObservedDataset, PodView
from mlops_operator.domain.outcome import is_lost, read_report
from mlops_operator.domain.pinning import GIT_KEYS
from mlops_operator.domain.plan import Event, Object, Plan
from mlops_operator.domain.podless import Podless
from mlops_operator.domain.retry import backoff_seconds, is_mended_outside, seconds_until_again
from mlops_operator.domain.snapshot_job import snapshot_job, source_secret
from mlops_operator.domain.times import earliest, seconds_between, whole_second
from mlops_operator.domain.waiting import Waiting, for_pod, name_taken, until_volumes_are_late
from mlops_operator.settings import Settings

KIND = "TrainingDataset"
JOB_RETENTION_SECONDS = 300.0
FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 600.0
MAX_VERSIONS = 256


@dataclass(frozen=True)
class Step:
    """What was decided, before conditions and the comparison with what is written already."""

    status: TrainingDatasetStatus
    create_job: Object | None = None
    delete_jobs: tuple[tuple[str, str], ...] = ()
    effects: tuple[Effect, ...] = ()
    published: Claim | None = None
    warn: bool = False
    again_seconds: float | None = None
    settled: bool = False


def plan_dataset(observed: ObservedDataset, settings: Settings, now: datetime) -> Plan:
    """Decide; total: it never raises, and planning again on its own result changes no status."""
    dataset = observed.dataset
    if dataset.metadata.deletion_timestamp is not None:
        return Plan(settled=True)
    now = whole_second(now)
    if any(entry.version == dataset.spec.version for entry in dataset.status.versions):
        step = _made(observed, dataset.status, now)
    else:
        step = _to_make(observed, settings, now)
    return _conclude(dataset, step, now)


def _made(observed: ObservedDataset, status: TrainingDatasetStatus, now: datetime) -> Step:
    """Give the version is there: it is the current one, and is published."""
    dataset = observed.dataset
    version = dataset.spec.version
    index = next(i for i, entry in enumerate(status.versions) if entry.version == version)
    entry = status.versions[index]
    effect = PublishDatasetItem(
        dataset.metadata.namespace,
        dataset.metadata.namespace,
        dataset.metadata.name,
        version,
        json.dumps(dataset.spec.to_object(), sort_keys=True, separators=(",", ":")),
        dataset.metadata.generation,
    )
    published = publication.publish(
        effect,
        conditions=status.conditions,
        generation=dataset.metadata.generation,
        item=entry.item,
        outcomes=observed.outcomes,
        now=now,
    )
    if published.item is not None:
        entry = entry.model_copy(update={"item": published.item})
    message = f"Version {version}: {entry.files} files, {entry.size_bytes} bytes, {entry.digest}."
    versions = [*status.versions[:index], entry, *status.versions[index + 1 :]]
    status = _at(status, "Ready", "Ready", message).model_copy(
        update={"current": version, "versions": versions}
    )
    jobs = _own_jobs(observed)
    ended_at = status.snapshot.end_time if status.snapshot is not None else None
    cleaning = retention.clean(jobs, ended_at, JOB_RETENTION_SECONDS, now)
    return Step(
        status,
        delete_jobs=cleaning.delete,
        effects=published.effects,
        published=published.claim,
        again_seconds=earliest(cleaning.again_seconds, published.again_seconds),
        settled=cleaning.empty and published.done,
    )


def _to_make(observed: ObservedDataset, settings: Settings, now: datetime) -> Step:
    dataset = observed.dataset
    snapshot = dataset.status.snapshot
    if snapshot is None or snapshot.version != dataset.spec.version:
        number = snapshot.number + 1 if snapshot is not None else 1
        return _start(observed, number, 0, settings, now)
    if snapshot.end_time is None:
        return _under_way(observed, snapshot, settings, now)
    changed = dataset.status.observed_generation != dataset.metadata.generation
    pause = backoff_seconds(snapshot.failures, FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
    left = pause - seconds_between(snapshot.end_time, now)
    if left > 0 and not changed and dataset.status.phase == "Failed":
        return Step(dataset.status, again_seconds=left)
    return _start(observed, snapshot.number + 1, snapshot.failures, settings, now)


def _start(observed: ObservedDataset, number: int, failures: int, settings: Settings, now: datetime) -> Step:
    """Look into the bucket; where the version is not there, record the try and make its Job."""
    dataset = observed.dataset
    metadata, version = dataset.metadata, dataset.spec.version
    name = snapshot_job_name(metadata.name, number)
    existing = observed.jobs.get(name)
    if existing is not None and not existing.gone and existing.owner_uid != metadata.uid:
        return _wait(dataset.status, "Pending", name_taken(KIND, name, metadata.namespace))
    secret = source_secret(dataset)
    keys = GIT_KEYS if dataset.spec.source.git is not None else ()
    checks = (CheckSecret(metadata.namespace, secret.name, keys),) if secret is not None else ()
    ready = prerequisites.check(metadata.namespace, checks, observed.outcomes, now)
    if not isinstance(ready, WorkspaceReady):
        if ready.waiting is None:
            return Step(dataset.status, effects=ready.effects)
        step = _wait(dataset.status, "Pending", ready.waiting)
        return replace(step, effects=ready.effects, again_seconds=ready.again_seconds)
    found = _read(observed, f"before-{number}", now)
    if not isinstance(found, DatasetManifestRead):
        return found
    if found.manifest is not None:
        return _adopt(observed, dataset.status, found, now)
    snapshot = SnapshotStatus(number=number, version=version, job=name, start_time=now, failures=failures)
    message = f"Version {version} is being made: its files are listed and read."
    status = _at(dataset.status, "Snapshotting", "Snapshotting", message)
    return Step(
        status.model_copy(update={"snapshot": snapshot}),
        create_job=snapshot_job(dataset, number, ready, settings),
        delete_jobs=_delete([own for own in _own_jobs(observed) if own.name != name]),
        again_seconds=5.0,
    )


def _read(observed: ObservedDataset, moment: str, now: datetime) -> DatasetManifestRead | Step:
    """Read the version's manifest in the bucket, or the step that does."""
    dataset = observed.dataset
    effect = ReadDatasetManifest(
        dataset.metadata.namespace, dataset.metadata.name, dataset.spec.version, moment
    )
    outcome = observed.outcomes.get(effect)
    if isinstance(outcome, DatasetManifestRead):
        return outcome
    if not isinstance(outcome, Failed):
        return Step(dataset.status, effects=(effect,))
    left = seconds_until_again(outcome, now)
    phase: DatasetPhase = "Pending" if moment.startswith("before") else "Snapshotting"
    step = _wait(dataset.status, phase, Waiting(outcome.cause, outcome.message))
    return replace(step, effects=(effect,) if left == 0 else (), again_seconds=left or None)


def _adopt(
    observed: ObservedDataset, status: TrainingDatasetStatus, found: DatasetManifestRead, now: datetime
) -> Step:
    """Enter a version that lies in the bucket."""
    manifest = found.manifest
    if manifest is None:
        return Step(status)
    name, version = observed.dataset.metadata.name, observed.dataset.spec.version
    entry = DatasetVersionStatus(
        version=version,
        digest=manifest.digest,
        files=max(0, found.files),
        size_bytes=max(0, manifest.size_bytes),
        revision=manifest.revision,
        manifest=found.key or dataset_manifest_key(name, version),
        created_at=whole_second(manifest.created_at),
    )
    snapshot = status.snapshot
    if snapshot is not None and snapshot.version == version and snapshot.end_time is None:
        snapshot = snapshot.model_copy(update={"end_time": now, "cause": "Succeeded", "failures": 0})
    versions = [*status.versions, entry][-MAX_VERSIONS:]
    return _made(observed, status.model_copy(update={"versions": versions, "snapshot": snapshot}), now)


def _under_way(
    observed: ObservedDataset, snapshot: SnapshotStatus, settings: Settings, now: datetime
) -> Step:
    dataset = observed.dataset
    job = observed.jobs.get(snapshot.job)
    ours = job is not None and job.owner_uid == dataset.metadata.uid and snapshot.job_uid in (None, job.uid)
    if not ours and snapshot.job_uid is None:
        return _unmade(observed, snapshot, job, settings, now)
    own_job = job if ours else None
    pods = [pod for pod in observed.pods if pod.job == snapshot.job]
    pod = next((p for p in pods if not p.gone), pods[0] if pods else None)
    recorded = snapshot.model_copy(
        update={"job_uid": snapshot.job_uid or (own_job.uid if own_job is not None else None)}
    )
    status = dataset.status.model_copy(update={"snapshot": recorded})
    observed = replace(observed, dataset=dataset.model_copy(update={"status": status}))
    if _is_over(own_job, pod):
        return _ended(observed, recorded, pod, now)
    namespace = dataset.metadata.namespace
    if pod is not None:
        missing = Podless(for_pod(pod, namespace, now), again_seconds=until_volumes_are_late(pod, now))
    else:
        missing = podless.look(snapshot.job, namespace, snapshot.start_time, observed.outcomes, now)
    message = f"Version {snapshot.version} is being made: its files are listed and read."
    step = (
        _wait(status, "Snapshotting", missing.waiting)
        if missing.waiting is not None
        else Step(_at(status, "Snapshotting", "Snapshotting", message))
    )
    return replace(step, effects=missing.effects, again_seconds=missing.again_seconds)


def _unmade(
    observed: ObservedDataset,
    snapshot: SnapshotStatus,
    foreign: JobView | None,
    settings: Settings,
    now: datetime,
) -> Step:
    """Give the try is recorded and its Job is not there: the process ended between the two, or the POST failed."""
    dataset = observed.dataset
    namespace = dataset.metadata.namespace
    if foreign is not None and not foreign.gone:
        return _wait(dataset.status, "Pending", name_taken(KIND, snapshot.job, namespace))
    refused = observed.outcomes.get(Create(namespace, "Job", snapshot.job))
    if isinstance(refused, Failed):
        left = seconds_until_again(refused, now)
        if left > 0 or not is_mended_outside(refused):
            again = left if is_mended_outside(refused) else None
            return _wait(dataset.status, "Pending", Waiting(refused.cause, refused.message, again))
    if snapshot.start_time is not None and seconds_between(snapshot.start_time, now) <= 0:
        return Step(dataset.status, again_seconds=1.0)
    return _start(observed, snapshot.number, snapshot.failures, settings, now)


def _is_over(job: JobView | None, pod: PodView | None) -> bool:
    if pod is None:
        return job is None or job.gone or job.failed or job.complete
    container = pod.container("snapshot")
    ended = container is not None and container.exit_code is not None
    return pod.gone or ended or pod.phase in ("Succeeded", "Failed")


def _ended(observed: ObservedDataset, snapshot: SnapshotStatus, pod: PodView | None, now: datetime) -> Step:
    container = pod.container("snapshot") if pod is not None else None
    if container is not None and container.exit_code and not is_lost(pod):
        return _failed(observed, snapshot, read_report(container), now)
    found = _read(observed, f"after-{snapshot.number}", now)
    if not isinstance(found, DatasetManifestRead):
        return found
    if found.manifest is not None:
        return _adopt(observed, observed.dataset.status, found, now)
    if container is not None and container.exit_code == 0:
        why = "The snapshot ended without an error, but its manifest is not in the bucket."
        return _failed(observed, snapshot, TerminationReport(cause="InternalError", message=why), now)
    why = f"Job {snapshot.job} or its pod was deleted, evicted or lost before the snapshot was made."
    return _failed(observed, snapshot, TerminationReport(cause="Deleted", message=why), now)


def _failed(
    observed: ObservedDataset, snapshot: SnapshotStatus, report: TerminationReport, now: datetime
) -> Step:
    failures = snapshot.failures + 1
    pause = backoff_seconds(failures, FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
    ended = snapshot.model_copy(update={"end_time": now, "cause": report.cause, "failures": failures})
    message = f"{clip(report.message, 3800)} Tried {failures} times; tried again {pause:.0f} s after {now:%H:%M:%S} UTC, or when the spec changes."
    status = _at(observed.dataset.status, "Failed", report.cause, message)
    return Step(status.model_copy(update={"snapshot": ended}), warn=True, again_seconds=pause)


def _own_jobs(observed: ObservedDataset) -> list[JobView]:
    return [job for job in observed.jobs.values() if job.owner_uid == observed.dataset.metadata.uid]


def _delete(jobs: list[JobView]) -> tuple[tuple[str, str], ...]:
    return tuple((job.name, job.uid) for job in jobs if not job.gone and not job.deleting)


def _at(
    status: TrainingDatasetStatus, phase: DatasetPhase, reason: str, message: str
) -> TrainingDatasetStatus:
    return status.model_copy(update={"phase": phase, "reason": clip(reason, 128), "message": clip(message)})


def _wait(status: TrainingDatasetStatus, phase: DatasetPhase, waiting: Waiting) -> Step:
    return Step(
        _at(status, phase, waiting.reason, waiting.message), warn=True, again_seconds=waiting.again_seconds
    )


def _conclude(dataset: TrainingDataset, step: Step, now: datetime) -> Plan:
    before, status = dataset.status, step.status
    written: Object | None = None
    if status.phase is not None:
        generation = dataset.metadata.generation
        reason, message = status.reason or "", status.message or ""
        ready = status.phase == "Ready"
        claims = [Claim("Snapshotted", "True" if ready else "False", reason, message)]
        claims += kstatus(
            "Ready" if ready else "Failed" if status.phase == "Failed" else "InProgress", reason, message
        )
        if step.published is not None:
            claims.append(step.published)
        conditions = settle(before.conditions, claims, generation, now)
        kept = find(before.conditions, publication.CONDITION)
        if step.published is None and kept is not None:
            conditions.append(kept)
        # A changed spec ends the pause after a failed try: it counts as observed once that was acted on.
        pending = status.phase == "Failed" and bool(step.effects)
        observed = before.observed_generation if pending else generation
        status = status.model_copy(update={"observed_generation": observed, "conditions": conditions})
        written = status.to_object() if status.to_object() != before.to_object() else None
    warned = step.warn and written is not None and status.reason != before.reason
    return Plan(
        status=written,
        create_job=step.create_job if written is not None else None,
        delete_jobs=step.delete_jobs,
        effects=step.effects,
        events=(Event("Warning", status.reason or "Waiting", clip(status.message or "", 1024)),)
        if warned
        else (),
        requeue_after_seconds=step.again_seconds,
        settled=step.settled,
    )
