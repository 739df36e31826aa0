"""Why a Job has no pod. Nothing but events says it, so the API server is asked to make the pod, without making it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops_operator.domain import denials
from mlops_operator.domain.effects import Effect, Failed, PodTried, TryPod
from mlops_operator.domain.observed import Outcomes
from mlops_operator.domain.retry import seconds_until_again
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.waiting import POD_PATIENCE_SECONDS, Waiting, for_missing_pod

# Kubernetes itself tries again at least once in a minute: asking more seldom would tell old numbers.
LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Podless:
    """What is known of a Job without a pod, what is to be asked, and when to look again."""

    waiting: Waiting | None = None
    effects: tuple[Effect, ...] = ()
    again_seconds: float | None = None


def look(job: str, namespace: str, since: datetime | None, outcomes: Outcomes, now: datetime) -> Podless:
    """Say why a Job has no pod.

    Parameters
    ----------
    since
        When the Job was made. The longer ago, the more seldom is asked.
    """
    waited = seconds_between(since, now) if since is not None else 0.0
    if waited < POD_PATIENCE_SECONDS:
        return Podless(again_seconds=POD_PATIENCE_SECONDS - max(waited, 0.0))
    trial = TryPod(namespace, job)
    every = min(max(float(POD_PATIENCE_SECONDS), waited / 4), LONGEST_SECONDS)
    waiting: Waiting | None
    match outcomes.get(trial):
        case PodTried(at=at, refusal=refusal):
            left = max(0.0, every - seconds_between(at, now))
            waiting = _refused(job, namespace, refusal) if refusal else _taken(job, namespace)
        case Failed() as failed:
            left = seconds_until_again(failed, now)
            waiting = for_missing_pod(job, namespace, since, now)
        case _:
            return Podless(effects=(trial,), again_seconds=every)
    return Podless(waiting, () if left > 0 else (trial,), left or every)


def _refused(job: str, namespace: str, refusal: str) -> Waiting:
    denial = denials.read(refusal, namespace)
    if denial.reason == "NotPermitted":
        message = (
            f"Kubernetes has made no pod for Job {job}, and the operator cannot ask why. {denial.message}"
        )
        return Waiting("PodNotCreated", message)
    return Waiting(denial.reason, f"Kubernetes makes no pod for Job {job}. {denial.message}")


def _taken(job: str, namespace: str) -> Waiting:
    return Waiting(
        "PodNotCreated",
        f"Kubernetes has made no pod for Job {job} yet, although the API server would take it now. It is made at the"
        f" next try of Kubernetes, within a minute or so; else see kubectl -n {namespace} describe job {job}.",
    )
