"""``spec.suspend``: a run is paused at any moment, and goes on with another attempt.

Before its start it has no Job at all. A training under way is ended, with time to upload what it has. One that has ended
already is stored all the same: it is never run again.
"""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain import phase
from mlops_operator.domain.conditions import Claim, find
from mlops_operator.domain.outcome import Facts
from mlops_operator.domain.step import Step, at
from mlops_operator.domain.times import seconds_between

CONDITION = "Suspended"
MESSAGE = "The run is suspended (spec.suspend). Set it to false to go on."


def ends_attempt(run: TrainingRun, facts: Facts) -> bool:
    """Whether the attempt under way is to be ended for the suspension."""
    return run.spec.suspend and facts.training is None and facts.exit_code is None


def suspended(run: TrainingRun) -> Step:
    """Give the step of a run that is suspended and of which nothing runs."""
    return Step(at(run.status, "Suspended", "Suspended", MESSAGE))


def resumed(run: TrainingRun, now: datetime) -> TrainingRun:
    """Give a run that is no longer to be suspended as one that waits for its next attempt."""
    if run.status.phase != "Suspended" or run.spec.suspend:
        return run
    since = find(run.status.conditions, CONDITION)
    started = since.last_transition_time if since is not None else None
    seconds = max(0, round(seconds_between(started, now))) if started is not None else 0
    status = at(run.status, "Pending", "Pending", phase.NORMAL_MESSAGES["Pending"]).model_copy(
        update={"suspended_seconds": (run.status.suspended_seconds or 0) + seconds}
    )
    return run.model_copy(update={"status": status})


def claim(run: TrainingRun, where: str | None) -> Claim | None:
    """Give the condition: True while suspended, False afterwards, absent where it never was."""
    if where == "Suspended":
        return Claim(CONDITION, "True", "Suspended", MESSAGE)
    if find(run.status.conditions, CONDITION) is not None:
        return Claim(CONDITION, "False", "Resumed", "The run is not suspended.")
    return None
