"""What was decided for a run, before conditions and the comparison with what is written already."""

from __future__ import annotations

from dataclasses import dataclass

from mlops_operator.api.trainingrun import RunPhase, TrainingRunStatus
from mlops_operator.domain import phase
from mlops_operator.domain.conditions import Claim, clip
from mlops_operator.domain.effects import Effect
from mlops_operator.domain.plan import Object
from mlops_operator.domain.waiting import Waiting

# A pod is mostly scheduled within this time: until then, "Queued" is not worth a write. In seconds.
QUEUED_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Step:
    """What was decided, before conditions and the comparison with what is written already."""

    status: TrainingRunStatus
    accepted: bool = True
    create_job: Object | None = None
    create_model_version: Object | None = None
    delete_jobs: tuple[tuple[str, str], ...] = ()
    effects: tuple[Effect, ...] = ()
    claim: Claim | None = None
    delete_run: bool = False
    tracked: tuple[Claim, ...] = ()  # see mlops_operator.domain.tracking
    warn: bool = False
    again_seconds: float | None = None
    settled: bool = False


def at(status: TrainingRunStatus, where: RunPhase, reason: str, message: str) -> TrainingRunStatus:
    """Give the status in a phase, with the word and the sentence that say why."""
    return status.model_copy(update={"phase": where, "reason": clip(reason, 128), "message": clip(message)})


def normal(status: TrainingRunStatus, where: RunPhase) -> TrainingRunStatus:
    """Give the status in a phase where nothing is wrong."""
    return at(status, where, where, phase.NORMAL_MESSAGES[where])


def wait(status: TrainingRunStatus, where: RunPhase, waiting: Waiting) -> Step:
    """Give the step of a run that waits, and says for what."""
    return Step(
        at(status, where, waiting.reason, waiting.message),
        warn=waiting.reason not in ("Cancelling", "Suspending", "Terminating"),
        again_seconds=waiting.again_seconds,
    )
