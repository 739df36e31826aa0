"""When the bucket is asked for a run's progress: the agent leaves it there where its reports do not arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain.attempt import Attempt
from mlops_operator.domain.effects import Effect, Failed, ProgressRead, ReadProgress
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.outcome import Manifest
from mlops_operator.domain.retry import seconds_until_again
from mlops_operator.domain.times import seconds_between

# An agent sends only what is new, so silence alone says little: the longer it is, the seldomer is looked.
SILENT_SECONDS = 60.0
EVERY_SECONDS = 30.0
LONGEST_SECONDS = 300.0
ENDED = "ended"


@dataclass(frozen=True)
class Looking:
    """What to read now, and when to look again."""

    effects: tuple[Effect, ...] = ()
    again_seconds: float | None = None


def with_bucket(observed: ObservedRun) -> ObservedRun:
    """Give the observation with the newest report, whichever way it came."""
    attempts = observed.run.status.attempts
    if not attempts:
        return observed
    newest = observed.progress
    for moment in ("", ENDED):
        outcome = observed.outcomes.get(_effect(observed, attempts[-1].number, moment))
        found = outcome.report if isinstance(outcome, ProgressRead) else None
        if found is not None and _order(found) > _order(newest):
            newest = found
    return replace(observed, progress=newest, worker_progress=_of_others(observed, attempts[-1].number))


def _of_others(observed: ObservedRun, attempt: int) -> dict[int, ProgressReport]:
    """Give the newest reports of the other workers; one that failed is asked for its last word."""
    reports = dict(observed.worker_progress)
    for index in range(1, observed.run.spec.worker_count):
        outcome = observed.outcomes.get(_effect(observed, attempt, ENDED, index))
        found = outcome.report if isinstance(outcome, ProgressRead) else None
        if found is not None and _order(found) > _order(reports.get(index)):
            reports[index] = found
    return reports


def look(observed: ObservedRun, attempt: Attempt, now: datetime) -> Looking:
    """Say whether to read the progress of a training from which nothing was heard for a while."""
    train = attempt.facts.container("train")
    if train is None or train.running_since is None or train.exit_code is not None or attempt.facts.over:
        return Looking()
    since = max(filter(None, (train.running_since, observed.heard_at)))
    silent = seconds_between(since, now)
    if silent < SILENT_SECONDS:
        return Looking(again_seconds=SILENT_SECONDS - silent)
    effect = _effect(observed, attempt.recorded.number)
    outcome = observed.outcomes.get(effect)
    if outcome is None:
        return Looking((effect,))
    if isinstance(outcome, Failed):
        left = seconds_until_again(outcome, now, every=EVERY_SECONDS)
    else:
        wait = _interval(outcome.report if isinstance(outcome, ProgressRead) else None, observed, silent)
        left = max(0.0, wait - seconds_between(outcome.at, now))
    return Looking((effect,) if left == 0 else (), left or None)


def last_word(observed: ObservedRun, attempt: Attempt, manifest: Manifest) -> Effect | None:
    """Give the read that the end of a run waits for: the agent's last report, where it did not arrive."""
    speaker = attempt.culprit or attempt.workers[0]
    train = speaker.facts.container("train")
    report = speaker.report
    told = manifest is Manifest.VERIFIED or (report is not None and report.training is not None)
    if observed.run.spec.tracking.mlflow is not None:
        # What became of the forwarding is only in the very last report.
        told = report is not None and report.phase == "Done"
    if told or train is None or train.exit_code is None:
        return None
    effect = _effect(observed, attempt.recorded.number, ENDED, speaker.index)
    return None if effect in observed.outcomes else effect


def _interval(found: ProgressReport | None, observed: ObservedRun, silent: float) -> float:
    if found is not None and _order(found) >= _order(observed.progress):
        return EVERY_SECONDS
    return min(LONGEST_SECONDS, max(EVERY_SECONDS, silent / 2))


def _effect(observed: ObservedRun, attempt: int, moment: str = "", worker: int = 0) -> ReadProgress:
    run = observed.run.metadata
    return ReadProgress(run.namespace, run.name, run.uid, attempt, moment, worker)


def _order(report: ProgressReport | None) -> tuple[int, int]:
    return (report.run.attempt, report.sequence) if report is not None else (0, 0)
