"""The run that ``resumeFrom`` names: found once in the bucket, then pinned in the status."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.checkpoints import ResolvedResume
from mlops_operator.domain.effects import CheckpointFound, Failed, FindCheckpoint
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.prerequisites import RECHECK_SECONDS, Unmet
from mlops_operator.domain.retry import seconds_until_again
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.waiting import Waiting

# How often the bucket is looked into while there is no checkpoint.
LOOK_SECONDS = 30.0


def find(observed: ObservedRun, now: datetime) -> ResolvedResume | Unmet | None:
    """Give the run to go on from, or what must be found out first; None: the run begins anew."""
    run = observed.run
    source = run.spec.resume_from.training_run if run.spec.resume_from is not None else None
    if source is None:
        return None
    if run.status.resolved is not None and run.status.resolved.resume_from is not None:
        return run.status.resolved.resume_from
    effect = FindCheckpoint(run.metadata.namespace, source.name, run.metadata.uid)
    outcome = observed.outcomes.get(effect)
    if isinstance(outcome, Failed):
        left = seconds_until_again(outcome, now, every=RECHECK_SECONDS)
        waiting = Waiting(outcome.cause, outcome.message)
        return Unmet((effect,) if left == 0 else (), waiting, left or RECHECK_SECONDS)
    if not isinstance(outcome, CheckpointFound):
        return Unmet((effect,))
    if outcome.run_uid is not None:
        return ResolvedResume(training_run=source.name, uid=outcome.run_uid)
    left = max(0.0, LOOK_SECONDS - seconds_between(outcome.at, now))
    waiting = Waiting(
        "CheckpointMissing",
        f"spec.resumeFrom: no run named {source.name!r} has a checkpoint in the workspace's bucket. It is looked for again"
        f" every {LOOK_SECONDS:.0f} s. If the name is wrong, cancel this run and apply it under a new name.",
    )
    return Unmet((effect,) if left == 0 else (), waiting, left or LOOK_SECONDS)
