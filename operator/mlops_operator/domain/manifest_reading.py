"""When a run's manifest is read, and what follows from what was read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mlops_operator.api.wire import RunManifest
from mlops_operator.domain.attempt import Attempt
from mlops_operator.domain.causes import known_cause
from mlops_operator.domain.effects import Effect, Failed, ReadRunManifest, RunManifestRead
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.outcome import Ending, Facts, Manifest, is_decidable, needs_manifest
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again
from mlops_operator.domain.waiting import Waiting

# So often is a read tried that fails in a way that no waiting mends.
MAX_FAILURES = 5
MOMENTS = ("pod-ended", "training-ended", "gave-up", "staging-failed", "done")


@dataclass(frozen=True)
class Reading:
    """What is known of the manifest, what must be read, and how long to wait for the next try."""

    state: Manifest = Manifest.UNKNOWN
    manifest: RunManifest | None = None
    digest: str | None = None
    effects: tuple[Effect, ...] = ()
    waiting: Waiting | None = None
    again_seconds: float | None = None
    ending: Ending | None = None


def moment(attempt: Attempt) -> str | None:
    """Give the latest thing that makes us look. What is read for a later moment was read after it."""
    facts, report = attempt.facts, attempt.report
    train = facts.container("train")
    if facts.over:
        return "pod-ended"
    if train is not None and train.exit_code is not None:
        return "training-ended"
    if facts.report is not None:
        return "gave-up"
    if report is not None and report.manifest_digest:
        return f"written:{report.manifest_digest}"
    if facts.staging_failure is not None:
        return "staging-failed"
    return "done" if facts.reported_done else None


def read(observed: ObservedRun, attempt: Attempt, now: datetime) -> Reading:
    """Say what is known of the run's manifest."""
    run, number = observed.run.metadata, attempt.recorded.number
    when = moment(attempt)
    for earlier in (*MOMENTS, when or ""):
        known = observed.outcomes.get(
            ReadRunManifest(run.namespace, run.name, run.uid, f"{number}:{earlier}")
        )
        # What was verified once stays so: it is written once.
        if isinstance(known, RunManifestRead) and known.manifest is not None and known.files_verified:
            return Reading(Manifest.VERIFIED, known.manifest, known.digest)
    if when is None or not needs_manifest(attempt.facts):
        return Reading()
    effect = ReadRunManifest(run.namespace, run.name, run.uid, f"{number}:{when}")
    outcome_now = observed.outcomes.get(effect)
    if isinstance(outcome_now, RunManifestRead):
        return Reading(Manifest.ABSENT)
    if isinstance(outcome_now, Failed):
        return _failed(outcome_now, effect, attempt.facts, now)
    return Reading(effects=(effect,))


def _failed(outcome: Failed, effect: Effect, facts: Facts, now: datetime) -> Reading:
    if facts.cancelled or facts.report is not None:
        return Reading(Manifest.ABSENT)  # that it ended without one is known already
    if not is_mended_outside(outcome) and outcome.failures >= MAX_FAILURES:
        absent = replace(facts, manifest=Manifest.ABSENT)
        ended = Ending(known_cause(outcome.cause), said=outcome.message)
        return Reading(ending=ended if is_decidable(absent) else None)
    left = seconds_until_again(outcome, now)
    message = f"Whether everything is stored cannot be seen yet, and is looked at again: {outcome.message}"
    return Reading(
        effects=(effect,) if left == 0 else (),
        waiting=Waiting(outcome.cause, message),
        again_seconds=left or None,
    )
