"""From a step to the plan: conditions, events, and whether there is anything to write at all."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import TrainingRun, TrainingRunStatus
from mlops_operator.domain import distributed, live, registration, suspension, tracking
from mlops_operator.domain.conditions import as_claim, clip, find, of_run, settle
from mlops_operator.domain.plan import Event, Object, Plan
from mlops_operator.domain.step import Step


def conclude(run: TrainingRun, step: Step, now: datetime) -> Plan:
    """Give the plan: conditions, and whether there is anything to write at all."""
    before, status = run.status, step.status
    written: Object | None = None
    is_live = False
    if status.phase is not None:
        claims = of_run(status.phase, status.reason or "", status.message or "", accepted=step.accepted)
        kept = find(before.conditions, registration.CONDITION)
        extra = [
            suspension.claim(run, status.phase),
            step.claim or (as_claim(kept) if kept is not None else None),
        ]
        generation = run.metadata.generation
        status = status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": settle(
                    before.conditions,
                    [
                        *claims,
                        *(claim for claim in extra if claim is not None),
                        *tracking.settled(before, step.tracked),
                    ],
                    generation,
                    now,
                ),
            }
        )
        old, new = before.to_object(), status.to_object()
        written = new if new != old else None
        is_live = written is not None and live.are_figures(old, new)
    makes_job = step.create_job is not None and written is not None
    return Plan(
        status=written,
        live=is_live,
        create_job=step.create_job if makes_job else None,
        create_service=distributed.service(run, status.attempts[-1].number) if makes_job else None,
        create_model_version=step.create_model_version,
        delete_jobs=step.delete_jobs,
        delete_self=step.delete_run and written is None,
        delete_services=distributed.services_of(run, step.delete_jobs),
        effects=step.effects,
        events=_events(run, status) if step.warn and written is not None else (),
        requeue_after_seconds=step.again_seconds,
        settled=step.settled,
    )


def _events(run: TrainingRun, status: TrainingRunStatus) -> tuple[Event, ...]:
    """One event for each new reason that a user can act on."""
    if status.reason == run.status.reason:
        return ()
    return (Event("Warning", status.reason or "Waiting", clip(status.message or "", 1024)),)
