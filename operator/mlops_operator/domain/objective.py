"""The objective of a run: its best value over all attempts, and a success by early stopping."""

from __future__ import annotations

import math

from mlops_operator.api.objective import ObjectiveStatus
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import ObjectiveOrder

MAX_INTEGER = 2**53


def order(run: TrainingRun) -> ObjectiveOrder | None:
    """Build the order for the sidecar, with the best of the attempts before."""
    objective, stopping = run.spec.metrics.objective, run.spec.metrics.early_stopping
    if objective is None:
        return None
    before = run.status.objective
    return ObjectiveOrder(
        name=objective.name,
        goal=objective.goal,
        patience=stopping.patience if stopping is not None else None,
        min_delta=stopping.min_delta if stopping is not None else 0.0,
        best=before.best if before is not None else None,
        step=before.step if before is not None else None,
        checkpoint=before.checkpoint if before is not None else None,
    )


def clean(status: ObjectiveStatus) -> ObjectiveStatus:
    """Give what an agent said of the objective as every JSON reader takes it."""
    best = status.best if status.best is not None and math.isfinite(status.best) else None
    step = status.step if status.step is not None and abs(status.step) <= MAX_INTEGER else None
    return status.model_copy(update={"best": best, "step": step if best is not None else None})


def stopped_early(run: TrainingRun, objective: ObjectiveStatus | None) -> str:
    """Give the message of a success by early stopping."""
    stopping = run.spec.metrics.early_stopping
    patience = f" for {stopping.patience} values in a row" if stopping is not None else ""
    text = f"The training was stopped early, as its objective was no better{patience}; its files are in the bucket and verified."
    if objective is None or objective.best is None:
        return text
    where = f", whose checkpoint is {objective.checkpoint}" if objective.checkpoint else ""
    return f"{text} The best {objective.name} is {objective.best} at step {objective.step}{where}."
