"""The history of a run: once it has ended, what stays of it goes into the bucket, and again whenever that changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from mlops_operator.api.base import API_VERSION
from mlops_operator.api.trainingrun import RecordedStatus, TrainingRun, TrainingRunStatus
from mlops_operator.domain.effects import Effect, Failed, RecordRun, RunRecorded
from mlops_operator.domain.observed import Outcomes
from mlops_operator.domain.plan import Object
from mlops_operator.domain.retry import seconds_until_again


@dataclass(frozen=True)
class Recording:
    """How far it is.

    Attributes
    ----------
    done
        The history holds the run as it is now.
    recorded
        The mark of it for the status, where it is not there yet.
    under_way
        The answer is on its way: whatever else is to be written can wait for it, and be one write with the mark.
    """

    done: bool = False
    recorded: RecordedStatus | None = None
    under_way: bool = False
    effects: tuple[Effect, ...] = ()
    again_seconds: float | None = None


def record(run: TrainingRun, status: TrainingRunStatus, outcomes: Outcomes, now: datetime) -> Recording:
    """Decide over a run that has ended with this status."""
    model = status.model.name if status.model is not None else None
    known = status.recorded
    if known is not None and (known.generation, known.model) == (run.metadata.generation, model):
        return Recording(done=True)
    content = json.dumps(document(run, status), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    effect = RecordRun(run.metadata.namespace, run.metadata.name, run.metadata.uid, content)
    outcome = outcomes.get(effect)
    if isinstance(outcome, RunRecorded):
        mark = RecordedStatus(generation=run.metadata.generation, model=model, time=outcome.at)
        return Recording(done=True, recorded=mark)
    if isinstance(outcome, Failed):
        left = seconds_until_again(outcome, now)
        return Recording(effects=(effect,) if left == 0 else (), again_seconds=left or None)
    return Recording(under_way=True, effects=(effect,))


def document(run: TrainingRun, status: TrainingRunStatus) -> Object:
    """Give the run as ``run.json`` holds it: an object that ``kubectl`` would show.

    The same run gives the same document: conditions, which have the time of their writing, are left out. Phase, reason
    and message say what they say.
    """
    metadata = run.metadata
    kept = status.model_copy(
        update={"conditions": [], "recorded": None, "observed_generation": metadata.generation}
    ).to_object()
    kept.pop("conditions", None)
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRun",
        "metadata": metadata.model_copy(update={"resource_version": "", "finalizers": []}).model_dump(
            mode="json", by_alias=True, exclude_defaults=True
        ),
        # As it was applied: our own defaults may be others one day.
        "spec": run.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        "status": kept,
    }
