"""Why no attempt begins: the run is cancelled, too late, suspended, or cannot be carried out here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain import acceptance, start_deadline, suspension
from mlops_operator.domain.run_end import cancelled, too_late
from mlops_operator.domain.step import Step, wait
from mlops_operator.domain.waiting import Waiting
from mlops_operator.settings import Settings


def halted(run: TrainingRun, settings: Settings, now: datetime) -> Step | None:
    """Give the step of a run of which nothing runs, and which is not to go on; None: it is."""
    if run.spec.cancel:
        return cancelled(run, now)
    if start_deadline.has_passed(run, now):
        return too_late(run, now)
    if run.spec.suspend:
        return refused(run, settings) or suspension.suspended(run)
    return None


def refused(run: TrainingRun, settings: Settings) -> Step | None:
    """Give the step of a run that this platform cannot carry out as it is; None: it can."""
    found = acceptance.refusal(run.spec, settings)
    if found is None:
        return None
    return replace(wait(run.status, "Pending", Waiting(found.reason, found.message)), accepted=False)
