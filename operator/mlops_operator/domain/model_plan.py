"""What is to be done next for a ModelVersion: wait for its run, claim the version, store the files, publish the item."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from mlops_operator.api.modelversion import (
    Lineage,
    LineageDataset,
    ModelMetric,
    ModelPhase,
    ModelVersion,
    ModelVersionStatus,
)
from mlops_operator.api.trainingrun import ENDED
from mlops_operator.api.wire import RunIdentity, RunManifest
from mlops_operator.domain import live, publication
from mlops_operator.domain.conditions import Claim, clip, find, kstatus, settle
from mlops_operator.domain.effects import (
    ClaimVersion,
    Effect,
    Failed,
    ModelStored,
    PublishModelItem,
    ReadRunManifest,
    RunManifestRead,
    StoreModel,
    VersionClaimed,
)
from mlops_operator.domain.observed import ObservedModel
from mlops_operator.domain.plan import Event, Object, Plan
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again
from mlops_operator.domain.times import whole_second
from mlops_operator.settings import Settings

MAX_FILES = 100
LOOK_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Step:
    """What was decided, before conditions and the comparison with what is written already."""

    status: ModelVersionStatus
    effects: tuple[Effect, ...] = ()
    published: Claim | None = None
    warn: bool = False
    again_seconds: float | None = None
    settled: bool = False


def plan_model(observed: ObservedModel, settings: Settings, now: datetime) -> Plan:
    """Decide; total: it never raises, and planning again on its own result changes no status.

    ``settings`` is there as for the other kinds.
    """
    del settings
    version = observed.model_version
    if version.metadata.deletion_timestamp is not None:
        return Plan(settled=True)
    now = whole_second(now)
    if version.status.phase == "Failed":
        step = Step(version.status, settled=True)
    elif version.status.uri is not None:
        step = _publish(observed, version.status, now)
    else:
        step = _store(observed, now)
    return _conclude(version, step, now)


def _store(observed: ObservedModel, now: datetime) -> Step:
    version = observed.model_version
    run = _run(observed, now)
    if isinstance(run, Step):
        return run
    status = version.status
    claimed = status.version
    if claimed is None:
        claim = ClaimVersion(version.metadata.namespace, version.spec.model, version.spec.version, run.uid)
        outcome = observed.outcomes.get(claim)
        if not isinstance(outcome, VersionClaimed):
            return _undone(status, "Pending", claim, outcome if isinstance(outcome, Failed) else None, now)
        claimed = outcome.version
    effect = StoreModel(version.metadata.namespace, version.spec.model, claimed, run)
    stored = observed.outcomes.get(effect)
    message = f"Version {claimed} is claimed; its files are being copied and verified."
    status = _at(status, "Storing", "Storing", message).model_copy(update={"version": claimed})
    if not isinstance(stored, ModelStored):
        failed = stored if isinstance(stored, Failed) else None
        return _undone(status, "Storing", effect, failed, now)
    return _publish(observed, _stored(status, stored, now), now)


def _run(observed: ObservedModel, now: datetime) -> RunIdentity | Step:
    """Give the run that made the files, once it has succeeded; from the bucket if the resource is gone."""
    version = observed.model_version
    source, status = version.spec.source.training_run, version.status
    if source is None:
        return _fail(status, "SourceNotFound", "spec.source names no source.")
    namespace, found = version.metadata.namespace, observed.run
    if found is not None and source.uid in (None, found.metadata.uid):
        if found.status.phase not in ENDED:
            where = found.status.phase or "Pending"
            message = f"TrainingRun {source.name!r} has not ended yet (it is {where}); its model is stored once it has succeeded."
            return _wait(status, "RunNotReady", message)
        if found.status.phase != "Succeeded":
            why = found.status.message or found.status.reason or ""
            message = f"TrainingRun {source.name!r} has made no model: it is {found.status.phase}. {why}"
            return _fail(status, "NoModelProduced", message)
        attempt = found.status.attempts[-1].number if found.status.attempts else 1
        return RunIdentity(name=source.name, namespace=namespace, uid=found.metadata.uid, attempt=attempt)
    if source.uid is None:
        message = f"TrainingRun {source.name!r} does not exist in namespace {namespace}. Apply it, or set spec.source.trainingRun.uid of a run whose files are still in the bucket."
        return _wait(status, "RunNotReady", message)
    return _from_bucket(observed, source.name, source.uid, now)


def _from_bucket(observed: ObservedModel, name: str, uid: str, now: datetime) -> RunIdentity | Step:
    version = observed.model_version
    effect = ReadRunManifest(version.metadata.namespace, name, uid, "for-model")
    outcome = observed.outcomes.get(effect)
    if not isinstance(outcome, RunManifestRead):
        failed = outcome if isinstance(outcome, Failed) else None
        return _undone(version.status, "Pending", effect, failed, now)
    if outcome.manifest is None:
        message = f"TrainingRun {name!r} (uid {uid}) is gone, and the bucket has no verified files of it."
        return _fail(version.status, "NoModelProduced", message)
    return outcome.manifest.run.model_copy(update={"namespace": version.metadata.namespace})


def _stored(status: ModelVersionStatus, stored: ModelStored, now: datetime) -> ModelVersionStatus:
    manifest = stored.manifest
    return status.model_copy(
        update={
            "uri": stored.uri,
            "digest": stored.digest,
            "size_bytes": max(0, stored.size_bytes),
            "files": list(stored.files)[:MAX_FILES],
            "stored_at": now,
            "lineage": _lineage(manifest),
            "metrics": [
                ModelMetric(name=metric.name, value=metric.latest)
                for metric in live.clean(manifest.metrics)
                if metric.latest is not None
            ],
        }
    )


def _lineage(manifest: RunManifest) -> Lineage:
    datasets = [LineageDataset(name=d.name, version=d.version, digest=d.digest) for d in manifest.datasets]
    return Lineage(
        training_run=manifest.run.name,
        training_run_uid=manifest.run.uid,
        commit=manifest.commit,
        datasets=datasets,
    )


def _publish(observed: ObservedModel, status: ModelVersionStatus, now: datetime) -> Step:
    version = observed.model_version
    claimed = status.version or version.spec.version or ""
    effect = PublishModelItem(
        version.metadata.namespace,
        version.metadata.namespace,
        version.spec.model,
        claimed,
        json.dumps(version.spec.metadata.to_object(), sort_keys=True, separators=(",", ":")),
        version.metadata.generation,
    )
    published = publication.publish(
        effect,
        conditions=status.conditions,
        generation=version.metadata.generation,
        item=status.item,
        outcomes=observed.outcomes,
        now=now,
    )
    item = published.item or status.item
    ready = item is not None  # an item that cannot be renewed does not take the old one away
    reason, message = "Publishing", f"Version {claimed} is stored and verified; its item is being written."
    if ready:
        reason, message = "Ready", f"Version {claimed} is stored, verified and in the catalogue."
    elif published.claim is not None:
        reason, message = published.claim.reason, published.claim.message
    status = _at(status, "Ready" if ready else "Publishing", reason, message)
    return Step(
        status.model_copy(update={"item": item}),
        effects=published.effects,
        published=published.claim,
        warn=published.claim is not None and published.claim.status == "False",
        again_seconds=published.again_seconds,
        settled=published.done,
    )


def _undone(
    status: ModelVersionStatus, phase: ModelPhase, effect: Effect, failed: Failed | None, now: datetime
) -> Step:
    """Give an effect whose outcome is not there yet, or did not work."""
    if failed is None:
        return Step(status, effects=(effect,))
    if not is_mended_outside(failed):
        return _fail(status, failed.cause, failed.message)
    left = seconds_until_again(failed, now)
    return Step(
        _at(status, phase, failed.cause, failed.message),
        effects=(effect,) if left == 0 else (),
        warn=True,
        again_seconds=left or None,
    )


def _wait(status: ModelVersionStatus, reason: str, message: str) -> Step:
    # The run wakes this resource; the clock is for a run that is made later.
    return Step(_at(status, "Pending", reason, message), again_seconds=LOOK_AGAIN_SECONDS)


def _fail(status: ModelVersionStatus, reason: str, message: str) -> Step:
    return Step(_at(status, "Failed", reason, message), warn=True, settled=True)


def _at(status: ModelVersionStatus, phase: ModelPhase, reason: str, message: str) -> ModelVersionStatus:
    return status.model_copy(update={"phase": phase, "reason": clip(reason, 128), "message": clip(message)})


def _claims(status: ModelVersionStatus) -> list[Claim]:
    reason, message = status.reason or "", status.message or ""
    if status.uri is not None:
        stored = [
            Claim("Stored", "True", "Stored", f"Its files are at {status.uri}"),
            Claim(
                "Verified",
                "True",
                "Verified",
                f"Every file has the digest that its run recorded; all: {status.digest}",
            ),
        ]
    else:
        broken = status.phase == "Failed"
        stored = [Claim("Stored", "False", reason, message)]
        stored.append(Claim("Verified", "False" if broken else "Unknown", reason, message))
    if status.phase == "Ready":
        return [*stored, *kstatus("Ready", reason, message)]
    return [*stored, *kstatus("Failed" if status.phase == "Failed" else "InProgress", reason, message)]


def _conclude(version: ModelVersion, step: Step, now: datetime) -> Plan:
    before, status = version.status, step.status
    written: Object | None = None
    if status.phase is not None:
        generation = version.metadata.generation
        claims = _claims(status) + ([step.published] if step.published is not None else [])
        conditions = settle(before.conditions, claims, generation, now)
        kept = find(before.conditions, publication.CONDITION)
        if step.published is None and kept is not None:
            conditions.append(kept)
        # A changed spec counts as observed once its item is written, or could not be.
        observed = before.observed_generation if status.phase == "Ready" and step.effects else generation
        status = status.model_copy(update={"observed_generation": observed, "conditions": conditions})
        written = status.to_object() if status.to_object() != before.to_object() else None
    warned = step.warn and written is not None and status.reason != before.reason
    return Plan(
        status=written,
        effects=step.effects,
        events=(Event("Warning", status.reason or "Waiting", clip(status.message or "", 1024)),)
        if warned
        else (),
        requeue_after_seconds=step.again_seconds,
        settled=step.settled,
    )
