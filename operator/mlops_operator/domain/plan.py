"""What is to be done next for one resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mlops_operator.domain.effects import Effect

Object = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """A Kubernetes event; only for what a user can act on."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """Carried out in this order: status, then create, delete; then events; effects are started.

    Attributes
    ----------
    status
        The whole new status as JSON, or None: nothing changed. Written with the object's resourceVersion; on a
        conflict nothing else of this plan is done and the key is queued again.
    live
        The status changed in live figures alone (metrics, progress): the executor may delay the write so that there
        is at most one each 10 s.
    create_job
        A Job, POSTed once under its fixed name, only if the status was written in this very reconcile.
        AlreadyExists: it is read, and taken in if it carries our owner uid; else the next plan sees a foreign Job.
    create_service
        The Service of that Job's pods, POSTed before it; the Job is made only if the Service is ours.
    create_model_version
        A ModelVersion, POSTed; AlreadyExists is fine.
    delete_jobs
        Names of Jobs to delete (background propagation), with their uids as precondition.
    delete_self
        Delete the resource itself, if it is still the one that the plan was made from.
    delete_services
        Names of Services to delete with the Jobs, each only if it is ours.
    requeue_after_seconds
        When to look again without an event; None: only when something happens.
    settled
        Nothing will happen any more unless the spec changes: outcomes may be forgotten.
    """

    status: Object | None = None
    live: bool = False
    create_job: Object | None = None
    create_service: Object | None = None
    create_model_version: Object | None = None
    delete_jobs: tuple[tuple[str, str], ...] = ()  # (name, uid)
    delete_self: bool = False
    delete_services: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after_seconds: float | None = None
    settled: bool = False
